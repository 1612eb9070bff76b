"""Values and names as a message shows them: short ones as they are, and the nearest of the known names for an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN = 60  # what is longer than names are may be a document's text
MAX_NAMES = 12


def shown(value: object) -> str:
    """A value, or only its length where it could be running text."""
    written = repr(value)
    return written if len(written) <= MAX_SHOWN else f"a value of {len(written)} characters"


def guess(name: object, known: Iterable[str]) -> str:
    """A sentence with the nearest of the known names, or with all of them where none is near; a space comes first."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name)[:MAX_SHOWN], names, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Expected one of: {', '.join(names[:MAX_NAMES])}{' ...' if len(names) > MAX_NAMES else ''}."
