"""A folder of brat standoff files: NAME.txt and NAME.ann (https://brat.nlplab.org/standoff.html), offsets in code points.

T lines are spans, A and M lines what is said of one. A discontinuous span is taken as the range from its first to its last
character. Relations, events, notes and normalisations are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from pipelines.importers.labelled import MAX_CHARS, Columns, Fault, Item, Labelled, Note, Span, bad_span, bad_text
from pipelines.importers.lines import whole_file
from suites.errors import DataError

GROUP = "entities"
FLAG = "yes"  # an attribute without a value, as Negated, is said by being there
MAX_BYTES = MAX_CHARS * 4  # a text of MAX_CHARS in UTF-8
MAX_FILES = 1_000_000  # sorted, and so all in memory
_OTHER = {"R": "relations", "E": "events", "N": "normalisations", "#": "notes", "*": "equivalences"}


def read_brat(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The documents of a folder and those below it, in sorted order."""
    found = sorted(file for file in path.rglob("*") if file.suffix in (".txt", ".ann") and file.is_file())
    if len(found) > MAX_FILES:
        raise DataError(f"{label}: holds more than {MAX_FILES} files. Spread them over several folders.", "too_large")
    present = set(found)
    for file in found:
        place = f"{label}/{file.relative_to(path)}"
        if file.suffix == ".ann" and file.with_suffix(".txt") not in present:
            yield Fault(place, "There is no .txt file of this name.", "Put the text beside it.")
        elif file.suffix == ".txt" and file.with_suffix(".ann") not in present:
            yield Fault(place, "There is no .ann file of this name.", "Annotate it, or put an empty .ann beside it: nothing is found there.")
        elif file.suffix == ".txt":
            yield from _document(file, place, str(file.relative_to(path).with_suffix("")))


def _document(file: Path, place: str, name: str) -> Iterator[Item]:
    text = _decoded(file, place)
    marks = _decoded(file.with_suffix(".ann"), f"{place[:-4]}.ann")
    for fault in (text, marks):
        if isinstance(fault, Fault):
            yield fault
            return
    assert isinstance(text, str)
    assert isinstance(marks, str)
    if refusal := bad_text(place, text):
        yield refusal
        return
    spans = yield from _spans(text, marks.split("\n"), f"{place[:-4]}.ann")
    if spans is not None:
        yield Labelled(place, text, name, {}, {GROUP: spans})


def _decoded(file: Path, place: str) -> str | Fault:
    try:
        return whole_file(file, place, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault(place, f"The file is not UTF-8 at byte {error.start}.", "Save it as UTF-8.")
    except DataError as error:
        return Fault(place, "The file cannot be read or is too large.", error.message)


def _spans(text: str, lines: list[str], place: str) -> Generator[Note | Fault, None, tuple[Span, ...] | None]:
    """The document's spans, or None where a line is faulty: its fault has been yielded then."""
    found: dict[str, Span] = {}
    said: dict[str, dict[str, str]] = {}
    for number, raw in enumerate(lines, start=1):
        line, where = raw.rstrip("\r"), f"{place}:{number}"
        if not line.strip():
            continue
        if line[0] in _OTHER:
            yield Note(f"{_OTHER[line[0]]} of brat are left out")
        elif line[0] in "AM":
            _, name, target, value, *_ = [*line.replace("\t", " ").split(), "", "", "", ""]
            said.setdefault(target, {})[name] = value or FLAG
        elif line[0] != "T":
            yield Fault(where, "The line begins with none of T, A, M, R, E, N, # and *.", "Write it as brat's standoff format has it.")
            return None
        else:
            span = _span(text, line, where)
            if isinstance(span, Fault):
                yield span
                return None
            if ";" in line.split("\t")[1]:
                yield Note("discontinuous spans were taken from their first to their last character")
            found[line.split("\t")[0]] = span
    return tuple(Span(s.label, s.start, s.end, said.get(key, {})) for key, s in found.items())


def _span(text: str, line: str, place: str) -> Span | Fault:
    """The span of a T line; its words must be those of the text, line breaks written as spaces."""
    try:
        _, middle, covered = line.split("\t", 2)
        label, ranges = middle.split(" ", 1)
        parts = [(int(a), int(b)) for a, b in (part.split(" ") for part in ranges.split(";"))]
    except ValueError:
        return Fault(place, "The line is no span: expected T1, a tab, LABEL START END, a tab, the words.", "Write it as brat's standoff format has it.")
    start, end = min(a for a, _ in parts), max(b for _, b in parts)
    for a, b in parts:
        if refusal := bad_span(place, text, a, b):
            return refusal
    if " ".join(text[a:b] for a, b in parts).split() != covered.split():
        return bad_span(place, text, start, end, covered) or Fault(place, f"Span {start}..{end} covers other words than the line says.", "Annotate it anew.")
    return Span(label, start, end)
