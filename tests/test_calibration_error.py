"""Expected calibration error: cases by hand, scores that hold, and what chance alone shows."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.calibration_error import N_BINS, calibration_error, error_by_chance, reliability
from pipelines.metrics import score_task, scored_answers
from suites.types import Finding, Task

CHOICE = Task(name="mood", kind="choice", labels=("glad", "sad"), question="Which mood is it?")
TAGS = Task(name="flags", kind="tags", labels=("x", "y"), question="Which flags are set?")
SPANS = Task(name="things", kind="spans", labels=("A", "B"), question="Which things are named?")


def error(scores: list[float], right: list[bool]) -> float | None:
    return calibration_error(reliability(np.array(scores), np.array(right, bool)))


def test_the_error_by_hand() -> None:
    """Four answers of 0.9 with three right are 0.15 off, one of 0.3 that is right 0.7; weighted 4 to 1 that is 0.26."""
    assert error([0.9, 0.9, 0.9, 0.9, 0.3], [True, True, True, False, True]) == pytest.approx((4 * 0.15 + 0.7) / 5)


def test_gaps_of_one_bin_cancel_and_of_two_do_not() -> None:
    """The mean of a bin is what counts: 0.91 wrong and 0.99 right are 0.45 off; in two bins each gap counts."""
    assert error([0.95, 0.99], [False, True]) == pytest.approx(0.97 - 0.5)
    assert error([0.55, 0.99], [False, True]) == pytest.approx((0.55 + 0.01) / 2)


def test_bins_are_of_equal_width() -> None:
    """Fifteen bins from 0 to 1, each without its lower edge; 0 and 1 lie in the first and the last."""
    bins = reliability(np.array([0.0, 1 / 15, 0.2, 0.2001, 1.0]), np.array([True, False, True, True, True]))
    assert [(b.n, round(b.low * N_BINS), round(b.high * N_BINS)) for b in bins] == [(2, 0, 1), (1, 2, 3), (1, 3, 4), (1, 14, 15)]
    assert (bins[0].score, bins[0].right) == (pytest.approx(1 / 30), 0.5)


def test_no_answers_have_no_error() -> None:
    """Without answers there is nothing to be wrong about: no bin, no error."""
    assert error([], []) is None
    assert error_by_chance(np.array([])) == 0.0


@pytest.mark.parametrize("n", [60, 600, 5000])
def test_scores_that_hold_show_what_chance_shows(n: int) -> None:
    """Answers right exactly as often as they say have, on average over 60 draws, the error by chance; it falls with their number."""
    rng = np.random.default_rng(n)
    scores = rng.beta(5, 2, n)
    errors = [error(list(scores), list(rng.random(n) < scores)) for _ in range(60)]
    assert np.mean([e for e in errors if e is not None]) == pytest.approx(error_by_chance(scores), rel=0.12)
    assert error_by_chance(scores) < 1.2 / n**0.5


def test_scores_that_do_not_hold_show_more_than_chance() -> None:
    """Answers that say 10 points too much have an error of 0.1, well over chance."""
    rng = np.random.default_rng(3)
    scores = rng.uniform(0.4, 1.0, 5000)
    found = error(list(scores), list(rng.random(5000) < scores - 0.1))
    assert found == pytest.approx(0.1, abs=0.02)
    assert error_by_chance(scores) < 0.03


def finding(task: Task, label: str, score: float, start: int = 0, end: int = 5, source: str = "student") -> Finding:
    return Finding(task.name, label, score, start, end, source)  # type: ignore[arg-type]


def answers(task: Task, gold: list[Finding], found: list[Finding], score_as: dict[str, str] | None = None) -> list[tuple[float, bool]]:
    scores, right = scored_answers(task, [gold], [found], score_as)
    return list(zip(scores.tolist(), right.tolist(), strict=True))


def test_which_answers_of_a_choice_count() -> None:
    """The answer's score against whether it is gold's label, in gold's places alone; renamed labels count as one."""
    gold = [finding(CHOICE, "glad", 1.0), finding(CHOICE, "sad", 1.0, 5, 9)]
    found = [finding(CHOICE, "glad", 0.7), finding(CHOICE, "glad", 0.6, 5, 9), finding(CHOICE, "glad", 0.9, 20, 25)]
    assert answers(CHOICE, gold, found) == [(0.7, True), (0.6, False)]
    assert answers(CHOICE, gold, found, {"sad": "glad"}) == [(0.7, True), (0.6, True)]


@pytest.mark.parametrize("task", [TAGS, SPANS], ids=lambda t: t.kind)
def test_which_tags_and_spans_count(task: Task) -> None:
    """Every one that is given, right if gold has the same label at the same range; one that is missed has no score to be wrong."""
    first, second = task.labels
    gold = [finding(task, first, 1.0), finding(task, second, 1.0, 30, 40)]
    found = [finding(task, first, 0.8), finding(task, first, 0.6, 0, 4), finding(task, second, 0.7)]
    assert answers(task, gold, found) == [(0.8, True), (0.6, False), (0.7, False)]


def test_rules_and_other_tasks_do_not_count() -> None:
    """A rule's finding has no fitted score, another task's finding is not asked about."""
    gold = [finding(SPANS, "A", 1.0)]
    found = [finding(SPANS, "A", 1.0, source="rule"), finding(TAGS, "x", 0.5)]
    assert answers(SPANS, gold, found) == []
    assert score_task(SPANS, [gold], [found]).calibration_error is None


def test_a_task_has_its_students_mean_error() -> None:
    """The error stands in the task's score; of two students it is the mean."""
    gold = [[finding(TAGS, "x", 1.0)]]
    sure, unsure = ([[finding(TAGS, "x", score)]] for score in (0.9, 0.6))
    assert score_task(TAGS, gold, sure).calibration_error == pytest.approx(0.1)
    assert score_task(TAGS, gold, sure, unsure).calibration_error == pytest.approx(0.25)
