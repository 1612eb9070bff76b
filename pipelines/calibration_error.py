"""How far scores are from the share of answers that are right: expected calibration error and its bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

N_BINS = 15  # Guo et al. 2017, arXiv:1706.04599, section 2
N_DRAWS = 200  # the mean of so many errors by chance is exact to about a twentieth of one

Figures = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Bin(BaseModel):
    """The answers whose score lies in (low, high]: their mean score, the share of them that is right, their number."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    score: float
    right: float
    n: int


def reliability(scores: Figures, right: Flags) -> list[Bin]:
    """The bins of equal width that hold answers, in order. Shape of both: (n_answers,)."""
    edges = np.linspace(0.0, 1.0, N_BINS + 1)
    places = _bins(scores)
    members = [(b, places == b) for b in np.unique(places)]
    return [
        Bin(low=edges[b], high=edges[b + 1], score=float(scores[inside].mean()), right=float(right[inside].mean()), n=int(inside.sum()))
        for b, inside in members
    ]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error, 0..1: the bins' gaps between score and share right, by their share of the answers. None without answers."""
    n = sum(b.n for b in bins)
    return sum(b.n * abs(b.right - b.score) for b in bins) / n if n else None


def error_by_chance(scores: Figures, seed: int = 1) -> float:
    """The mean error of answers that are right exactly as often as their scores say.

    Few answers a bin are never right in just the share their scores say: of 100 answers of score
    0.8 the error is 0.03 on average. What a calibration error is worth shows beside this one.
    """
    if not len(scores):
        return 0.0
    random = np.random.default_rng(seed)
    places = _bins(scores)
    wanted = np.bincount(places, scores, N_BINS)
    gaps = [np.abs(np.bincount(places, random.random(len(scores)) < scores, N_BINS) - wanted).sum() for _ in range(N_DRAWS)]
    return float(np.mean(gaps)) / len(scores)


def _bins(scores: Figures) -> npt.NDArray[np.intp]:
    """The number of each score's bin."""
    return np.searchsorted(np.linspace(0.0, 1.0, N_BINS + 1)[1:-1], scores, side="left")
