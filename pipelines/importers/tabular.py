"""CSV and TSV: a header, one column with the text, any other column as a field."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipelines.importers.labelled import Columns, Fault, Item, Labelled, Note, bad_text, listed
from pipelines.importers.lines import MAX_LINE, text_lines
from suites.errors import DataError, UsageError, unknown

# a longer name in a header is none: the file has no header
NAME_CHARS, NAME_WORDS = 60, 5
RECORD_LINES = 2_000  # a quoted field over more lines is an unclosed quote that would swallow the rest of the file


class _Unclosed(Exception):
    """A record has run over its bound of lines or characters."""


class _Feed:
    """The lines for the csv parser, which asks for one after another until a record is whole; a faulty one goes through empty, and is remembered."""

    def __init__(self, path: Path, label: str, encoding: str) -> None:
        self._lines = text_lines(path, label, encoding, newline="")
        self.begin()

    def begin(self) -> None:
        """A new record starts."""
        self.line, self._n_lines, self._n_chars = 0, 0, 0
        self.fault: Fault | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.line = self.line or number
        if isinstance(line, Fault):
            self.fault, line = self.fault or line, "\n"
        self._n_lines, self._n_chars = self._n_lines + 1, self._n_chars + len(line)
        if self._n_lines > RECORD_LINES or self._n_chars > MAX_LINE:
            raise _Unclosed
        return line


def read_csv(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The rows of a file whose fields are parted by commas, or by semicolons where its header is."""
    return _rows(path, label, columns, "")


def read_tsv(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The rows of a file whose fields are parted by tabs."""
    return _rows(path, label, columns, "\t")


def _rows(path: Path, label: str, columns: Columns, delimiter: str) -> Iterator[Item]:
    header: list[str] = []
    for line, record in _records(path, label, columns.encoding, delimiter or _delimiter(path, label, columns)):
        if isinstance(record, Fault):
            yield record
        elif not header:
            header = _header(label, record, columns)
        elif len(record) != len(header):
            what = f"The row has {len(record)} fields, expected the header's {len(header)}."
            yield Fault(f"{label}:{line}", what, "Quote fields that hold the separator or a line break.")
        else:
            yield _row(f"{label}:{line}", header, record, columns)
    if delimiter == "" and header and _delimiter(path, label, columns) == ";":
        yield Note("the file's fields are parted by semicolons")


def _records(path: Path, label: str, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str] | Fault]]:
    """Each record with the line it starts at; a broken quote ends the file, for no one can say where the next record starts."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    feed = _Feed(path, label, encoding)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.begin()
        try:
            record = next(reader)
        except StopIteration:
            return
        except (csv.Error, _Unclosed):  # the message of csv may quote the line
            what = f"A quote in the row that starts at line {feed.line} is not closed, or stands where none may; the file is not read further."
            yield feed.line, Fault(f"{label}:{feed.line}", what, 'Close it, and double each quote inside a field: "".')
            return
        if feed.fault:
            yield feed.line, feed.fault
        elif record:
            yield feed.line, record


def _delimiter(path: Path, label: str, columns: Columns) -> str:
    """The separator by the header: the semicolon, as some spreadsheets write, where it holds more of them than commas."""
    first = next(iter(text_lines(path, label, columns.encoding, newline="")), (0, ""))[1]
    return ";" if isinstance(first, str) and first.count(";") > first.count(",") else ","


def _header(label: str, record: list[str], columns: Columns) -> list[str]:
    """The columns' names. Raises UsageError where one that is needed is not there."""
    header = [name.strip() or f"column_{number}" for number, name in enumerate(record, start=1)]
    if any(len(name) > NAME_CHARS or len(name.split()) > NAME_WORDS for name in header):  # it may be the first document
        what = f"{label}:1: the first line has {len(header)} fields, and not all of them look like names of columns."
        raise DataError(f"{what} Put a line above it that names them, one of them text.", "bad_header")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise DataError(f"{label}:1: columns that stand twice in the header: {listed(twice)}. Give each a name of its own.", "bad_header")
    for option, name in (("--text-column", columns.text), ("--label-column", columns.label), ("--id-column", columns.id)):
        if name and name not in header:
            raise UsageError(f"{label}: {option}: {unknown('column', name, header)}")
    if not columns.text and "text" not in header:
        raise UsageError(f"{label}: has no column 'text'. Its columns: {listed(header)}. Name the one that holds the text: --text-column.")
    return header


def _row(place: str, header: list[str], record: list[str], columns: Columns) -> Item:
    row = {name: cell.strip() for name, cell in zip(header, record, strict=True)}
    text, key = columns.text or "text", columns.id or "id"
    if refusal := bad_text(place, row[text]):
        return refusal
    fields = {name: (cell,) if cell else () for name, cell in row.items() if name not in (text, key)}
    return Labelled(place, row[text], row.get(key) or None, fields)
