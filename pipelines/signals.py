"""What in a text looks as if it were meant to deceive a reader: evidence with its places, no verdict."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from pipelines.skeleton import IGNORABLES, Range, deceptive, is_latin, is_right_to_left, needed, seen

# marks, embeddings and isolates are everyday in a text with letters that run from right to left; an override turns round what stands there in any text
OVERRIDES = frozenset("\u202d\u202e")
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069") | OVERRIDES


@dataclass(frozen=True, slots=True)
class Signals:
    """Ranges [start, end) of a text, in order, those of one kind without overlap.

    `mixed_script`: words that mix Latin letters with others that look Latin. `whole_script`: words of other letters alone that all look Latin,
    in a text that is mainly Latin. `invisible`: runs of invisible characters that no writing needs there; a soft hyphen is one, as nobody
    can tell what it was meant for. `bidi`: bidi controls in a text without letters from right to left, and overrides in any.
    """

    mixed_script: tuple[Range, ...] = ()
    whole_script: tuple[Range, ...] = ()
    invisible: tuple[Range, ...] = ()
    bidi: tuple[Range, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.mixed_script or self.whole_script or self.invisible or self.bidi)

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {name: len(getattr(self, name)) for name in ("mixed_script", "whole_script", "invisible", "bidi")}


def signals(text: str) -> Signals:
    """The signals of a text; time and memory are linear in it."""
    if text.isascii():
        return Signals()
    view = seen(text, 0, len(text))
    words = [(view.original(start, end), kind) for start, end, kind in deceptive(view.text, is_latin(text))]
    runs = [found.span() for found in IGNORABLES.finditer(text)]
    as_usual = needed(text, 0, len(text)) if runs else set()
    right_to_left = bool(runs) and is_right_to_left(text)
    hidden = [i for run in runs for i in range(*run) if i not in as_usual]
    return Signals(
        tuple(place for place, kind in words if kind == "mixed_script"),
        tuple(place for place, kind in words if kind == "whole_script"),
        _runs([i for i in hidden if text[i] not in BIDI]),
        _runs([i for i in hidden if text[i] in (OVERRIDES if right_to_left else BIDI)]),
    )


def _runs(places: list[int]) -> tuple[Range, ...]:
    """Neighbours as one range."""
    runs = [[place for _, place in run] for _, run in groupby(enumerate(places), lambda at: at[1] - at[0])]
    return tuple((run[0], run[-1] + 1) for run in runs)
