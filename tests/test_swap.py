"""Varied copies: what is swapped and what stays, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.encode import Inputs, TextEncoder, windows
from pipelines.swap import SWAPPED_SHARE, swapped, varied
from pipelines.targets import Encoded, Target

CLS, SEP, FIRST, N_PIECES = 2, 3, 5, 400
WORDS = np.arange(FIRST, N_PIECES, dtype=np.int32)


def example(ids: Sequence[int], source: str = "notes") -> Encoded:
    """One of 60-token windows that overlap by 20, with a target of two ranges."""
    plan = tuple(windows(len(ids), 60, 20))
    rows = tuple(np.array([CLS, *ids[w.start : w.end], SEP], np.int32) for w in plan)
    return Encoded(source, Inputs(rows, plan), len(ids), {"role": Target((slice(0, 3), slice(5, 9)), np.array([1, 0], np.int32))})


def examples(n: int, n_tokens: int, source: str = "notes", first: int = FIRST) -> list[Encoded]:
    return [example([first + i] * n_tokens, source) for i in range(n)]


def test_a_copy_is_its_example_but_for_a_fifth_of_the_pieces() -> None:
    """Windows, frames and places stay; a fifth of the pieces changes, in overlapping windows alike; gold is gone, and the example is as it was."""
    (given,) = examples(1, 3000)
    before = [row.copy() for row in given.inputs.rows]
    (copy,) = varied([given], WORDS, 3000, 1, seed=1)
    assert (copy.source, copy.n_tokens, copy.inputs.plan) == ("varied", 3000, given.inputs.plan)
    changed = copy.ids != given.ids
    assert changed.mean() == pytest.approx(SWAPPED_SHARE / 2, abs=0.02)  # the other half of the draws are of the same one piece that is common here
    for row, window in zip(copy.inputs.rows, copy.inputs.plan, strict=True):
        assert (row[0], row[-1]) == (CLS, SEP)
        assert np.array_equal(row[1:-1], copy.ids[window.start : window.end])
    assert np.isin(copy.ids, WORDS).all()
    target, wanted = copy.targets["role"], given.targets["role"]
    assert not target.gold and wanted.gold
    assert target.ranges == wanted.ranges and np.array_equal(target.wanted, wanted.wanted)
    assert all(np.array_equal(a, b) for a, b in zip(before, given.inputs.rows, strict=True))


def test_half_of_the_pieces_come_from_the_source() -> None:
    """What is put in is half of the source's own pieces, as often as they occur there, and half of any."""
    made = varied(examples(20, 500), WORDS, 10_000, 1, seed=1)
    put_in = np.concatenate([c.ids[c.ids != np.bincount(c.ids).argmax()] for c in made])
    assert np.mean(put_in < FIRST + 20) == pytest.approx(0.5, abs=0.05)
    assert len(np.unique(put_in)) > 0.8 * len(WORDS)


@pytest.mark.parametrize(("tokens", "copies", "wanted"), [(10**6, 2, 160), (10**6, 20, 200), (10**6, 0, 0), (0, 2, 0), (420, 2, 8), (49, 2, 0)])
def test_copies_keep_within_all_limits(tokens: int, copies: int, wanted: int) -> None:
    """Of few texts sixteen copies or as many as are asked for, so many tokens in all at most, every example once before one comes again."""
    made = varied(examples(10, 50), WORDS, tokens, copies, seed=1)
    assert len(made) == wanted
    of = [int(np.bincount(c.ids).argmax()) for c in made]
    assert all(of.count(i) in (wanted // 10, -(-wanted // 10)) for i in range(FIRST, FIRST + 10))


@pytest.mark.parametrize(("n", "wanted"), [(20, 320), (250, 1000), (500, 1000), (700, 1400)])
def test_few_texts_have_a_thousand_copies(n: int, wanted: int) -> None:
    """Two of each, of fewer than 500 texts a thousand in all, but sixteen of each at most; none of a source where none is asked for."""
    assert len(varied(examples(n, 4), WORDS, 10**6, 2, seed=1)) == wanted
    assert varied(examples(n, 4), WORDS, 10**6, 0, seed=1) == []


def test_sources_have_equal_portions() -> None:
    """A large source does not take the room of a small one, and nothing is swapped in from another source more often than from the whole vocabulary."""
    given = examples(100, 50, "large") + examples(10, 50, "small", first=200)
    made = varied(given, WORDS, 1500, 2, seed=1)
    of = [int(np.bincount(c.ids).argmax()) for c in made]
    assert (sum(i >= 200 for i in of), sum(i < 200 for i in of)) == (15, 15)
    large = np.concatenate([c.ids for c, i in zip(made, of, strict=True) if i < 200])
    assert np.mean((large >= 200) & (large < 210)) < 0.01


def test_a_seed_gives_its_copies() -> None:
    """The same seed, the same copies; another seed, others; two copies of one example differ."""
    given = examples(5, 50)
    first, again, other = (np.stack([c.ids for c in varied(given, WORDS, 500, 2, seed=seed)]) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 10


def test_an_empty_text_has_no_copy() -> None:
    """A document without a token is not stumbled over, nor a source of such documents."""
    empty = replace(example([]), targets={})
    assert [c.n_tokens for c in varied([*examples(2, 50), empty], WORDS, 100, 1, seed=1)] == [50, 50]
    assert varied([empty], WORDS, 10**6, 1, seed=1) == []


def test_only_words_are_swapped_for_words() -> None:
    """A piece that is not among the words stays, and is never put in, however common it is."""
    words = WORDS[::2]
    ids = np.random.default_rng(1).integers(FIRST, N_PIECES, (20, 100)).astype(np.int32)
    made = swapped(ids, np.ones(ids.shape, np.bool_), ids[np.isin(ids, words)], words, np.random.default_rng(2))
    changed = made != ids
    assert np.isin(ids[changed], words).all() and np.isin(made[changed], words).all()
    assert changed.sum() == pytest.approx(SWAPPED_SHARE * np.isin(ids, words).sum(), rel=0.1)


def test_words_are_what_begins_one(tiny_encoder: Path) -> None:
    """Neither special pieces nor those that go on with a word begin one."""
    encoder = TextEncoder(tiny_encoder)
    wanted = {i for piece, i in encoder.pieces.items() if not piece.startswith("##") and piece not in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    assert set(encoder.word_ids.tolist()) == wanted and len(wanted) < len(encoder.pieces) - 5
