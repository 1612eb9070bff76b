"""What is fitted on dev: temperatures, lexicons, the scores of spans; and what is decided by costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.calibrate import LEXICON_SCALES, MIN_ANSWERS, TEMPERATURES, USUAL_TEMPERATURE, abstain, calibrated, paid, thresholds
from pipelines.calibration_error import calibration_error, reliability
from pipelines.encode import Floats, Inputs, Window
from pipelines.heads import Head, chance_right, given, logit, range_scores, sigmoid, softmax
from pipelines.lexicon import Lexicon
from pipelines.targets import Encoded, Target
from suites.types import Cost, Task

CHOICE = Task(name="mood", kind="choice", scope="sentence", labels=("glad", "sad", "none"), question="Which mood is it?")
TAGS = Task(name="flags", kind="tags", labels=("x", "y"), question="Which flags are set?")
SPANS = Task(name="things", kind="spans", labels=("A", "B"), question="Which things are named?")


def with_costs(task: Task, **costs: dict[str, float]) -> Task:
    """The task with costs by label; `every` stands for "*"."""
    return Task.model_validate(task.model_dump() | {"cost": {"*" if k == "every" else k: v for k, v in costs.items()}})


def answers(logits: Floats, labels: np.ndarray) -> tuple[list[Encoded], list[Floats]]:
    """One example a row: one token whose states are the logits of the answer."""
    examples = [Encoded("made", Inputs((), ()), 1, {"mood": Target((slice(0, 1),), np.array([label], np.int32))}) for label in labels]
    return examples, [row[None, :] for row in logits]


def log_loss(logits: Floats, labels: np.ndarray, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]))


TWO = CHOICE.model_copy(update={"labels": ("glad", "sad")})
IDENTITY = Head(TWO, np.eye(2, dtype=np.float32), np.zeros(2, np.float32))


def test_overconfident_logits_are_cooled() -> None:
    """Logits that say 98 % and are right in 70 % get the temperature that says 70 %, and a lower loss."""
    labels = np.arange(400) % 2
    said = np.where(np.arange(400) % 10 < 7, labels, 1 - labels)
    logits = np.where(np.eye(2)[said] > 0, 2.0, -2.0).astype(np.float32)
    (head,) = calibrated([IDENTITY], *answers(logits, labels), {})
    step = TEMPERATURES[1] / TEMPERATURES[0]
    assert head.temperature > 1
    assert 1 / step < head.temperature / (4.0 / np.log(0.7 / 0.3)) < step
    assert log_loss(logits, labels, head.temperature) < log_loss(logits, labels, 1.0)


def test_underconfident_logits_are_heated() -> None:
    """Logits that are always right but say 60 % get a temperature under 1."""
    labels = np.arange(100) % 2
    logits = np.where(np.eye(2)[labels] > 0, 0.2, -0.2).astype(np.float32)
    (head,) = calibrated([IDENTITY], *answers(logits, labels), {})
    assert head.temperature < 1


def test_few_answers_leave_the_temperature() -> None:
    """Fewer answers than can tell anything leave the temperature at 1."""
    labels = np.arange(MIN_ANSWERS - 1) % 2
    logits = np.where(np.eye(2)[1 - labels] > 0, 9.0, -9.0).astype(np.float32)
    (head,) = calibrated([IDENTITY], *answers(logits, labels), {})
    assert head.temperature == 1.0


def told_by_pieces(labels: np.ndarray, heard: np.ndarray) -> tuple[list[Encoded], list[Floats]]:
    """One example an answer: states that tell nothing, and one word piece of each label's own."""
    target = (slice(0, 1),)
    examples = [
        Encoded(
            "made",
            Inputs((np.array([101, 7 + piece, 102], np.int32),), (Window(0, 1, 0, 1),)),
            1,
            {"mood": Target(target, np.array([label], np.int32))},
        )
        for label, piece in zip(labels, heard, strict=True)
    ]
    return examples, [np.zeros((1, 2), np.float32)] * len(labels)


WORDS = Lexicon(np.array([7, 8], np.int32), np.array([[2, -2], [-2, 2]], np.float32), np.array([0.5, 0.0], np.float32))


def test_a_lexicon_that_knows_is_heard() -> None:
    """Where the states tell nothing and the pieces tell the label, the head gets the lexicon at one of the scales."""
    labels = np.arange(100) % 2
    (head,) = calibrated([IDENTITY], *told_by_pieces(labels, labels), {"mood": WORDS})
    assert head.lexicon is not None
    scale = float(head.lexicon.bias[0] / WORDS.bias[0])
    assert scale in LEXICON_SCALES and scale > 0
    np.testing.assert_array_equal(head.lexicon.weights, WORDS.weights * scale)


def test_a_lexicon_that_does_not_help_is_left_out() -> None:
    """A lexicon that tells no label from another leaves the head as it was."""
    labels = np.arange(100) % 2
    (head,) = calibrated([IDENTITY], *told_by_pieces(labels, labels * 0), {"mood": replace(WORDS, bias=np.zeros(2, np.float32))})
    assert head.lexicon is None


def test_with_few_answers_both_are_heard() -> None:
    """Where too few answers can show what the lexicon is worth, the logits are the mean of the head's and the lexicon's."""
    labels = np.arange(MIN_ANSWERS - 1) % 2
    (head,) = calibrated([IDENTITY], *told_by_pieces(labels, labels), {"mood": WORDS})
    assert head.lexicon is not None and head.temperature == 2.0
    np.testing.assert_array_equal(head.lexicon.weights, WORDS.weights)


def found_spans(raw: Floats, right: np.ndarray) -> tuple[list[Encoded], list[Floats]]:
    """One example a span: a word tagged B-A with so much certainty, alone or before a word outside; gold has it or nothing."""
    outputs = 2 * len(SPANS.labels) + 1
    examples, states = [], []
    for share, is_right in zip(raw, right, strict=True):
        rows = np.full((2, outputs), -30.0, np.float32)
        rows[:, 0] = 0.0
        rows[0, 1] = logit(share)
        examples.append(Encoded("made", Inputs((), ()), 2, {"things": Target((), np.array([int(is_right), 0], np.int32))}))
        states.append(rows)
    return examples, states


SPAN_HEAD = Head(SPANS, np.eye(5, dtype=np.float32), np.zeros(5, np.float32))


def test_a_spans_score_becomes_the_chance_that_it_is_right() -> None:
    """Spans of raw score s that are right with sigmoid(0.8 logit(s) - 0.7) are scored so, to 0.03; the raw scores were 0.1 off."""
    rng = np.random.default_rng(1)
    raw = rng.uniform(0.51, 0.999, 3000).astype(np.float32)
    chance = sigmoid(np.float32(0.8) * logit(raw) - np.float32(0.7))
    (head,) = calibrated([SPAN_HEAD], *found_spans(raw, rng.random(3000) < chance), {})
    scores = chance_right(sigmoid(logit(raw) / np.float32(head.temperature)), head.platt)
    assert np.abs(scores - chance).max() < 0.03
    assert np.abs(raw - chance).mean() > 0.1
    assert head.n_answers == 3000


def test_few_spans_keep_their_scores() -> None:
    """Fewer found spans than can tell anything leave the raw scores."""
    raw = np.linspace(0.6, 0.9, MIN_ANSWERS - 1, dtype=np.float32)
    (head,) = calibrated([SPAN_HEAD], *found_spans(raw, raw > 0.7), {})
    assert (head.platt, head.n_answers) == (None, MIN_ANSWERS - 1)


def test_a_span_that_gold_has_longer_is_wrong() -> None:
    """Only the same range and label counts: spans that gold has one word longer are all wrong, and their scores sink."""
    examples, states = found_spans(np.full(100, 0.9, np.float32), np.ones(100))
    longer = [replace(e, targets={"things": Target((), np.array([1, 2], np.int32))}) for e in examples]
    (head,) = calibrated([SPAN_HEAD], longer, states, {})
    assert chance_right(np.array([0.9], np.float32), head.platt)[0] < 0.1


def test_the_scores_of_given_tags_are_right() -> None:
    """Where ten thousand tags far from given are scored well and the given ones too high, the given ones' scores come right; they stay given."""
    rng = np.random.default_rng(5)
    logits = np.concatenate([rng.uniform(-8, -4, (10_000, 2)), rng.uniform(0, 4, (1000, 2))]).astype(np.float32)
    chance = np.where(logits < 0, sigmoid(logits), sigmoid(np.float32(0.4) * logits + np.float32(0.1)))
    wanted = (rng.random(logits.shape) < chance).astype(np.float32)
    examples = [Encoded("made", Inputs((), ()), 1, {"flags": Target((slice(0, 1),), row[None, :])}) for row in wanted]
    (head,) = calibrated([Head(TAGS, np.eye(2, dtype=np.float32), np.zeros(2, np.float32))], examples, [row[None, :] for row in logits], {})
    scores = range_scores(TAGS, logits / np.float32(head.temperature), head.platt)
    assert np.array_equal(scores >= 0.5, logits >= 0)
    assert np.abs(scores - chance)[10_000:].max() < 0.05
    assert np.abs(sigmoid(logits / np.float32(head.temperature)) - chance)[10_000:].mean() > 0.1


def sure_of_what_is_often_wrong(n: int, seed: int) -> tuple[Floats, np.ndarray]:
    """Three labels: one answer in four is the last label whatever the logits say, the others are as they say; a temperature alone cannot tell."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, 3)).astype(np.float32)
    labels = (softmax(logits).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return logits, np.where(rng.random(n) < 0.25, 2, labels)


def test_the_scores_of_a_choice_are_right() -> None:
    """Where the temperature of greatest likelihood promises too much for the label that is given, its score comes right, on other answers too."""
    head = Head(CHOICE, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    (fitted,) = calibrated([head], *answers(*sure_of_what_is_often_wrong(4000, 1)), {})
    logits, labels = sure_of_what_is_often_wrong(20_000, 2)
    cooled, scaled = (range_scores(CHOICE, logits / np.float32(fitted.temperature), platt) for platt in (None, fitted.platt))
    right = cooled.argmax(axis=1) == labels
    before, after = (calibration_error(reliability(scores.max(axis=1), right)) for scores in (cooled, scaled))
    assert before is not None and before > 0.04
    assert after is not None and after < before / 2
    np.testing.assert_array_equal(scaled.argmax(axis=1), cooled.argmax(axis=1))


def test_thirty_answers_hardly_move_the_score_of_a_choice() -> None:
    """MIN_ANSWERS answers that are all wrong do not make a score of 0.9 one under a half."""
    labels = np.arange(MIN_ANSWERS) % 2
    logits = np.where(np.eye(2)[1 - labels] > 0, 2.0, -2.0).astype(np.float32)
    (head,) = calibrated([IDENTITY], *answers(logits, labels), {})
    assert head.platt is not None
    assert chance_right(np.array([0.9], np.float32), head.platt)[0] > 0.5


def test_thirty_answers_without_an_error_do_not_freeze() -> None:
    """The prior holds few answers that happen to be right to an ordinary temperature; likelihood alone would take the coldest."""
    labels = np.arange(MIN_ANSWERS) % 2
    logits = np.where(np.eye(2)[labels] > 0, 1.5, -1.5).astype(np.float32)
    (head,) = calibrated([IDENTITY], *answers(logits, labels), {})
    assert USUAL_TEMPERATURE / 2 < head.temperature <= USUAL_TEMPERATURE


def test_what_teachers_guess_is_no_dev() -> None:
    """Answers that are a teacher's guess and not gold fit nothing."""
    labels = np.arange(100) % 2
    logits = np.where(np.eye(2)[labels] > 0, 2.0, -2.0).astype(np.float32)
    examples, states = answers(logits, labels)
    guessed = [replace(e, targets={"mood": replace(e.targets["mood"], gold=False)}) for e in examples]
    (head,) = calibrated([IDENTITY], guessed, states, {})
    assert (head.temperature, head.n_answers) == (1.0, 0)


def test_without_costs_a_head_decides_as_before() -> None:
    """No costs, no thresholds but the usual ones and no abstaining, for a task of every kind."""
    labels = np.arange(100) % 2
    examples, states = answers(np.where(np.eye(2)[labels] > 0, 2.0, -2.0).astype(np.float32), labels)
    (choice,) = calibrated([IDENTITY], examples, states, {})
    (spans,) = calibrated([SPAN_HEAD], *found_spans(np.linspace(0.6, 0.9, 100, dtype=np.float32), np.ones(100)), {})
    assert (choice.thresholds, choice.abstain, choice.n_answers) == ((0.5, 0.5), None, 100)
    assert (spans.thresholds, spans.abstain) == ((0.0, 0.0), None)


def well_calibrated(n: int, seed: int, n_labels: int = 2) -> tuple[Floats, np.ndarray]:
    """Scores from 0 to 1 and answers that are right just as often."""
    rng = np.random.default_rng(seed)
    scores = rng.random((n, n_labels)).astype(np.float32)
    return scores, rng.random((n, n_labels)) < scores


def test_thresholds_follow_the_costs() -> None:
    """With scores that are right the thresholds are fp / (fp + fn), and no other on a grid costs less by more than a hundredth."""
    task = with_costs(TAGS, x={"false_negative": 4.0}, y={"false_positive": 3.0})
    scores, wanted = well_calibrated(20_000, 1)
    chosen = thresholds(task, scores, wanted)
    assert chosen == (0.2, 0.75)
    least = paid(task, given(task, scores, chosen), wanted).mean()
    for other in np.linspace(0.05, 0.95, 19):
        for thresholds_tried in ((other, chosen[1]), (chosen[0], other)):
            assert paid(task, given(task, scores, thresholds_tried), wanted).mean() > 0.99 * least


def test_scores_that_are_wrong_move_the_threshold() -> None:
    """Where scores promise too much, dev moves the threshold up, and other answers of the kind cost less for it."""
    task = with_costs(TAGS, every={"false_negative": 4.0})
    scores, _ = well_calibrated(2000, 2)
    wanted = np.random.default_rng(3).random(scores.shape) < scores**3
    chosen = thresholds(task, scores[:1000], wanted[:1000])
    assert all(t > 0.3 for t in chosen)
    before, after = (paid(task, given(task, scores[1000:], t), wanted[1000:]).mean() for t in ((0.2, 0.2), chosen))
    assert after < 0.9 * before


def test_few_answers_leave_the_closed_form() -> None:
    """Fewer answers than can tell anything leave fp / (fp + fn), however wrong the scores."""
    task = with_costs(TAGS, every={"false_negative": 4.0})
    scores, _ = well_calibrated(MIN_ANSWERS - 1, 2)
    assert thresholds(task, scores, scores < 0) == (0.2, 0.2)


def test_luck_seldom_moves_a_threshold() -> None:
    """Of 200 thresholds over 100 answers each whose scores are right, 10 at most are moved."""
    task = with_costs(TAGS, every={"false_negative": 3.0})
    moved = [t != 0.25 for seed in range(100) for t in thresholds(task, *well_calibrated(100, seed))]
    assert sum(moved) <= 10


def test_labels_without_costs_keep_the_usual_threshold() -> None:
    """Costs of one label leave the others' thresholds, for tags and for spans."""
    scores, wanted = well_calibrated(1000, 4)
    assert thresholds(with_costs(TAGS, x={"false_negative": 4.0}), scores, wanted) == (0.2, 0.5)
    assert thresholds(with_costs(SPANS, B={"false_negative": 3.0}), scores, wanted) == (0.0, 0.25)


@drawn(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0, 1))
def test_two_labels_are_a_threshold(false_positive: float, false_negative: float, chance: float) -> None:
    """Of two labels the one with costs is given just where its chance reaches fp / (fp + fn)."""
    task = with_costs(TWO, sad={"false_positive": false_positive, "false_negative": false_negative})
    none = np.zeros((0, 2), np.float32)
    chosen = thresholds(task, none, none > 0)
    assert sum(chosen) == pytest.approx(1.0, abs=1e-3)
    threshold = false_positive / (false_positive + false_negative)
    if abs(chance - threshold) > 1e-3:
        assert given(task, np.array([[1 - chance, chance]]), chosen)[0, 1] == (chance >= threshold)


@drawn(st.lists(st.floats(0.2, 5), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_a_choice_is_of_least_expected_cost(misses: list[float], seed: int) -> None:
    """The label given is the one whose errors are expected to cost least, when misses of the labels differ in cost."""
    task = with_costs(CHOICE, **{label: {"false_negative": miss} for label, miss in zip(CHOICE.labels, misses, strict=True)})
    none = np.zeros((0, 3), np.float32)
    chances = np.random.default_rng(seed).dirichlet(np.ones(3), 50)
    expected = np.array([[sum(p * miss for j, (p, miss) in enumerate(zip(row, misses, strict=True)) if j != k) for k in range(3)] for row in chances])
    best = given(task, chances, thresholds(task, none, none > 0)).argmax(axis=1)
    np.testing.assert_allclose(expected[np.arange(50), best], expected.min(axis=1), rtol=2e-3)


def test_an_error_of_a_choice_is_paid_once() -> None:
    """Giving glad where sad is true costs glad's false positive times sad's miss; a right answer costs nothing."""
    task = with_costs(CHOICE, glad={"false_positive": 2.0}, sad={"false_negative": 5.0})
    answered, wanted = np.eye(3, dtype=bool)[[0, 0, 1, 2]], np.eye(3, dtype=bool)[[1, 0, 2, 1]]
    assert paid(task, answered, wanted).tolist() == [10.0, 0.0, 1.0, 5.0]


def test_abstaining_counts_in_looks() -> None:
    """What an error costs is given in looks: of a choice by the label that is true, of tags by the one given; without a look's cost nothing is."""
    assert abstain(with_costs(TWO, every={"review": 0.5}, sad={"false_negative": 3.0, "review": 0.5})) == ((0.0, 6.0), (2.0, 0.0))
    assert abstain(with_costs(TAGS, y={"false_positive": 2.0, "review": 0.5})) == ((0.0,), (4.0,))
    assert abstain(with_costs(TAGS, y={"false_positive": 2.0})) is None
    # labels that share one cost are still two labels
    assert abstain(with_costs(CHOICE, every={"review": 0.25}))[0] == (0.0, 4.0, 4.0)  # type: ignore[index]


BAD_COSTS: dict[str, tuple[Task, dict[str, Any], str]] = {
    "no label": (TAGS, {"z": {}}, r"'flags': cost names no label of it: \['z'\]. Labels: x, y, or \"\*\""),
    "nothing lost": (TAGS, {"x": {"false_positive": 0.0}}, "greater than 0"),
    "endless": (TAGS, {"x": {"false_negative": float("inf")}}, "finite"),
    "unknown key": (TAGS, {"x": {"false_alarm": 1.0}}, "Extra inputs"),
    "a dear review": (TAGS, {"x": {"false_negative": 5.0, "review": 1.0}}, "review costs 1: it must cost less"),
    "a review that marks nothing": (TAGS, {"x": {"review": 0.5}}, "review of 'x' marks nothing: given from 0.5 on it is expected to cost 0.5 at most"),
    "two reviews of a choice": (CHOICE, {"glad": {"review": 0.1}, "sad": {"review": 0.2}}, "'mood' is a choice: .* the same review"),
    "rules": (SPANS.model_copy(update={"answered_by": "rule"}), {"A": {}}, "answered_by = 'rule', whose findings"),
}


@pytest.mark.parametrize(("task", "cost", "told"), BAD_COSTS.values(), ids=BAD_COSTS.keys())
def test_senseless_costs_are_refused(task: Task, cost: dict[str, Any], told: str) -> None:
    """Costs of no label, that are not positive, or whose review could mark nothing, are an error that says so."""
    with pytest.raises(ValidationError, match=told):
        Task.model_validate(task.model_dump() | {"cost": cost})


def test_a_labels_own_cost_goes_before_that_of_all() -> None:
    """The entry "*" holds for the labels without their own; a label with no entry at all has no cost."""
    task = with_costs(TAGS, every={"false_negative": 2.0}, x={"false_positive": 3.0})
    assert (task.cost_of("x"), task.cost_of("y")) == (Cost(false_positive=3.0), Cost(false_negative=2.0))
    assert with_costs(TAGS, x={}).cost_of("y") is None


def test_costs_stay_through_a_students_record() -> None:
    """A task written as JSON and read again has the same costs."""
    task = with_costs(CHOICE, every={"review": 0.25}, sad={"false_negative": 3.0, "review": 0.25})
    assert Task.model_validate_json(task.model_dump_json()) == task
