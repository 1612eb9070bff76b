"""A document's row: what the columns of a pack show of its findings, as the view `<pack>_results` does in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from suites.discover import Pack
from suites.types import Column, Finding

Shown = str | float | int | None


def row(pack: Pack, findings: Sequence[Finding]) -> dict[str, Shown]:
    """The value of each column, by name."""
    return {column.name: shown(column, findings) for column in pack.manifest.column}


def shown(column: Column, findings: Sequence[Finding]) -> Shown:
    """What a column shows of a document's findings; None where there is nothing to show."""
    own = [f for f in findings if f.task == column.task and column.only in (None, f.label)]
    if column.show == "count":
        return len(own)
    if column.show == "sum":
        numbers = [f.number for f in own if f.number is not None]
        return sum(numbers) if numbers else None
    if column.show == "labels":
        return ", ".join(sorted({f.label for f in own})) or None
    best = sorted(own, key=lambda f: (f.start, f.label))
    if column.show in ("number", "value"):  # of those equally sure the one of the latest value, a year mostly
        best.sort(key=lambda f: (f.value is not None, f.value or ""), reverse=True)
    best.sort(key=lambda f: f.score, reverse=True)
    return getattr(best[0], column.show) if best else None
