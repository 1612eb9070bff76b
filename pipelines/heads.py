"""Heads: linear answers from token states, in numpy. No torch here: workers import this.

With mean pooling and a linear head a range's logit is exactly the mean of its tokens' logits, so
all heads are applied to all tokens in one product, and ranges are means of its rows. What a lexicon
adds comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.encode import Floats, Tokens
from pipelines.lexicon import Lexicon
from suites.types import Finding, Task


@dataclass(frozen=True, slots=True)
class Head:
    """One task's linear layer. Shapes: weight (n_outputs, hidden), bias (n_outputs,).

    `temperature` divides the logits (Guo et al. 2017, arXiv:1706.04599). A tag is given when its
    score reaches `threshold`. `lexicon`, where there is one, adds to the logits of a range what its
    word pieces say by themselves.
    """

    task: Task
    weight: Floats
    bias: Floats
    temperature: float = 1.0
    threshold: float = 0.5
    lexicon: Lexicon | None = None


def n_outputs(task: Task) -> int:
    """Outputs of a task's head: one a label; for spans the BIO tags O, B-x, I-x."""
    return 2 * len(task.labels) + 1 if task.kind == "spans" else len(task.labels)


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)


def sigmoid(logits: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)), np.float32)  # exp(-logit) alone overflows


def pooled(token_logits: Floats, ranges: Sequence[slice]) -> Floats:
    """Mean logit rows of token ranges. Shape: (n_ranges, n_outputs); zeros for a range without tokens."""
    if not ranges:
        return np.zeros((0, token_logits.shape[1]), np.float32)
    first = np.fromiter((r.start for r in ranges), np.int64, len(ranges))
    last = np.fromiter((r.stop for r in ranges), np.int64, len(ranges))
    # reduceat sums from each index to the next: of the pairs (first, last) every other sum is a range's
    padded = np.concatenate([token_logits, np.zeros((1, token_logits.shape[1]), np.float32)])
    sums = np.add.reduceat(padded, np.column_stack([first, last]).ravel(), axis=0)[::2]
    n_tokens = (last - first)[:, None]
    return np.asarray(np.where(n_tokens > 0, sums / np.maximum(n_tokens, 1), 0.0), np.float32)


def answer_ranges(head: Head, token_logits: Floats, tokens: Tokens, ranges: list[tuple[int, int]]) -> list[Finding]:
    """Findings of a choice or tags task over character ranges: a document, sentences or spans."""
    places = tokens.between(ranges)
    logits = pooled(token_logits, places) + head.bias
    if head.lexicon is not None:
        logits += head.lexicon.logits(tokens.ids, places)
    if head.task.kind == "choice":
        scores = softmax(logits / head.temperature)
        best = scores.argmax(axis=1)
        return [_finding(head.task, int(k), scores[i, k], a, b) for i, ((a, b), k) in enumerate(zip(ranges, best, strict=True))]
    scores = sigmoid(logits / head.temperature)
    rows, labels = np.nonzero(scores >= head.threshold)
    return [_finding(head.task, int(k), scores[i, k], *ranges[i]) for i, k in zip(rows, labels, strict=True)]


def answer_spans(head: Head, token_logits: Floats, tokens: Tokens) -> list[Finding]:
    """Findings of a spans task: the best tag of each word's first piece, runs joined.

    A span's score is the geometric mean of its words' tag scores. I-x that follows no x begins a
    span, as in the usual conlleval reading.
    """
    if not len(tokens):
        return []
    first = np.flatnonzero(np.diff(tokens.words, prepend=-2))
    scores = softmax((token_logits[first] + head.bias) / head.temperature)
    best = scores.argmax(axis=1)
    last_pieces = np.append(first[1:], len(tokens)) - 1
    findings: list[Finding] = []
    run: list[int] = []
    for word in np.flatnonzero(best):
        label, begins = (best[word] - 1) // 2, best[word] % 2 == 1
        continues = run and word == run[-1] + 1 and not begins and (best[run[0]] - 1) // 2 == label
        if not continues and run:
            findings.append(_span(head.task, run, best, scores, tokens, first, last_pieces))
            run = []
        run.append(int(word))
    if run:
        findings.append(_span(head.task, run, best, scores, tokens, first, last_pieces))
    return findings


def _span(task: Task, run: list[int], best: np.ndarray, scores: Floats, tokens: Tokens, first: np.ndarray, last: np.ndarray) -> Finding:
    score = float(np.exp(np.mean(np.log(scores[run, best[run]]))))
    start, end = int(tokens.starts[first[run[0]]]), int(tokens.ends[last[run[-1]]])
    return _finding(task, int((best[run[0]] - 1) // 2), score, start, end)


def _finding(task: Task, label: int, score: float, start: int, end: int) -> Finding:
    # four digits: more would be noise of the arithmetic, and would differ between machines
    return Finding(task.name, task.labels[label], round(float(score), 4), start, end)
