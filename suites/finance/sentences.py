"""The sentences of a text, as the student was asked about them or, without it, by their marks."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

# a sentence ends with its marks before white space, or with its line
_SENTENCE = re.compile(r"[^\s.!?][^\n.!?]*(?:[.!?]+(?!\s|\Z)[^\n.!?]*)*[.!?]*")


class Sentences:
    """Ranges in order, each with the finding that says what the sentence asks for, where there is one."""

    def __init__(self, text: str, asks: Sequence[Any]) -> None:
        self._asks = sorted(asks, key=lambda f: f.start)
        self._ranges = [(f.start, f.end) for f in self._asks] or [m.span() for m in _SENTENCE.finditer(text)]
        self._starts = [start for start, _ in self._ranges]

    def around(self, start: int, end: int) -> tuple[int, int]:
        """The range of the sentence in which something begins, or that thing's own."""
        at = bisect_right(self._starts, start) - 1
        return self._ranges[at] if at >= 0 and start < self._ranges[at][1] else (start, end)

    def ask(self, start: int) -> Any | None:
        """What the sentence at a place asks for, as the student has answered; None without it."""
        at = bisect_right(self._starts, start) - 1
        return self._asks[at] if self._asks and at >= 0 and start < self._ranges[at][1] else None
