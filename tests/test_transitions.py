"""Transitions of BIO tags: the best sequence is the best of all, no span begins inside, and dev says what neighbours weigh."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.calibrate import TRANSITION_WEIGHTS, calibrated
from pipelines.encode import Floats, Inputs, Ints
from pipelines.finetune import with_transitions
from pipelines.heads import Head, runs, softmax
from pipelines.targets import IGNORED, Encoded, Target
from pipelines.transitions import NEVER, SURELY_OUTSIDE, best_tags, counted, legal, surprise, weighted
from suites.types import Task
from tests.test_heads import spans_of, tokens_of

THINGS = Task(name="things", kind="spans", labels=("A", "B"), question="Which things are named?")
OUTSIDE, B_A, I_A, B_B, I_B = range(5)


def chances_of(n_words: int, seed: int, sharpness: float = 2.0) -> Floats:
    return softmax(np.asarray(np.random.default_rng(seed).normal(0, sharpness, (n_words, 5)), np.float32))


def transitions_of(seed: int) -> Floats:
    """Transitions as counted in random texts of tags that may stand so."""
    rng = np.random.default_rng(seed)
    return counted((best_tags(chances_of(int(rng.integers(1, 9)), int(seed)), legal(5)) for seed in rng.integers(0, 1000, 20)), 5)


def weight_of(tags: Iterable[int], chances: Floats, transitions: Floats) -> float:
    """The log weight of one sequence of tags."""
    total, previous = 0.0, len(transitions) - 1
    for row, tag in zip(chances, tags, strict=True):
        total, previous = total + float(np.log(row[tag]) + transitions[previous, tag]), tag
    return total


@given(st.integers(1, 5), st.integers(0, 10_000), st.floats(0, 1))
def test_the_best_tags_are_the_best_of_all_sequences(n_words: int, seed: int, weight: float) -> None:
    """The search finds what trying every sequence finds."""
    chances, transitions = chances_of(n_words, seed), weighted(transitions_of(seed), weight)
    assume((chances[:, 0] < SURELY_OUTSIDE).all())
    best = max(product(range(5), repeat=n_words), key=lambda tags: weight_of(tags, chances, transitions))
    assert best_tags(chances, transitions).tolist() == list(best)


@given(st.integers(0, 60), st.integers(0, 10_000), st.floats(0.5, 8))
def test_no_span_begins_inside(n_words: int, seed: int, sharpness: float) -> None:
    """I-x never follows anything but B-x and I-x, however sure the head is of it."""
    tags = best_tags(chances_of(n_words, seed, sharpness), legal(5))
    assert (tags < 5).all() and len(tags) == n_words
    for label in (0, 1):
        begins, inside = 2 * label + 1, 2 * label + 2
        before = np.concatenate([[OUTSIDE], tags])[:-1] if n_words else tags
        assert np.isin(before[tags == inside], (begins, inside)).all()


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10_000)), min_size=1, max_size=8))
def test_stretches_are_searched_as_if_each_were_alone(parts: list[tuple[int, int]]) -> None:
    """Between words that are surely outside, what a stretch becomes does not depend on the others, nor on how many there are."""
    transitions, outside = weighted(transitions_of(3), 0.5), np.full((1, 5), 0.001, np.float32)
    outside[0, 0] = 0.996
    stretches = [chances_of(n, seed) for n, seed in parts]
    alone = [best_tags(np.concatenate([outside, s, outside]), transitions) for s in stretches]
    together = best_tags(np.concatenate([np.concatenate([outside, s, outside]) for s in stretches]), transitions)
    assert together.tolist() == np.concatenate(alone).tolist()


def test_one_long_stretch_does_not_slow_the_others() -> None:
    """A text of 4,000 words in stretches of one, and as many in one stretch, takes a moment: stretches are padded to others of like length."""
    transitions, outside = weighted(transitions_of(3), 0.5), np.tile(np.array([0.996, *[0.001] * 4], np.float32), (4000, 1))
    short = np.stack([chances_of(4000, 1), outside], axis=1).reshape(8000, 5)
    long = chances_of(4000, 2)
    long[:, 0] = np.minimum(long[:, 0], 0.9)
    started = time.process_time()
    together = best_tags(np.concatenate([short, long]), transitions)
    assert time.process_time() - started < 3
    assert together.tolist() == np.concatenate([best_tags(short, transitions), best_tags(np.concatenate([outside[:1], long]), transitions)[1:]]).tolist()


@given(st.integers(1, 4), st.integers(0, 10_000), st.floats(0, 1))
def test_the_surprise_is_that_of_all_sequences(n_words: int, seed: int, weight: float) -> None:
    """Minus the log share of the gold sequence in the weight of all of them; of several texts the sum."""
    transitions = weighted(transitions_of(seed), weight)
    texts = [(chances_of(n, seed + n), best_tags(chances_of(n, seed + 7 * n), legal(5))) for n in (n_words, 1, n_words)]
    wanted = 0.0
    for chances, tags in texts:
        weights = [weight_of(every, chances, transitions) for every in product(range(5), repeat=len(tags))]
        wanted += float(np.logaddexp.reduce(weights)) - weight_of(tags, chances, transitions)
    assert surprise(texts, transitions) == pytest.approx(wanted, rel=1e-4, abs=1e-3)


def test_what_follows_is_counted_against_chance() -> None:
    """After B-A 60 of 100 times I-A, which is a tag of 60 in 400: a ratio of 4, pulled to 1 by five tags that follow by chance."""
    texts = [np.array([OUTSIDE, B_A, I_A, OUTSIDE], np.int32)] * 60 + [np.array([OUTSIDE, B_A, OUTSIDE, OUTSIDE], np.int32)] * 40
    transitions = counted(texts, 5)
    share = 61 / 405
    assert transitions[B_A, I_A] == pytest.approx(np.log((60 + 5 * share) / 105 / share), abs=1e-4)
    assert transitions[OUTSIDE, I_A] == transitions[5, I_A] == transitions[B_B, I_A] == NEVER
    assert transitions[B_A, B_B] == pytest.approx(np.log((5 * 1 / 405) / 105 / (1 / 405)), abs=1e-4)
    assert transitions[B_B, B_A] == pytest.approx(0.0, abs=1e-4)  # never seen: neither more nor less than by chance


def test_without_texts_only_the_legal_counts() -> None:
    """Nothing counted is nothing known: 0 for what may follow."""
    assert np.allclose(counted([], 5), legal(5), atol=1e-6)


def coupled(n: int, seed: int) -> tuple[list[Encoded], list[Floats]]:
    """Texts of four words whose spans are two words long, and states that say of each word by itself almost nothing of where in a span it is."""
    rng = np.random.default_rng(seed)
    examples, states = [], []
    for _ in range(n):
        tags = np.array([[OUTSIDE, OUTSIDE, B_A, I_A], [B_A, I_A, OUTSIDE, OUTSIDE], [OUTSIDE, B_A, I_A, OUTSIDE]][rng.integers(3)], np.int32)
        rows = rng.normal(0, 1.0, (4, 5)).astype(np.float32)
        rows[:, 3:] -= 6
        rows[np.arange(4), tags] += 1.5
        # the last piece of a word has no answer of its own
        wanted = np.stack([tags, np.full(4, IGNORED, np.int32)], axis=1).ravel()
        examples.append(Encoded("made", Inputs((), ()), 8, {"things": Target((), wanted)}))
        states.append(np.repeat(rows, 2, axis=0))
    return examples, states


def test_dev_says_what_neighbours_weigh() -> None:
    """Where neighbours tell much, dev gives them weight, and more spans are right."""
    head = Head(THINGS, np.eye(5, dtype=np.float32), np.zeros(5, np.float32))
    dev, states = coupled(300, 1)
    (plain,) = calibrated([head], dev, states, {})
    (taught,) = calibrated(with_transitions([head], coupled(300, 2)[0]), dev, states, {})
    assert np.array_equal(plain.transitions, legal(5))
    assert taught.transitions[B_A, I_A] > 0.0
    test, test_states = coupled(300, 3)
    n_right = {name: right_spans(made, test, test_states) for name, made in (("plain", plain), ("taught", taught))}
    assert n_right["taught"] > 1.1 * n_right["plain"] > 0


def test_what_misleads_gets_no_weight() -> None:
    """Transitions of texts that dev is nothing like leave only what must not follow."""
    strange = [Encoded("made", Inputs((), ()), 4, {"things": Target((), np.full(4, tag, np.int32))}) for tag in (OUTSIDE, B_A)] * 300
    head = Head(THINGS, np.eye(5, dtype=np.float32), np.zeros(5, np.float32))
    (made,) = calibrated(with_transitions([head], strange), *coupled(300, 1), {})
    assert TRANSITION_WEIGHTS[0] == 0.0
    assert np.array_equal(made.transitions, legal(5))


def right_spans(head: Head, examples: list[Encoded], states: list[Floats]) -> int:
    n_right = 0
    for example, rows in zip(examples, states, strict=True):
        wanted = example.targets["things"].wanted
        tokens = tokens_of([2] * 4)
        gold: set[tuple[int, int]] = {(int(tokens.starts[2 * a]), int(tokens.ends[2 * b + 1])) for a, b, _ in runs(tags_of(wanted))}
        n_right += len(gold & {(f.start, f.end) for f in spans_of(head, rows, tokens)})
    return n_right


def tags_of(wanted: Ints | Floats) -> Ints:
    return np.asarray(wanted[wanted != IGNORED], np.int32)
