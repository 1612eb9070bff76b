"""One temperature per head, so that a score is the share of answers that are right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipelines.encode import Floats
from pipelines.heads import Head, pooled
from pipelines.targets import IGNORED, Encoded

TEMPERATURES = np.geomspace(0.25, 8.0, 41)
MIN_ANSWERS = 30  # fewer tell nothing; the head keeps temperature 1


def calibrated(heads: Sequence[Head], examples: Sequence[Encoded], states: Iterable[Floats]) -> list[Head]:
    """The heads with the temperature of least negative log likelihood on these examples (dev).

    Guo et al. 2017, arXiv:1706.04599, section 4.2. `states[i]` are example i's stitched hidden
    states, shape (n_tokens, hidden).
    """
    logits: dict[str, list[Floats]] = {h.task.name: [] for h in heads}
    wanted: dict[str, list[np.ndarray]] = {h.task.name: [] for h in heads}
    for example, hidden in zip(examples, states, strict=True):
        for head in heads:
            target = example.targets.get(head.task.name)
            if target is None:
                continue
            rows = hidden @ head.weight.T
            if head.task.kind == "spans":
                kept = np.flatnonzero(target.wanted != IGNORED)
                logits[head.task.name].append(rows[kept] + head.bias)
                wanted[head.task.name].append(target.wanted[kept])
            else:
                logits[head.task.name].append(pooled(rows, list(target.ranges)) + head.bias)
                wanted[head.task.name].append(target.wanted)
    return [replace(h, temperature=_temperature(h, logits[h.task.name], wanted[h.task.name])) for h in heads]


def _temperature(head: Head, logits: list[Floats], wanted: list[np.ndarray]) -> float:
    if sum(len(w) for w in wanted) < MIN_ANSWERS:
        return 1.0
    rows, answers = np.concatenate(logits), np.concatenate(wanted)
    losses = [_loss(head, rows / t, answers) for t in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(losses))]), 4)


def _loss(head: Head, logits: np.ndarray, wanted: np.ndarray) -> float:
    """Mean negative log likelihood."""
    if head.task.kind == "tags":
        return float(np.mean(np.logaddexp(0.0, logits) - wanted * logits))
    log_total = np.logaddexp.reduce(logits, axis=1)
    return float(np.mean(log_total - logits[np.arange(len(wanted)), wanted.astype(int)]))
