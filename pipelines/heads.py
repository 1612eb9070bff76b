"""Heads: linear answers from token states, in numpy. No torch here: workers import this.

With mean pooling and a linear head a range's logit is exactly the mean of its tokens' logits, so
all heads are applied to all tokens in one product, and ranges are means of its rows. What a lexicon
adds comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipelines.encode import Floats, Ints, Texts
from pipelines.lexicon import Lexicon
from pipelines.transitions import ONE_TEXT, best_tags, legal
from suites.types import Finding, Task

Flags = npt.NDArray[np.bool_]
# characters [start, end)
Range = tuple[int, int]
# a found span in words: first, last, number of its label
Run = tuple[int, int, int]
LIKELY = 0.5
LEAST = 1e-4  # the least score that is shown, in four digits: a span that was found was not impossible
MARGIN = np.float32(1e-6)  # more than single precision rounds off
TINY = np.finfo(np.float32).tiny
NO_CUES = np.zeros((0, 0), np.float32)
NEAREST = 1e-6  # a share nearer to 0 or 1 has the logit of this one: a few such would outweigh all others


@dataclass(frozen=True, slots=True)
class Head:
    """One task's linear layer. Shapes: weight (n_outputs, hidden), bias (n_outputs,).

    What follows is fitted on dev (`calibrate`). `temperature` divides the logits (Guo et al. 2017,
    arXiv:1706.04599). `platt`, a and b, make of the raw score s of a span, of a tag that is likely, or of
    a choice's likeliest label its chance to be right, sigmoid(a logit(s) + b); without it the raw score stands. `thresholds`,
    one a label, decide what is given (`given`); the usual ones give the likeliest label, a tag from
    0.5 on and every span found. `abstain` says what a wrong answer costs, a human's look costing 1: row k is of giving
    label k, its columns are the label that is true instead, shape (n_labels, n_labels); for tags and
    spans the one column is of k being wrong, shape (n_labels, 1). `n_answers` of dev were looked at.

    `lexicon`, where there is one, adds to the logits of a range what its word pieces say by themselves.
    `transitions` are of a spans task (`pipelines.transitions`), shape (n_outputs + 1, n_outputs); of others, (0, 0).
    `cues` are the weights of what cues and sections say of a span (`pipelines.context`), shape (n_features, n_outputs); (0, 0): none.
    """

    task: Task
    weight: Floats
    bias: Floats
    temperature: float = 1.0
    lexicon: Lexicon | None = None
    platt: tuple[float, float] | None = None
    thresholds: tuple[float, ...] = ()
    abstain: tuple[tuple[float, ...], ...] | None = None
    n_answers: int = 0
    transitions: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    cues: Floats = field(default_factory=lambda: NO_CUES)

    def __post_init__(self) -> None:
        if not self.thresholds:
            object.__setattr__(self, "thresholds", usual_thresholds(self.task))
        if self.task.kind == "spans" and not self.transitions.size:
            object.__setattr__(self, "transitions", legal(n_outputs(self.task)))


def usual_thresholds(task: Task) -> tuple[float, ...]:
    """One threshold a label where no costs are stated: a half, and 0 for spans, which keeps all that are found."""
    return (0.0 if task.kind == "spans" else LIKELY,) * len(task.labels)


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
    n_tokens = np.fromiter((r.stop - r.start for r in ranges), np.int64, len(ranges))[:, None]
    return np.asarray(summed(token_logits, ranges) / np.maximum(n_tokens, 1), np.float32)


def summed(rows: Floats, ranges: Sequence[slice]) -> Floats:
    """Sums of the rows of token ranges. Shape: (n_ranges, n_outputs); zeros for a range without tokens."""
    if not ranges:
        return np.zeros((0, rows.shape[1]), np.float32)
    first = np.fromiter((r.start for r in ranges), np.int64, len(ranges))
    last = np.fromiter((r.stop for r in ranges), np.int64, len(ranges))
    # reduceat sums from each index to the next: of the pairs (first, last) every other sum is a range's
    padded = np.concatenate([rows, np.zeros((1, rows.shape[1]), np.float32)])
    sums = np.add.reduceat(padded, np.column_stack([first, last]).ravel(), axis=0)[::2]
    return np.asarray(np.where((last > first)[:, None], sums, 0.0), np.float32)


def chances(head: Head, token_logits: Floats, texts: Texts, ranges: Sequence[Sequence[Range]], cues: Floats | None = None) -> Floats:
    """The chance of each label in each range, those of the first text first. Shapes: cues (n_ranges, n_features), result (n_ranges, n_labels)."""
    places = texts.between(ranges)
    logits = pooled(token_logits, places) + head.bias
    if head.lexicon is not None:
        logits += head.lexicon.logits(texts.tokens.ids, places)
    if cues is not None and head.cues.size:
        logits += said(cues, head.cues)
    return range_scores(head.task, logits / head.temperature, head.platt)


def said(cues: Floats, weights: Floats) -> Floats:
    """What cues add to logits. Shapes: (n_ranges, n_features), (n_features, n_labels), (n_ranges, n_labels)."""
    # sums, not a product of matrices: that one's last digit depends on how many ranges are asked at once
    return np.asarray((cues[:, :, None] * weights).sum(axis=1), np.float32)


def found_ranges(head: Head, scores: Floats, ranges: Sequence[Sequence[Range]]) -> list[list[Finding]]:
    """Each text's findings, from the chances of its ranges."""
    look = unsure(head, scores)
    asked = [(text, *chars) for text, own in enumerate(ranges) for chars in own]
    found: list[list[Finding]] = [[] for _ in ranges]
    for row, label in np.argwhere(given(head.task, scores, head.thresholds)).tolist():
        text, start, end = asked[row]
        found[text].append(_finding(head.task, label, scores[row, label], start, end, look[row, label]))
    return found


def range_scores(task: Task, logits: Floats, platt: tuple[float, float] | None = None) -> Floats:
    """The chance of each label of a choice or tags task. Shape of both: (n_ranges, n_labels).

    Likely tags, of 0.5 or more, are scaled by themselves and stay likely: the temperature of a tags
    task is ruled by the many tags that are far from being given. That of a choice is ruled by what the
    right label gets where another is likeliest; so the likeliest is scaled too.
    """
    if task.kind == "choice":
        return _likeliest_scaled(softmax(logits), platt)
    scores = sigmoid(logits)
    return np.where(scores >= LIKELY, np.maximum(chance_right(scores, platt), np.float32(LIKELY)), scores)


def _likeliest_scaled(chances: Floats, platt: tuple[float, float] | None) -> Floats:
    """The likeliest label's chance scaled, the others' in proportion to add up to 1; the likeliest stays it. Shape of both: (n_ranges, n_labels)."""
    if platt is None:
        return chances
    rows, best = np.arange(len(chances)), chances.argmax(axis=1)
    others = chances.copy()
    others[rows, best] = 0.0
    rest, next_best = np.maximum(others.sum(axis=1), TINY), others.max(axis=1)
    # scaled lower, the next label would be likelier: there they meet
    meet = next_best / (rest + next_best)
    top = np.maximum(chance_right(chances[rows, best], platt), meet + MARGIN)
    others *= ((1.0 - top) / rest)[:, None]
    others[rows, best] = top
    return others


def given(task: Task, scores: Floats, thresholds: Sequence[float]) -> Flags:
    """Which labels are given. Shape: (n_ranges, n_labels), as `scores`.

    A tag or span is given when its score reaches its label's threshold. Of a choice the label is
    given whose score is the largest multiple of its threshold. The thresholds of a choice add up to
    1 where costs are stated: there no label is better than another. With two labels that is the same
    rule as for tags: p / t >= (1 - p) / (1 - t) holds just where p >= t.
    """
    if task.kind != "choice":
        return np.asarray(scores >= np.asarray(thresholds))
    best = (scores / np.asarray(thresholds)).argmax(axis=1)
    return np.asarray(best[:, None] == np.arange(len(thresholds)))


def unsure(head: Head, scores: Floats) -> Flags:
    """Which labels, were they given, would be expected to cost more than a human's look (Chow 1970). Shape: (n_ranges, n_labels), as `scores`."""
    if head.abstain is None:
        return np.zeros((len(scores), len(head.task.labels)), np.bool_)
    costs = np.asarray(head.abstain)
    # sums, not a product of matrices: that one's last digit depends on how many ranges are asked at once
    expected = (scores[:, None, :] * costs).sum(axis=2) if head.task.kind == "choice" else (1.0 - scores) * costs[:, 0]
    return np.asarray(expected > 1.0)


def answer_spans(head: Head, token_logits: Floats, texts: Texts) -> list[list[Finding]]:
    """Each text's findings of a spans task: the best tags of the words, each answered at its first piece, runs joined."""
    found: list[list[Finding]] = [[] for _ in texts.begins[1:]]
    first = texts.words()
    begins = np.searchsorted(first, texts.begins[:-1]).astype(np.int32)
    chances = softmax((token_logits[first] + head.bias) / head.temperature)
    spans = runs(best_tags(chances, head.transitions, begins), begins)
    if not spans:
        return found
    scores = np.maximum(chance_right(raw_scores(chances, spans, begins), head.platt), LEAST)[:, None]
    kept, look = given(head.task, scores, head.thresholds), unsure(head, scores)
    begin, end, labels = np.asarray(spans).T
    last = np.append(first[1:], len(texts.tokens)) - 1
    starts, ends = texts.tokens.starts[first[begin]].tolist(), texts.tokens.ends[last[end]].tolist()
    owners = (np.searchsorted(begins, begin, side="right") - 1).tolist()  # of empty texts, which begin where the next one does, none
    for i, label in enumerate(labels.tolist()):
        if kept[i, label]:
            found[owners[i]].append(_finding(head.task, label, scores[i, 0], starts[i], ends[i], look[i, label]))
    return found


def runs(tags: Ints, begins: Ints = ONE_TEXT) -> list[Run]:
    """The spans that BIO tags of words mean. I-x that follows no x of its text begins a span, as in the usual conlleval reading.

    Shapes: tags (n_words,), begins, the first word of each text, (n_texts,).
    """
    found: list[Run] = []
    words, firsts = np.flatnonzero(tags), set(begins.tolist())
    for place, tag in zip(words.tolist(), tags[words].tolist(), strict=True):
        label = (tag - 1) // 2
        if found and tag % 2 == 0 and place not in firsts and found[-1][1:] == (place - 1, label):
            found[-1] = (found[-1][0], place, label)
        else:
            found.append((place, place, label))
    return found


def raw_scores(chances: Floats, spans: Sequence[Run], begins: Ints = ONE_TEXT) -> Floats:
    """How sure the tags of words are of each span. Shapes: chances (n_words, n_outputs), begins (n_texts,), result (n_spans,).

    The geometric mean of its words' tags, times the chance that the next word of its text does not go on
    with it: wrong spans are mostly right in part, and end too early. Figures: docs/distillation.md.
    """
    if not spans:
        return np.zeros(0, np.float32)
    begin, end, label = np.asarray(spans).T
    lengths = end + 1 - begin
    offsets = np.cumsum(lengths) - lengths
    of_span = np.repeat(np.arange(len(spans)), lengths)
    word = np.arange(len(of_span)) - (offsets - begin)[of_span]
    inside = chances[word, 2 * label[of_span] + np.where(word == begin[of_span], 1, 2)]
    means = np.add.reduceat(np.log(np.maximum(inside, NEAREST)), offsets) / lengths.astype(np.float32)
    is_last = np.isin(end + 1, begins) | (end + 1 == len(chances))
    goes_on = np.where(is_last, np.float32(0.0), chances[np.where(is_last, end, end + 1), 2 * label + 2])
    return np.asarray(np.exp(means) * (1.0 - goes_on), np.float32)


def chance_right(raw: Floats, platt: tuple[float, float] | None) -> Floats:
    """Raw scores as the chance to be right (Platt 1999), or as they are."""
    return raw if platt is None else sigmoid(platt[0] * logit(raw) + platt[1])


def logit(shares: Floats) -> Floats:
    """The inverse of `sigmoid`, finite for 0 and 1 too."""
    held = np.clip(np.asarray(shares, np.float64), NEAREST, 1.0 - NEAREST)
    return np.asarray(np.log(held / (1.0 - held)), np.float32)


def _finding(task: Task, label: int, score: float, start: int, end: int, look: np.bool_) -> Finding:
    # four digits: more would be noise of the arithmetic, and would differ between machines
    return Finding(task.name, task.labels[label], round(float(score), 4), start, end, unsure=bool(look))
