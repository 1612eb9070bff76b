"""Rows of a table that lost its cells on the way: a label, its unit, and as many numbers as there are years."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from .numerals import WRITTEN, convention_of
from .tables import Cell, Column, Line, Row, Table
from .units import read_unit
from .years import Year, find_years

MAX_CHARS = 200  # a longer line is a paragraph
_NUMBER = rf"(?:{WRITTEN.replace(' ', '')})"
_FIGURES = re.compile(rf"(?:(?<=\s){_NUMBER}(?:\s+{_NUMBER}){{1,9}})\s*$")
_YEARS = re.compile(r"(?:^|(?<=\s))(?:FY ?)?20\d\d(?:\s+(?:FY ?)?20\d\d){1,9}(?=\s|$)")
_WORD = re.compile(r"\S+")
_UNIT = re.compile(r"\s(\S{1,12}(?: CO2e?)?)$")


def tables_of(lines: list[Line]) -> Iterator[Table]:
    """The tables of a page whose rows have years in the line itself or in a line above: `Scope 1 (kt CO2e) 2021 2022 310 298`."""
    table, told = Table(()), list[str]()
    for above, line in pairwise((None, *lines)):
        is_flat = not line.is_row and len(line.text) <= MAX_CHARS
        years = _YEARS.search(line.text) if is_flat else None
        row = _row(line, None, table.columns) if is_flat and not years else None
        if row is None:
            yield from _ended(table, told)
            table, told = Table(_caption(above), _columns(line, years)) if years else Table(()), []
            row = _row(line, years, table.columns)
            if years and row is None and line.text[years.end() :].strip():
                table = Table(())
        if row is not None:
            table.rows.append(row)
            told.append(line.text)
    yield from _ended(table, told)


def _ended(table: Table, told: list[str]) -> Iterator[Table]:
    """The table with what the lines of its rows tell of decimals, if it has any."""
    if table.rows:
        table.told = convention_of("\n".join(told))
        yield table


def _caption(above: Line | None) -> tuple[str, ...]:
    """The line above the years, unless it is a row itself."""
    return (above.text.strip(),) if above is not None and above.is_caption and not _FIGURES.search(above.text) else ()


def _columns(line: Line, match: re.Match[str]) -> tuple[Column, ...]:
    """The years of a line as columns; they must follow one another."""
    start, end = match.span()
    years = find_years(line.text, start, end)
    steps = {b.number - a.number for a, b in pairwise(years)}
    if steps not in ({1}, {-1}):
        return ()
    lead = "" if line.text[end:].strip() else line.text[:start].strip()
    first = Column(Cell(line.start, line.start + len(lead), lead), None, actual=True, target=False, unit=False)
    return (first, *(_column(line, year) for year in years))


def _column(line: Line, year: Year) -> Column:
    start, end = line.start + year.start, line.start + year.end
    return Column(Cell(start, end, year.name), Year(start, end, year.name), actual=True, target=False, unit=False)


def _row(line: Line, years: re.Match[str] | None, columns: tuple[Column, ...]) -> Row | None:
    """The line as a row, if it ends in as many numbers as there are columns of years."""
    if not columns:
        return None
    figures = _FIGURES.search(line.text, years.end() if years else 0)
    if figures is None:
        return None
    numbers = [
        Cell(line.start + m.start(), line.start + m.end(), m.group()) for m in re.finditer(r"\S+", line.text[: figures.end()]) if m.start() >= figures.start()
    ]
    if len(numbers) != len(columns) - 1:
        return None
    told = line.text[: years.start()] + line.text[years.end() : figures.start()] if years else line.text[: figures.start()]
    return Row((Cell(line.start, line.start, _label(told)), *numbers), start=line.start)


def _label(told: str) -> str:
    """The label with its unit in brackets."""
    told = " ".join(told.split())
    unit = _UNIT.search(told)
    return f"{told[: unit.start()]} ({unit[1]})" if unit and not read_unit(unit[1]).doubt and not told.endswith(")") else told
