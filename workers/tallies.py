"""Counts by day of what students found: added to as documents are read, asked for by charts and drift. No text."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, func, select, text

from pipelines.tally import Tally
from workers.tables import tallies

# one statement for all counts of a part, in the order of the key: two processes that share rows lock them in the same order
_ADD = {
    "sqlite": "SELECT :student, value ->> 0, value ->> 1, value ->> 2, :slot, value ->> 3 FROM json_each(:counts) WHERE true",
    "postgresql": """SELECT :student, value ->> 0, value ->> 1, value ->> 2, CAST(:slot AS integer), CAST(value ->> 3 AS bigint)
        FROM json_array_elements(CAST(:counts AS json))""",
}
_SUM = " ON CONFLICT (student_id, day, measure, bucket, slot) DO UPDATE SET n = tallies.n + excluded.n"


def add_tallies(connection: Connection, student_id: str, slot: int, counts: Mapping[tuple[str, str, str], int]) -> None:
    """Adds counts, (day, measure, bucket) -> n, to what this slot has counted."""
    if not counts:
        return
    insert = f"INSERT INTO tallies (student_id, day, measure, bucket, slot, n) {_ADD[connection.dialect.name]}{_SUM}"
    told = json.dumps([[*key, n] for key, n in sorted(counts.items())])
    connection.execute(text(insert), {"student": student_id, "slot": slot, "counts": told})


def by_day(connection: Connection, student_id: str, since: str = "", until: str = "9999") -> dict[str, Tally]:
    """The student's counts of each day between two (2026-01-31), both included, the days in order."""
    c = tallies.c
    asked = select(c.day, c.measure, c.bucket, func.sum(c.n)).where(c.student_id == student_id, c.day.between(since, until))
    found: dict[str, Tally] = defaultdict(Counter)
    for day, measure, bucket, n in connection.execute(asked.group_by(c.day, c.measure, c.bucket).order_by(c.day, c.measure, c.bucket)):
        found[day][measure, bucket] = int(n)
    return dict(found)
