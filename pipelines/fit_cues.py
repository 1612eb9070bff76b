"""Fits what cues and sections add to the logits of a span-scoped head, on dev: logistic regression that begins with believing them."""

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


def fit_cues(task: Task, logits: Floats, cues: Floats, wanted: npt.NDArray[np.int32]) -> Floats:
    """The weights of least negative log likelihood, with a normal prior around the belief.

    Shapes: logits (n, n_labels), cues (n, n_features), wanted (n,), result (n_features, n_labels).
    """
    from scipy.optimize import minimize

    n_labels = len(task.labels)
    prior = believed(n_labels)
    rows, onehot = np.asarray(logits, np.float64), np.eye(n_labels)[wanted.astype(int)]

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(prior.shape)
        at = rows + cues @ weights
        log_total = np.logaddexp.reduce(at, axis=1)
        off = (weights - prior) / SPREAD**2
        slope = cues.T @ (np.exp(at - log_total[:, None]) - onehot) + off
        return float((log_total - (at * onehot).sum(axis=1)).sum() + (off * (weights - prior)).sum() / 2), slope.ravel()

    found = minimize(loss, prior.ravel(), jac=True, method="L-BFGS-B")
    return np.asarray(np.round(found.x.reshape(prior.shape), 4), np.float32)


def believed(n_labels: int) -> Doubles:
    """The weights before dev has spoken: each cue speaks for its own label. Shape: (2 * n_labels, n_labels)."""
    return np.concatenate([BELIEF * np.eye(n_labels), SECTION_BELIEF * np.eye(n_labels)])
