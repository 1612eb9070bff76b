"""The sentences that bear a document's answer: their parts add up to the logit, exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipelines.encode import Texts, Tokens
from pipelines.heads import Head, chances, pooled, summed
from pipelines.lexicon import Lexicon
from pipelines.shares import SHOWN, shares, token_parts
from suites.types import Finding, Task

CHOICE = Task(name="verdict", kind="choice", labels=["good", "bad", "ugly"], question="Which is it?")
TAGS = Task(name="flags", kind="tags", labels=["good", "bad", "ugly"], question="Which are they?")
EVIDENCE = Task(name="evidence", kind="spans", answered_by="share", of="verdict", labels=["good", "bad", "ugly"], question="Which sentences?")
RNG = np.random.default_rng(5)


def tokens(n: int) -> Tokens:
    starts = np.arange(n, dtype=np.int32) * 2
    return Tokens(RNG.integers(5, 20, n).astype(np.int32), starts, starts + 1, np.arange(n, dtype=np.int32))


LEXICON = Lexicon(np.arange(3, 15, dtype=np.int32), RNG.normal(size=(12, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32))


@pytest.mark.parametrize("task", [CHOICE, TAGS], ids=["choice", "tags"])
@pytest.mark.parametrize("lexicon", [None, LEXICON], ids=["alone", "with lexicon"])
def test_the_parts_of_all_tokens_and_the_biases_are_the_logits(task: Task, lexicon: Lexicon | None) -> None:
    """For each text the sum over its tokens, with the biases, is the logit that the answer is given by."""
    head = Head(task, RNG.normal(size=(3, 8)).astype(np.float32), RNG.normal(size=3).astype(np.float32), temperature=1.7, lexicon=lexicon)
    texts = Texts.of([tokens(n) for n in (40, 1, 300, 0, 17)])
    rows = RNG.normal(size=(len(texts.tokens), 3)).astype(np.float32)
    ranges = [slice(int(a), int(b)) for a, b in zip(texts.begins[:-1], texts.begins[1:], strict=True)]
    wanted = pooled(rows, ranges) + head.bias
    biases = head.bias.copy()
    if lexicon is not None:
        wanted, biases = wanted + lexicon.logits(texts.tokens.ids, ranges), biases + lexicon.bias
    np.testing.assert_allclose(summed(token_parts(head, rows, texts), ranges) + biases / 1.7, wanted / 1.7, atol=2e-5)


def test_the_sentences_that_speak_most_for_the_answer_are_shown() -> None:
    """At most three, the strongest first; their numbers are leads over the likeliest other label and add up with the rest to the difference of the logits."""
    # the lexicon knows no piece of the text, and its bias makes the third label the rival
    lexicon = Lexicon(np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.array([0.0, 0.0, 5.0], np.float32))
    biases = np.array([0.3, 0.1, -0.2], np.float32)
    head = Head(CHOICE, np.zeros((3, 4), np.float32), biases, temperature=2.0, lexicon=lexicon)
    texts = Texts.of([tokens(50)])
    rows = RNG.normal(size=(50, 3)).astype(np.float32)
    rows[:, 1] += 1.0
    sentences = [(i, i + 10) for i in range(0, 100, 10)]
    answer = Finding("verdict", "bad", 0.9, 0, 100)
    (found,) = shares(EVIDENCE, head, token_parts(head, rows, texts), texts, [sentences], [[answer]])
    assert len(found) == SHOWN
    assert [f.number for f in found] == sorted((f.number or 0.0 for f in found), reverse=True)
    assert {(f.task, f.label, f.source) for f in found} == {("evidence", "bad", "student")}
    total = biases + lexicon.bias
    logits = (rows.mean(axis=0) + total) / 2.0
    assert max((0, 2), key=lambda k: logits[k]) == 2
    rival = max((0, 2), key=lambda k: logits[k])
    leads = [(rows[i : i + 5, 1] - rows[i : i + 5, rival]).sum() / 50 / 2.0 for i in range(0, 50, 5)]
    assert [round(float(lead), 4) for lead in sorted(leads, reverse=True)[:SHOWN]] == [f.number for f in found]
    assert sum(leads) + (total[1] - total[rival]) / 2.0 == pytest.approx(logits[1] - logits[rival], abs=1e-5)
    assert all(f.score == pytest.approx((f.number or 0) / sum(x for x in leads if x > 0), abs=1e-3) for f in found)


def test_neighbours_change_no_digit() -> None:
    """What is shown of a text is the same in every digit whether it is asked alone or among others."""
    head = Head(CHOICE, np.zeros((3, 4), np.float32), np.zeros(3, np.float32), lexicon=LEXICON)
    each = [tokens(n) for n in (40, 7, 90)]
    rows = [RNG.normal(size=(len(t), 3)).astype(np.float32) for t in each]
    sentences = [[(i, min(i + 14, 2 * len(t))) for i in range(0, 2 * len(t), 14)] for t in each]
    answers = [[Finding("verdict", "good", 0.9, 0, 2 * len(t))] for t in each]
    together = shares(EVIDENCE, head, token_parts(head, np.concatenate(rows), Texts.of(each)), Texts.of(each), sentences, answers)
    alone = []
    for t, r, own, answer in zip(each, rows, sentences, answers, strict=True):
        alone += shares(EVIDENCE, head, token_parts(head, r, Texts.of([t])), Texts.of([t]), [own], [answer])
    assert together == alone


def test_cues_move_a_choice_by_their_weights() -> None:
    """What a cue adds to the logits is its row of weights, before the temperature."""
    task = Task(name="state", kind="choice", scope="span", of="things", labels=["here", "gone"], question="Is it here?")
    cues = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], np.float32)
    head = Head(task, np.zeros((2, 4), np.float32), np.zeros(2, np.float32), temperature=2.0, cues=cues)
    texts, rows = Texts.of([tokens(4)]), np.zeros((4, 2), np.float32)
    said = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.float32)
    found = chances(head, rows, texts, [[(0, 2), (2, 4), (4, 6)]], said)
    expected = [1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(0.5)), 0.5]
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)
    assert np.array_equal(chances(dataclasses.replace(head, cues=np.zeros((0, 0), np.float32)), rows, texts, [[(0, 2)]], said[:1]), [[0.5, 0.5]])
