"""Reduction targets of emissions, the base and target years of climate commitments, and the climate scenarios that are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .commitments import EMISSION, Commitment
from .metrics import is_intensity, metric_of
from .milestones import base_years, is_since, target_years
from .numerals import Convention
from .quantities import Quantity, read_quantity
from .reductions import reductions_of
from .rows import Figure, convention_in, unit_beside
from .scenarios import scenarios_of
from .sentences import Sentence
from .tables import Table
from .years import Year, find_years


def targets_of(sentence: Sentence, before: Sequence[Figure], above: tuple[Sentence, ...] = ()) -> Iterator[Figure]:
    """Targets, their years and scenarios of a sentence; `before` are those of the paragraph so far, `above` the sentences that stand before it."""
    commitment = Commitment(sentence, above)
    scenarios = tuple(scenarios_of(commitment))
    yield from scenarios
    years = [y for y in sentence.years if not any(s.start <= y.start < s.end for s in scenarios)]
    until = target_years(commitment, years)
    yield from (_of_year("TARGET_YEAR", y) for y in until)
    yield from (_of_year("BASE_YEAR", y) for y in base_years(commitment, years, until))
    yield from reductions_of(commitment, until, before)


def of_table(table: Table, convention: Convention) -> Iterator[Figure]:
    """Targets in a table: of a column of targets the reduction, in the header and labels the years."""
    labels = [row.cells[0].text for row in table.rows]
    if not any((metric_of(label) or "").endswith("EMISSIONS") or is_intensity(label) or _reduces(label) for label in labels):
        return
    for column in table.columns[1:]:
        if column.year and (column.target or _is_base_header(column.cell.text)):
            yield _of_year("TARGET_YEAR" if column.target else "BASE_YEAR", column.year)
    convention = convention_in(table, convention)
    for row in table.rows:
        label = row.cells[0]
        if _reduces(label.text):
            for year in find_years(label.text):
                if is_since(label.text[: year.start]):
                    yield _of_year("BASE_YEAR", Year(label.start + year.start, label.start + year.end, year.name))
        for cell, column in zip(row.cells[1:], table.columns[1:], strict=False):
            quantity = read_quantity(cell.bare, convention, unit_beside(table, row, cell)) if column.target and _reduces(label.text) else None
            if quantity and quantity.unit == "%" and quantity.number is not None:
                year = column.year.name if column.year else None
                yield Figure("REDUCTION_TARGET", cell.start, cell.start + len(cell.bare), _positive(quantity), year)


def _reduces(label: str) -> bool:
    return re.search(r"(?i)\breduc", label) is not None and EMISSION.search(label) is not None


def _is_base_header(text: str) -> bool:
    return re.search(r"(?i)\bbase(?:line)?\b", text) is not None


def _positive(quantity: Quantity) -> Quantity:
    return Quantity(abs(quantity.number or 0.0), quantity.unit, quantity.value, parsed=quantity.parsed)


def _of_year(metric: str, year: Year) -> Figure:
    return Figure(metric, year.start, year.end, Quantity(float(year.number), "year", None), year.name)
