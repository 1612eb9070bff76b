"""Scores on cases small enough to count by hand, and temperatures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.calibrate import LEXICON_SCALES, MIN_ANSWERS, TEMPERATURES, calibrated
from pipelines.encode import Floats, Inputs, Window
from pipelines.heads import Head
from pipelines.lexicon import Lexicon
from pipelines.metrics import score_task
from pipelines.targets import Encoded, Target
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
    joined = score_task(CHOICE, gold, found, {"none": "glad"})
    assert joined.score == 1.0
    assert joined.labels.keys() == {"glad", "sad"}


@pytest.mark.parametrize("task", [CHOICE, TAGS, SPANS], ids=lambda t: t.kind)
def test_perfect_is_one_and_nothing_is_zero(task: Task) -> None:
    """Gold given back scores 1; no answer, and no gold, score 0."""
    gold = [findings(task, *((label, 10 * i, 10 * i + 5) for i, label in enumerate(task.labels)))]
    assert score_task(task, gold, gold).score == 1.0
    assert score_task(task, gold, [[]]).score == 0.0
    assert score_task(task, [[]], [[]]).score == 0.0


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
    assert (head.lexicon, head.temperature) == (WORDS, 2.0)
