"""A text as the encoder reads it: what deceives is read as it looks, all else as it is, and places lead back."""

from __future__ import annotations

import string
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.encode import TextEncoder
from pipelines.view import LETTERS, view

WORDS = frozenset({"password", "account", "money", "bank", "click", "verify", "both", "sale", "google", "free", "today"})


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> TextEncoder:
    return TextEncoder(tiny_encoder)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Your p4ssw0rd, please.", "Your password, please."),
        ("VER1FY y0ur b@nk", "VERiFY y0ur bank"),  # "your" is not among the words
        ("$ale! c1ick here", "sale! click here"),
        ("раssword", "password"),
        ("pass\u200bword", "password"),
        ("ＰＡＳＳＷＯＲＤ", "PASSWORD"),
        ("раssw0rd", "password"),
        ("раssword: ﬁnal ﬂoor № 5 \ufdfa", "password: final floor No 5 \ufdfa"),
    ],
)
def test_what_deceives_is_read_as_it_looks(written: str, read: str) -> None:
    """Digits and signs inside known words, letters of other scripts and invisible characters are read as what a person takes them for."""
    assert view(written, WORDS).text == read


ORDINARY = ("80th birthday", "mp3 at 4pm", "100mg b12", "HbA1c H1N1 T2DM", "a@bank.example", "http://p4ssw0rd.example/m0ney", "tax! free!", "1234bank")


@pytest.mark.parametrize("text", ORDINARY)
def test_all_else_is_read_as_it_is(text: str) -> None:
    """Ordinals, doses, lab values, addresses and exclamations are no disguises."""
    assert view(text, WORDS | {"both", "taxi", "freei"}).text == text


def test_places_are_those_of_the_text_as_written(encoder: TextEncoder) -> None:
    """Each token's place covers what was written, whatever was read there, so that findings point at the original."""
    text = "Your раss\u200bw0rd for the ﬁnal b@nk."
    (tokens,) = encoder.tokens([text])
    pieces = [text[a:b] for a, b in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)]
    assert pieces[:3] == ["Your", "раss\u200bw0rd", "for"]
    assert "b@nk" in pieces
    assert np.all(tokens.starts[1:] >= tokens.starts[:-1])


def test_a_plain_text_has_the_tokens_it_always_had(encoder: TextEncoder) -> None:
    """Without disguises ids and places are the tokenizer's own, for signs with pieces of their own too."""
    text = "Café “quoted” – 12 µg/mL, naïve; 3×4, 10 m², ½ cup."
    (tokens,) = encoder.tokens([text])
    plain = encoder._tokenizer.encode(text, add_special_tokens=False)
    assert tokens.ids.tolist() == plain.ids
    assert tokens.starts.tolist() == [o[0] for o in plain.offsets]


@given(st.text(st.sampled_from(string.ascii_letters + "".join(LETTERS) + " .,/"), max_size=80))
def test_reading_letters_for_signs_moves_nothing(text: str) -> None:
    """However it is spelled, each character stays in its place, and none but signs change."""
    read = view(text, WORDS).text
    assert len(read) == len(text)
    assert all(a == b or (a in LETTERS and b in LETTERS[a]) for a, b in zip(text, read, strict=True))


def test_no_text_becomes_many_times_as_long() -> None:
    """A sign that stands for a whole phrase is read as it is."""
    assert len(view("\ufdfa " * 1000, WORDS).text) == 2000


@pytest.mark.parametrize("piece", ["a1", "a@", "$$", "1!", "p4ssw0rd", "а", "\ufdfa"])
def test_hostile_texts_take_linear_time(piece: str) -> None:
    """Hundreds of thousands of signs are read in well under a second of a processor."""
    text = piece * (300_000 // len(piece))
    started = time.process_time()
    view(text, WORDS)
    assert time.process_time() - started < 2.0
