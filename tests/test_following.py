"""What follows from other answers: pairs, the policy's outcome, pages, and rules and student made one list."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.following import paged
from pipelines.joined import joined
from pipelines.pairs import NEAREST, pairs
from pipelines.policy import decide
from suites.types import Finding, Policy, Task

CAUSES = Task(name="causes", kind="pairs", answered_by="rule", of=["drugs/DRUG", "effects"], labels=["CAUSES"], question="Which drug causes what?")
VERDICT = Task(name="verdict", kind="choice", labels=["good", "bad"], question="Is it good?")
ACTION = Task(name="action", kind="choice", answered_by="policy", labels=["pass", "review", "block"], question="What to do?")
COST = {"good": {"pass": 0.0, "review": 0.3, "block": 2.0}, "bad": {"pass": 10.0, "review": 0.3, "block": 0.0}}
SPANS = Task(name="t", kind="spans", labels=["A", "B"], question="Which are named?")


def drug(start: int, end: int, score: float = 1.0, label: str = "DRUG") -> Finding:
    return Finding("drugs", label, score, start, end)


def effect(start: int, end: int, score: float = 1.0) -> Finding:
    return Finding("effects", "EFFECT", score, start, end, unsure=score < 0.5)


def test_a_rule_keeps_a_range_that_both_found() -> None:
    """Where the student found the same range and label, what the rule says of it stays: its certainty and its normal form."""
    rule = Finding("t", "A", 1.0, 5, 15, "rule", value="2020-03-04")
    for score in (0.6, 0.99):
        assert joined("x" * 20, [Finding("t", "A", score, 5, 15, unsure=True), rule], {"t": SPANS}) == [rule]
    around = Finding("t", "A", 0.99, 2, 15)
    assert joined("x" * 20, [around, rule], {"t": SPANS}) == [around]


def test_pairs_are_of_one_sentence() -> None:
    """Every drug is paired with every effect of its own sentence, in either order, and with none of another; the pair is as sure as the less sure."""
    first = [drug(0, 4), drug(10, 14, 0.4), drug(16, 18, label="DOSE"), effect(20, 25, 0.7)]
    found = pairs(CAUSES, [*first, drug(40, 44), effect(30, 35, 0.3)], [(0, 29), (30, 50)])
    assert [(f.start, f.end, f.other_start, f.other_end, f.score, f.unsure) for f in found] == [
        (0, 4, 20, 25, 0.7, False),
        (10, 14, 20, 25, 0.4, False),
        (40, 44, 30, 35, 0.3, True),
    ]
    assert {(f.task, f.label) for f in found} == {("causes", "CAUSES")}


def test_an_endless_sentence_has_no_endless_pairs() -> None:
    """Of a sentence of thousands of drugs and effects each drug is paired with the nearest effects alone."""
    n = 2_000
    found = pairs(CAUSES, [*(drug(i, i + 1) for i in range(0, 10 * n, 10)), *(effect(i + 5, i + 6) for i in range(0, 10 * n, 10))], [(0, 10 * n)])
    assert len(found) <= n * 2 * NEAREST
    assert all(abs(f.other_start - f.start) <= 10 * NEAREST + 5 for f in found)


@pytest.mark.parametrize(("bad", "outcome"), [(0.0, "pass"), (0.029, "pass"), (0.031, "review"), (0.84, "review"), (0.86, "block"), (1.0, "block")])
def test_the_cheapest_outcome_is_taken(bad: float, outcome: str) -> None:
    """With chances p of bad: pass costs 10 p, review 0.3, block 2 (1 - p); the outcome is the cheapest, and `number` the risk of passing."""
    chances = np.array([1 - bad, bad], np.float32)
    found = decide(Policy(task="action", of="verdict", cost=COST), ACTION, VERDICT, chances, [], 7)
    assert (found.label, found.source, found.start, found.end) == (outcome, "student", 0, 7)
    assert found.number == pytest.approx(10 * bad, abs=1e-3)


@pytest.mark.parametrize(
    ("labels", "bad", "outcome", "because"),
    [
        (["GIFT"], 0.0, "review", "reasons/GIFT"),
        (["GIFT"], 1.0, "block", None),
        (["KNOWN"], 1.0, "review", "reasons/KNOWN"),
        (["KNOWN"], 0.0, "pass", None),
        (["THREAT", "KNOWN"], 0.0, "review", "reasons/KNOWN"),
        (["THREAT"], 0.0, "block", "reasons/THREAT"),
    ],
)
def test_rules_bound_the_outcome(labels: list[str], bad: float, outcome: str, because: str | None) -> None:
    """A finding raises the outcome to what its rule asks for at least, others lower it after that; `value` names the one that decided."""
    rule = [
        {"finding": "reasons/KNOWN", "at_most": "review"},
        {"finding": "reasons/GIFT", "at_least": "review"},
        {"finding": "reasons/THREAT", "at_least": "block"},
    ]
    policy = Policy.model_validate({"task": "action", "of": "verdict", "cost": COST, "rule": rule})
    found = decide(policy, ACTION, VERDICT, np.array([1 - bad, bad], np.float32), [Finding("reasons", label, 1.0, 0, 3) for label in labels], 7)
    assert (found.label, found.value, found.source) == (outcome, because, "rule" if because else "student")


def test_a_finding_has_the_page_it_begins_on() -> None:
    """Pages are counted by the form feeds before a finding; a text without any has no pages."""
    text = "one\ftwo two\f\ffour"
    found = [Finding("t", "A", 1.0, text.index(word), len(text)) for word in ("one", "two", "four")]
    assert [f.page for f in paged(text, found)] == [1, 2, 4]
    assert [f.page for f in paged(text.replace("\f", " "), found)] == [None] * 3


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=6)


@given(RANGES, RANGES)
def test_what_rules_and_student_found_is_covered_without_overlap(ruled: list[tuple[int, int]], answered: list[tuple[int, int]]) -> None:
    """Of one task no two findings overlap, and every letter that either found is still found."""
    text = "x" * 40
    both = [[Finding("t", "A", 0.9, a, a + n, source) for a, n in ranges] for source, ranges in (("rule", ruled), ("student", answered))]
    made = joined(text, [*both[0], *both[1]], {"t": SPANS})
    if ruled and answered:
        ordered = sorted((f.start, f.end) for f in made)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(ordered))
    covered = {i for f in made for i in range(f.start, f.end)}
    assert covered == {i for findings in both for f in findings for i in range(f.start, f.end)}


def test_rules_keep_their_ranges_and_tasks_do_not_mix() -> None:
    """A rule's finding stays whole and of the student's what sticks out stays, without marks at its ends; other tasks are left alone."""
    text = "Dr. Ann Lee, MD."
    rule, student, other = Finding("t", "A", 1.0, 0, 7, "rule"), Finding("t", "B", 0.8, 4, 16), Finding("u", "A", 0.8, 2, 9)
    assert {(f.task, f.label, text[f.start : f.end]) for f in joined(text, [rule, student, other], {"t": SPANS, "u": SPANS})} == {
        ("t", "A", "Dr. Ann"),
        ("t", "B", "Lee, MD"),
        ("u", "A", text[2:9]),
    }
    same = Finding("t", "B", 0.8, 0, 7)
    assert joined(text, [rule, same], {"t": SPANS}) == [rule]


@pytest.mark.parametrize(("label", "score", "whole"), [("A", 0.9, True), ("A", 0.3, False), ("B", 0.9, False)])
def test_a_sure_student_completes_a_rule(label: str, score: float, whole: bool) -> None:
    """A rule's finding inside a longer one of its own label gives way if the student is sure of it; to a guess or another label it does not."""
    text = "Ann Brown Keller"
    rule, student = Finding("t", "A", 1.0, 4, 9, "rule"), Finding("t", label, score, 0, 16)
    found = {text[f.start : f.end] for f in joined(text, [rule, student], {"t": SPANS})}
    assert found == ({"Ann Brown Keller"} if whole else {"Ann", "Brown", "Keller"})


def test_only_spans_are_taken_apart() -> None:
    """Tags of rules and student stay side by side; of a choice that both answer at one range the rule's stays; forms of a trimmed finding are gone."""
    tags, choice = (
        Task(name="t", kind="tags", labels=["A", "B"], question="Which are they?"),
        Task(name="t", kind="choice", labels=["A", "B"], question="Which is it?"),
    )
    both = [Finding("t", "A", 1.0, 0, 9, "rule"), Finding("t", "B", 0.9, 0, 9)]
    assert joined("x" * 9, both, {"t": tags}) == both
    assert joined("x" * 9, both, {"t": choice}) == both[:1]
    rule, cut = Finding("t", "A", 1.0, 0, 5, "rule", value="2020"), Finding("t", "A", 0.4, 3, 9, value="2021", number=3.0, unit="t")
    assert [(f.start, f.end, f.value, f.number) for f in joined("x" * 9, [rule, cut], {"t": SPANS})] == [(0, 5, "2020", None), (5, 9, None, None)]


def test_nothing_is_paired_with_itself() -> None:
    """A task that pairs one kind with itself pairs different findings."""
    task = CAUSES.model_copy(update={"of": ("drugs/DRUG", "drugs")})
    assert [(f.start, f.other_start) for f in pairs(task, [drug(0, 4), drug(10, 14)], [(0, 20)])] == [(0, 10), (10, 0)]
