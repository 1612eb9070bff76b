"""What the word pieces of a range say by themselves, beside what the encoder makes of them. No torch here.

A small student with few examples forgets what counting words tells at once, and the counts miss what
the context tells: their sum is surer than either (a log-linear pool of two experts, Hinton 2002; the
wide part of Cheng et al. 2016, arXiv:1606.07792). Figures: docs/decisions/0005-lexicon.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.encode import Floats, Ints


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Linear weights per word piece. Shapes: pieces (n,) sorted ids, weights (n, n_outputs), bias (n_outputs,)."""

    pieces: Ints
    weights: Floats
    bias: Floats

    def logits(self, ids: Ints, ranges: Sequence[slice]) -> Floats:
        """What the lexicon adds to the logits of each range of `ids`. Shape: (n_ranges, n_outputs); the bias alone for an empty range."""
        numbers, pieces, values = bag(ids, ranges)
        found = np.tile(self.bias, (len(ranges), 1))
        if not len(self.pieces):
            return found
        places = np.minimum(np.searchsorted(self.pieces, pieces), len(self.pieces) - 1)
        known = self.pieces[places] == pieces
        np.add.at(found, numbers[known], values[known, None] * self.weights[places[known]])
        return found

    def scaled(self, factor: float) -> Lexicon:
        return Lexicon(self.pieces, np.asarray(self.weights * factor, np.float32), np.asarray(self.bias * factor, np.float32))


def bag(ids: Ints, ranges: Sequence[slice]) -> tuple[Ints, Ints, Floats]:
    """The pieces of each range, each once: range number, piece, and 1 + ln(count), every range scaled to length 1.

    Shape of each array: (n pieces that differ, summed over ranges,).
    """
    lengths = [r.stop - r.start for r in ranges]
    numbers = np.repeat(np.arange(len(ranges)), lengths)
    inside = np.concatenate([ids[r] for r in ranges]) if ranges else np.zeros(0, np.int32)
    # one number for (range, piece), so that one sort counts them all
    keys, counts = np.unique(numbers.astype(np.int64) << 32 | inside, return_counts=True)
    values = 1.0 + np.log(counts)
    rows = (keys >> 32).astype(np.int32)
    norms = np.sqrt(np.bincount(rows, values**2, minlength=len(ranges)))
    return rows, (keys & 0xFFFFFFFF).astype(np.int32), np.asarray(values / norms[rows], np.float32)
