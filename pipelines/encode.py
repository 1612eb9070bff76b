"""Text to token ids, and long texts to overlapping windows stitched by token position."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from pipelines.view import MIN_CHARS, View, view
from suites.errors import StudentError
from suites.types import TextLimits

# WordPiece marks by it the pieces that go on with a word
CONTINUES = "##"

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
# of each token its id, or its states
Rows = TypeVar("Rows", Ints, Floats)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The word pieces of one text, special tokens left out.

    Shape of every array: (n_tokens,). `starts` and `ends` are code points; `words` numbers the
    word that a piece belongs to (words split at spaces and punctuation).
    """

    ids: Ints
    starts: Ints
    ends: Ints
    words: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def between(self, ranges: Sequence[tuple[int, int]]) -> list[slice]:
        """For each range of characters [start, end) the tokens that begin inside it."""
        return Texts.of([self]).between([ranges])


@dataclass(frozen=True, slots=True)
class Texts:
    """Several texts, one after another: text i has the tokens from begins[i] to begins[i + 1]. Shape of begins: (n_texts + 1,)."""

    tokens: Tokens
    begins: Ints

    @classmethod
    def of(cls, each: Sequence[Tokens]) -> Texts:
        """The texts in this order."""
        parts = ([getattr(tokens, name) for tokens in each] or [np.zeros(0, np.int32)] for name in ("ids", "starts", "ends", "words"))
        return cls(Tokens(*(np.concatenate(part) for part in parts)), np.cumsum([0, *(len(tokens) for tokens in each)], dtype=np.int32))

    def between(self, ranges: Sequence[Sequence[tuple[int, int]]]) -> list[slice]:
        """For each range of characters of each text the tokens that begin inside it, those of the first text first."""
        found = []
        for (begin, end), own in zip(pairwise(self.begins.tolist()), ranges, strict=True):
            places = begin + np.searchsorted(self.tokens.starts[begin:end], np.asarray(own, np.int64).reshape(-1, 2))
            found += [slice(first, last) for first, last in places.tolist()]
        return found

    def words(self) -> Ints:
        """The first piece of each word. Shape: (n_words,)."""
        begins = np.diff(self.tokens.words, prepend=-2) != 0
        begins[self.begins[self.begins < len(self.tokens)]] = True
        return np.flatnonzero(begins).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [start, end) as one input of the encoder; the states of [keep_start, keep_end) are kept."""

    start: int
    end: int
    keep_start: int
    keep_end: int

    @property
    def n_tokens(self) -> int:
        """Length of the input with [CLS] and [SEP]."""
        return self.end - self.start + 2


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the encoder is given of one text. `rows[i]` are the ids of window `plan[i]`, [CLS] and [SEP] included."""

    rows: tuple[Ints, ...]
    plan: tuple[Window, ...]


def stitch(rows: Sequence[Rows], plan: Sequence[Window]) -> Rows:
    """What belongs to the tokens of a text's windows, one row a token: of each window what its plan keeps. Shapes: (len(row), ...), (n_tokens, ...)."""
    parts = [row[1 + w.keep_start - w.start : 1 + w.keep_end - w.start] for row, w in zip(rows, plan, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class TextEncoder:
    """A tokenizer.json read through `tokenizers`: a worker needs no transformers."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise StudentError(f"{path}: not a readable tokenizer: {type(error).__name__}.") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.pad_id = self._special("[PAD]")
        self.cls_id = self._special("[CLS]")
        self.sep_id = self._special("[SEP]")
        self.unknown_id = self._special("[UNK]")
        self.mask_id = self._special("[MASK]")

    @property
    def special_ids(self) -> tuple[int, ...]:
        return (self.pad_id, self.cls_id, self.sep_id, self.unknown_id, self.mask_id)

    @property
    def word_ids(self) -> Ints:
        """The ids of the pieces that begin a word, in order: neither special ones nor those that go on with one."""
        special = set(self.special_ids)
        return np.asarray(sorted(i for piece, i in self.pieces.items() if i not in special and not piece.startswith(CONTINUES)), np.int32)

    @property
    def pieces(self) -> dict[str, int]:
        """The vocabulary: each piece's id."""
        return dict(self._tokenizer.get_vocab())

    def _special(self, piece: str) -> int:
        found = self._tokenizer.token_to_id(piece)
        if found is None:
            raise StudentError(f"tokenizer.json has no piece {piece}; a BERT or DistilBERT tokenizer is expected.")
        return int(found)

    @cached_property
    def spelled(self) -> frozenset[str]:
        """The words that digits and signs may be taken for, in small letters: those that are one piece."""
        return frozenset(piece for piece in self.pieces if piece.isascii() and piece.isalpha() and len(piece) >= MIN_CHARS)

    @cached_property
    def compatible(self) -> frozenset[str]:
        """The characters that Unicode's normal form would change and that are pieces of their own: micro sign, raised digits, fractions."""
        return frozenset(piece for piece in self.pieces if len(piece) == 1 and unicodedata.normalize("NFKC", piece) != piece)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text as it looks (`view`), however long; their places are those in the text as it was written."""
        views = [view(text, self.spelled, self.compatible) for text in texts]
        encoded = self._tokenizer.encode_batch([v.text for v in views], add_special_tokens=False)
        return [_tokens(e, v) for e, v in zip(encoded, views, strict=True)]

    def window_ids(self, tokens: Tokens, window: Window) -> Ints:
        """[CLS] pieces [SEP]. Shape: (window.n_tokens,)."""
        ids = np.empty(window.n_tokens, np.int32)
        ids[0], ids[-1] = self.cls_id, self.sep_id
        ids[1:-1] = tokens.ids[window.start : window.end]
        return ids

    def inputs(self, tokens: Tokens, limits: TextLimits) -> Inputs:
        """The windows of a text and their rows of ids."""
        plan = tuple(windows(len(tokens), limits.window_tokens, limits.overlap_tokens))
        return Inputs(tuple(self.window_ids(tokens, w) for w in plan), plan)


def _tokens(encoding: Encoding, seen: View) -> Tokens:
    n = len(encoding.ids)
    starts = np.fromiter((o[0] for o in encoding.offsets), np.int32, n)
    ends = np.fromiter((o[1] for o in encoding.offsets), np.int32, n)
    if seen.starts is not None and seen.ends is not None and n:
        starts, ends = np.asarray(seen.starts, np.int32)[starts], np.asarray(seen.ends, np.int32)[np.maximum(ends - 1, 0)]
    words = np.fromiter((-1 if w is None else w for w in encoding.word_ids), np.int32, n)
    return Tokens(np.asarray(encoding.ids, np.int32), starts, ends, words)


def windows(n_tokens: int, window_tokens: int, overlap_tokens: int) -> Iterator[Window]:
    """Windows that cover every token; each token is kept once, from the window where it lies deeper."""
    size = window_tokens - 2
    step = size - overlap_tokens
    start = keep_start = 0
    while True:
        end = min(start + size, n_tokens)
        if end == n_tokens:
            yield Window(start, end, keep_start, end)
            return
        keep_end = end - overlap_tokens // 2
        yield Window(start, end, keep_start, keep_end)
        start, keep_start = start + step, keep_end


def padded_length(n_tokens: int) -> int:
    """The length that an input of `n_tokens` is padded to: a multiple of 8, from 128 on of an eighth of the power of two below.

    It depends on the input alone, so its states are the same in every digit whatever shares its
    batch: the arithmetic is ordered by the padded length, not by the number of rows (measured:
    docs/performance.md).
    """
    step = max(8, (1 << max(n_tokens - 1, 1).bit_length() - 1) // 8)
    return -(-n_tokens // step) * step


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions of inputs in batches of one padded length and at most `batch_tokens` padded tokens, longest first."""
    alike: dict[int, list[int]] = defaultdict(list)
    for i, n_tokens in enumerate(lengths):
        alike[padded_length(n_tokens)].append(i)
    for length in sorted(alike, reverse=True):
        per_batch = max(1, batch_tokens // length)
        yield from (alike[length][at : at + per_batch] for at in range(0, len(alike[length]), per_batch))


def pad(rows: Sequence[Ints], pad_id: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ids and mask, padded to the padded length of the longest row. Shapes: (n_rows, padded length)."""
    longest = padded_length(max(len(row) for row in rows))
    ids = np.full((len(rows), longest), pad_id, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
