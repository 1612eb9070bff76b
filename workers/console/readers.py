"""The students that have read for a pack, and which of them a page is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from suites.discover import Pack
from suites.errors import UsageError, unknown
from workers.tables import students


def reader_of(connection: Connection, pack: Pack, wanted: str) -> tuple[Sequence[Row[Any]], str]:
    """All of them, the primary first, then by when they read last; and the one that is wanted, else the first; "" where there is none. Raises UsageError."""
    rows = connection.execute(select(students).where(students.c.pack == pack.name)).all()
    known = sorted(rows, key=lambda row: (row.state != "primary", -row.seen_at))
    if wanted and wanted not in {row.id for row in known}:
        raise UsageError(unknown("student", wanted[:80], [row.id for row in known]), "no_student")
    return known, wanted or (known[0].id if known else "")
