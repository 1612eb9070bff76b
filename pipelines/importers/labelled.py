"""What an importer yields: a labelled document, a fault with its place, or a note on what was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_CHARS = 1_000_000  # of one text: the default of the contract's [text] max_chars
ID_CHARS = 200  # of an id, as documents have them (workers/ingest/rows.py)
MAX_SHOWN = 60  # what is longer than labels are may be the text
# no store takes them as text: NUL, and half a surrogate pair, which UTF-8 cannot say
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled range of the text in code points, end excluded, and what the source says of it beside its label."""

    label: str
    start: int
    end: int
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One document as its source labels it, in the source's own words.

    `fields`: values that hold for the whole text, by field. `spans`: labelled ranges, by group; a
    group that is there and empty was annotated and nothing was found. `id` is the source's, if it has one.
    """

    place: str
    text: str
    id: str | None = None
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be used: where, what is wrong and what was expected, what to do. It holds no text."""

    place: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Note:
    """What was taken otherwise than it stands, or left out, once: equal notes are counted."""

    what: str


Item = Labelled | Fault | Note


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns or keys of a row hold its text, label and id, where their names do not say so, and the file's encoding."""

    text: str | None = None
    label: str | None = None
    id: str | None = None
    encoding: str = "utf-8"


Reader = Callable[[Path, str, Columns], Iterator[Item]]


def shown(value: object) -> str:
    """A value as an error may show it: its length where it could be running text."""
    written = str(value)
    return repr(written) if len(written) <= MAX_SHOWN else f"of {len(written)} characters"


def printable(written: str) -> str:
    """A name with what no terminal or file should get written as escapes: controls, and half a surrogate pair."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in written)


def listed(names: Sequence[str], *, most: int = 12) -> str:
    """Names in one line: the first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…") for name in names[:most]) + more


def bad_text(place: str, text: object) -> Fault | None:
    """What is wrong with a text: no string, empty, too long, or not storable."""
    if not isinstance(text, str):
        return Fault(place, f"The text is {type(text).__name__}, expected a string.", "Write the text as a string.")
    if not text.strip():
        return Fault(place, "The text is empty.", "Leave the row out.")
    if len(text) > MAX_CHARS:
        return Fault(place, f"The text has {len(text)} characters, expected {MAX_CHARS} at most.", "Split the document.")
    if found := _UNSTORABLE.search(text):
        what = f"The text holds U+{ord(found[0]):04X} at character {found.start()}, which no store takes."
        return Fault(place, what, "Take it out, or name the file's encoding with --encoding.")
    return None


def bad_id(place: str, id_: str) -> Fault | None:
    """What is wrong with an id: too long, or not printable."""
    if len(id_) > ID_CHARS:
        return Fault(place, f"The id has {len(id_)} characters, expected {ID_CHARS} at most.", "Give a shorter one, or another --id-column.")
    if not id_.isprintable():
        return Fault(place, f"The id is {id_[:MAX_SHOWN]!r}, expected printable characters.", "Write it anew, or name another --id-column.")
    return None


def bad_span(place: str, text: str, start: object, end: object, covered: object = None) -> Fault | None:
    """What is wrong with a range of a text: no offsets, outside it, or not on the characters that the source says it covers."""
    if not _is_offset(start) or not _is_offset(end):
        return Fault(place, "A span has no whole numbers as start and end.", "Give both in code points, end excluded.")
    assert isinstance(start, int)
    assert isinstance(end, int)
    if not 0 <= start < end <= len(text):
        what = f"Span {start}..{end} lies outside the text of {len(text)} characters, or is empty."
        return Fault(place, what, _REMEDY)
    if isinstance(covered, str) and text[start:end] != covered:
        what = f"Span {start}..{end} does not cover the {len(covered)} characters that the source says it covers."
        return Fault(place, what, _units(text, start, end, covered))
    return None


_REMEDY = "Count offsets in code points from 0, end excluded."


def _is_offset(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _units(text: str, start: int, end: int, covered: str) -> str:
    """The remedy for a span that covers something else: which unit its offsets seem to count."""
    for unit, encoding, width in (("bytes of UTF-8", "utf-8", 1), ("units of UTF-16", "utf-16-le", 2)):
        if text.encode(encoding)[start * width : end * width] == covered.encode(encoding, "surrogatepass"):
            return f"The offsets seem to count {unit}: count code points."
    return _REMEDY
