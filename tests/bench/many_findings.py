"""Stores with as many findings as an export or a scrape is to be measured with: drawn by number, the same each time, without texts and students' folders."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from suites.discover import Pack
from suites.types import Finding, Manifest
from tests.conftest import TOY_MANIFEST
from workers.bulk import insert_rows
from workers.migrate import migrate
from workers.rows import row_values, rows_table
from workers.store import Store, unhurried
from workers.tables import documents, findings, jobs, readings, students

PER_DOCUMENT = 10
PORTION = 5000  # documents
STUDENT = "toy-0123456789ab"
# a month that the store makes no partition of by itself lies in findings_rest
READ_AT = 1_800_000_000.0
DOCUMENT_COLUMNS = tuple(documents.c[name] for name in ("id", "pack", "key", "content_sha256", "n_chars", "meta", "received_at", "job_id"))
READING_COLUMNS = tuple(readings.c[name] for name in ("document_id", "student_id", "job_id", "epoch", "n_findings", "read_at"))
FINDING_COLUMNS = tuple(
    findings.c[name]
    for name in ("document_id", "student_id", "task", "label", "score", "start", "end", "source", "value", "number", "unit", "unsure", "read_at")
)


def toy_pack() -> Pack:
    """The toy pack's manifest alone: what is exported asks for no more."""
    return Pack(Manifest.model_validate(tomllib.loads(TOY_MANIFEST.format(encoder="none"))), Path("none"))


def fill(store: Store, n_findings: int) -> None:
    """Migrates the store and has `n_findings` findings in it, of a document ten, read half a second after each other; again, with more, it adds the rest."""
    migrate(store, [toy_pack()])
    with store.begin() as connection:
        n_there = int(connection.execute(select(func.count()).select_from(documents)).scalar_one())
        if not n_there:
            connection.execute(insert(students).values(id=STUDENT, pack="toy", state="primary", seen_at=READ_AT))
            connection.execute(insert(jobs).values(name="many", pack="toy", student_id=STUDENT, state="COMPLETED", submitted_at=READ_AT, finished_at=READ_AT))
    n_documents, pack = n_findings // PER_DOCUMENT, toy_pack()
    row_columns = tuple(rows_table(pack).columns)
    for first in range(n_there + 1, n_documents + 1, PORTION):
        numbers = range(first, min(first + PORTION, n_documents + 1))
        with store.begin() as connection:
            unhurried(connection)
            insert_rows(connection, DOCUMENT_COLUMNS, [(i, "toy", _key(i), f"{i:064x}", 400, "{}", READ_AT, 1) for i in numbers])
            insert_rows(connection, READING_COLUMNS, [(i, STUDENT, 1, 1, PER_DOCUMENT, _read_at(i)) for i in numbers])
            found = {i: _findings(i) for i in numbers}
            insert_rows(connection, FINDING_COLUMNS, [_row(i, finding) for i, several in found.items() for finding in several])
            insert_rows(connection, row_columns, [row_values(pack, i, STUDENT, _key(i), "many", _read_at(i), 400, several) for i, several in found.items()])


def _key(number: int) -> str:
    """Not in the order of the numbers: what is ordered by it has to be sorted."""
    return f"inbox/{number * 7919 % 1_000_003:07}.txt"


def _read_at(number: int) -> float:
    return READ_AT + number * 0.5


def _row(number: int, finding: Finding) -> tuple[Any, ...]:
    """The values of FINDING_COLUMNS."""
    own = [getattr(finding, name) for name in ("task", "label", "score", "start", "end", "source", "value", "number", "unit", "unsure")]
    return (number, STUDENT, *own, _read_at(number))


def _findings(number: int) -> list[Finding]:
    rng = random.Random(number)

    def found(task: str, labels: Sequence[str], start: int, end: int) -> Finding:
        score = round(rng.uniform(0.3, 1.0), 6)
        return Finding(task, rng.choice(labels), score, start, end, unsure=score < 0.4)

    code = Finding("codes", "CODE", 1.0, 390, 396, "rule", f"ABC{number % 1000:03}", float(number % 1000) - 500.0, "EUR")
    moods = [found("mood", ("glad", "sad"), start, start + 100) for start in range(0, 400, 100)]
    things = [found("things", "AB", start + 10, start + 20) for start in range(0, 400, 100)]
    return [found("topic", ("animals", "weather"), 0, 400), code, *moods, *things]
