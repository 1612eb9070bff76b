"""Weights to int8 so that their products lose little, and fit the kernel's sums.

Each column of a matrix is rounded in turn, and what rounding lost is taken up by the columns that follow, weighed by how the
inputs go together (GPTQ; Frantar et al. 2023, arXiv:2210.17323). The kernel of processors without VNNI adds products in
16 bits. It does so exactly if two neighbours of the same sign add up to at most PAIR, and the magnitudes of a lane to at most LANE:
255 times the one and 127 times the other fit. Those bounds are kept by every weight that is written, on every processor.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.encode import Floats

TOP = 127
PAIR = 128
LANE = 258
# inputs of a group: each of its two lanes takes every other pair of them (int8_kernel.c, GROUP)
GROUP = 16
DAMPING = 0.01  # of the mean of the diagonal, added to it, as GPTQ does: inputs of calibration are few
BLOCK = 64  # columns whose losses are passed on together to those behind
GROW = 1.002
TINY = np.finfo(np.float32).tiny

Bytes = npt.NDArray[np.int8]
Doubles = npt.NDArray[np.float64]


def safe_scale(weight: Floats) -> Floats:
    """The smallest scale of each output at which its rounded weights keep the bounds. Shapes: (n, k), (n,)."""
    scale = np.maximum(np.abs(weight).max(axis=1) / TOP, TINY)
    while (over := _over(np.rint(weight / scale[:, None]))).max() > 1:
        scale = np.where(over > 1, scale * np.maximum(over, GROW), scale)
    return np.asarray(scale, np.float32)


def _over(q: Floats) -> Floats:
    """How many times each output's worst pair or lane is of its bound. Shapes: (n, k), (n,)."""
    n = len(q)
    rises, falls = (np.maximum(signed, 0).reshape(n, -1, 2).sum(axis=2).max(axis=1) for signed in (q, -q))
    lanes = np.abs(q).reshape(n, -1, GROUP // 4, 2, 2).sum(axis=(2, 4)).max(axis=(1, 2))
    return np.asarray(np.maximum.reduce([rises / PAIR, falls / PAIR, lanes / LANE, np.abs(q).max(axis=1) / TOP]), np.float32)


def rounded(weight: Floats, moments: Doubles, scale: Floats) -> Bytes:
    """A matrix in int8, in units of each output's scale. Shapes: weight (n, k), moments of the inputs (k, k), scale (n,), result (n, k)."""
    left = weight.astype(np.float64)
    damping = max(DAMPING * float(np.mean(np.diag(moments))), float(TINY))
    damped = moments + np.eye(len(moments)) * damping
    passed_on = np.linalg.cholesky(np.linalg.inv(damped)).T
    units = scale.astype(np.float64)
    made = np.zeros(weight.shape, np.int32)
    used = np.zeros((len(weight), 2), np.int32)  # of each lane's bound, by the group so far
    for begin in range(0, weight.shape[1], BLOCK):
        end = min(begin + BLOCK, weight.shape[1])
        lost = np.zeros((len(weight), end - begin))
        for column in range(begin, end):
            if column % GROUP == 0:
                used[:] = 0
            lane = column % 4 // 2
            low, high = _bounds(made[:, column - 1] if column % 2 else None, used[:, lane])
            made[:, column] = np.clip(np.rint(left[:, column] / units), low, high)
            used[:, lane] += np.abs(made[:, column])
            lost[:, column - begin] = (left[:, column] - made[:, column] * units) / passed_on[column, column]
            left[:, column + 1 : end] -= lost[:, column - begin, None] * passed_on[column, column + 1 : end]
        left[:, end:] -= lost @ passed_on[begin:end, end:]
    return made.astype(np.int8)


def _bounds(neighbour: npt.NDArray[np.int32] | None, used: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The least and the largest weight that a column may have, given the first of its pair and its lane so far."""
    high = np.minimum(TOP, LANE - used)
    low = -high
    if neighbour is None:
        return low, high
    return np.where(neighbour < 0, np.maximum(low, -PAIR - neighbour), low), np.where(neighbour > 0, np.minimum(high, PAIR - neighbour), high)
