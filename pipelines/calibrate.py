"""What is fitted on dev: a head's temperature, so that a score is the share of answers that are right, and its lexicon's scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.encode import Floats
from pipelines.heads import Head, pooled
from pipelines.lexicon import Lexicon
from pipelines.targets import IGNORED, Encoded, Target

TEMPERATURES = np.geomspace(0.25, 8.0, 41)  # steps of 9 %: scores change by two points at most
LEXICON_SCALES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # 0 leaves it out
MIN_ANSWERS = 30  # fewer tell nothing


def calibrated(
    heads: Sequence[Head],
    examples: Sequence[Encoded],
    states: Iterable[Floats],
    lexicons: Mapping[str, Lexicon],
) -> list[Head]:
    """The heads with the temperature and the scale of the lexicon of least negative log likelihood on these examples (dev).

    Guo et al. 2017, arXiv:1706.04599, section 4.2. `states[i]` are example i's stitched hidden
    states, shape (n_tokens, hidden); `lexicons` are by task.
    """
    logits: dict[str, list[Floats]] = {h.task.name: [] for h in heads}
    lexical: dict[str, list[Floats]] = {name: [] for name in lexicons}
    wanted: dict[str, list[np.ndarray]] = {h.task.name: [] for h in heads}
    for example, hidden in zip(examples, states, strict=True):
        for head in heads:
            target = example.targets.get(head.task.name)
            if target is None:
                continue
            rows, answers = _answers(head, target, hidden)
            logits[head.task.name].append(rows)
            wanted[head.task.name].append(answers)
            if head.task.name in lexicons:
                lexical[head.task.name].append(lexicons[head.task.name].logits(example.ids, target.ranges))
    return [_fitted(h, logits[h.task.name], lexical.get(h.task.name), wanted[h.task.name], lexicons.get(h.task.name)) for h in heads]


def _answers(head: Head, target: Target, hidden: Floats) -> tuple[Floats, np.ndarray]:
    """The logits of an example's places, and what is wanted there."""
    rows = hidden @ head.weight.T
    if head.task.kind == "spans":
        kept = np.flatnonzero(target.wanted != IGNORED)
        return rows[kept] + head.bias, target.wanted[kept]
    return pooled(rows, target.ranges) + head.bias, target.wanted


def _fitted(head: Head, logits: list[Floats], lexical: list[Floats] | None, wanted: list[np.ndarray], lexicon: Lexicon | None) -> Head:
    if sum(len(w) for w in wanted) < MIN_ANSWERS:
        # the plain mean of both experts' logits: with few examples the lexicon is seldom the worse one
        return replace(head, lexicon=lexicon, temperature=2.0) if lexicon else head
    rows, answers = np.concatenate(logits), np.concatenate(wanted)
    added = np.concatenate(lexical) if lexical else np.zeros_like(rows)
    scales = LEXICON_SCALES if lexical else (0.0,)
    losses = {(s, t): _loss(head, (rows + s * added) / t, answers) for s in scales for t in TEMPERATURES}
    scale, temperature = min(losses, key=losses.__getitem__)
    return replace(head, temperature=round(float(temperature), 4), lexicon=lexicon.scaled(scale) if lexicon and scale else None)


def _loss(head: Head, logits: np.ndarray, wanted: np.ndarray) -> float:
    """Mean negative log likelihood."""
    if head.task.kind == "tags":
        return float(np.mean(np.logaddexp(0.0, logits) - wanted * logits))
    log_total = np.logaddexp.reduce(logits, axis=1)
    return float(np.mean(log_total - logits[np.arange(len(wanted)), wanted.astype(int)]))
