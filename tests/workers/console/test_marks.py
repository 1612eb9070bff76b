"""Marked texts: whatever overlaps, the text stays the same and every finding marks exactly its code points."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.console.marks import Mark, marked
from workers.console.shown import chips, duration, percent, visible

TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60) | st.text(
    alphabet="ab<>&\"' \n\u202e\U0001f469é", min_size=1, max_size=60
)


class Read(HTMLParser):
    """What a marked text says, and by mark the pieces that stand in it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.said: dict[str, str] = {}
        self.ids: list[str] = []
        self.strange: list[str] = []
        self._open: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._open.append(given.get("data-mark"))
        self.ids += [str(given["id"])] if "id" in given else []
        if tag == "span" and given.get("class") == "unseen":
            code = re.match(r"U\+([0-9A-F]+)", given["title"] or "")
            assert code
            self._add(chr(int(code[1], 16)))
            self._open[-1] = "unseen"
        elif tag != "mark":
            self.strange.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "unseen" not in self._open:
            self._add(data)

    def _add(self, data: str) -> None:
        self.text += data
        for name in self._open:
            if name not in (None, "unseen"):
                self.said[str(name)] = self.said.get(str(name), "") + data


def read(html: str) -> Read:
    parser = Read()
    parser.feed(str(html))
    parser.close()
    return parser


@st.composite
def places(draw: st.DrawFn) -> tuple[str, list[Mark]]:
    text = draw(TEXTS)
    ends = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=12))
    return text, [Mark(f"a{i}", min(pair), max(pair), "t1 found", "tip\"'<", False) for i, pair in enumerate(pairs)]


@given(places())
def test_a_marked_text_says_what_the_text_says(case: tuple[str, list[Mark]]) -> None:
    """Read back, it is the text, code point by code point; each mark holds exactly its range, and is named once."""
    text, marks = case
    found = read(marked(text, 0, marks))
    assert found.text == text
    assert found.said == {mark.name: text[mark.start : mark.end] for mark in marks if mark.start < mark.end}
    assert sorted(found.ids) == sorted(found.said)
    assert not found.strange


@given(places(), st.integers(0, 40), st.integers(1, 40))
def test_a_part_of_a_text_is_marked_alike(case: tuple[str, list[Mark]], begin: int, length: int) -> None:
    """In a part of the text each mark holds what of it lies there."""
    text, marks = case
    part = text[begin : begin + length]
    found = read(marked(part, begin, marks))
    assert found.text == part
    inside = {mark.name: text[max(mark.start, begin) : min(mark.end, begin + length)] for mark in marks}
    assert found.said == {name: said for name, said in inside.items() if said}


def test_places_are_code_points() -> None:
    """A character that UTF-16 writes in two units counts once."""
    text = "👩‍👩‍👧 met 𝔘𝔫𝔦 at Ünal's"
    start = text.index("𝔘")
    assert read(marked(text, 0, [Mark("a1", start, start + 3, "", "")])).said == {"a1": "𝔘𝔫𝔦"}


def test_longer_marks_are_outside() -> None:
    """Of two that begin together the longer one holds the shorter, and depths tell the underlines apart."""
    html = marked("abcdef", 0, [Mark("in", 0, 2, "t1", ""), Mark("out", 0, 6, "t2", "")])
    assert html.index('id="out"') < html.index('id="in"')
    assert 'class="t2 d1" data-mark="out"' in html and 'class="t1 d0" data-mark="in"' in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a<b>&\"'", "<bdi>a&lt;b&gt;&amp;&#34;&#39;</bdi>"),
        ("a\u202eb", '<bdi>a<span class="unseen" title="U+202E right-to-left override">U+202E</span>b</bdi>'),
        ("\x00\x1b", '<bdi><span class="unseen" title="U+0000 control character">␀</span><span class="unseen" title="U+001B control character">␛</span></bdi>'),
        ("naïve 日本語 עברית", "<bdi>naïve 日本語 עברית</bdi>"),
    ],
)
def test_what_is_not_seen_is_named(text: str, html: str) -> None:
    """Signs of HTML are escaped; controls and marks of direction are named in a frame of their own; other scripts stay."""
    assert visible(text) == html


def test_lines_of_a_text_stay_lines() -> None:
    """A text's line ends and tabs are laid out; in an id they are named."""
    assert chips("a\n\tb") == "a\n\tb"
    assert "U+000A" in visible("a\nb")


@pytest.mark.parametrize(("share", "shown"), [(0.5, "50 %"), (0.0, "0 %"), (1.0, "100 %"), (0.9999, ">99 %"), (0.0001, "<1 %"), (None, "–")])
def test_nearly_all_is_not_all(share: float | None, shown: str) -> None:
    """A share is rounded, but never to nothing or to all."""
    assert percent(share) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (7200, "2 h"), (90_061, "1 d 1 h"), (None, "–")])
def test_durations_have_two_units_at_most(seconds: float | None, shown: str) -> None:
    """A time that something takes, as people say it."""
    assert duration(seconds) == shown
