"""Key figures of table rows: the metric from the row's label or the column's header, year and unit from wherever the table says them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .metrics import KEPT, fits, is_intensity, metric_of
from .numerals import Convention
from .quantities import Quantity, read_quantity
from .tables import Cell, Column, Row, Table
from .units import read_unit
from .years import find_years

_OTHERS = re.compile(r"(?i)\b(?:suppliers?|customers?|peers?|competitors?|sector|industry|country|countries)\b")
_ALL = re.compile(r"(?i)^(?:(?:group|grand|company|overall) )?total(?: (?:group|company))?$|^group$")
# a unit is said in brackets, after `in`, or after the last comma
_IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]{1,50})[)\]]")
_IN = re.compile(r"\bin ([^,;:()]{1,45})$|^(?:in|all (?:values|figures) in|unit:?) ([^,;:()]{1,45})$", re.IGNORECASE)
_WITHIN_BRACKETS = re.compile(r"^(?:in )?([^,;]{1,45}?)(?:[,;].*| unless .*)?$")


@dataclass(frozen=True, slots=True)
class Figure:
    """One key figure: its metric, place, what it says, and the year it is of."""

    metric: str
    start: int
    end: int
    quantity: Quantity
    year: str | None


@dataclass(frozen=True, slots=True)
class Value:
    """A cell with a number, and the number's own place in it."""

    cell: Cell
    column: Column | None
    start: int
    end: int


def figures_of(table: Table, convention: Convention) -> Iterator[Figure]:
    """The key figures of a table."""
    first = table.columns[0].cell.text if table.columns else ""
    if any(_OTHERS.search(line) for line in (*table.caption[:2], first)):
        return
    convention = table.convention(convention)
    for row in table.rows:
        yield from _along_row(table, row, convention) if table.has_years or not _metrics_above(table) else _below_header(table, row, convention)


def unit_beside(table: Table, row: Row, cell: Cell) -> str | None:
    """The unit that the table says of a cell in plain words: in a unit cell, the row's label or the column's header; the caption's where the metric fits it."""
    column = _column_of(table, row, cell)
    label = _label(table, row)
    for unit in (_unit_cell(table, row), unit_in(label), unit_in(column.cell.text) if column else None):
        if unit:
            return unit
    metric = metric_of(label, _context(table, row))
    wide = next((u for u in _wide_units(table, row) if u), None)
    return wide if metric and wide and fits(metric, read_unit(wide)) else None


def _along_row(table: Table, row: Row, convention: Convention) -> Iterator[Figure]:
    label = _label(table, row)
    metric = metric_of(label, _context(table, row))
    values = [v for v in _values(table, row) if _is_actual(v, table)]
    if (metric is None and not is_intensity(label)) or (not table.has_years and len(values) > 1):
        return
    for value in values:
        quantity = _read(value, table, row, convention)
        named = _named(metric, label, quantity)
        if named and quantity:
            year = value.column.year.name if value.column and value.column.year else None
            yield Figure(named, value.start, value.end, quantity, year)


def _below_header(table: Table, row: Row, convention: Convention) -> Iterator[Figure]:
    """Figures of a table whose header names metrics: its rows are years, or one of them is the total."""
    label = row.cells[0].text
    years = find_years(label)
    if not (len(years) == 1 and len(label) <= len("Base year (FY2022/2023)")) and not _ALL.match(label):
        return
    for value in _values(table, row):
        header = value.column.cell.text if value.column else ""
        quantity = _read(value, table, row, convention)
        named = _named(metric_of(header), header, quantity)
        if named and quantity:
            yield Figure(named, value.start, value.end, quantity, years[0].name if years else None)


def _named(metric: str | None, label: str, quantity: Quantity | None) -> str | None:
    """The metric, if number and unit are known and fit it; an emission ratio is an intensity."""
    if quantity is None or quantity.unsure or quantity.parsed is None or quantity.number is None or quantity.number < 0:
        return None
    if quantity.parsed.is_emission_ratio:
        return "EMISSIONS_INTENSITY" if is_intensity(label) else None
    return metric if metric and fits(metric, quantity.parsed) else None


def _read(value: Value, table: Table, row: Row, convention: Convention) -> Quantity | None:
    unit = unit_beside(table, row, value.cell)
    return read_quantity(value.cell.bare, convention, unit)


def _metrics_above(table: Table) -> bool:
    return any(metric_of(column.cell.text) for column in table.columns[1:])


def _values(table: Table, row: Row) -> Iterator[Value]:
    """The cells that hold a figure, right of the label."""
    for number, cell in enumerate(row.cells):
        bare = cell.bare
        if number and bare and (cell.is_number or re.match(r"[~<>≈]?\s?\d", bare)):
            yield Value(cell, table.columns[number] if number < len(table.columns) else None, cell.start, cell.start + len(bare))


def _is_actual(value: Value, table: Table) -> bool:
    """Whether the column is one of actual figures; of two of one year the restated one."""
    column = value.column
    if column is None:
        return not table.columns
    if not column.actual or column.unit:
        return False
    return column.year is not None or not table.has_years


def _label(table: Table, row: Row) -> str:
    """The row's label: its cells left of the figures, without the unit's."""
    words = []
    for number, cell in enumerate(row.cells):
        column = table.columns[number] if number < len(table.columns) else None
        if number and (cell.is_number or (column and (column.year or not column.actual))):
            break
        if cell.text and not (number and ((column and column.unit) or not read_unit(cell.text).doubt)):
            words.append(cell.text)
    return " ".join(words)


def _context(table: Table, row: Row) -> str:
    """What stands over a row, the nearest first: section, the header's first cell, caption."""
    first = table.columns[0].cell.text if table.columns else ""
    return "\n".join((row.section, first, *table.caption[:2], row.before))


def _column_of(table: Table, row: Row, cell: Cell) -> Column | None:
    number = next((n for n, c in enumerate(row.cells) if c.start == cell.start and c.end == cell.end), len(table.columns))
    return table.columns[number] if number < len(table.columns) else None


def _unit_cell(table: Table, row: Row) -> str | None:
    """The row's unit in a cell of its own."""
    for number, cell in enumerate(row.cells[1:], start=1):
        column = table.columns[number] if number < len(table.columns) else None
        if cell.text and not cell.is_number and ((column and column.unit) or not _unknown(cell.text)):
            return cell.text
    return None


def _wide_units(table: Table, row: Row) -> Iterator[str | None]:
    """Units said for several rows: by the section, the header's first cell, the caption."""
    first = table.columns[0].cell.text if table.columns else ""
    for text in (row.section, first, *table.caption):
        yield unit_in(text)


@lru_cache(maxsize=KEPT)
def unit_in(text: str) -> str | None:
    """The unit that a label, header or caption says: `Scope 1 (tCO2e)`, `Energy use, TJ`, `ML 2023`, `in tonnes`; None where it says none."""
    text = text.strip().rstrip(":").strip()
    for inside in reversed(_IN_BRACKETS.findall(text)):
        match = _WITHIN_BRACKETS.match(inside.strip())
        for part in (match[1], *re.split(r"[,;] ?", inside)) if match else ():
            if not _unknown(part):
                return part
    outside = _IN_BRACKETS.sub("", text).strip()
    said = _IN.search(outside)
    for part in (outside.rpartition(",")[2], *(said.groups("") if said else ()), outside.rpartition(" / ")[2].removeprefix("in ")):
        if part.strip() and not _unknown(part.strip()):
            return part.strip()
    for year in find_years(outside):
        rest = (outside[: year.start] + outside[year.end :]).strip()
        if rest and not _unknown(rest):
            return rest
    return "%" if re.match(r"(?:share|percentage|proportion) of\b", text, re.IGNORECASE) and text.endswith("%") else None


def _unknown(written: str) -> bool:
    return read_unit(written).doubt == "unknown_unit"
