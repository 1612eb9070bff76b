"""Heads: findings from token states, exact shares of sentences, and texts with nothing in them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.calibrate import abstain
from pipelines.encode import Floats, TextEncoder, Texts, Tokens
from pipelines.heads import Head, answer_spans, chance_right, chances, found_ranges, logit, n_outputs, pooled, range_scores, sigmoid, softmax
from pipelines.predict import make_predictor
from pipelines.rules import Rules
from pipelines.student import Student
from pipelines.targets import IGNORED, bio_tags
from suites.discover import Pack, find_pack
from suites.samples import read_samples
from suites.types import Cost, Document, Finding, Task

SPANS = Task(name="things", kind="spans", labels=("A", "B", "C"), question="Which things are named?")
CHOICE = Task(name="mood", kind="choice", labels=("glad", "sad", "none"), question="Which mood is it?")
TAGS = Task(name="flags", kind="tags", labels=("x", "y"), question="Which flags are set?")
HIDDEN = 8


def tokens_of(word_lengths: list[int]) -> Tokens:
    """Tokens of words of so many pieces; a piece is two characters, a space stands between words."""
    words = [w for w, n in enumerate(word_lengths) for _ in range(n)]
    starts = np.array([2 * i + w for i, w in enumerate(words)], np.int32)
    return Tokens(np.zeros(len(words), np.int32), starts, starts + 2, np.array(words, np.int32))


@st.composite
def tagged_texts(draw: st.DrawFn) -> tuple[Tokens, list[Finding]]:
    """A text's tokens, and spans that begin and end with its words."""
    tokens = tokens_of(draw(st.lists(st.integers(1, 3), min_size=1, max_size=20)))
    cuts = sorted(draw(st.sets(st.integers(0, int(tokens.words[-1]) + 1), max_size=10)))
    spans = []
    for first, after in pairwise(cuts):
        if draw(st.booleans()):
            inside = np.flatnonzero((tokens.words >= first) & (tokens.words < after))
            spans.append(Finding("things", draw(st.sampled_from(SPANS.labels)), 1.0, int(tokens.starts[inside[0]]), int(tokens.ends[inside[-1]])))
    return tokens, spans


def head(task: Task, seed: int = 1, **options: Any) -> Head:
    rng = np.random.default_rng(seed)
    return Head(task, rng.normal(size=(n_outputs(task), HIDDEN)).astype(np.float32), rng.normal(size=n_outputs(task)).astype(np.float32), **options)


def states(n: int, seed: int = 2) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, HIDDEN)).astype(np.float32)


def spans_of(head: Head, logits: Floats, tokens: Tokens) -> list[Finding]:
    """A spans task's findings in one text."""
    (found,) = answer_spans(head, logits, Texts.of([tokens]))
    return found


def ranges_of(head: Head, logits: Floats, tokens: Tokens, ranges: list[tuple[int, int]]) -> list[Finding]:
    """A choice or tags task's findings in one text."""
    (found,) = found_ranges(head, chances(head, logits, Texts.of([tokens]), [ranges]), [ranges])
    return found


@given(tagged_texts())
def test_spans_come_back_from_their_tags(text: tuple[Tokens, list[Finding]]) -> None:
    """Spans written as BIO tags and read again are the same spans, adjacent ones of one label too."""
    tokens, spans = text
    tags = bio_tags(spans, {label: i for i, label in enumerate(SPANS.labels)}, tokens)
    logits = np.full((len(tokens), n_outputs(SPANS)), -20.0, np.float32)
    judged = np.flatnonzero(tags != IGNORED)
    logits[judged, tags[judged]] = 20.0
    outputs = n_outputs(SPANS)
    found = spans_of(Head(SPANS, np.eye(outputs, dtype=np.float32), np.zeros(outputs, np.float32)), logits, tokens)
    assert found == spans


def test_a_span_inside_a_word_takes_the_word() -> None:
    """A gold range that cuts a word is tagged as the whole word, and only first pieces carry a tag."""
    tokens = tokens_of([1, 3, 2])
    tags = bio_tags([Finding("things", "B", 1.0, int(tokens.starts[2]), int(tokens.ends[4]))], {"A": 0, "B": 1}, tokens)
    assert tags.tolist() == [0, 3, IGNORED, IGNORED, 4, IGNORED]


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_a_span_score_is_a_share(n_words: int, seed: int) -> None:
    """Whatever the states, spans are in order and apart, and their scores lie above 0 and not above 1."""
    tokens = tokens_of([1] * n_words)
    made = head(SPANS)
    found = spans_of(made, 5 * states(n_words, seed) @ made.weight.T, tokens)
    assert all(0.0 < f.score <= 1.0 for f in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_a_span_score_is_the_geometric_mean_of_its_words() -> None:
    """A span of words tagged with 0.5 and 0.8 has the score sqrt(0.4)."""
    logits = np.log(np.array([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]], np.float32))
    task = SPANS.model_copy(update={"labels": ("A",)})
    (found,) = spans_of(Head(task, np.eye(3, dtype=np.float32), np.zeros(3, np.float32)), logits, tokens_of([1, 1]))
    assert (found.start, found.end, found.score) == (0, 5, pytest.approx(np.sqrt(0.4), abs=1e-4))


def test_a_span_that_may_go_on_is_less_sure() -> None:
    """A span of a word tagged with 0.8, before a word that goes on with it by 0.3, has the score 0.8 times 0.7."""
    logits = np.log(np.array([[0.1, 0.8, 0.1], [0.6, 0.1, 0.3]], np.float32))
    task = SPANS.model_copy(update={"labels": ("A",)})
    (found,) = spans_of(Head(task, np.eye(3, dtype=np.float32), np.zeros(3, np.float32)), logits, tokens_of([1, 1]))
    assert (found.start, found.end, found.score) == (0, 2, pytest.approx(0.8 * 0.7, abs=1e-4))


@given(st.integers(0, 2**32 - 1))
def test_scaling_spans_changes_their_scores_alone(seed: int) -> None:
    """With a and b the same spans are found, scored sigmoid(a logit(s) + b); 1 and 0 leave the scores."""
    tokens = tokens_of([1] * 30)
    made = head(SPANS)
    logits = states(30, seed) @ made.weight.T
    plain, same, scaled = (spans_of(replace(made, platt=platt), logits, tokens) for platt in (None, (1.0, 0.0), (0.5, -1.0)))
    assert [replace(f, score=0.0) for f in plain] == [replace(f, score=0.0) for f in scaled]
    np.testing.assert_allclose([f.score for f in same], [f.score for f in plain], atol=1e-4)
    for before, after in zip(plain, scaled, strict=True):
        if 0.02 < before.score < 0.98:  # near 0 and 1 the fourth digit of a score decides its logit's second
            assert after.score == pytest.approx(1 / (1 + np.exp(1.0 - 0.5 * np.log(before.score / (1 - before.score)))), abs=3e-4)


@given(st.integers(0, 2**32 - 1), st.floats(-2.0, 2.0), st.floats(-4.0, 4.0))
def test_scaling_a_choice_changes_its_scores_alone(seed: int, a: float, b: float) -> None:
    """Whatever a and b, the likeliest label stays it, the scores are shares that add up to 1, and the others keep their proportions."""
    logits = np.random.default_rng(seed).normal(0, 4, (20, 3)).astype(np.float32)
    before, after = range_scores(CHOICE, logits), range_scores(CHOICE, logits, (a, b))
    best = before.argmax(axis=1)
    np.testing.assert_array_equal(after.argmax(axis=1), best)
    np.testing.assert_allclose(after.sum(axis=1), 1.0, atol=1e-5)
    assert (after >= 0).all()
    for row, scaled, top in zip(before, after, best, strict=True):
        first, second = np.delete(row, top)
        np.testing.assert_allclose(np.delete(scaled, top) * (first + second), (1 - scaled[top]) * np.array([first, second]), atol=1e-5)
        chance = 1 / (1 + np.exp(-(a * float(logit(row[top])) + b)))
        # no lower than where the next label would overtake it
        least = max(first, second) / (first + second + max(first, second))
        assert scaled[top] == pytest.approx(max(chance, least), abs=1e-5)


def test_a_choice_that_is_certain_can_be_scaled() -> None:
    """A label whose rivals have no share at all left is scaled without a division by zero."""
    (scores,) = range_scores(CHOICE, np.array([[500.0, 0.0, 0.0]], np.float32), (0.5, -1.0))
    assert scores.argmax() == 0 and np.isfinite(scores).all()


def test_a_share_and_its_logit() -> None:
    """`logit` undoes `sigmoid`, and 0 and 1 have finite logits."""
    shares = np.array([0.01, 0.5, 0.99], np.float32)
    np.testing.assert_allclose(sigmoid(logit(shares)), shares, rtol=1e-5)
    assert np.isfinite(logit(np.array([0.0, 1.0], np.float32))).all()
    assert chance_right(shares, None) is shares


def costly(task: Task, cost: Cost) -> Task:
    return task.model_copy(update={"cost": {"*": cost}})


LOOK = Cost(false_positive=2.0, false_negative=2.0, review=0.5)


@given(st.integers(0, 2**32 - 1))
def test_unsure_tags_are_those_of_the_band(seed: int) -> None:
    """A given tag is unsure just where 1 - p > review / fp; below the threshold none is given, in the band or not."""
    tokens = tokens_of([1] * 40)
    ranges = [(int(a), int(b)) for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    made = head(costly(TAGS, LOOK), abstain=abstain(costly(TAGS, LOOK)))
    found = ranges_of(made, states(40, seed) @ made.weight.T, tokens, ranges)
    assert all(f.score >= 0.5 for f in found)
    assert [f.unsure for f in found if abs(f.score - 0.75) > 1e-3] == [f.score < 0.75 for f in found if abs(f.score - 0.75) > 1e-3]


@given(st.integers(0, 2**32 - 1))
def test_an_unsure_choice_costs_more_than_a_look(seed: int) -> None:
    """A choice is unsure just where the chances of the other labels, each times what missing it costs, add up to more than a look."""
    tokens = tokens_of([1] * 40)
    ranges = [(int(a), int(b)) for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    task = CHOICE.model_copy(update={"cost": {"*": Cost(review=0.3), "sad": Cost(false_negative=4.0, review=0.3)}})
    made = head(task, abstain=abstain(task))
    logits = states(40, seed) @ made.weight.T
    chances = softmax(logits + made.bias)
    for finding, row in zip(ranges_of(made, logits, tokens, ranges), chances, strict=True):
        expected = sum(p * miss for p, miss, label in zip(row, (1.0, 4.0, 1.0), task.labels, strict=True) if label != finding.label)
        if abs(expected - 0.3) > 1e-3:
            assert finding.unsure == (expected > 0.3)


@given(st.integers(0, 2**32 - 1))
def test_spans_with_costs_are_dropped_or_unsure(seed: int) -> None:
    """Of spans with costs those below the threshold go, and of the rest those are unsure whose 1 - p > review / fp; without costs all stay, sure."""
    tokens = tokens_of([1] * 40)
    plain = head(SPANS)
    logits = states(40, seed) @ plain.weight.T
    made = replace(plain, task=costly(SPANS, LOOK), thresholds=(0.5, 0.0, 0.5), abstain=abstain(costly(SPANS, LOOK)))
    everything = spans_of(plain, logits, tokens)
    assert not any(f.unsure for f in everything)
    near = [f for f in everything if min(abs(f.score - 0.5), abs(f.score - 0.75)) < 1e-3]
    kept = [replace(f, unsure=f.score < 0.75) for f in everything if f.label == "B" or f.score >= 0.5]
    if not near:
        assert spans_of(made, logits, tokens) == kept


def test_a_document_is_the_mean_of_its_sentences(toy_pack: Pack, tiny_encoder: Path) -> None:
    """A document's logits are the mean of its sentences' logits, weighted by their tokens, to 1e-5."""
    encoder, rules = TextEncoder(tiny_encoder), Rules()
    for example in read_samples(toy_pack)[:10]:
        text = example.document.text
        (tokens,) = encoder.tokens([text])
        logits = states(len(tokens)) @ head(CHOICE).weight.T
        sentences = tokens.between(rules.read(text).sentences)
        shares = np.array([s.stop - s.start for s in sentences]) / len(tokens)
        assert len(sentences) > 1
        assert shares.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(pooled(logits, tokens.between([(0, len(text))]))[0], shares @ pooled(logits, sentences), atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0, 4.0]))
def test_a_choice_is_one_answer_a_range(seed: int, temperature: float) -> None:
    """A choice gives each range one finding, whose score is the largest of probabilities that add up to 1."""
    tokens = tokens_of([1] * 12)
    made = head(CHOICE, temperature=temperature)
    logits = states(12, seed) @ made.weight.T
    ranges = [(0, int(tokens.ends[-1])), (0, 11), (12, 20), (100, 120)]
    found = ranges_of(made, logits, tokens, ranges)
    scores = softmax((pooled(logits, tokens.between(ranges)) + made.bias) / temperature)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-6)
    assert [(f.start, f.end) for f in found] == ranges
    assert [f.label for f in found] == [CHOICE.labels[k] for k in scores.argmax(axis=1)]
    np.testing.assert_allclose([f.score for f in found], scores.max(axis=1), atol=1e-4)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_tag_is_given_from_its_threshold_on(seed: int, threshold: float) -> None:
    """The tags given are those whose score reaches their label's threshold."""
    tokens = tokens_of([1] * 5)
    made = head(TAGS, thresholds=(threshold, 0.5))
    logits = 2 * states(5, seed) @ made.weight.T
    found = ranges_of(made, logits, tokens, [(0, int(tokens.ends[-1]))])
    scores = sigmoid(pooled(logits, [slice(0, 5)]) + made.bias)[0]
    assert {f.label for f in found} == {label for label, score, t in zip(TAGS.labels, scores, (threshold, 0.5), strict=True) if score >= t}


@given(st.lists(st.lists(st.integers(1, 3), max_size=9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_texts_are_answered_as_if_each_were_alone(lengths: list[list[int]], seed: int) -> None:
    """In every digit: what a text's words, sentences and spans are given does not depend on the texts before and after, empty ones among them."""
    texts = [tokens_of(own) for own in lengths]
    costly_choice = costly(CHOICE, LOOK)
    asked = [head(costly(SPANS, LOOK), abstain=abstain(costly(SPANS, LOOK)), platt=(0.8, 0.1)), head(costly_choice, abstain=abstain(costly_choice)), head(TAGS)]
    # spans that go on: without a boundary one text's last would join the next one's first
    follows = np.random.default_rng(seed).normal(size=(8, 7)).astype(np.float32)
    asked[0] = replace(asked[0], bias=np.array([-4, 0, 2, 0, 2, 0, 2], np.float32), transitions=follows)
    ranges = [[(0, int(t.ends[-1])), (0, 3), (4, 4), (3, 9)] if len(t) else [(0, 0)] for t in texts]
    rows = [4 * states(len(t), seed + i) for i, t in enumerate(texts)]
    for made in asked:
        logits = [row @ made.weight.T for row in rows]
        if made.task.kind == "spans":
            found = answer_spans(made, np.concatenate(logits), Texts.of(texts))
            assert found == [spans_of(made, own, t) for own, t in zip(logits, texts, strict=True)]
        else:
            found = found_ranges(made, chances(made, np.concatenate(logits), Texts.of(texts), ranges), ranges)
            assert found == [ranges_of(made, own, t, r) for own, t, r in zip(logits, texts, ranges, strict=True)]


@pytest.mark.filterwarnings("error")
def test_extreme_logits_are_scored() -> None:
    """Logits of any size have scores, without an overflow."""
    assert sigmoid(np.array([-2000.0, 0.0, 2000.0], np.float32)).tolist() == [0.0, 0.5, 1.0]
    assert softmax(np.array([[-2000.0, 2000.0]], np.float32)).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("text", ["", " ", "\n \t\n", "\u200b"])
def test_a_text_without_tokens_is_answered(toy_pack: Pack, toy_student: tuple[Path, Student], text: str) -> None:
    """A text with nothing to read gets its document's answer over the whole text, and no span."""
    (reading,) = make_predictor(toy_pack, toy_student[1]).predict([Document("1", text)])
    assert not reading.failed
    (topic,) = [f for f in reading.findings if f.task == "topic"]
    assert (topic.start, topic.end) == (0, len(text))
    assert {f.task for f in reading.findings} <= {"topic", "flags", "mood", "handling", "disguises"}


def test_no_ranges_give_no_findings() -> None:
    """A task that is asked of nothing answers nothing."""
    assert ranges_of(head(CHOICE), states(3) @ head(CHOICE).weight.T, tokens_of([1, 1, 1]), []) == []


def test_a_too_long_document_fails_alone(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A document over max_chars fails with a reason without its text, and its neighbours are read."""
    predictor = make_predictor(toy_pack, toy_student[1])
    sample = read_samples(toy_pack)[0].document
    long = Document("2", "word " * (toy_pack.manifest.text.max_chars // 5 + 1))
    readings = list(predictor.predict([sample, long, replace(sample, id="3")]))
    assert [(r.document_id, r.stage, r.code) for r in readings] == [(sample.id, "", ""), ("2", "clean", "too_long"), ("3", "", "")]
    assert "word" not in readings[1].reason
    assert readings[0].findings == readings[2].findings


def test_the_pack_says_how_long_a_document_may_be(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A pack whose max_chars was raised reads longer documents with the student it has."""
    limits = toy_pack.manifest.text
    raised = replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"text": limits.model_copy(update={"max_chars": limits.max_chars + 100})}))
    document = Document("1", "word " * (limits.max_chars // 5 + 1))
    assert [next(make_predictor(pack, toy_student[1]).predict([document])).code for pack in (toy_pack, raised)] == ["too_long", ""]


def test_a_lone_surrogate_fails_alone(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A document that the tokenizer cannot take fails alone, and its neighbours are read."""
    sample = read_samples(toy_pack)[0].document
    readings = list(make_predictor(toy_pack, toy_student[1]).predict([sample, Document("2", "a \ud800 b")]))
    assert [r.failed for r in readings] == [False, True]


HOOKS = {
    "clean gives bytes": "def clean(text):\n    return text.encode()\n",
    "clean gives half a pair": "def clean(text):\n    return text[1:] + chr(0xD800)\n",
    "refine gives a page that is none": "from dataclasses import replace\ndef refine(text, findings):\n    return [replace(f, page='x') for f in findings]\n",
    "clean gives nothing": "def clean(text):\n    return None\n",
    "refine gives nothing": "def refine(text, findings):\n    return None\n",
    "refine raises late": "def refine(text, findings):\n    yield from [1 / 0]\n",
}


@pytest.mark.parametrize("code", HOOKS.values(), ids=HOOKS.keys())
def test_a_bad_hook_fails_its_document(toy_folder: Path, toy_student: tuple[Path, Student], tmp_path: Path, code: str) -> None:
    """A hook that gives back no text or no findings is a failure with stage and code, not an exception."""
    shutil.copytree(toy_folder / "toy", tmp_path / "toy")
    (tmp_path / "toy" / "hooks.py").write_text(code, encoding="utf-8")
    pack = find_pack("toy", [tmp_path])
    documents = [e.document for e in read_samples(pack)[:3]]
    assert [reading.code for reading in make_predictor(pack, toy_student[1]).predict(documents)] == ["hook_failed"] * 3
