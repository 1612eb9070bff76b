"""Fits what cues and sections add to the logits of a span-scoped head, and what the head is worth where they are silent, on dev.

Logistic regression that begins with believing them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.encode import Floats
from suites.types import Task

Doubles = npt.NDArray[np.float64]
# what is believed before dev has spoken: by a cue its label's odds are e^3 = 20 times what they were, by a section e^1.5
BELIEF, SECTION_BELIEF = 3.0, 1.5
# standard deviation of the weights around that belief
SPREAD = 1.5


def fit_cues(task: Task, logits: Floats, cues: Floats, wanted: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
    """The weights, and the shift of all logits, of least negative log likelihood, with a normal prior around the belief and around no shift.

    A head that has learned from texts where its label stands without a word that says so gives it too readily elsewhere: the shift
    tells. Where no cue has spoken there is none. Shapes: logits (n, n_labels), cues (n, n_features), wanted (n,), results (n_features,
    n_labels) and (n_labels,).
    """
    from scipy.optimize import minimize

    n_labels = len(task.labels)
    prior = np.concatenate([believed(n_labels), np.zeros((1, n_labels))])
    shown = np.column_stack([cues, np.full(len(cues), float(cues.any()))])
    rows, onehot = np.asarray(logits, np.float64), np.eye(n_labels)[wanted.astype(int)]

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(prior.shape)
        at = rows + shown @ weights
        log_total = np.logaddexp.reduce(at, axis=1)
        off = (weights - prior) / SPREAD**2
        slope = shown.T @ (np.exp(at - log_total[:, None]) - onehot) + off
        return float((log_total - (at * onehot).sum(axis=1)).sum() + (off * (weights - prior)).sum() / 2), slope.ravel()

    found = minimize(loss, prior.ravel(), jac=True, method="L-BFGS-B")
    fitted = np.asarray(np.round(found.x.reshape(prior.shape), 4), np.float32)
    return fitted[:-1], fitted[-1]


def believed(n_labels: int) -> Doubles:
    """The weights before dev has spoken: each cue speaks for its own label. Shape: (2 * n_labels, n_labels)."""
    return np.concatenate([BELIEF * np.eye(n_labels), SECTION_BELIEF * np.eye(n_labels)])
