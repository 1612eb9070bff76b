"""What is fitted on dev, so that a score is the share of answers that are right: temperature, weights of lexicon and transitions, scores of what is given.

And what is decided with such scores where a task states costs: from which score on a label is
given, and where a human should look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.encode import Floats
from pipelines.fit_cues import fit_cues
from pipelines.heads import LIKELY, Flags, Head, chance_right, given, logit, pooled, range_scores, raw_scores, runs, said, softmax, usual_thresholds
from pipelines.lexicon import Lexicon
from pipelines.targets import IGNORED, Encoded, Target
from pipelines.transitions import best_tags, surprise, weighted
from suites.types import Cost, Task

Doubles = npt.NDArray[np.float64]
# numbers of labels or BIO tags, or rows of zeros and ones, as `Target.wanted`
Wanted = npt.NDArray[Any]

TEMPERATURES = np.geomspace(0.25, 8.0, 41)  # steps of 9 %: scores change by two points at most
LEXICON_SCALES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # 0 leaves it out
TRANSITION_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # 0 leaves what must not follow
USUAL_WEIGHT = 0.25  # most want it (docs/distillation.md)
MIN_ANSWERS = 30  # fewer tell nothing
# Fine-tuned encoders are too sure of themselves: most want a temperature of about 1.4, give or take a
# factor of 1.6. Thirty answers without an error alone would ask for the coldest (docs/distillation.md).
USUAL_TEMPERATURE = 2**0.5
SPREAD = 0.5  # standard deviation of its logarithm
# a and b are held to 1 and 0 as by two answers: enough that 30 spans tell no nonsense
PLATT_WEIGHT = 0.5
# those of a choice, whose temperature does most of it, as by forty (docs/distillation.md)
CHOICE_PLATT_WEIGHT = 10.0
# thresholds tried on dev, as factors of the odds that the costs ask for
FACTORS = (0.25, 0.35, 0.5, 0.7, 1.4, 2.0, 2.8, 4.0)
# standard errors that another threshold must save to be taken: of the eight tried, one saves two of them by luck now and then
CLEARLY = 2.5


@dataclass(slots=True)
class _Dev:
    """A head's dev: of each example the logits of its places, what a lexicon adds to them at scale 1, what cues say, and what is wanted there."""

    logits: list[Floats] = field(default_factory=list)
    lexical: list[Floats] = field(default_factory=list)
    cues: list[Floats] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)


def calibrated(
    heads: Sequence[Head],
    examples: Sequence[Encoded],
    states: Iterable[Floats],
    lexicons: Mapping[str, Lexicon],
) -> list[Head]:
    """The heads, fitted on these examples (dev): temperature, weights of lexicon and transitions, scores of tags and spans, thresholds, where to abstain.

    `states[i]` are example i's stitched hidden states, shape (n_tokens, hidden); `lexicons` are by task. The heads' transitions
    are as counted.
    """
    dev = {h.task.name: _Dev() for h in heads}
    for example, hidden in zip(examples, states, strict=True):
        for head in heads:
            target = example.targets.get(head.task.name)
            if target is not None and target.gold:
                _collect(dev[head.task.name], head, example, target, hidden, lexicons.get(head.task.name))
    return [_fitted(h, dev[h.task.name], lexicons.get(h.task.name)) for h in heads]


def _collect(dev: _Dev, head: Head, example: Encoded, target: Target, hidden: Floats, lexicon: Lexicon | None) -> None:
    rows = hidden @ head.weight.T
    if head.task.kind == "spans":
        kept = np.flatnonzero(target.wanted != IGNORED)
        dev.logits.append(rows[kept] + head.bias)
        dev.wanted.append(target.wanted[kept])
        return
    dev.logits.append(pooled(rows, target.ranges) + head.bias)
    dev.wanted.append(target.wanted)
    if lexicon is not None:
        dev.lexical.append(lexicon.logits(example.ids, target.ranges))
    if target.cues is not None:
        dev.cues.append(target.cues)


def _fitted(head: Head, dev: _Dev, lexicon: Lexicon | None) -> Head:
    task, transitions = head.task, head.transitions
    if dev.cues:
        weights, shift = fit_cues(task, np.concatenate(dev.logits), np.concatenate(dev.cues), np.concatenate(dev.wanted))
        head = replace(head, cues=weights, bias=head.bias + shift)
        dev.logits = [logits + shift + said(cues, weights) for logits, cues in zip(dev.logits, dev.cues, strict=True)]
    temperature, scale = _temperature(head, dev, lexicon)
    if task.kind == "spans":
        texts = [(softmax(np.asarray(logits / temperature, np.float32)), tags) for logits, tags in zip(dev.logits, dev.wanted, strict=True)]
        transitions = _weighed(transitions, texts)
        raw, labels, right = _found_spans(texts, transitions)
        scaling = platt(raw, right)
        # a span is asked of its own label alone: below 0 is below every threshold
        own = labels[:, None] == np.arange(len(task.labels))
        scores, wanted = np.where(own, chance_right(raw, scaling)[:, None], np.float32(-1.0)), own & right[:, None]
    else:
        logits, wanted = _ranges(task, dev, scale)
        scaling = _scaling(task, range_scores(task, logits / temperature), wanted)
        scores = range_scores(task, logits / temperature, scaling)
    return replace(
        head,
        temperature=temperature,
        lexicon=lexicon.scaled(scale) if lexicon and scale else None,
        platt=scaling,
        thresholds=thresholds(task, scores, wanted),
        abstain=abstain(task),
        n_answers=len(scores),
        transitions=transitions,
    )


def _temperature(head: Head, dev: _Dev, lexicon: Lexicon | None) -> tuple[float, float]:
    """The temperature of the head and the scale of its lexicon of least negative log likelihood on dev.

    Guo et al. 2017, arXiv:1706.04599, section 4.2, with a normal prior on the temperature's logarithm.
    """
    if sum(map(len, dev.wanted)) < MIN_ANSWERS:
        # the plain mean of both experts' logits: with few examples the lexicon is seldom the worse one
        return (2.0, 1.0) if lexicon else (1.0, 0.0)
    rows, wanted = np.concatenate(dev.logits), np.concatenate(dev.wanted)
    added = np.concatenate(dev.lexical) if dev.lexical else np.zeros_like(rows)
    scales = LEXICON_SCALES if dev.lexical else (0.0,)
    losses = {(t, s): _loss(head.task, (rows + s * added) / t, wanted) + _unusual(t) for s in scales for t in TEMPERATURES}
    temperature, scale = min(losses, key=losses.__getitem__)
    return round(float(temperature), 4), scale


def _loss(task: Task, logits: Floats, wanted: Wanted) -> float:
    """Negative log likelihood of all answers; of tags each label is one."""
    if task.kind == "tags":
        return float(np.sum(np.logaddexp(0.0, logits) - wanted * logits))
    log_total = np.logaddexp.reduce(logits, axis=1)
    return float(np.sum(log_total - logits[np.arange(len(wanted)), wanted.astype(int)]))


def _unusual(temperature: float) -> float:
    """Negative log of the prior, up to a constant."""
    return float(np.log(temperature / USUAL_TEMPERATURE) ** 2) / (2 * SPREAD**2)


def _ranges(task: Task, dev: _Dev, scale: float) -> tuple[Floats, Flags]:
    """The logits of dev's ranges, lexicon included, and which labels are right. Shape of both: (n_ranges, n_labels)."""
    n_labels = len(task.labels)
    logits = np.concatenate([np.zeros((0, n_labels), np.float32), *dev.logits])
    if dev.lexical:
        logits = logits + scale * np.concatenate(dev.lexical)
    if task.kind == "tags":
        wanted = np.concatenate([np.zeros((0, n_labels)), *dev.wanted]) > 0
    else:
        wanted = np.concatenate([np.zeros(0, np.int32), *dev.wanted])[:, None] == np.arange(n_labels)
    return np.asarray(logits, np.float32), wanted


def _scaling(task: Task, scores: Floats, wanted: Flags) -> tuple[float, float] | None:
    """Platt's a and b of likely tags, or of the likeliest label of a choice. Shape of both arrays: (n_ranges, n_labels)."""
    if task.kind == "tags":
        return platt(scores[scores >= LIKELY], wanted[scores >= LIKELY])
    likeliest = np.arange(len(scores)), scores.argmax(axis=1)
    return platt(scores[likeliest], wanted[likeliest], CHOICE_PLATT_WEIGHT)


def _weighed(transitions: Floats, texts: Sequence[tuple[Floats, Wanted]]) -> Floats:
    """The transitions to the weight of least negative log likelihood on dev."""
    if sum(len(tags) for _, tags in texts) < MIN_ANSWERS:
        return weighted(transitions, USUAL_WEIGHT)
    return min((weighted(transitions, w) for w in TRANSITION_WEIGHTS), key=lambda t: surprise(texts, t))


def _found_spans(texts: Sequence[tuple[Floats, Wanted]], transitions: Floats) -> tuple[Floats, npt.NDArray[np.int64], Flags]:
    """Of the spans that are found in dev: raw scores, numbers of their labels, and whether gold has just that range and label.

    Of each text the chances of its words' tags and the gold tags.
    """
    scores, labels, right = [np.zeros(0, np.float32)], [], []
    for chances, tags in texts:
        spans, gold = runs(best_tags(chances, transitions)), set(runs(tags))
        scores.append(raw_scores(chances, spans))
        labels += [label for _, _, label in spans]
        right += [span in gold for span in spans]
    return np.concatenate(scores), np.asarray(labels, np.int64), np.asarray(right, np.bool_)


def platt(raw: Floats, right: Flags, weight: float = PLATT_WEIGHT) -> tuple[float, float] | None:
    """a and b of the chance sigmoid(a logit(raw) + b) that an answer is right, by maximum likelihood; None where answers are few.

    Platt 1999, "Probabilistic outputs for support vector machines", section 2.2, with his smoothed
    targets, and a pull of so much `weight` towards a = 1, b = 0, which leaves the scores as they are. Newton's
    method with halved steps, as Lin, Lin & Weng 2007 (Machine Learning 68) have it.
    """
    if len(raw) < MIN_ANSWERS:
        return None
    inputs = np.column_stack([np.asarray(logit(raw), np.float64), np.ones(len(raw))])
    n_right, n_wrong = int(right.sum()), int((~right).sum())
    targets = np.where(right, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    start = np.array([1.0, 0.0])

    def loss(at: Doubles) -> float:
        logits = inputs @ at
        return float(np.sum(np.logaddexp(0.0, logits) - targets * logits) + weight / 2 * np.sum((at - start) ** 2))

    at = start
    for _ in range(100):
        shares = np.exp(-np.logaddexp(0.0, -(inputs @ at)))
        slope = inputs.T @ (shares - targets) + weight * (at - start)
        if np.abs(slope).max() < 1e-6:
            break
        step = np.linalg.solve((inputs * (shares * (1 - shares))[:, None]).T @ inputs + weight * np.eye(2), slope)
        while loss(at - step) > loss(at) and np.abs(step).max() > 1e-9:
            step = step / 2
        at = at - step
    return round(float(at[0]), 4), round(float(at[1]), 4)


def thresholds(task: Task, scores: Floats, wanted: Flags) -> tuple[float, ...]:
    """The threshold of each label of least cost; the usual ones where the task states none.

    Shape of both arrays: (n_ranges, n_labels), the labels' scores and which are right. With chances
    that are right the closed form is best (Elkan 2001, section 1.3): a label's odds are its
    `false_positive` to its `false_negative`. (Of a choice of more than two labels that is exact where
    `false_positive` is the same for all.) It is where the search starts: label by label, a threshold
    at one of FACTORS of its odds is taken where what it saves on dev, range by range, is CLEARLY more
    than the standard error of that. Few ranges can hardly show it.
    """
    if not task.cost:
        return usual_thresholds(task)
    odds = np.array([cost.false_positive / cost.false_negative for cost in _costs(task)])
    if len(scores) >= MIN_ANSWERS:
        for label in range(len(task.labels)):
            odds = _cheapest(task, odds, label, scores, wanted)
    return tuple(float(f"{t:.4g}") for t in _at_odds(task, odds))


def _cheapest(task: Task, odds: Doubles, label: int, scores: Floats, wanted: Flags) -> Doubles:
    """The odds with the label's one moved to where dev costs least, if that is clearly less."""
    before = paid(task, given(task, scores, _at_odds(task, odds)), wanted)
    best, most = odds, 0.0
    for factor in FACTORS:
        moved = odds * np.where(np.arange(len(odds)) == label, factor, 1.0)
        saved = before - paid(task, given(task, scores, _at_odds(task, moved)), wanted)
        if saved.mean() > max(most, CLEARLY * saved.std() / np.sqrt(len(saved))):
            best, most = moved, saved.mean()
    return best


def _at_odds(task: Task, odds: Doubles) -> list[float]:
    """Thresholds at these odds. Of a choice they add up to 1; tags and spans stand each alone, and a label without costs as usual."""
    if task.kind == "choice":
        return [float(o / odds.sum()) for o in odds]
    return [float(o / (1 + o)) if task.cost_of(label) else usual for label, o, usual in zip(task.labels, odds, usual_thresholds(task), strict=True)]


def paid(task: Task, answered: Flags, wanted: Flags) -> Doubles:
    """What the errors in each range cost. Shapes: answered and wanted (n_ranges, n_labels), result (n_ranges,)."""
    costs = _costs(task)
    wrong = (answered & ~wanted) @ np.array([c.false_positive for c in costs])
    missed = (wanted & ~answered) @ np.array([c.false_negative for c in costs])
    # a wrong answer of a choice is one error, not two
    return np.asarray(wrong * missed if task.kind == "choice" else wrong + missed, np.float64)


def abstain(task: Task) -> tuple[tuple[float, ...], ...] | None:
    """What wrong answers cost, a human's look costing 1 (`Head.abstain`). None where no look's cost is stated."""
    costs = _costs(task)
    reviews = [c.review for c in costs]
    if not any(reviews):
        return None
    if task.kind != "choice":
        return tuple((round(c.false_positive / c.review, 4) if c.review else 0.0,) for c in costs)
    review = next(r for r in reviews if r)  # the same for all its labels
    wrong = np.outer([c.false_positive for c in costs], [c.false_negative for c in costs]) / review
    np.fill_diagonal(wrong, 0.0)
    return tuple(tuple(round(float(cost), 4) for cost in row) for row in wrong)


def _costs(task: Task) -> list[Cost]:
    """The cost of each label, 1 for either error where none is stated."""
    return [task.cost_of(label) or Cost() for label in task.labels]
