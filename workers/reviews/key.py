"""What a finding is known by in every table that speaks of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, and_


class FindingKey(NamedTuple):
    """A student's answer about one place of a document. Of a pair the second range is [other_start, other_end); else both are 0."""

    document_id: int
    student_id: str
    task: str
    label: str
    start: int
    end: int
    other_start: int = 0
    other_end: int = 0


def key_of(row: Any) -> FindingKey:
    """The key in a row of `findings` or `reviews`."""
    return FindingKey(*(getattr(row, name) for name in FindingKey._fields))


def is_at(table: Table, key: FindingKey) -> ColumnElement[bool]:
    """The rows of this finding."""
    return and_(*(table.c[name] == value for name, value in key._asdict().items()))


def same(one: Table, other: Table) -> ColumnElement[bool]:
    """Rows of two tables that speak of the same finding."""
    return and_(*(one.c[name] == other.c[name] for name in FindingKey._fields))
