"""Where a range of the text stands: in a cell, whose table says its unit and how decimals are written, or in running text."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

from .numerals import Convention, convention_of
from .rows import convention_in, unit_beside
from .tables import Line, Row, Table, lines_of, tables_of


class Places:
    """The lines and tables of one text, looked at when a range is asked for."""

    def __init__(self, text: str) -> None:
        self.convention: Convention = convention_of(text) or "dot"
        self.pages = [(lines, list(tables_of(lines))) for lines in lines_of(text)]
        self._told: dict[int, Convention] = {}

    def at(self, start: int, end: int) -> tuple[Convention, str | None]:
        """How decimals are written around a range, and the unit that its table says of it."""
        line = self._line(start)
        if line is None:
            return self.convention, None
        told = self._rows.get(line.start)
        if told is None:
            return self._of_line(line), None
        table, row = told
        cell = next((c for c in row.cells[1:] if c.start <= start and end <= c.end), None)
        if id(table) not in self._told:
            self._told[id(table)] = convention_in(table, self.convention)
        return self._told[id(table)], unit_beside(table, row, cell) if cell else None

    def _of_line(self, line: Line) -> Convention:
        return self.convention if self.convention != "mixed" else convention_of(line.text) or self.convention

    def _line(self, start: int) -> Line | None:
        number = bisect_right(self._starts, start) - 1
        return self._lines[number] if number >= 0 else None

    @cached_property
    def _lines(self) -> list[Line]:
        return [line for lines, _ in self.pages for line in lines]

    @cached_property
    def _starts(self) -> list[int]:
        return [line.start for line in self._lines]

    @cached_property
    def _rows(self) -> dict[int, tuple[Table, Row]]:
        """Tables and rows by where their line begins."""
        return {row.start: (table, row) for _, tables in self.pages for table in tables for row in table.rows}
