"""A trimmed vocabulary: the word pieces that a domain and general text need, and what it costs.

Of a small encoder most weights are word embeddings, and a domain uses a part of them. A dropped
piece is not lost to the reader: WordPiece falls back to shorter pieces of the same word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.encode import CONTINUES, Ints, TextEncoder, Tokens
from pipelines.sources import shape_of
from suites.errors import StudentError


@dataclass(frozen=True, slots=True)
class Fallback:
    """What trimming changes on some texts: of `n_words` words `n_split` are cut otherwise, `n_unknown` more are unknown.

    `pieces_before` and `pieces_after` are the pieces of all words together.
    """

    n_words: int
    n_split: int
    n_unknown: int
    pieces_before: int
    pieces_after: int

    @property
    def rate(self) -> float:
        """The share of words that fall back to other pieces."""
        return self.n_split / max(self.n_words, 1)


def count_pieces(encoder: TextEncoder, texts: Sequence[str], n_pieces: int) -> Ints:
    """How often each piece of the vocabulary occurs in the texts. Shape: (n_pieces,)."""
    counts = np.zeros(n_pieces, np.int64)
    for tokens in encoder.tokens(texts):
        counts += np.bincount(tokens.ids, minlength=n_pieces)
    return np.asarray(counts, np.int32)


def choose_pieces(tokenizer: dict[str, Any], counts: Ints, size: int) -> Ints:
    """The ids to keep, ascending. Shape: (size,), or all ids where there are no more.

    First the special pieces and all single characters: with them no word becomes unknown that was
    not. Then the pieces of the domain's texts, the commonest first. The rest is general: pieces in
    the vocabulary's own order, which in BERT's vocabularies falls with frequency.
    """
    vocabulary = _word_pieces(tokenizer)
    always = np.zeros(len(counts), bool)
    # special pieces may have been added behind the vocabulary
    always[[piece["id"] for piece in tokenizer["added_tokens"]]] = True
    always[[number for piece, number in vocabulary.items() if len(piece.removeprefix(CONTINUES)) == 1]] = True
    unused = np.zeros(len(counts), bool)
    unused[[number for piece, number in vocabulary.items() if piece.startswith("[unused")]] = True
    if size < always.sum():
        raise StudentError(f"A vocabulary of {size} pieces: {int(always.sum())} are special pieces and single characters. Ask for more.", "bad_vocabulary")
    order = np.lexsort((np.arange(len(counts)), -counts, unused, ~always))
    return np.asarray(np.sort(order[:size]), np.int32)


def _word_pieces(tokenizer: dict[str, Any]) -> dict[str, int]:
    model = tokenizer["model"]
    if model.get("type", "WordPiece") != "WordPiece" or model.get("continuing_subword_prefix", CONTINUES) != CONTINUES:
        raise StudentError("Only WordPiece vocabularies can be trimmed. Leave [student] vocabulary out for this source.", "bad_vocabulary")
    return dict(model["vocab"])


def trimmed_tokenizer(tokenizer: dict[str, Any], kept: Ints) -> dict[str, Any]:
    """The tokenizer.json with the kept pieces alone, numbered anew in their order."""
    new = {int(old): number for number, old in enumerate(kept)}
    # a copy of all but the vocabulary, which is most of it
    trimmed: dict[str, Any] = json.loads(json.dumps(tokenizer | {"model": tokenizer["model"] | {"vocab": {}}}))
    trimmed["model"]["vocab"] = {piece: new[old] for piece, old in _word_pieces(tokenizer).items() if old in new}
    for piece in trimmed["added_tokens"]:
        piece["id"] = new[piece["id"]]
    if trimmed.get("padding"):
        trimmed["padding"]["pad_id"] = new[trimmed["padding"]["pad_id"]]
    processor = trimmed.get("post_processor") or {}
    for special in processor.get("special_tokens", {}).values():
        special["ids"] = [new[old] for old in special["ids"]]
    for side in ("sep", "cls"):  # BertProcessing keeps them as [piece, id]
        if side in processor:
            processor[side][1] = new[processor[side][1]]
    return trimmed


def trim(source: Path, folder: Path, texts: Sequence[str], size: int | None) -> Ints | None:
    """Writes the tokenizer of `source` into the folder, trimmed to `size` pieces; gives the ids kept, None where all are."""
    tokenizer = read_tokenizer(source)
    n_pieces = shape_of(source).n_pieces
    kept = None if size is None or size >= n_pieces else choose_pieces(tokenizer, count_pieces(TextEncoder(source), texts, n_pieces), size)
    write_tokenizer(source, folder, kept)
    return kept


def write_tokenizer(source: Path, folder: Path, kept: Ints | None) -> None:
    """Copies the tokenizer's files from one folder to another, with the kept pieces alone where they are given."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (source / name).exists():
            (folder / name).write_bytes((source / name).read_bytes())
    tokenizer = read_tokenizer(source)
    if kept is not None:
        tokenizer = trimmed_tokenizer(tokenizer, kept)
        _forget_numbers(folder / "tokenizer_config.json")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    if (source / "vocab.txt").exists():
        pieces = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")


def _forget_numbers(path: Path) -> None:
    """Takes the special pieces' old numbers out of a tokenizer_config.json; the new ones are in tokenizer.json."""
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("added_tokens_decoder", None) is not None:
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """The content of a folder's tokenizer.json."""
    content: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return content


def fallback(full: TextEncoder, trimmed: TextEncoder, texts: Sequence[str]) -> Fallback:
    """What the trimmed vocabulary changes on these texts, word by word; take texts that it was not chosen from."""
    n_words = n_split = n_unknown = before = after = 0
    for one, other in zip(full.tokens(texts), trimmed.tokens(texts), strict=True):
        n_words += len(np.unique(one.words))
        n_split += len({word for word, _, _ in _pieces(one) ^ _pieces(other)})
        n_unknown += int((other.ids == trimmed.unknown_id).sum() - (one.ids == full.unknown_id).sum())
        before += len(one)
        after += len(other)
    return Fallback(n_words, n_split, n_unknown, before, after)


def _pieces(tokens: Tokens) -> set[tuple[int, int, int]]:
    return set(zip(tokens.words.tolist(), tokens.starts.tolist(), tokens.ends.tolist(), strict=True))
