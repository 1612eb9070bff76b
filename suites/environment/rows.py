"""Key figures of table rows: the metric from the row's label or the column's header, year and unit from wherever the table says them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .metrics import FITTING, KEPT, fits, is_intensity, metric_of, scope_metric
from .numerals import Convention, is_doubtful
from .quantities import Quantity, read_quantity
from .regions import is_region
from .tables import Cell, Column, Row, Table, is_no_actual, is_to_come
from .units import read_unit
from .years import ahead, find_years

_OTHERS = re.compile(r"(?i)\b(?:suppliers?|customers?|peers?|competitors?|sector|industry|country|countries)\b")
# a caption, section or column of one part of the reporter, or of what it paid for; "by site", "all sites" is none
_OF_PART = re.compile(
    r"(?i)\b(?:sites?|plants?(?!-)|mills?|(?:steel)?works|factory|factories|refinery|refineries|terminals?|divisions?|segments?"
    r"|business (?:units?|areas?|lines?)|subsidiary|subsidiaries|offices?|data cent(?:re|er)s?|fleets?)\b"
)
_OF_EACH = re.compile(r"(?i)\b(?:by|per|each|every|all|across)\b")
_FINANCED = re.compile(r"(?i)\b(?:financed|facilitated|insured|investees?|portfolio|joint ventures?|associates)\b")
_NUMBERED = re.compile(r"^(?:Table|Figure|Tab\.|Fig\.) ?\S+ ")
# what a table says of the reporter as a whole
_WHOLE = re.compile(r"(?i)\b(?:group|total|consolidated|company[- ]wide|worldwide|global|overall|gesamt|konzern|koncernen)\b")
# of these a table may give several: of energy and electricity, per product and per turnover
_SEVERAL = ("EMISSIONS_INTENSITY", "RENEWABLE_SHARE")
_OF_GROUP = re.compile(r"(?i)(?:group|company|grand) total$|group$")
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


@dataclass(frozen=True, slots=True)
class Told:
    """A figure, its row's label, and the section and column that it stands in."""

    figure: Figure
    label: str
    section: str
    column: str


def figures_of(table: Table, convention: Convention) -> Iterator[Figure]:
    """The key figures of a table."""
    first = table.columns[0].cell.text if table.columns else ""
    if any(_OTHERS.search(line) or _FINANCED.search(line) or is_to_come(line) for line in (*table.caption[:2], first)):
        return
    convention = convention_in(table, convention)
    rows = [row for row in table.rows if not _names_part(row.section)]
    if any(_names_part(_NUMBERED.sub("", line)) for line in table.caption[:2]):
        rows = [row for row in rows if _OF_GROUP.match(row.cells[0].text)]
    if table.has_years or not _metrics_above(table):
        yield from _agreeing([told for row in rows for told in _along_row(table, row, convention)])
    else:
        to_come = ahead({year.number for row in rows for year in find_years(row.cells[0].text)})
        yield from _agreeing([told for row in rows for told in _below_header(table, row, convention, to_come)])


def _names_part(text: str) -> bool:
    """Whether a caption, a section or a column is of others, of one part of the reporter, or of what it paid for."""
    part = _OF_PART.search(text) is not None and _OF_EACH.search(text) is None
    return part or is_region(text) or _FINANCED.search(text) is not None or _OTHERS.search(text) is not None


def _agreeing(found: list[Told]) -> Iterator[Figure]:
    """The figures; of several numbers of one metric and year the one that is said to be the whole, and none where that does not tell."""
    same: dict[tuple[str, str | None, str | None], list[Told]] = {}
    for told in found:
        same.setdefault(_key(told.figure), []).append(told)
    number = {key: _number_of(of_key) for key, of_key in same.items()}
    for told in found:
        if told.figure.metric in _SEVERAL or told.figure.quantity.number == number[_key(told.figure)]:
            yield told.figure


def _key(figure: Figure) -> tuple[str, str | None, str | None]:
    return figure.metric, figure.year, figure.quantity.unit


def _number_of(same: list[Told]) -> float | None:
    """The number that figures of one metric and year agree on, or that of the group or total; None where there are several."""
    in_one = len({told.section for told in same}) == 1
    for chosen in (
        same,
        [told for told in same if _WHOLE.search(told.section) or _WHOLE.search(told.column)],
        [told for told in same if in_one and _WHOLE.search(told.label)],
    ):
        numbers = {told.figure.quantity.number for told in chosen}
        if len(numbers) == 1:
            return numbers.pop()
    return None


def convention_in(table: Table, document: Convention) -> Convention:
    """How the table writes decimals: as the document does, and where that is in doubt as its own numbers tell."""
    if document != "mixed" or table.told in ("dot", "comma"):
        return document if document != "mixed" else table.told or document
    return "comma" if _is_grouped(table) else document


def _is_grouped(table: Table) -> bool:
    """Whether `1.234` stands in a column with `567`, of like metrics in one unit: nobody writes three decimals and none."""
    dotted, whole = set(), set()
    for row in table.rows:
        kind = FITTING.get(metric_of(_label(table, row), _context(table, row)) or "")
        unit = _unit_cell(table, row) or unit_in(_label(table, row)) if kind else None
        for number, cell in enumerate(row.cells[1:] if kind else ()):
            if "," in cell.bare or re.search(r"\d{4}", cell.bare):
                return False
            if is_doubtful(cell.bare):
                dotted.add((number, kind, unit))
            elif re.fullmatch(r"[1-9]\d{0,2}", cell.bare):
                whole.add((number, kind, unit))
    return bool(dotted & whole)


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


def _along_row(table: Table, row: Row, convention: Convention) -> Iterator[Told]:
    label = _label(table, row)
    metric = metric_of(label, _context(table, row))
    values = [v for v in _values(table, row) if _is_actual(v, table)]
    if (metric is None and not is_intensity(label)) or (not table.has_years and len(values) > 1):
        return
    for value in values:
        quantity = _read(value, table, row, convention)
        named = _named(metric, label, quantity)
        header = value.column.cell.text if value.column else ""
        named = scope_metric(f"Scope 2 {header}") if named == "SCOPE2_EMISSIONS" else named
        if named and quantity:
            year = value.column.year.name if value.column and value.column.year else None
            yield Told(Figure(named, value.start, value.end, quantity, year), label, row.section, header)


def _below_header(table: Table, row: Row, convention: Convention, to_come: set[int]) -> Iterator[Told]:
    """Figures of a table whose header names metrics: its rows are years, those to come left out, or one of them is the total."""
    label = row.cells[0].text
    years = find_years(label)
    if is_no_actual(label) or any(year.number in to_come for year in years):
        return
    if not (len(years) == 1 and len(label) <= len("Base year (FY2022/2023)")) and not _ALL.match(label):
        return
    for value in _values(table, row):
        header = value.column.cell.text if value.column else ""
        quantity = _read(value, table, row, convention)
        named = _named(metric_of(header), header, quantity)
        if named and quantity:
            yield Told(Figure(named, value.start, value.end, quantity, years[0].name if years else None), label, row.section, header)


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
    """Whether the column is one of the reporter's actual figures; of two of one year the restated one."""
    column = value.column
    if column is None:
        return not table.columns
    if not column.actual or column.unit or _names_part(column.named):
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
