"""Disguised messages: what people still read and machines should, and what a policy costs on labelled ones."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from pipelines.attacks import ATTACKS, INVISIBLE, LOOK_ALIKES, attacked, hardening
from pipelines.policy_score import policy_score
from pipelines.skeleton import skeleton
from suites.types import Document, Example, Finding, Policy, Robustness, Task

PLAN = Robustness(task="verdict", benign="good", copies=2)
BENIGN = ["The meeting is on Monday at ten in the small room upstairs. " * 5, "Thanks for lunch."]
TEXT = "Please verify your account now at http://bank.example/login or it will be closed. Call Anna."


def example(number: int, label: str, text: str = TEXT) -> Example:
    text = f"{text} {number}"
    gold = [Finding("verdict", label, 1.0, 0, len(text)), Finding("ask", "credentials", 1.0, 0, 20)]
    return Example(Document(f"d{number}", text), tuple(gold), frozenset({"verdict", "ask"}), "set")


@pytest.mark.parametrize("name", ["homoglyphs", "invisible"])
def test_look_alikes_look_alike(name: str) -> None:
    """Disguised letters are drawn as they were, invisible characters are not seen: the skeleton is the message, and addresses stay."""
    text = ATTACKS[name](TEXT, random.Random(3), [])
    assert text != TEXT
    assert skeleton(text).text == TEXT
    assert "http://bank.example/login" in text


def test_all_look_alikes_are_those_of_unicode() -> None:
    """Each look-alike letter has the Latin one as its skeleton inside a word of Latin letters."""
    assert {plain: skeleton(f"pa{other}al").text for plain, other in LOOK_ALIKES.items()} == {plain: f"pa{plain}al" for plain in LOOK_ALIKES}
    assert all(skeleton(f"pay{c}pal").text == "paypal" for c in INVISIBLE)


def test_leet_changes_letters_for_signs_alone() -> None:
    """Every character that leet changed is a digit or sign, and all lengths stay."""
    text = ATTACKS["leet"](TEXT, random.Random(5), [])
    assert len(text) == len(TEXT) and text != TEXT
    assert all(a == b or b in "0123456789@!|$+" for a, b in zip(TEXT, text, strict=True))


def test_harmless_text_stands_around_the_message() -> None:
    """The message stands whole, with text of harmless ones before or after it."""
    texts = {ATTACKS["benign_text"](TEXT, random.Random(i), BENIGN) for i in range(12)}
    assert all(TEXT in text and len(text) > len(TEXT) for text in texts)
    assert {text.startswith(TEXT) for text in texts} == {True, False}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_keeps_the_verdict_alone(name: str) -> None:
    """Attacked examples have the gold of the task alone, over the whole new text; the same seed gives the same; harmless ones stay as they are."""
    examples = [example(1, "bad"), example(2, "good")]
    first, second = attacked(examples, PLAN, name, 1, BENIGN), attacked(examples, PLAN, name, 1, BENIGN)
    assert first == second
    assert first != attacked(examples, PLAN, name, 2, BENIGN)
    assert [(f.task, f.label, f.start, f.end) for e in first for f in e.gold] == [
        ("verdict", "bad", 0, len(first[0].document.text)),
        ("verdict", "good", 0, len(first[1].document.text)),
    ]
    assert first[0].document.text != examples[0].document.text
    assert first[1].document.text == examples[1].document.text
    assert all(e.tasks == {"verdict"} for e in first)


def test_hardening_makes_copies_of_what_is_hostile() -> None:
    """Of each hostile message so many disguised copies are learned as the plan says, all kinds among many, none of harmless ones; without a plan none."""
    examples = [example(i, "bad" if i % 2 else "good") for i in range(40)]
    made = hardening(examples, PLAN, 1)
    assert len(made) == 2 * 20
    assert {f.label for e in made for f in e.gold} == {"bad"}
    assert made == hardening(examples, PLAN, 1)
    assert not hardening(examples, None, 1)


ACTION = Task(name="action", kind="choice", answered_by="policy", labels=["pass", "block"], question="What to do?")
POLICY = Policy(task="action", of="verdict", cost={"good": {"pass": 0.0, "block": 1.0}, "bad": {"pass": 10.0, "block": 0.0}})


def decided(outcome: str, risk: float) -> Sequence[Finding]:
    return [Finding("action", outcome, 1.0, 0, 5, number=risk)]


def test_a_policy_is_scored_by_what_it_costs() -> None:
    """The cost is that of each outcome under gold; the riskiest are ranked; a constant outcome is the yardstick."""
    gold = ["bad"] * 10 + ["good"] * 30
    found = [decided("block", 9.0)] * 8 + [decided("pass", 1.0)] * 2 + [decided("block", 8.0)] * 2 + [decided("pass", 0.1)] * 28
    score = policy_score(POLICY, ACTION, gold, found)
    assert score is not None
    assert score.cost_per_1000 == 1000 * (2 * 10 + 2 * 1) / 40
    assert score.constant_per_1000 == {"pass": 2500.0, "block": 750.0}
    assert score.outcomes == {"block": 10, "pass": 30}
    assert score.precision_at == {10: 0.8}
    assert (score.n, score.base_rate) == (40, 0.25)
    assert policy_score(POLICY, ACTION, [], []) is None


@pytest.mark.parametrize("text", ["@" * 200_000, "a@" * 100_000, "a" * 200_000, "@." * 100_000])
def test_runs_without_end_are_attacked_in_linear_time(text: str) -> None:
    """A run of letters or signs without an end costs as much as its length."""
    started = time.process_time()
    ATTACKS["leet"](text, random.Random(1), [])
    assert time.process_time() - started < 5
