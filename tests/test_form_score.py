"""Numbers and values of findings against gold's."""

from __future__ import annotations

import pytest

from pipelines.form_score import form_scores
from suites.types import Finding, Task

KPI = Task(name="kpi", kind="spans", answered_by="rule", labels=["SCOPE1", "SCOPE2"], question="Which figures?")


def finding(start: int, label: str = "SCOPE1", number: float | None = 5.0, unit: str | None = "t", value: str | None = "2020") -> Finding:
    return Finding("kpi", label, 1.0, start, start + 3, number=number, unit=unit, value=value)


def test_a_form_is_right_where_place_label_and_form_are() -> None:
    """Another place, label, number, unit or value is wrong; what gold has no form of is not asked; what is found besides counts against precision."""
    gold = [[finding(0), finding(10), finding(20), finding(30), finding(40, value=None)]]
    found = [[finding(0), finding(11), finding(20, number=5.0000001), finding(30, unit="kt"), finding(40, label="SCOPE2"), finding(50, value="1999")]]
    scores = form_scores(KPI, gold, found)
    assert (scores["number"].n_gold, scores["number"].n_found) == (5, 6)
    assert scores["number"].recall == pytest.approx(2 / 5)
    assert scores["number"].precision == pytest.approx(2 / 6)
    assert scores["value"].recall == pytest.approx(3 / 4)
    assert scores["value"].f1 == pytest.approx(2 * 3 / (4 + 6))


def test_what_gold_leaves_unsaid_is_not_judged() -> None:
    """A figure found where gold has the span and no number costs nothing; one where gold has nothing does."""
    gold = [[finding(0), finding(10, number=None)]]
    assert form_scores(KPI, gold, [[finding(0), finding(10)]])["number"].precision == 1.0
    assert form_scores(KPI, gold, [[finding(0), finding(90)]])["number"].precision == 0.5


def test_without_forms_in_gold_there_is_nothing_to_score() -> None:
    """Gold without numbers and values gives no scores, and no division by nothing."""
    assert form_scores(KPI, [[finding(0, number=None, value=None)]], [[finding(0)]]) == {}
    assert form_scores(KPI, [[finding(0)]], [[]])["number"].precision == 0.0
