"""Counts by day as charts want them, from the table `tallies`, whatever the number of documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, func, select

from pipelines.tally import DOCUMENTS as DOCUMENT
from pipelines.tally import NONE, NOTHING, Tally
from workers.tables import tallies
from workers.tallies import by_day

LABEL = "label:"
SCORE = "score:"
LENGTH = "length"
DOCUMENTS = DOCUMENT[0]


@dataclass(frozen=True)
class Tallies:
    """The counts of one student over some days, without a gap, the last of them that of its newest count."""

    days: list[str]
    counts: Mapping[str, Tally] = field(repr=False)

    def has(self, measure: str) -> bool:
        """Whether anything was counted of it."""
        return any(measure == counted for counts in self.counts.values() for counted, _ in counts)

    def by_day(self, measure: str) -> list[dict[str, int]]:
        """The counts by bucket, a dictionary a day."""
        return [{_named(bucket): n for (of, bucket), n in self.counts.get(day, {}).items() if of == measure} for day in self.days]

    def totals(self, measure: str) -> dict[str, int]:
        """The counts by bucket, over all days."""
        found: dict[str, int] = defaultdict(int)
        for day in self.by_day(measure):
            for bucket, n in day.items():
                found[bucket] += n
        return dict(found)


def _named(bucket: str) -> str:
    return NOTHING if bucket == NONE else bucket


def tallied(connection: Connection, student: str, n_days: int) -> Tallies:
    """What was counted of a student in its last `n_days` days."""
    last = connection.execute(select(func.max(tallies.c.day)).where(tallies.c.student_id == student)).scalar()
    end = date.fromisoformat(last) if last else datetime.now(UTC).date()
    days = [(end - timedelta(days=n_days - 1 - i)).isoformat() for i in range(n_days)]
    return Tallies(days, by_day(connection, student, days[0], days[-1]))


@dataclass(frozen=True, slots=True)
class Total:
    """All that was ever counted of a student. `answers`: its findings, without the sentences that are another answer's evidence."""

    documents: int = 0
    answers: int = 0


def totals(connection: Connection, students: Iterable[str]) -> dict[str, Total]:
    """The totals by student, of those that anything was counted of."""
    is_answer = tallies.c.measure.like(f"{LABEL}%") & (tallies.c.bucket != NONE)
    n = func.sum(tallies.c.n).label("n")
    query = select(tallies.c.student_id, is_answer.label("is_answer"), n).where(tallies.c.student_id.in_(list(students)))
    query = query.where(is_answer | (tallies.c.measure == DOCUMENTS)).group_by(tallies.c.student_id, is_answer)
    found: dict[str, dict[bool, int]] = defaultdict(dict)
    for row in connection.execute(query):
        found[row.student_id][bool(row.is_answer)] = int(row.n)
    return {student: Total(counts.get(False, 0), counts.get(True, 0)) for student, counts in found.items()}
