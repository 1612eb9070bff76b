"""CSV and TSV: a header with `text`, an optional `id`, any other columns as metadata. A CSV file may part its fields by semicolons."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from workers.ingest.encoding import undecodable
from workers.ingest.files import line_bytes, line_too_long, lines
from workers.ingest.options import ReadOptions
from workers.ingest.rows import Reject, Row, checked, meta_of, names

FIELD_LINES = 2_000  # a quoted field over more lines is an unclosed quote that would swallow the rest of the file


@dataclass(frozen=True, slots=True)
class _Record:
    """The fields of one record, the line it starts at, and what was wrong with its lines."""

    line: int
    fields: list[str]
    fault: Reject | None


class _Unclosed(Exception):
    """A record has run over its bound of lines or characters."""


class _Feed:
    """The decoded lines for the csv parser, which asks for one after another until a record is whole.

    A line with a fault still goes through, so that the parser keeps its place between the quotes:
    bad bytes as surrogates, an overlong line as a stand-in with the same parity of quotes.
    """

    def __init__(self, file: BinaryIO, label: str, options: ReadOptions) -> None:
        self._label = label
        self._options = options
        self._bound = line_bytes(options.max_chars)
        every = lines(file, label, self._bound)
        first = next((line for line in every if line.is_cut or line.data.strip()), None)
        self.header = b"" if first is None or first.is_cut else first.data
        self._lines = chain([] if first is None else [first], every)
        self.has_ended = False
        self.begin()

    def begin(self) -> None:
        """A new record starts."""
        self.line, self.n_lines, self._n_chars = 0, 0, 0
        self.fault: Reject | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.has_ended = True
            raise StopIteration
        self.line = self.line or line.number
        if line.is_cut:
            self._blame(line_too_long(f"{self._label}:{self.line}", line.n_bytes, self._bound))
            text = '"\n' if line.has_odd_quotes else "\n"
        else:
            text = self._decoded(line.data, line.number)
        self.n_lines += 1
        self._n_chars += len(text)
        if self.n_lines > FIELD_LINES or self._n_chars > self._bound:
            raise _Unclosed
        return text

    def _decoded(self, data: bytes, number: int) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            self._blame(undecodable(f"{self._label}:{self.line}", error, f"line {number}", self._options))
            return data.decode("utf-8", "surrogateescape")

    def _blame(self, fault: Reject) -> None:
        self.fault = self.fault or fault


def comma_rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The rows of a CSV file: its separator is the semicolon where the header says so."""
    return _rows(file, label, None, options)


def tab_rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The rows of a TSV file."""
    return _rows(file, label, "\t", options)


def _rows(file: BinaryIO, label: str, delimiter: str | None, options: ReadOptions) -> Iterator[Row]:
    header: list[str] | None = None
    for record in _records(file, label, delimiter, options):
        if isinstance(record, Reject):
            yield record
        elif header is None:
            header = _header(record.fields)
            if refusal := record.fault or _bad_header(label, header):
                yield refusal
                return
        else:
            yield record.fault or _row(record, header, f"{label}:{record.line}", options)


def _records(file: BinaryIO, label: str, delimiter: str | None, options: ReadOptions) -> Iterator[_Record | Reject]:
    """The records of the file; a broken quote ends it, for no one can say where the next record starts."""
    feed = _Feed(file, label, options)
    _allow_fields_of(line_bytes(options.max_chars))
    reader = csv.reader(feed, delimiter=delimiter or _separator(feed.header), strict=True)
    while True:
        feed.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except _Unclosed:
            yield _unclosed(label, feed)
            return
        except csv.Error:  # its message may quote the line
            yield _unclosed(label, feed) if feed.has_ended else _bad_quotes(label, feed)
            return
        if fields or feed.fault:
            yield _Record(feed.line, fields, feed.fault)


def _separator(header: bytes) -> str:
    """The semicolon, as some spreadsheets write, where only it makes a column `text` of the header."""
    line = header.decode("utf-8", "replace")
    return next((mark for mark in ",;" if "text" in _names(line, mark)), ",")


def _names(line: str, separator: str) -> list[str]:
    try:
        return [name.strip() for row in csv.reader([line], delimiter=separator) for name in row]
    except csv.Error:  # what is wrong with it is told when it is read
        return []


def _allow_fields_of(n_chars: int) -> None:
    # the csv module has one limit per process, 131,072 characters to begin with; ours are bounded by _Feed, so it is only raised
    if csv.field_size_limit() < n_chars:
        csv.field_size_limit(n_chars)


def _header(fields: list[str]) -> list[str]:
    """The column names; a nameless column, as data frames write for their index, is called by its number."""
    return [name.strip() or f"column_{number}" for number, name in enumerate(fields, start=1)]


def _bad_header(label: str, header: list[str]) -> Reject | None:
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        reason = f"Columns that stand twice in the header: {names(twice, among=header)}."
        return Reject(label, "bad_header", reason, "Give each column a name of its own.")
    if "text" not in header:
        remedy = "Rename the column that holds the text to 'text' (.csv is separated by commas or semicolons, .tsv by tabs)."
        return Reject(label, "no_text", f"The header has no column 'text'. Its columns: {names(header)}.", remedy)
    return None


def _row(record: _Record, header: list[str], place: str, options: ReadOptions) -> Row:
    if len(record.fields) != len(header):
        reason = f"The row has {len(record.fields)} of {len(header)} fields."
        return Reject(place, "ragged_row", reason, "Quote fields that hold the separator or a line break.")
    row: dict[str, object] = dict(zip(header, record.fields, strict=True))
    return checked(place, row.get("id"), row["text"], meta_of(row), options)


def _unclosed(label: str, feed: _Feed) -> Reject:
    reason = f"A quote in the row that starts at line {feed.line} is not closed within {feed.n_lines} lines; the file is not read further."
    return Reject(f"{label}:{feed.line}", "csv_unclosed_quote", reason, 'Close it, and double each quote inside a field: "".')


def _bad_quotes(label: str, feed: _Feed) -> Reject:
    reason = f"The row that starts at line {feed.line} has a quote or line end where none may stand; the file is not read further."
    return Reject(f"{label}:{feed.line}", "bad_csv", reason, 'Double each quote inside a field: "".')
