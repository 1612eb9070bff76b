"""How well findings agree with gold, per task and label: accuracy, macro- and micro-F1, exact span F1, and how sure that is.

Everything is computed from counts per document, so that documents can be drawn anew: the intervals
are percentiles of the same figures on 1,000 resamples (Efron & Tibshirani 1993, chapter 13).
Documents are drawn, not answers: the answers of one document are not independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipelines.calibration_error import Figures, Flags, calibration_error, reliability
from suites.types import Finding, Task

# (document number, start, end): where an answer stands; of a pair the second range's start and end follow
Place = tuple[int, ...]
Answers = list[tuple[Place, str]]
Interval = tuple[float, float]
Counts = npt.NDArray[np.int64]

N_RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)


class LabelScore(BaseModel):
    """One label's scores, 0..1, each with its 95 % interval; `interval` is F1's."""

    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    support: int
    interval: Interval | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None


class TaskScore(BaseModel):
    """One task's scores, 0..1. `score` is the figure of merit that `measure` names, `interval` its 95 % interval.

    choice: macro-F1 over the labels that occur in gold; tags: micro-F1; spans: micro-F1 over
    exact ranges and labels; `precision` and `recall` are averaged likewise. `majority` is what
    always giving the commonest answer would score. `calibration_error` is None where no answer
    has a score. Of several students every figure is the mean.
    """

    model_config = ConfigDict(frozen=True)

    measure: str
    score: float
    majority: float
    accuracy: float | None
    n: int
    labels: dict[str, LabelScore]
    precision: float = 0.0
    recall: float = 0.0
    interval: Interval | None = None
    calibration_error: float | None = None


def score_task(
    task: Task,
    gold: Sequence[Sequence[Finding]],
    *found: Sequence[Sequence[Finding]],
    score_as: Mapping[str, str] | None = None,
    n_resamples: int = 0,
) -> TaskScore:
    """Scores of one task over documents; `gold[i]` and `found[...][i]` are document i's findings.

    Several `found`, of students that differ in their seed, give the mean of their scores. Findings
    outside gold's places count against tags and spans tasks alone: a choice is asked at gold's
    places. `score_as` renames labels on both sides first. Intervals take `n_resamples`; with 0
    there are none.
    """
    renamed = score_as or {}
    wanted = _answers(task, gold, renamed)
    given = [_answers(task, findings, renamed) for findings in found]
    errors = [calibration_error(reliability(*scored_answers(task, gold, findings, score_as))) for findings in found]
    known = [e for e in errors if e is not None]
    majority = _tally(task, len(gold), wanted, [_majority(task, wanted)]).scores().score
    return (
        _tally(task, len(gold), wanted, given)
        .scores(n_resamples)
        .model_copy(update={"majority": majority, "calibration_error": sum(known) / len(known) if known else None})
    )


def score_majority(task: Task, gold: Sequence[Sequence[Finding]], score_as: Mapping[str, str] | None = None, n_resamples: int = 0) -> TaskScore:
    """Scores of giving the commonest answer everywhere. No constant answer finds spans: there it is 0."""
    wanted = _answers(task, gold, score_as or {})
    scores = _tally(task, len(gold), wanted, [_majority(task, wanted)]).scores(n_resamples)
    return scores.model_copy(update={"majority": scores.score})


def scored_answers(
    task: Task, gold: Sequence[Sequence[Finding]], found: Sequence[Sequence[Finding]], score_as: Mapping[str, str] | None = None
) -> tuple[Figures, Flags]:
    """The scores that the student gave its answers, and whether each is right. Shape of both: (n_answers,).

    A choice is looked at in gold's places, a tag or span is right if gold has it. Rules give no
    scores of their own: their findings are left out.
    """
    renamed = score_as or {}
    wanted = _answers(task, gold, renamed)
    places, right = {place for place, _ in wanted}, set(wanted)
    scores = {
        (_place(i, f), renamed.get(f.label, f.label)): f.score
        for i, findings in enumerate(found)
        for f in findings
        if f.task == task.name and f.source == "student"
    }
    asked = [answer for answer in scores if task.kind != "choice" or answer[0] in places]
    return np.array([scores[answer] for answer in asked], np.float64), np.array([answer in right for answer in asked], np.bool_)


def _answers(task: Task, documents: Sequence[Sequence[Finding]], renamed: Mapping[str, str]) -> Answers:
    return [(_place(i, f), renamed.get(f.label, f.label)) for i, findings in enumerate(documents) for f in findings if f.task == task.name]


def _place(document: int, finding: Finding) -> Place:
    second = (finding.other_start, finding.other_end) if finding.other_end else ()
    return (document, finding.start, finding.end, *second)


def _majority(task: Task, wanted: Answers) -> Answers:
    """The commonest label in each of gold's places: a tag only where gold gives one, no span."""
    if task.kind in ("spans", "pairs") or not wanted:
        return []
    ((common, _),) = Counter(label for _, label in (wanted if task.kind == "choice" else set(wanted))).most_common(1)
    return [(place, common) for place in {place: None for place, _ in wanted}]


@dataclass(frozen=True, slots=True)
class _Tally:
    """What answers come to. Shape of `counts`: (n_documents, n_students, n_labels, 3): right, gold, found."""

    task: Task
    labels: tuple[str, ...]
    counts: Counts

    def scores(self, n_resamples: int = 0) -> TaskScore:
        totals, drawn = self.counts.sum(axis=0), _drawn(self.counts, n_resamples)
        n_right, n_gold = float(totals[..., 0].sum(axis=-1).mean()), int(totals[0, :, 1].sum())
        precision, recall, score = _known(self._of_task(totals))
        # shapes: (n_labels, 3) and (n_resamples, n_labels, 3)
        points, draws = _known(_precision_recall_f1(totals)).mean(axis=0), _precision_recall_f1(drawn).mean(axis=1)
        return TaskScore(
            measure={"choice": "macro_f1", "tags": "micro_f1", "spans": "span_f1", "pairs": "pair_f1"}[self.task.kind],
            score=score,
            majority=0.0,
            accuracy=None if self.task.kind != "choice" else n_right / n_gold if n_gold else 0.0,
            n=n_gold,
            labels={label: _of_label(points[k], draws[:, k], int(totals[0, k, 1])) for k, label in enumerate(self.labels)},
            precision=precision,
            recall=recall,
            interval=_interval(self._of_task(drawn)[..., 2]),
        )

    def _of_task(self, totals: Counts) -> Figures:
        """Precision, recall and F1 of totals of shape (..., n_students, n_labels, 3), the mean over students. Shape: (..., 3)."""
        if self.task.kind != "choice":
            return np.asarray(_precision_recall_f1(totals.sum(axis=-2)).mean(axis=-2))
        # the labels that occur in this very sample's gold: a perfect student has 1 in every resample. With the labels
        # of the whole split it would have 0 for a rare label that was not drawn, and the interval would reach too low.
        occurs = totals[..., 1:2] > 0
        sums = np.where(occurs, _known(_precision_recall_f1(totals)), 0.0).sum(axis=-2)
        return np.asarray(_ratio(sums, occurs.sum(axis=-2)).mean(axis=-2))


def _of_label(points: Figures, draws: Figures, support: int) -> LabelScore:
    """One label's scores and their intervals. Shapes: (3,) and (n_resamples, 3): precision, recall, F1."""
    precision, recall, f1 = points
    intervals = [_interval(figure) for figure in draws.T]
    return LabelScore(
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        precision_interval=intervals[0],
        recall_interval=intervals[1],
        interval=intervals[2],
    )


def _tally(task: Task, n_documents: int, wanted: Answers, given: Sequence[Answers]) -> _Tally:
    sides = [_sides(task, wanted, answers) for answers in given]
    labels = tuple(sorted({label for student in sides for side in student for _, label in side}))
    numbers = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((n_documents, len(given), len(labels), 3), np.int64)
    for m, student in enumerate(sides):
        for s, side in enumerate(student):
            np.add.at(counts, ([place[0] for place, _ in side], m, [numbers[label] for _, label in side], s), 1)
    return _Tally(task, labels, counts)


def _sides(task: Task, wanted: Answers, given: Answers) -> tuple[Answers, Answers, Answers]:
    """The answers that are right, that gold has, and that were found."""
    if task.kind != "choice":
        gold, found = set(wanted), set(given)
        return list(gold & found), list(gold), list(found)
    answered = dict(given)
    found_there = [(place, answered[place]) for place, _ in wanted if place in answered]
    return [(place, label) for place, label in wanted if answered.get(place) == label], wanted, found_there


def _drawn(counts: Counts, n_resamples: int, seed: int = 1) -> Counts:
    """Totals of so many resamples of the documents. Shape: (n_resamples, n_students, n_labels, 3)."""
    n_documents = len(counts)
    if not counts.size or not n_resamples:
        return np.zeros((0, *counts.shape[1:]), np.int64)
    # documents of equal counts are drawn together: most have one answer, and few counts differ
    rows, times = np.unique(counts.reshape(n_documents, -1), axis=0, return_counts=True)
    weights = np.random.default_rng(seed).multinomial(n_documents, times / n_documents, size=n_resamples)
    # as floats: numpy multiplies whole numbers many times more slowly, and these are far below 2**53
    totals = weights.astype(np.float64) @ rows.astype(np.float64)
    return totals.astype(np.int64).reshape(n_resamples, *counts.shape[1:])


def _precision_recall_f1(totals: Counts) -> Figures:
    """The three figures of right, gold and found; NaN where there is nothing to judge. Shapes: (..., 3)."""
    right, gold, found = totals[..., 0], totals[..., 1], totals[..., 2]
    return np.stack([_ratio(right, found), _ratio(right, gold), _ratio(2 * right, gold + found)], axis=-1)


def _ratio(part: Counts | Figures, whole: Counts) -> Figures:
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _known(figures: Figures) -> Figures:
    """The figures, 0 where there was nothing to judge."""
    return np.where(np.isnan(figures), 0.0, figures)


def _interval(figures: Figures) -> Interval | None:
    """The percentiles of the resamples that have something to judge."""
    judged = figures[~np.isnan(figures)]
    if not len(judged):
        return None
    low, high = np.percentile(judged, PERCENTILES)
    return float(low), float(high)
