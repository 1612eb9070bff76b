"""Text to tokens and windows, and windows stitched back together."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipelines.encode import Floats, Ints, TextEncoder, batches, pad, padded_length, windows
from pipelines.engine import Project, as_they_are, nothing, stitched
from pipelines.heads import Head, n_outputs
from pipelines.predict import Predictor
from pipelines.rules import Rules
from suites.discover import Pack
from suites.errors import StudentError
from suites.hooks import load_hooks
from suites.samples import read_samples
from suites.types import Document, TextLimits

UNICODE_TEXTS = [
    "Plain words, with punctuation: done.",
    "Crème brûlée à l'Élysée, naïve façade",
    "Ünlü Ångström 37 °C, 5 µg/mL, ≥ 3½",
    "Привет, мир! Ελλάδα και Ζεύς",
    "患者无发热。東京タワー",
    "emoji 😀 and 👩‍👩‍👧 families, e\u0301 combining",
    "tabs\tand\nlines\r\nand\u00a0spaces \u2003 wide",
    "zero\u200bwidth and soft\u00adhyphen",
    "antidisestablishmentarianism QRX123-4/5",
]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> TextEncoder:
    return TextEncoder(tiny_encoder)


class ContextFreeEngine:
    """Hidden states that depend on the token's id alone, so that no window can change them."""

    hidden = 32

    def __init__(self) -> None:
        self._table = np.random.default_rng(1).normal(size=(30522, self.hidden)).astype(np.float32)

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        return [project(self._table[row]) for row in rows]


@st.composite
def window_plans(draw: st.DrawFn) -> tuple[int, int, int]:
    limits = TextLimits(window_tokens=(size := draw(st.integers(16, 512))), overlap_tokens=draw(st.integers(0, (size - 2) // 2)))
    return draw(st.integers(0, 3000)), limits.window_tokens, limits.overlap_tokens


@given(window_plans())
def test_windows_keep_every_token_once(plan: tuple[int, int, int]) -> None:
    """The kept parts of the windows are all tokens, in order, each once, whatever the lengths."""
    kept = [i for w in windows(*plan) for i in range(w.keep_start, w.keep_end)]
    assert kept == list(range(plan[0]))


@given(window_plans())
def test_windows_are_no_longer_than_allowed(plan: tuple[int, int, int]) -> None:
    """A window with its special tokens holds at most window_tokens, and what it keeps lies inside it."""
    for w in windows(*plan):
        assert w.n_tokens <= plan[1]
        assert 0 <= w.start <= w.keep_start <= w.keep_end <= w.end <= plan[0]


@given(window_plans())
def test_a_kept_token_has_context(plan: tuple[int, int, int]) -> None:
    """A kept token lies half an overlap or more from a window's end, except at the ends of the text."""
    n_tokens, _, overlap = plan
    for w in windows(*plan):
        assert w.start == 0 or w.keep_start - w.start >= overlap // 2
        assert w.end == n_tokens or w.end - w.keep_end >= overlap // 2


@given(st.lists(st.integers(2, 512), max_size=80), st.integers(16, 4096))
def test_batches_cover_all_within_the_budget(lengths: list[int], budget: int) -> None:
    """Every input is in one batch, and a batch of several costs at most the budget of padded tokens."""
    made = list(batches(lengths, budget))
    assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
    assert all(batch for batch in made)
    for batch in made:
        (padded,) = {padded_length(lengths[i]) for i in batch}
        assert len(batch) == 1 or len(batch) * padded <= budget


@given(st.integers(1, 100_000))
def test_padding_is_little(n_tokens: int) -> None:
    """An input is never cut, filled by less than 8 tokens or an eighth, and a padded length is its own."""
    padded = padded_length(n_tokens)
    assert 0 <= padded - n_tokens < max(8, n_tokens / 8)
    assert padded_length(padded) == padded <= padded_length(n_tokens + 1)


def test_padding_is_masked() -> None:
    """Shorter rows are filled with the pad id, and the mask tells the filling."""
    ids, mask = pad([np.array([5, 6, 7], np.int32), np.array([8], np.int32)], pad_id=9)
    assert ids.tolist() == [[5, 6, 7, 9, 9, 9, 9, 9], [8, 9, 9, 9, 9, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("text", UNICODE_TEXTS)
def test_offsets_are_the_pieces(encoder: TextEncoder, tiny_encoder: Path, text: str) -> None:
    """text[start:end] of a token is its piece, but for case and accents."""
    known = Tokenizer.from_file(str(tiny_encoder / "tokenizer.json"))
    (tokens,) = encoder.tokens([text])
    assert len(tokens)
    for i, start, end in zip(tokens.ids, tokens.starts, tokens.ends, strict=True):
        piece = known.id_to_token(int(i))
        assert piece == "[UNK]" or _plain(text[start:end]) == piece.removeprefix("##")


def _plain(text: str) -> str:
    """The text as the tokenizer normalises it: small letters, no accents, no invisible characters."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) not in ("Mn", "Cf"))


@given(text=st.text(max_size=60))
@settings(max_examples=60)
def test_offsets_run_through_the_text(encoder: TextEncoder, text: str) -> None:
    """Offsets of any text are inside it, no token is empty, and they never run back."""
    (tokens,) = encoder.tokens([text])
    assert np.all(tokens.starts >= 0)
    assert np.all(tokens.starts < tokens.ends)
    assert np.all(tokens.ends <= len(text))
    assert np.all(np.diff(tokens.starts) >= 0)
    assert np.all(np.diff(tokens.words) >= 0)


@given(first=st.text(max_size=30), second=st.text(max_size=30))
@settings(max_examples=40)
def test_between_parts_the_tokens(encoder: TextEncoder, first: str, second: str) -> None:
    """Ranges that part a text part its tokens: none is lost, none is in two."""
    (tokens,) = encoder.tokens([first + second])
    before, after = tokens.between([(0, len(first)), (len(first), len(first + second))])
    assert (before.start, before.stop, after.stop) == (0, after.start, len(tokens))


def test_a_long_text_is_not_cut(encoder: TextEncoder) -> None:
    """A text has all its tokens, however long, and neighbours in a call add no padding."""
    short, long = encoder.tokens(["word", "word " * 5000])
    assert (len(short), len(long)) == (1, 5000)


def test_window_ids_are_framed(encoder: TextEncoder) -> None:
    """The encoder's input is [CLS], the window's pieces, [SEP]."""
    (tokens,) = encoder.tokens(["one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"])
    window = list(windows(len(tokens), 16, 0))[1]
    assert encoder.window_ids(tokens, window).tolist() == [101, *tokens.ids[14:].tolist(), 102]


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    """A missing tokenizer.json is a StudentError that names the file."""
    with pytest.raises(StudentError, match=r"tokenizer\.json: not a readable tokenizer"):
        TextEncoder(tmp_path)


def context_free_predictor(pack: Pack, encoder: TextEncoder, limits: TextLimits) -> Predictor:
    rng = np.random.default_rng(2)
    heads = [
        Head(t, rng.normal(size=(n_outputs(t), ContextFreeEngine.hidden)).astype(np.float32), rng.normal(size=n_outputs(t)).astype(np.float32))
        for t in pack.student_tasks
    ]
    return Predictor(pack, heads, encoder, ContextFreeEngine(), Rules(pack.folder), load_hooks(pack), limits)


@pytest.mark.parametrize("window_tokens", [16, 17, 64])
@pytest.mark.parametrize("overlap_tokens", [0, 1, 7])
def test_stitched_windows_equal_one_long_window(toy_pack: Pack, encoder: TextEncoder, window_tokens: int, overlap_tokens: int) -> None:
    """With an encoder that sees no context a text read in many windows has the states and findings of one long window."""
    text = " ".join(e.document.text for e in read_samples(toy_pack)[:6])
    (tokens,) = encoder.tokens([text])
    limits = TextLimits(window_tokens=window_tokens, overlap_tokens=overlap_tokens)
    assert len(list(windows(len(tokens), window_tokens, overlap_tokens))) > 3
    uncut = TextLimits(window_tokens=512, overlap_tokens=0)
    assert len(list(windows(len(tokens), 512, 0))) == 1
    in_windows, whole = stitched(ContextFreeEngine(), [encoder.inputs(tokens, limits), encoder.inputs(tokens, uncut)])
    assert np.array_equal(in_windows, whole)
    readings = [next(context_free_predictor(toy_pack, encoder, given).predict([Document("1", text)])) for given in (limits, uncut)]
    # the matrix library sums in an order that depends on the number of rows: the last digit of a score may differ
    a, b = ([replace(f, score=0.0) for f in reading.findings] for reading in readings)
    assert a == b
    np.testing.assert_allclose(*([f.score for f in reading.findings] for reading in readings), atol=2e-4)
    assert {f.task for f in readings[0].findings} >= {"topic", "mood", "things", "state", "codes"}


def test_many_documents_are_read_in_order(toy_pack: Pack, encoder: TextEncoder) -> None:
    """More documents than one chunk holds come back in order, one reading each, equal to those of single documents."""
    predictor = context_free_predictor(toy_pack, encoder, toy_pack.manifest.text)
    samples = [e.document for e in read_samples(toy_pack)]
    documents = [replace(d, id=str(i)) for i, d in enumerate([*samples, *samples[:20]])]
    readings = list(predictor.predict(documents))
    assert [r.document_id for r in readings] == [d.id for d in documents]
    assert readings[-1] == next(predictor.predict(documents[-1:]))
