"""Fits a task's lexicon: logistic regression over the bags of word pieces of its training examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from pipelines.encode import Floats, Ints
from pipelines.heads import n_outputs
from pipelines.lexicon import Lexicon, bag
from pipelines.targets import Encoded
from suites.types import Task

# inverse strength of the L2 penalty: of 3, 10 and 30 the best or next to it on dev of email_phishing, sms_smishing,
# mtsamples_specialty and environmental_claims
C = 30.0


def fit_lexicon(task: Task, examples: Sequence[Encoded]) -> Lexicon | None:
    """The lexicon of a choice or tags task; None where there is nothing to tell apart.

    Span tasks have none, and no task over spans: what is said around a span decides there.
    """
    if task.kind == "spans" or task.scope == "span":
        return None
    asked = [(e, e.targets[task.name]) for e in examples if task.name in e.targets]
    if not asked:
        return None
    wanted = np.concatenate([target.wanted for _, target in asked])
    pieces, matrix = _counted([(e.ids, target.ranges) for e, target in asked])
    weights, bias = np.zeros((n_outputs(task), len(pieces)), np.float32), np.zeros(n_outputs(task), np.float32)
    if task.kind == "choice":
        labels = np.unique(wanted)
        if len(labels) < 2:
            return None
        weights[labels], bias[labels] = _regression(matrix, wanted)
        bias[np.setdiff1d(np.arange(len(bias)), labels)] = bias[labels].min()  # without examples: never above them all
    else:
        told_apart = [k for k in range(len(bias)) if 0 < wanted[:, k].sum() < len(wanted)]
        if not told_apart:
            return None
        for k in told_apart:
            no_and_yes, biases = _regression(matrix, wanted[:, k])
            weights[k], bias[k] = no_and_yes[1] - no_and_yes[0], biases[1] - biases[0]
    return Lexicon(pieces, np.ascontiguousarray(weights.T), bias)


def _counted(texts: Sequence[tuple[Ints, Sequence[slice]]]) -> tuple[Ints, csr_matrix]:
    """The pieces that occur, sorted, and the bags of all ranges. Shape of the matrix: (n_ranges, n_pieces)."""
    bags = [bag(ids, ranges) for ids, ranges in texts]
    firsts = np.cumsum([0, *(len(ranges) for _, ranges in texts)])
    rows = np.concatenate([numbers + first for (numbers, _, _), first in zip(bags, firsts[:-1], strict=True)])
    pieces, columns = np.unique(np.concatenate([pieces for _, pieces, _ in bags]), return_inverse=True)
    values = np.concatenate([values for _, _, values in bags])
    return pieces, csr_matrix((values, (rows, columns)), shape=(int(firsts[-1]), len(pieces)))


def _regression(matrix: csr_matrix, answers: Ints) -> tuple[Floats, Floats]:
    """Weights (n_answers, n_pieces) and biases (n_answers,) of the answers that occur, in order."""
    model = LogisticRegression(C=C, max_iter=1000).fit(matrix, answers)
    weights, bias = np.asarray(model.coef_, np.float32), np.asarray(model.intercept_, np.float32)
    if len(weights) == 1:  # of two answers the library gives the difference
        half, half_bias = weights / np.float32(2), bias / np.float32(2)
        return np.concatenate([-half, half]), np.concatenate([-half_bias, half_bias])
    return weights, bias
