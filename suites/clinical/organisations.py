"""Organisations found by the words they end or begin with: what is left when words of no name are taken off."""

from __future__ import annotations

from .lists import words
from .names import parts

_SMALL = frozenset(("of", "the", "and", "for", "de", "del", "la", "du", "des", "on", "upon", "&", "a"))


def is_end(name):
    """Whether a name of two words or more ends as organisations do."""
    found = name.split()
    return len(found) > 1 and found[-1].lower().strip(".,") in words("ends_of_organisations")


def without_others(text, start, end):
    """The range without leading words that belong to no name; None where no word is of a name."""
    found = parts(text, start, end)
    while found and found[0][2].lower().strip(".'’") in words("before_organisations"):
        found = found[1:]
    while found and found[0][2].lower() in ("and", "of", "for", "&"):
        found = found[1:]
    if not found or all(_is_generic(word) for _, _, word in found):
        return None
    if len(found) == 1 and (found[0][2].lower() in words("leading") or (found[0][2].isupper() and len(found[0][2]) < 4)):
        return None
    return found[0][0], end - 1 if text[end - 1] in ".," else end


def _is_generic(word):
    low = word.lower().strip(".,'’")
    low = low[:-2] if low.endswith(("'s", "’s")) else low
    return low in words("kinds_of_places") or low in _SMALL or low in words("leading")
