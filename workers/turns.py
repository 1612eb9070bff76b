"""Whose turn it is: a document whose claim lapsed, or fresh ones."""

from __future__ import annotations

import math
import random


class Turns:
    """Half of a process's time for documents whose claim lapsed, half for fresh ones, where both wait.

    Lost ones are read one by one: by equal numbers of claims a hundred of them would take a hundred whole claims' time. And
    many that kill their readers may not keep all processes from the others: who comes first in a drain is left to chance.
    """

    def __init__(self) -> None:
        self._ahead_s = random.choice((-1e-3, 1e-3))  # how much more time the lost ones have had
        self._began_s, self._is_lost = math.nan, False

    def begin(self, now: float, *, is_lost: bool) -> None:
        """A claim was taken."""
        self._began_s, self._is_lost = now, is_lost

    def lost_first(self, now: float) -> bool:
        """Whether a lost document is next; the claim in hand has ended."""
        if not math.isnan(self._began_s):
            self._ahead_s += (now - self._began_s) * (1 if self._is_lost else -1)
            self._began_s = math.nan
        return self._ahead_s < 0
