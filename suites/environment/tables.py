"""Tables of a text: rows are lines whose cells stand between ` | `, the header first; a caption may stand above. So are those of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

from .numerals import WRITTEN, Convention, convention_of
from .years import Year, ahead, find_years, is_part

CAPTION_LINES = 3
CAPTION_CHARS = 160  # a longer line above a table is a paragraph
MAX_CELLS = 60  # a wider row is no table that a report prints

_SENTENCE_END = re.compile(r"[a-z]{3}[.!?]\s*$")
_LINE = re.compile(r"[^\n\f]+")
_MARKS = re.compile(r"\s*(?:\*{1,3}|†|‡|[¹²³⁴⁵⁶⁷⁸⁹]{1,2}|\(\d\)|\([a-z]\)|\[\d\])+$")
_NUMBER = re.compile(rf"[(~<>≈+−–-]?\s?(?:[€£$]\s?)?{WRITTEN}\)?\s?%?\)?")
_NOTE = re.compile(r"\(\d\)|\([a-z]\)")
_UNIT_HEADER = re.compile(r"(?i)units?(?: of measure(?:ment)?)?|uom")
# columns that hold no actual figure of the reporter's year
_NO_ACTUAL = re.compile(
    r"(?i)\b(?:targets?|goals?|plan(?:ned)?|budget|forecast|outlook|change|var(?:iation|iance|\.)?|trend|reported|previously|difference|progress|vs\.?|versus|"
    r"notes?|page|assured|yoy|y-o-y|mål|ziel)\b|[Δ±]|^%$"
)
_TARGET = re.compile(r"(?i)\b(?:targets?|goals?|mål|ziel)\b")
# a table under these words holds none
_TO_COME = re.compile(
    r"(?i)\b(?:planned|budget|forecasts?|outlook|projected|projections?|expected|pro[- ]forma)\b"
    r"|^(?!.*\b(?:and|against|vs|versus|progress|performance|towards|to)\b).*\b(?:targets?|goals?)\b"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its place in the text without outer space, and what it holds."""

    start: int
    end: int
    text: str

    @property
    def bare(self) -> str:
        """The cell without marks of footnotes."""
        return _bare(self.text)

    @property
    def is_number(self) -> bool:
        return _is_number(self.text)


@lru_cache(maxsize=4096)
def _bare(text: str) -> str:
    return "" if _NOTE.fullmatch(text) else _MARKS.sub("", text)


@lru_cache(maxsize=4096)
def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(_bare(text)) is not None


@dataclass(frozen=True, slots=True)
class Column:
    """What a header cell says of its column. `year` is that of its figures; `actual` is false for targets, changes and notes."""

    cell: Cell
    year: Year | None
    actual: bool
    target: bool
    unit: bool

    @property
    def named(self) -> str:
        """The header without its year."""
        text, at = self.cell.text, self.cell.start
        return f"{text[: self.year.start - at]} {text[self.year.end - at :]}".strip() if self.year and text else text


@dataclass(frozen=True, slots=True)
class Row:
    """One row, its section (the nearest row above that has a label and no figures) and the label of the row before it."""

    cells: tuple[Cell, ...]
    section: str = ""
    before: str = ""
    start: int = 0


@dataclass(slots=True)
class Table:
    """Rows under one header, the lines above it as caption (nearest first), and what the numbers around it tell of decimals."""

    caption: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    rows: list[Row] = field(default_factory=list)
    told: Convention | None = None

    @property
    def has_years(self) -> bool:
        return any(column.year for column in self.columns[1:])


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not empty, by its place."""

    start: int
    end: int
    text: str

    @property
    def is_row(self) -> bool:
        return "|" in self.text

    @property
    def is_caption(self) -> bool:
        """Whether it may stand over a table: no row, no paragraph, no sentence."""
        return not (self.is_row or len(self.text) > CAPTION_CHARS or _SENTENCE_END.search(self.text))

    @property
    def is_rule(self) -> bool:
        """Whether it only parts header and rows, as in Markdown: `|---|:--:|`."""
        return "-" in self.text and set(self.text) <= set("|-: \t")

    @property
    def is_barred(self) -> bool:
        """Whether a bar stands at either end, as in Markdown."""
        outer = self.text.strip()
        return len(outer) > 1 and outer.startswith("|") and outer.endswith("|")


def is_no_actual(text: str) -> bool:
    """Whether a header or label speaks of targets, changes and the like."""
    return _NO_ACTUAL.search(text) is not None


def is_to_come(text: str) -> bool:
    """Whether a caption speaks of figures that are expected or aimed at."""
    return _TO_COME.search(text) is not None


def lines_of(text: str) -> list[list[Line]]:
    """The lines by page."""
    pages, at = [], 0
    for page in text.split("\f"):
        pages.append([Line(at + m.start(), at + m.end(), m.group()) for m in _LINE.finditer(page) if not m.group().isspace()])
        at += len(page) + 1
    return pages


def tables_of(lines: list[Line]) -> Iterator[Table]:
    """The tables of one page."""
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and lines[end].is_row:
            end += 1
        if end > at:
            yield from _tables(_caption(lines, at), lines[at:end])
        at = max(end, at + 1)


def cells_of(line: Line, *, is_markdown: bool = False) -> tuple[Cell, ...]:
    """The cells of a row, empty ones among them; the outer bars of Markdown make none."""
    cells, at = [], line.start
    for part in line.text.split("|", MAX_CELLS):
        stripped = part.strip()
        start = at + len(part) - len(part.lstrip()) if stripped else at
        cells.append(Cell(start, start + len(stripped), stripped))
        at += len(part) + 1
    return tuple(cells[1:-1]) if is_markdown else tuple(cells)


def _caption(lines: list[Line], at: int) -> tuple[str, ...]:
    above = []
    for line in reversed(lines[max(0, at - CAPTION_LINES) : at]):
        if not line.is_caption:
            break
        above.append(line.text.strip())
    return tuple(above)


def _tables(caption: tuple[str, ...], lines: list[Line]) -> Iterator[Table]:
    """One table, or several where a header stands in the midst of the rows."""
    told = convention_of("\n".join(line.text for line in lines))
    table, section = Table(caption, told=told), ""
    is_markdown = all(line.is_barred for line in lines)
    for number, line in enumerate(line for line in lines if not line.is_rule):
        cells = cells_of(line, is_markdown=is_markdown)
        if _is_header(cells, table, first=number == 0):
            if table.rows:
                yield table
            table, section = Table(caption, _columns(cells), told=told), ""
        elif len(cells) > 1 and cells[0].text and not any(c.bare for c in cells[1:]):
            section = cells[0].text
        else:
            table.rows.append(Row(cells, section, table.rows[-1].cells[0].text if table.rows else "", line.start))
    yield table


def _is_header(cells: tuple[Cell, ...], table: Table, *, first: bool) -> bool:
    """Whether a row says what stands below it: years in its cells and no figures; the first row also without years."""
    years = [find_years(cell.text) for cell in cells[1:]]
    figures = [cell for cell, found in zip(cells[1:], years, strict=True) if cell.is_number and not found]
    if first:
        return not figures and any(cell.text for cell in cells[1:])
    names = [found[0].number for found in years if found]
    # in a row of figures that look like years they are not one after the other
    steps = {b - a for a, b in pairwise(names)}
    return not figures and len(names) > 1 and steps in ({1}, {-1}) and not find_years(cells[0].text) and bool(table.columns)


def _columns(cells: tuple[Cell, ...]) -> tuple[Column, ...]:
    """The columns under a header; one whose year is still to come holds no actual figures."""
    columns = tuple(map(_column, cells))
    to_come = ahead({column.year.number for column in columns[1:] if column.year and column.actual})
    return tuple(replace(c, actual=False) if c.year and c.year.number in to_come else c for c in columns)


def _column(cell: Cell) -> Column:
    years = [Year(cell.start + y.start, cell.start + y.end, y.name) for y in find_years(cell.text)]
    target = _TARGET.search(cell.text) is not None
    actual = not _NO_ACTUAL.search(cell.text) and not is_part(cell.text)
    return Column(cell, years[0] if len(years) == 1 else None, actual, target, _UNIT_HEADER.fullmatch(cell.text) is not None)
