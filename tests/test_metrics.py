"""Scores on cases small enough to count by hand, and their intervals."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from pipelines.metrics import N_RESAMPLES, Interval, score_majority, score_task
from suites.types import Finding, Task

CHOICE = Task(name="mood", kind="choice", scope="sentence", labels=("glad", "sad", "none"), question="Which mood is it?")
TAGS = Task(name="flags", kind="tags", labels=("x", "y", "z"), question="Which flags are set?")
SPANS = Task(name="things", kind="spans", labels=("A", "B"), question="Which things are named?")


def findings(task: Task, *answers: tuple[str, int, int]) -> list[Finding]:
    return [Finding(task.name, label, 1.0, start, end) for label, start, end in answers]


def test_choice_by_hand() -> None:
    """Three of four right: macro-F1 is the mean of 4/5 for one label and 2/3 for the other, accuracy 3/4."""
    gold = [findings(CHOICE, ("glad", 0, 5), ("glad", 5, 9)), findings(CHOICE, ("sad", 0, 5), ("sad", 5, 9))]
    found = [findings(CHOICE, ("glad", 0, 5), ("glad", 5, 9)), findings(CHOICE, ("sad", 0, 5), ("glad", 5, 9))]
    score = score_task(CHOICE, gold, found)
    assert (score.measure, score.n, score.accuracy) == ("macro_f1", 4, 0.75)
    assert score.score == pytest.approx((4 / 5 + 2 / 3) / 2)
    sad, glad = score.labels["sad"], score.labels["glad"]
    assert (sad.precision, sad.recall, sad.support) == (1.0, 0.5, 2)
    assert (glad.precision, glad.recall) == (pytest.approx(2 / 3), 1.0)


def test_the_same_place_of_another_document_is_another_place() -> None:
    """Answers are matched within their document: swapped documents score nothing."""
    one, other = findings(CHOICE, ("glad", 0, 5)), findings(CHOICE, ("sad", 0, 5))
    assert score_task(CHOICE, [one, other], [other, one]).score == 0.0


def test_a_choice_not_answered_is_wrong() -> None:
    """A place without an answer counts against recall: F1 is 2/3 for the label, nothing is found wrong."""
    gold = [findings(CHOICE, ("glad", 0, 5), ("glad", 5, 9))]
    score = score_task(CHOICE, gold, [findings(CHOICE, ("glad", 0, 5))])
    assert (score.score, score.accuracy) == (pytest.approx(2 / 3), 0.5)


def test_a_label_that_gold_lacks_is_no_part_of_the_mean() -> None:
    """A label found but never gold lowers the others and is not averaged: glad has 2/3, none is listed with 0."""
    gold = [findings(CHOICE, ("glad", 0, 5), ("glad", 5, 9))]
    score = score_task(CHOICE, gold, [findings(CHOICE, ("glad", 0, 5), ("none", 5, 9))])
    assert score.score == pytest.approx(2 / 3)
    assert (score.labels["none"].f1, score.labels["none"].support) == (0.0, 0)


def test_tags_by_hand() -> None:
    """Two tags right, one too many, one missed: micro-F1 is 4/6."""
    gold = [findings(TAGS, ("x", 0, 9), ("y", 0, 9)), findings(TAGS, ("x", 0, 7))]
    found = [findings(TAGS, ("x", 0, 9), ("z", 0, 9)), findings(TAGS, ("x", 0, 7))]
    score = score_task(TAGS, gold, found)
    assert (score.measure, score.n, score.score) == ("micro_f1", 3, pytest.approx(2 * 2 / (3 + 3)))


def test_spans_by_hand() -> None:
    """Only the same range and label counts: one of three gold, one of four found, F1 is 2/7."""
    gold = [findings(SPANS, ("A", 0, 3), ("A", 4, 9), ("B", 10, 12))]
    found = [findings(SPANS, ("A", 0, 3), ("A", 4, 8), ("A", 10, 12), ("B", 20, 22))]
    score = score_task(SPANS, gold, found)
    assert (score.measure, score.score) == ("span_f1", pytest.approx(2 / 7))


def test_other_tasks_do_not_count() -> None:
    """Findings of other tasks are left out on both sides."""
    gold = [findings(SPANS, ("A", 0, 3)) + findings(TAGS, ("x", 0, 9))]
    assert score_task(SPANS, gold, [findings(SPANS, ("A", 0, 3)) + findings(CHOICE, ("sad", 0, 3))]).score == 1.0


def test_majority_of_a_choice() -> None:
    """Always the commonest of 3, 1 and 1: F1 6/8 for it and 0 for the others; giving it scores just that."""
    gold = [findings(CHOICE, ("glad", 0, 1), ("glad", 1, 2), ("glad", 2, 3), ("sad", 3, 4), ("none", 4, 5))]
    always = [findings(CHOICE, *(("glad", i, i + 1) for i in range(5)))]
    score = score_task(CHOICE, gold, always)
    assert score.majority == pytest.approx(6 / 8 / 3)
    assert score.score == score.majority


def test_majority_of_tags() -> None:
    """The commonest tag given at each of two documents that have any: 2 of 3 gold, F1 4/5."""
    gold = [findings(TAGS, ("x", 0, 9), ("y", 0, 9)), findings(TAGS, ("x", 0, 7))]
    always = [findings(TAGS, ("x", 0, 9)), findings(TAGS, ("x", 0, 7))]
    score = score_task(TAGS, gold, always)
    assert score.majority == pytest.approx(4 / 5)
    assert score.score == score.majority


def test_spans_have_no_majority() -> None:
    """No constant answer finds spans: the bound is 0."""
    assert score_task(SPANS, [findings(SPANS, ("A", 0, 3))], [[]]).majority == 0.0


def test_score_as_joins_labels() -> None:
    """With score_as two labels count as one, on both sides."""
    gold = [findings(CHOICE, ("glad", 0, 1), ("none", 1, 2), ("sad", 2, 3))]
    found = [findings(CHOICE, ("none", 0, 1), ("glad", 1, 2), ("sad", 2, 3))]
    assert score_task(CHOICE, gold, found).score == pytest.approx(1 / 3)
    joined = score_task(CHOICE, gold, found, score_as={"none": "glad"})
    assert joined.score == 1.0
    assert joined.labels.keys() == {"glad", "sad"}


@pytest.mark.parametrize("task", [CHOICE, TAGS, SPANS], ids=lambda t: t.kind)
def test_perfect_is_one_and_nothing_is_zero(task: Task) -> None:
    """Gold given back scores 1; no answer, and no gold, score 0."""
    gold = [findings(task, *((label, 10 * i, 10 * i + 5) for i, label in enumerate(task.labels)))]
    assert score_task(task, gold, gold).score == 1.0
    assert score_task(task, gold, [[]]).score == 0.0
    assert score_task(task, [[]], [[]]).score == 0.0


def test_precision_and_recall_of_a_task() -> None:
    """A choice averages them over gold's labels, tags count all answers together."""
    gold = [findings(CHOICE, ("glad", 0, 5), ("glad", 5, 9)), findings(CHOICE, ("sad", 0, 5), ("sad", 5, 9))]
    found = [findings(CHOICE, ("glad", 0, 5), ("glad", 5, 9)), findings(CHOICE, ("sad", 0, 5), ("glad", 5, 9))]
    score = score_task(CHOICE, gold, found)
    assert (score.precision, score.recall) == (pytest.approx((2 / 3 + 1) / 2), pytest.approx((1 + 1 / 2) / 2))
    tags = score_task(TAGS, [findings(TAGS, ("x", 0, 9), ("y", 0, 9))], [findings(TAGS, ("x", 0, 9), ("z", 0, 9), ("w", 0, 9))])
    assert (tags.precision, tags.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 2))


@pytest.mark.parametrize("task", [CHOICE, TAGS, SPANS], ids=lambda t: t.kind)
def test_the_majority_as_a_system(task: Task) -> None:
    """The scores of the majority answer are the bound that stands beside every student's."""
    gold = [findings(task, *((label, i, i + 1) for i, label in enumerate(task.labels))), findings(task, (task.labels[0], 0, 1))]
    score = score_majority(task, gold)
    assert score.score == score.majority == score_task(task, gold, gold).majority
    assert (score.score == 0.0) is (task.kind == "spans")


def found_in(share: float, n_documents: int, per_document: int = 1) -> tuple[list[list[Finding]], list[list[Finding]]]:
    """Gold and findings of documents that each have so many x: all of them found in the first `share` of the documents."""
    whole = findings(TAGS, *(("x", 10 * i, 10 * i + 9) for i in range(per_document)))
    n_found = round(share * n_documents)
    return [whole] * n_documents, [whole if i < n_found else [] for i in range(n_documents)]


def width(interval: Interval | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_interval_of_a_proportion(share: float) -> None:
    """Where recall is a plain proportion, its interval is the textbook's p +- 1.96 sqrt(p (1 - p) / n)."""
    n = 400
    recall = score_task(TAGS, *found_in(share, n), n_resamples=N_RESAMPLES).labels["x"].recall_interval
    half = 1.96 * (share * (1 - share) / n) ** 0.5
    # a percentile of 1,000 draws is exact to about a tenth of the half
    assert recall == (pytest.approx(share - half, abs=0.2 * half), pytest.approx(share + half, abs=0.2 * half))


def test_documents_are_drawn_not_answers() -> None:
    """Twenty answers a document that stand or fall together tell as little as one: the interval is as wide, not a fourth."""
    many, one = (score_task(TAGS, *found_in(0.7, 50, n), n_resamples=N_RESAMPLES).interval for n in (20, 1))
    assert width(many) == pytest.approx(width(one), rel=0.05)
    assert width(score_task(TAGS, *found_in(0.7, 1000), n_resamples=N_RESAMPLES).interval) < width(one) / 4


@pytest.mark.parametrize("task", [CHOICE, TAGS, SPANS], ids=lambda t: t.kind)
def test_intervals_are_those_of_scoring_resamples(task: Task) -> None:
    """Intervals from counts agree with scoring 300 resampled lists of documents one by one."""
    rng = np.random.default_rng(5)

    def label() -> str:
        return str(rng.choice(task.labels, p=[0.7, 0.3] if len(task.labels) == 2 else [0.7, 0.2, 0.1]))

    gold = [findings(task, *((label(), i, i + 1) for i in range(rng.integers(1, 4)))) for _ in range(60)]
    found = [[replace(f, label=label()) if rng.random() < 0.3 else f for f in document] for document in gold]
    drawn = [score_task(task, [gold[i] for i in rows], [found[i] for i in rows]) for rows in rng.integers(0, 60, (300, 60))]
    score = score_task(task, gold, found, n_resamples=N_RESAMPLES)
    first = task.labels[0]
    assert score.interval == pytest.approx(np.percentile([d.score for d in drawn], [2.5, 97.5]), abs=0.03)
    assert score.labels[first].interval == pytest.approx(np.percentile([d.labels[first].f1 for d in drawn], [2.5, 97.5]), abs=0.03)


def test_a_perfect_student_is_sure_whatever_is_drawn() -> None:
    """A label that one document in a hundred has is missing from a third of the resamples: that is no mistake of the student."""
    gold = [findings(CHOICE, ("sad" if i else "glad", 0, 5)) for i in range(100)]
    score = score_task(CHOICE, gold, gold, n_resamples=N_RESAMPLES)
    assert score.interval == score.labels["glad"].interval == (1.0, 1.0)


def test_intervals_only_where_there_is_something_to_judge() -> None:
    """Nothing found has no precision to be sure of, no document no interval at all; none is made unless asked for."""
    gold, found = found_in(0.0, 30)
    label = score_task(TAGS, gold, found, n_resamples=N_RESAMPLES).labels["x"]
    assert (label.precision_interval, label.recall_interval, label.interval) == (None, (0.0, 0.0), (0.0, 0.0))
    assert score_task(TAGS, [], [], n_resamples=N_RESAMPLES).interval is None
    assert score_task(TAGS, gold, gold).interval is None


def test_the_same_documents_give_the_same_interval() -> None:
    """The draws are seeded: an evaluation repeated is the same in every digit."""
    first, second = (score_task(TAGS, *found_in(0.6, 90), n_resamples=N_RESAMPLES) for _ in range(2))
    assert first == second


def test_several_students_give_the_mean() -> None:
    """The figures of two students are the means of theirs; of one student twice all is as of that student."""
    gold, good = found_in(0.9, 80)
    _, bad = found_in(0.3, 80)
    both = score_task(TAGS, gold, good, bad, n_resamples=N_RESAMPLES)
    alone = [score_task(TAGS, gold, f, n_resamples=N_RESAMPLES) for f in (good, bad)]
    assert both.score == pytest.approx((alone[0].score + alone[1].score) / 2)
    assert both.labels["x"].recall == pytest.approx((alone[0].labels["x"].recall + alone[1].labels["x"].recall) / 2)
    assert both.n == 80
    assert both.interval is not None and both.interval[0] < both.score < both.interval[1]
    assert score_task(TAGS, gold, good, good, n_resamples=N_RESAMPLES) == alone[0]


def test_intervals_are_cheap() -> None:
    """Scores and intervals of 5,000 documents of a choice take well under a second of processor time."""
    gold = [findings(CHOICE, (CHOICE.labels[i % 3], 0, 5)) for i in range(5000)]
    found = [findings(CHOICE, (CHOICE.labels[i * i % 3], 0, 5)) for i in range(5000)]
    started = time.process_time()
    score_task(CHOICE, gold, found, n_resamples=N_RESAMPLES)
    assert time.process_time() - started < 0.5
