"""A text as it looks, and what in it may be meant to deceive."""

from __future__ import annotations

import time

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.signals import Signals, signals
from pipelines.skeleton import IGNORABLES, Skeleton, differing, skeleton

LIKE = {"a": "а", "c": "с", "e": "е", "i": "і", "o": "о", "p": "р", "x": "х", "y": "у"}
# characters that become none, one or several, join others, or stand in words of other scripts
NASTY = st.text(
    st.sampled_from("ab1 \n.-aаеоΑαжßéＡ４ﬁ㎎²½´…\u00a0\u0301\u0316\u200b\u200d\u00ad\ufe0f\u202e\u2028❤👨\U0001f3fd٤क्षيمᄀ\u1161\u11a8가ｶﾞ漢\U000e0061"),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(NASTY, st.text(max_size=40)))
def test_every_place_leads_back(text: str) -> None:
    """The places of a skeleton's characters lie in the text, in order and never empty, so every range of it covers some of the text."""
    view = skeleton(text)
    assert len(view.text) == len(view.starts) == len(view.ends)
    assert list(view.starts) == sorted(view.starts) and list(view.ends) == sorted(view.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))
    for at, c in enumerate(view.text):
        start, end = view.original(at, at + 1)
        assert c in text[start:end] or not text[start:end].isascii()


@given(st.text(st.characters(max_codepoint=127)))
def test_an_ascii_text_is_its_own_skeleton(text: str) -> None:
    """ASCII stays the very same string, place by place, and shows no signal."""
    assert skeleton(text).text is text
    assert all(skeleton(text).original(i, j) == (i, j) for i in range(len(text)) for j in range(i + 1, len(text) + 1))
    assert differing(text) is None and not signals(text)


@settings(max_examples=300, deadline=None)
@given(NASTY)
def test_the_differing_lines_are_those_of_the_whole_skeleton(text: str) -> None:
    """Line by line a text looks like the whole of it, and the places are the same."""
    whole, lines = skeleton(text), differing(text) or Skeleton("", [], [])
    shown, at = [], 0
    for line, looks in zip(text.split("\n"), whole.text.split("\n"), strict=True):
        places = [whole.original(i, i + 1) for i in range(at, at + len(looks))]
        shown += [(looks, places)] if looks != line else []
        at += len(looks) + 1
    found, at = [], 0
    for looks in lines.text.split("\n")[:-1]:
        found.append((looks, [lines.original(i, i + 1) for i in range(at, at + len(looks))]))
        at += len(looks) + 1
    assert found == shown


@st.composite
def disguised(draw: st.DrawFn) -> tuple[str, str]:
    """A word and one way to write it so that it looks the same."""
    word = draw(st.text(st.sampled_from("acegnopstxy"), min_size=3, max_size=10).filter(lambda w: set(w) - LIKE.keys()))
    ways = [draw(st.sampled_from([c, LIKE.get(c, c), chr(ord(c) + 0xFEE0), chr(ord(c) - ord("a") + 0x1D41A)])) for c in word]
    return word, draw(st.sampled_from(["", "\u200b", "\u00ad", "\u2060", "\ufe0f", "\U000e0041"])).join(ways)


@settings(max_examples=200, deadline=None)
@given(st.lists(disguised(), min_size=1, max_size=6))
def test_a_disguised_word_is_found_where_it_stands(words: list[tuple[str, str]]) -> None:
    """Each word, however it is written, is plain in the skeleton, and its range there leads to just what was written."""
    text = " ".join(written for _, written in words)
    view = skeleton(text)
    assert view.text == " ".join(word for word, _ in words)
    at = begin = 0
    for word, written in words:
        assert view.original(at, at + len(word)) == (begin, begin + len(written))
        at, begin = at + len(word) + 1, begin + len(written) + 1


LOOKS = {
    "mixed scripts": ("pаypаl", "paypal"),
    "back and forth": ("Ваnк", "Banк"),
    "one script in a Latin text": ("please log in at раура.example", "please log in at paypa.example"),
    "capitals stay capitals": ("ІBAN, Іmроrtаnt", "IBAN, Important"),
    "phonetic letters": ("ɡoogle ᴘᴀʏᴘᴀʟ", "google paypal"),
    "ligatures and units": ("oﬃce 5 ㎎", "office 5 mg"),
    "spaces": ("GB82\u00a0WEST\u202f12", "GB82 WEST 12"),
    "digits": ("٤٢ ４２ ४२ ④", "42 42 42 4"),
    "accents on their own": ("cafe\u0301", "café"),
    "an invisible character before an accent": ("e\u200b\u0301", "é"),
    "bidi controls": ("\u202epay\u202c", "pay"),
    "hidden tags": ("pay\U000e0068\U000e0069", "pay"),
    "variants of digits": ("4\ufe0f1\ufe0f", "41"),
}


@pytest.mark.parametrize(("text", "looks"), LOOKS.values(), ids=LOOKS.keys())
def test_a_text_as_it_looks(text: str, looks: str) -> None:
    """Disguised letters become the plain ones that they show."""
    assert skeleton(text).text == looks


GENUINE = {
    "Russian": "Оплата счёта: сор и оса, рост цен в Москве",
    "Russian with English names": "Купил новый iPhone в магазине Google Play, оса и сосед",
    "Russian words in an English text": "She said Москва, рост and привет to them all",
    "Latin words with Russian endings": "SMSка, PDFами, Wi-Fiем",
    "Greek": "Το νερό και ο καιρός στην Αθήνα",
    "Greek symbols": "TNFα, IFNγ and NFκB at 5 μg, Δt, β-blocker, α = 0.05",
    "Korean and Japanese with Latin words": "LG전자 가격, Tシャツ, Ｎ響".replace("Ｎ", "N"),
    "Hindi": "क्‍ष और श्‍री",
    "Persian": "می‌روم",
    "Sinhala": "ශ්‍රී ලංකා",
    "emoji": "👨‍👩‍👧 ❤️ 1️⃣ 👩🏽‍🚀 ☺︎",
    "a flag": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "ideographic variants": "葛\U000e0100城",
    "Thai": "สวัสดี\u200bครับ",
    "a byte order mark": "\ufeffHello",
    "German and French": "Grüße aus Köln – déjà vu, 10² m, ½ l … «oui»",
}


@pytest.mark.parametrize("text", GENUINE.values(), ids=GENUINE.keys())
def test_genuine_writing_stays_and_is_no_signal(text: str) -> None:
    """What people write in their languages, joiners and emoji included, looks like itself and is no sign of evasion."""
    assert differing(text) is None
    assert skeleton(text).text == text
    assert not signals(text), signals(text).counts


def test_the_invisible_characters_are_unicodes() -> None:
    """The characters that are dropped are those of Unicode's property Default_Ignorable_Code_Point, no more and no fewer."""
    everything = "".join(chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000)
    assert "".join(IGNORABLES.findall(everything)) == "".join(regex.findall(r"\p{Default_Ignorable_Code_Point}", everything))


SIGNALS = {
    "mixed script": ("Log in to pаypаl now", {"mixed_script": ["pаypаl"]}),
    "mixed under invisible characters": ("p\u200bаy", {"mixed_script": ["p\u200bаy"], "invisible": ["\u200b"]}),
    "back and forth": ("Ваnк", {"mixed_script": ["Ваnк"]}),
    "whole script": ("Log in to раура now", {"whole_script": ["раура"]}),
    "invisible runs": ("pay\u200b\u200bpal\u2060", {"invisible": ["\u200b\u200b", "\u2060"]}),
    "soft hyphen": ("pay\u00adpal", {"invisible": ["\u00ad"]}),
    "joiner in a Latin word": ("pay\u200dpal", {"invisible": ["\u200d"]}),
    "mark inside a text": ("pay\ufeffpal", {"invisible": ["\ufeff"]}),
    "bidi": ("\u202egnp.exe\u202c", {"bidi": ["\u202e", "\u202c"]}),
    "marks among right-to-left letters": ("שלום\u200f!", {}),
    "an override among right-to-left letters": ("\u202eשלום\u202c", {"bidi": ["\u202e"]}),
}


@pytest.mark.parametrize(("text", "expected"), SIGNALS.values(), ids=SIGNALS.keys())
def test_signals_and_their_places(text: str, expected: dict[str, list[str]]) -> None:
    """Each kind of signal is found, at its place in the text, and no other."""
    found = signals(text)
    kinds = ("mixed_script", "whole_script", "invisible", "bidi")
    assert {kind: [text[start:end] for start, end in getattr(found, kind)] for kind in kinds if getattr(found, kind)} == expected
    assert found.counts == {kind: len(expected.get(kind, [])) for kind in kinds}
    assert bool(found) == bool(expected)


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_signals_lie_in_the_text(text: str) -> None:
    """The ranges of each kind lie in the text, in order and apart."""
    found = signals(text)
    for ranges in (found.mixed_script, found.whole_script, found.invisible, found.bidi):
        edges = [edge for pair in ranges for edge in pair]
        assert edges == sorted(edges) and all(0 <= start < end <= len(text) for start, end in ranges)


@pytest.mark.parametrize("text", ["p\u200bа" * 60_000, "a" + "\u0301\u0316" * 100_000, "а" * 200_000, "аb" * 100_000, "\u202ea" * 100_000, "раураl\n" * 20_000])
def test_hostile_texts_take_bounded_time(text: str) -> None:
    """Skeleton and signals of long hostile texts take seconds at most; a quadratic step would take minutes."""
    started = time.process_time()
    assert isinstance(signals(text), Signals)
    assert len(skeleton(text).text) <= len(text)
    assert time.process_time() - started < 10.0


@pytest.mark.parametrize("text", ["10\u00b2\u0301", "\u00bd\u0301", "\ufdfa\u0301", "\u00b2\u0301\u0302"])
def test_marks_make_no_sign_say_something_else(text: str) -> None:
    """A raised digit, a fraction, a sign for a phrase stay with marks on them too: ten squared is not 102."""
    assert skeleton(text).text[: len(text) - 1] == text[: len(text) - 1]
