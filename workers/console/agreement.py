"""How two students answered the same documents, from the findings in the store: no text is read, and nothing is read anew."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from suites.discover import Pack
from suites.types import Finding
from workers.console.asking import count_to
from workers.flips import Comparison, Place, places
from workers.rows import rows_table
from workers.tables import findings, readings

# the newest documents that both read, and findings of them, that are compared at most
DOCUMENTS = 1000
FINDINGS = 60_000
CHUNK = 100
# flips that are listed
SHOWN = 200
# who read more than so many read much
MANY = 100_000

_FIELDS = [findings.c[name] for name in Finding.__dataclass_fields__]


def compared(connection: Connection, pack: Pack, a: str, b: str, listed: str = "") -> tuple[Comparison, list[Place]]:
    """All places of the newest documents by task and pair of labels, and the first flips, of the task `listed` alone where one is named."""
    comparison = Comparison(a, b, labels={name: Counter() for name in pack.tasks})
    flips: list[Place] = []
    for number, key, ours, theirs in _documents(connection, pack, a, b):
        comparison.n_documents += 1
        for place in places(key, number, pack.manifest.task, ours, theirs):
            comparison.labels[place.task][place.labels] += 1
            if place.is_flip and listed in ("", place.task) and len(flips) < SHOWN:
                flips.append(place)
    return comparison, flips


def _documents(connection: Connection, pack: Pack, a: str, b: str) -> Iterator[tuple[int, str, list[Finding], list[Finding]]]:
    """Documents that both read, with what each found; the newest readings of the one that read less come first."""
    table = rows_table(pack)
    n_read = {student: count_to(connection, select(table.c.document_id).where(table.c.student_id == student), MANY) for student in (a, b)}
    rarer, other = sorted((a, b), key=lambda student: n_read[student])
    has_other = select(readings.c.document_id).where(readings.c.document_id == table.c.document_id, readings.c.student_id == other).exists()
    both = select(table.c.document_id, table.c.document.label("key")).where(table.c.student_id == rarer, has_other)
    both = both.order_by(table.c.read_at.desc(), table.c.document_id.desc()).limit(DOCUMENTS)
    rows = connection.execute(both).all()
    n_findings = 0
    for begin in range(0, len(rows), CHUNK):
        chunk = rows[begin : begin + CHUNK]
        found = _findings(connection, [row.document_id for row in chunk], (a, b))
        n_findings += sum(map(len, found.values()))
        yield from ((row.document_id, row.key, found[row.document_id, a], found[row.document_id, b]) for row in chunk)
        if n_findings >= FINDINGS:
            return


def _findings(connection: Connection, ids: Sequence[int], students: tuple[str, str]) -> dict[tuple[int, str], list[Finding]]:
    # not the bare student: SQLite would look for the documents among all of a student's findings
    theirs = func.coalesce(findings.c.student_id, "").in_(students)
    query = select(findings.c.document_id, findings.c.student_id, *_FIELDS).where(findings.c.document_id.in_(ids), theirs)
    found: dict[tuple[int, str], list[Finding]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.document_id, row.student_id].append(finding_of(row))
    return found


def finding_of(row: Row[Any]) -> Finding:
    """A finding from its row in the store."""
    values = row._mapping
    return Finding(**{name: values[name] for name in Finding.__dataclass_fields__ if name != "unsure"}, unsure=bool(values["unsure"]))
