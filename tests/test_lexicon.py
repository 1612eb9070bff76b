"""The lexicon: bags of word pieces, what they add to a head's logits, and how it is fitted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.encode import Floats, Inputs, Window
from pipelines.fit_lexicon import fit_lexicon
from pipelines.lexicon import Lexicon, bag
from pipelines.targets import Encoded, Target
from suites.types import Task

CHOICE = Task(name="mood", kind="choice", labels=("glad", "sad", "none"), question="Which mood is it?")
TAGS = Task(name="flags", kind="tags", labels=("x", "y"), question="Which flags are set?")
SPANS = Task(name="things", kind="spans", labels=("A",), question="Which things are named?")
OF_SPANS = Task(name="state", kind="choice", scope="span", of="things", labels=("here", "gone"), question="Is it there?")


@st.composite
def ranges_of_ids(draw: st.DrawFn) -> tuple[list[int], list[slice]]:
    """Word pieces, and ranges of them that may be empty, touch or overlap."""
    ids = draw(st.lists(st.integers(0, 12), max_size=40))
    cuts = draw(st.lists(st.tuples(st.integers(0, len(ids)), st.integers(0, len(ids))), max_size=5))
    return ids, [slice(min(pair), max(pair)) for pair in cuts]


def counted_plainly(lexicon: Lexicon, ids: list[int]) -> Floats:
    """A range's logits by the book, piece by piece."""
    counts = {piece: 1 + log(n) for piece, n in Counter(ids).items()}
    length = sum(v * v for v in counts.values()) ** 0.5
    weights = dict(zip(lexicon.pieces.tolist(), lexicon.weights, strict=True))
    return np.asarray(sum((v / length * weights[p] for p, v in counts.items() if p in weights), lexicon.bias), np.float32)


LEXICON = Lexicon(np.array([1, 2, 5, 9], np.int32), np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32), np.ones(3, np.float32))


@given(ranges_of_ids())
def test_logits_are_the_sum_over_the_pieces(text: tuple[list[int], list[slice]]) -> None:
    """Whatever the ranges, each gets the weights of its known pieces times their share of its bag, and the bias."""
    ids, ranges = text
    found = LEXICON.logits(np.array(ids, np.int32), ranges)
    assert found.shape == (len(ranges), 3)
    for row, r in zip(found, ranges, strict=True):
        np.testing.assert_allclose(row, counted_plainly(LEXICON, ids[r]), atol=1e-5)


@given(ranges_of_ids())
def test_a_bag_has_length_one(text: tuple[list[int], list[slice]]) -> None:
    """The values of a range's pieces, each once, square to 1."""
    ids, ranges = text
    numbers, pieces, values = bag(np.array(ids, np.int32), ranges)
    for i, r in enumerate(ranges):
        assert sorted(pieces[numbers == i].tolist()) == sorted(set(ids[r]))
        if ids[r]:
            assert np.sum(values[numbers == i] ** 2) == pytest.approx(1.0, abs=1e-5)


def test_a_lexicon_without_pieces_adds_nothing() -> None:
    """A lexicon that knows no piece says the same of every text."""
    empty = Lexicon(np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.arange(3, dtype=np.float32))
    assert empty.logits(np.array([1, 2], np.int32), [slice(0, 2), slice(0, 0)]).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_scaling_scales_what_is_added() -> None:
    """A lexicon scaled by a half adds half."""
    ids, ranges = np.array([1, 2, 2, 7], np.int32), [slice(0, 3), slice(2, 4)]
    np.testing.assert_allclose(LEXICON.scaled(0.5).logits(ids, ranges), LEXICON.logits(ids, ranges) / 2, atol=1e-6)


def example(task: Task, texts: list[list[int]], wanted: np.ndarray) -> Encoded:
    """An example of one window whose ranges are the given pieces, one after the other."""
    ids = np.array([piece for text in texts for piece in text], np.int32)
    ends = np.cumsum([0, *(len(t) for t in texts)])
    ranges = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
    row = np.array([101, *ids, 102], np.int32)
    return Encoded("made", Inputs((row,), (Window(0, len(ids), 0, len(ids)),)), len(ids), {task.name: Target(ranges, wanted)})


def test_a_choice_is_told_by_its_words() -> None:
    """Fitted on texts in which one piece tells the label, the lexicon gives each text its label; a label without examples is never the first."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 60).astype(np.int32)
    texts = [[7 + label, *rng.integers(20, 40, 6).tolist()] for label in labels.tolist()]
    lexicon = fit_lexicon(CHOICE, [example(CHOICE, texts[i : i + 3], labels[i : i + 3]) for i in range(0, 60, 3)])
    assert lexicon is not None
    logits = np.concatenate([lexicon.logits(np.array(t, np.int32), [slice(0, len(t))]) for t in texts])
    assert logits.argmax(axis=1).tolist() == labels.tolist()
    assert lexicon.pieces.tolist() == sorted({p for t in texts for p in t})


def test_tags_are_told_one_by_one() -> None:
    """Each tag is told by its own piece, whether the other is there or not."""
    wanted = np.array([[x, y] for x in (0, 1) for y in (0, 1)] * 10, np.float32)
    texts = [[30, *([7] * int(x)), *([8] * int(y))] for x, y in wanted]
    lexicon = fit_lexicon(TAGS, [example(TAGS, texts, wanted)])
    assert lexicon is not None
    logits = np.concatenate([lexicon.logits(np.array(t, np.int32), [slice(0, len(t))]) for t in texts])
    assert np.array_equal(logits > 0, wanted > 0)


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        (CHOICE, np.array([1, 1], np.int32)),
        (TAGS, np.array([[1, 0], [1, 0]], np.float32)),
        (SPANS, np.array([0, 1], np.int32)),
        (OF_SPANS, np.array([0, 1], np.int32)),
    ],
    ids=["one label", "constant tags", "spans", "over spans"],
)
def test_where_nothing_is_told_there_is_no_lexicon(task: Task, wanted: np.ndarray) -> None:
    """One label alone, tags that never change, span tasks and tasks over spans have no lexicon; nor has a task without examples."""
    assert fit_lexicon(task, [example(task, [[5], [6]], wanted)]) is None
    assert fit_lexicon(task, []) is None


def test_long_texts_are_counted_once() -> None:
    """The pieces of a text in overlapping windows are its pieces, each once and in order."""
    ids = np.arange(200, 220, dtype=np.int32)
    plan = (Window(0, 8, 0, 7), Window(6, 14, 7, 13), Window(12, 20, 13, 20))
    rows = tuple(np.array([101, *ids[w.start : w.end], 102], np.int32) for w in plan)
    assert Encoded("made", Inputs(rows, plan), 20, {}).ids.tolist() == ids.tolist()
