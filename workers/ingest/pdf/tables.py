"""Tables of a PDF page, found by the places of their cells: lines whose wide gaps lie above each other. A wrong join is worse than none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from workers.ingest.pdf.lines import WIDE, Line, Segment
from workers.ingest.rows import table_row

COLUMNS = 30
SAME_BASE = 0.08  # in heights
TRIES = 5  # lines of two cells that may stand above a table without being of it
ROWS, ROWS_OF_VALUES = 3, 2  # that have two cells and more; fewer where three columns hold values
VALUES = 0.5  # the share of cells beside the first column that hold values: a table of two columns has no less
LABEL_CHARS = 35  # three labels and more that are all longer are lines of a column of text
LEVEL = 0.8  # the share of rows whose cells have one baseline
CELL_CHARS, FILLED = 25, 0.7  # a table of words has short cells, and hardly an empty one
NEAR = 3  # lines from a table to a row that a longer line parts from it
LINES_BETWEEN, HEIGHTS_BETWEEN = 2, 4.0  # of one cell alone between rows; from a baseline to the next
# prose in a column: most of its lines are as long as the column lets them be
PROSE_LINES, PROSE_CHARS, PROSE_FULL, PROSE_SHARE, PROSE_INK, PROSE_LETTERS = 5, 20, 0.8, 0.6, 0.6, 0.6
# a number with its sign, currency, unit or mark of a footnote; what stands where there is none
_VALUE = re.compile(
    r"[^\w\s]{0,3}\s?(?:[A-Z]{3}\s?)?\d[\d.,:/'’\s\u2009\u202f–-]{0,30}\S{0,3}\s?\S{0,10}|[-–—−.*✓✔✗x]{1,3}|(?i:n\.?/?a\.?|k\.\s?a\.|none|nil|yes|no)"
)


@dataclass(slots=True)
class Table:
    """Lines that are rows, and the ends of each column."""

    lines: list[Line]
    columns: list[tuple[float, float]] = field(default_factory=list)

    def rows(self) -> list[str]:
        """Each row as `cell | cell`; a line of one cell is that cell."""
        return [line.text if len(line.segments) == 1 else self._row(line) for line in self.lines]

    def _row(self, line: Line) -> str:
        return table_row(" ".join(segment.text for segment in _cell(line, column)) for column in self.columns)

    def holds(self, line: Line) -> bool:
        """Whether a line beside the table is a row of it, as the years above its first heading: each segment in a column of its own."""
        columns = [column for segment in line.segments for column in self.columns if _overlaps(segment, column)]
        return len(line.segments) > 1 and len(columns) == len(set(columns)) == len(line.segments) and any(is_value(s.text) for s in line.segments)


def is_value(text: str) -> bool:
    """Whether a cell holds a number, or what stands where there is none."""
    return _VALUE.fullmatch(text) is not None


def is_prose(lines: Sequence[Sequence[Segment]], least: int = PROSE_LINES, chars: int = PROSE_CHARS) -> bool:
    """Whether these pieces of lines are running text: long, most as long as the longest, more words than gaps, more letters than digits."""
    if len(lines) < least:
        return False
    widths = sorted(line[-1].right - line[0].left for line in lines)
    full = widths[len(widths) * 9 // 10] * PROSE_FULL
    text = "".join(segment.text for line in lines for segment in line)
    return (
        sum(width >= full for width in widths) >= PROSE_SHARE * len(lines)
        and median(sum(len(segment.text) for segment in line) for line in lines) >= chars
        and sum(segment.width for line in lines for segment in line) >= PROSE_INK * sum(widths)
        and sum(map(str.isalpha, text)) >= PROSE_LETTERS * len(text)
    )


def tables_of(lines: Sequence[Line]) -> list[Table | Line]:
    """The lines in order, those that make up a table together."""
    found: list[Table | Line] = []
    at = n_tried = 0
    while at < len(lines):
        block = _block(lines, at) if len(lines[at].segments) > 1 and n_tried < TRIES else None
        if block is not None and _is_table(block):
            found.append(block)
            at, n_tried = at + len(block.lines), 0
        else:
            found.append(lines[at])
            at, n_tried = at + 1, n_tried + 1 if block is not None else 0 if len(lines[at].segments) == 1 else n_tried
    _adopt(found)
    _adopt(found, step=-1)
    return found


def _adopt(found: list[Table | Line], step: int = 1) -> None:
    """Makes tables of the lines near a table that are rows of it, those below with `step` 1 and those above with -1."""
    table: Table | None = None
    distance = 0
    for at in range(len(found))[::step]:
        block = found[at]
        distance += 1
        if isinstance(block, Table):
            table, distance = block, 0
        elif table and distance <= NEAR and table.holds(block):
            found[at] = Table([block], table.columns)
            distance = 0


def _block(lines: Sequence[Line], start: int) -> Table:
    """The lines from this one on whose cells lie below each other."""
    columns: list[tuple[float, float]] = []
    end = last = start
    while end < len(lines) and end - last <= LINES_BETWEEN:
        line = lines[end]
        if end > start and lines[end - 1].base - line.base > HEIGHTS_BETWEEN * line.height:
            break
        grown = _grown(columns, line)
        if grown is None:
            break
        columns = grown
        last = end if len(line.segments) > 1 else last
        end += 1
    return Table(list(lines[start : last + 1]), columns)


def _grown(columns: list[tuple[float, float]], line: Line) -> list[tuple[float, float]] | None:
    """The columns with this line's cells; None where a cell stands in two of them, or comes too near to the next."""
    gap = WIDE * line.height
    grown = list(columns)
    for segment in line.segments:
        touched = [column for column in grown if _overlaps(segment, column)]
        if len(touched) > 1:
            return None
        left, right = (min(segment.left, touched[0][0]), max(segment.right, touched[0][1])) if touched else (segment.left, segment.right)
        rest = [column for column in grown if column not in touched]
        if any(column[0] - gap < right and left < column[1] + gap for column in rest) or len(rest) >= COLUMNS:
            return None
        grown = sorted([*rest, (left, right)])
    return grown


def _overlaps(segment: Segment, column: tuple[float, float]) -> bool:
    return segment.left < column[1] and column[0] < segment.right


def _is_table(table: Table) -> bool:
    rows = [line for line in table.lines if len(line.segments) > 1]
    cells = [[found for line in rows if (found := _cell(line, column))] for column in table.columns]
    beside = [segment for column in cells[1:] for cell in column for segment in cell]
    has_values = sum(is_value(segment.text) for segment in beside) >= VALUES * len(beside)
    if len(rows) < (ROWS_OF_VALUES if len(cells) > 2 and has_values else ROWS) or any(map(is_prose, cells[1:])):
        return False
    if not _is_beside(table) or sum(map(is_level, rows)) < LEVEL * len(rows) or is_prose(cells[0], ROWS, LABEL_CHARS):
        return False
    if has_values:
        return True
    n_cells = sum(map(len, cells))
    is_short = median(sum(len(segment.text) for segment in cell) for column in cells for cell in column) <= CELL_CHARS
    return len(cells) > 2 and is_short and not is_prose(cells[0]) and n_cells >= FILLED * len(rows) * len(cells)


def _cell(line: Line, column: tuple[float, float]) -> list[Segment]:
    return [segment for segment in line.segments if _overlaps(segment, column)]


def is_level(line: Line) -> bool:
    """Whether the segments have one baseline: rows have, lines of columns beside each other seldom."""
    return all(abs(segment.base - line.segments[0].base) <= SAME_BASE * line.height for segment in line.segments)


def _is_beside(table: Table) -> bool:
    """Whether most lines that have something in the first column have something beside it: two texts side by side seldom share baselines."""
    first = [line for line in table.lines if _overlaps(line.segments[0], table.columns[0])]
    return sum(len(line.segments) > 1 for line in first) * 2 >= len(first)
