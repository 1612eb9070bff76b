"""ConText as data: how far cues reach, what stops them, and what a head learns of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines.context import Said, features
from pipelines.fit_cues import BELIEF, believed, fit_cues
from pipelines.rules import Rules
from suites.errors import PackError
from suites.types import Finding, Task

STATE = Task(
    name="state",
    kind="choice",
    scope="span",
    of="things",
    labels=["affirmed", "negated", "family"],
    question="What is said of it?",
    within={"parts/RELATIVES": "family"},
)
CUES: Sequence[Mapping[str, object]] = (
    {"label": "state/negated", "id": "no", "pattern": "no", "direction": "forward"},
    {"label": "state/negated", "id": "denies", "pattern": "denies", "direction": "forward", "max_words": 3},
    {"label": "state/negated", "id": "ruled_out", "pattern": [{"LOWER": {"IN": ["is", "was"]}}, {"LOWER": "ruled"}, {"LOWER": "out"}], "direction": "backward"},
    {"label": "state/family", "id": "sister", "pattern": "sister", "direction": "both"},
    {"label": "state", "id": "but", "pattern": "but", "direction": "stop"},
    {"label": "state/negated", "id": "nor", "pattern": "however", "direction": "stop"},
    {"label": "state/negated", "id": "no_increase", "pattern": "no increase", "direction": "none"},
)


def rules(folder: Path, cues: Sequence[Mapping[str, object]] = CUES) -> Rules:
    (folder / "context.jsonl").write_text("".join(json.dumps(cue) + "\n" for cue in cues), encoding="utf-8")
    return Rules(folder, "en", [STATE])


@pytest.mark.parametrize(
    ("text", "thing", "labels"),
    [
        ("There is no fever.", "fever", {"negated"}),
        ("There is NO fever.", "fever", {"negated"}),
        ("There is fever and no cough.", "fever", set()),
        ("No fever but cough.", "cough", set()),
        ("No fever however cough.", "cough", set()),
        ("No fever. Cough is present.", "Cough", set()),
        ("No fever\nCough", "Cough", set()),
        ("He denies fever, cough and rash.", "fever", {"negated"}),
        ("He denies fever, cough and rash.", "rash", set()),
        ("Pneumonia was ruled out.", "Pneumonia", {"negated"}),
        ("Pneumonia but embolism was ruled out.", "Pneumonia", set()),
        ("Asthma in a sister with eczema.", "Asthma", {"family"}),
        ("Asthma in a sister with eczema.", "eczema", {"family"}),
        ("His sister has no asthma.", "asthma", {"negated", "family"}),
        ("Sister well however no asthma.", "asthma", {"negated", "family"}),
        ("No increase in pain.", "pain", set()),
        ("Is   ruled    out: no. Pneumonia  was   ruled out.", "Pneumonia", {"negated"}),
    ],
)
def test_a_cue_speaks_of_what_it_reaches(tmp_path: Path, text: str, thing: str, labels: set[str]) -> None:
    """A cue says its label of what stands in its direction in its sentence, up to a stop and to its bound; of overlapping cues the longest speaks."""
    ruled = rules(tmp_path).read(text)
    start = text.index(thing)
    (row,) = features(STATE, [(start, start + len(thing))], ruled.said, ruled.findings, STATE.within)
    assert {STATE.labels[k] for k in np.flatnonzero(row[:3])} == labels
    assert not row[3:].any()


def test_a_section_says_what_the_task_states(tmp_path: Path) -> None:
    """Lying inside a finding of rules that `within` names is a feature of its own, and nothing outside has it."""
    text = "Mother: asthma. Today: cough."
    ruled = [Finding("parts", "RELATIVES", 1.0, 0, 15, "rule"), Finding("parts", "TODAY", 1.0, 16, len(text), "rule")]
    inside, outside = features(STATE, [(8, 14), (23, 28)], [], ruled, STATE.within)
    assert [STATE.labels[k - 3] for k in np.flatnonzero(inside)] == ["family"]
    assert not outside.any()


def test_features_agree_with_looking_at_each_pair() -> None:
    """However many cues and spans there are, what is said of each span is what the plain comparison of all pairs gives."""
    rng = np.random.default_rng(1)
    said = [Said("state", str(rng.choice(STATE.labels)), int(a), int(a + n)) for a, n in zip(rng.integers(0, 900, 200), rng.integers(1, 60, 200), strict=True)]
    ranges = [(int(a), int(a + n)) for a, n in zip(rng.integers(0, 950, 300), rng.integers(1, 9, 300), strict=True)]
    made = features(STATE, ranges, said, [], {})
    for (start, end), row in zip(ranges, made, strict=True):
        assert [bool(row[k]) for k in range(3)] == [any(s.label == label and s.start < end and start < s.end for s in said) for label in STATE.labels]


def test_cues_of_the_same_words_all_speak(tmp_path: Path) -> None:
    """Two cues on one word say both their labels; a longer one still silences both."""
    more = [{"label": "state/family", "id": "no_too", "pattern": "no", "direction": "forward"}]
    ruled = rules(tmp_path, [*CUES, *more]).read("No fever. No increase in pain.")
    assert {(s.label, s.start) for s in ruled.said} == {("negated", 3), ("family", 3)}


@pytest.mark.parametrize(
    ("cue", "told"),
    [
        ({"label": "state/negated", "id": "no", "pattern": "no", "direction": "left"}, "direction 'left' is none of forward, backward"),
        ({"label": "state", "id": "no", "pattern": "no", "direction": "forward"}, "says nothing: write it as TASK/LABEL"),
        ({"label": "state/negated", "id": "no", "direction": "forward"}, "it lacks 'pattern'"),
        ({"label": "state/negated", "id": "no", "pattern": "no", "direction": "forward", "max_words": 0}, "max_words is a whole number"),
        ({"label": "state/negated", "id": "no", "pattern": [{"LOWER": {"REGEX": "(a)\\1"}}], "direction": "forward"}, "RE2"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, cue: Mapping[str, object], told: str) -> None:
    """The error of a bad cue names file, line, rule and reason."""
    with pytest.raises(PackError, match=told) as caught:
        rules(tmp_path, [*CUES, cue])
    assert f"context.jsonl:{len(CUES) + 1}: rule 'no'" in caught.value.message


def test_a_text_of_cues_alone_is_read_in_linear_time(tmp_path: Path) -> None:
    """Twice the cues take about twice the time, in one endless sentence too."""
    read = rules(tmp_path).read
    read("no " * 100)

    def seconds(n: int) -> float:
        started = time.process_time()
        ruled = read("no sister " * n)
        features(STATE, [(i, i + 2) for i in range(0, 10 * n, 10)], ruled.said, ruled.findings, STATE.within)
        return time.process_time() - started

    short, long = min(seconds(3_000) for _ in range(3)), min(seconds(12_000) for _ in range(3))
    assert long < 10 * short  # four times the text; quadratic would be sixteen


def test_without_dev_cues_are_believed_and_with_it_they_are_weighed() -> None:
    """With no answers the weights are the belief; a cue that is always right gains weight, one that is always wrong loses it."""
    none, unshifted = fit_cues(STATE, np.zeros((0, 3), np.float32), np.zeros((0, 6), np.float32), np.zeros(0, np.int32))
    np.testing.assert_allclose(none, believed(3), atol=1e-4)
    assert not unshifted.any()
    cues = np.zeros((200, 6), np.float32)
    cues[:100, 1] = 1.0
    wanted = np.where(np.arange(200) < 100, 1, 0).astype(np.int32)
    right, _ = fit_cues(STATE, np.zeros((200, 3), np.float32), cues, wanted)
    wrong, _ = fit_cues(STATE, np.zeros((200, 3), np.float32), cues, 1 - wanted)
    assert right[1, 1] > BELIEF > wrong[1, 1]
    assert right[1, 1] - right[1, 0] > 3 > 0 > wrong[1, 1] - wrong[1, 0]


def test_a_label_given_too_readily_without_a_word_for_it_is_shifted_down() -> None:
    """The head prefers label 2 where no cue speaks and gold has label 0: the shift holds it back. Where no cue speaks anywhere nothing is shifted."""
    logits = np.tile(np.array([0.0, -3.0, 0.5], np.float32), (200, 1))
    cues = np.zeros((200, 6), np.float32)
    cues[:40, 2] = 1.0
    wanted = np.where(np.arange(200) < 40, 2, 0).astype(np.int32)
    weights, shift = fit_cues(STATE, logits, cues, wanted)
    assert shift[2] < 0 < shift[0]
    assert ((logits + shift + cues @ weights).argmax(axis=1) == wanted).all()
    _, unshifted = fit_cues(STATE, logits, np.zeros_like(cues), wanted)
    assert not unshifted.any()
