"""The laws of conservation: what holds of a store at any moment, whatever died, asked in SQL. No document is lost, none is read twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, select, text, true, update

from workers.audit import verify_chain
from workers.queue import TERMINAL, counts
from workers.rows import SUFFIX, row_tables
from workers.store import Store, unhurried
from workers.tables import documents, findings, jobs, now_s, readings, rejects, sources, texts, work
from workers.tables import failures as failed

log = logging.getLogger(__name__)

SHOWN = 5  # what breaks a law is named up to this number


@dataclass(frozen=True, slots=True)
class Law:
    """One law: what it says, how many things break it, and the first of them."""

    name: str
    words: str
    n_broken: int
    broken: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.n_broken


def laws(connection: Connection, job_id: int | None = None) -> list[Law]:
    """The laws over the whole store, or over one job, from one snapshot."""
    unhurried(connection)
    return [_adds_up(connection, job_id), *(_law(connection, *asked) for asked in _asked(job_id)), _rows_law(connection, job_id)]


def file_laws(connection: Connection) -> list[Law]:
    """What SQLite says of its file; PostgreSQL checks each page as it reads it (initdb --data-checksums)."""
    if connection.dialect.name != "sqlite":
        return []
    whole = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(10)"))]
    orphans = [f"{row[0]} row {row[1]}" for row in connection.execute(text("PRAGMA foreign_key_check"))]
    faults = [] if whole == ["ok"] else whole
    return [
        Law("integrity", "SQLite finds its file whole", len(faults), tuple(fault.split("\n")[0][:80] for fault in faults[:SHOWN])),
        Law("references", "every row that another refers to is there", len(orphans), tuple(orphans[:SHOWN])),
    ]


def chain_law(connection: Connection) -> Law:
    """Whether the audit's chain is whole."""
    broken = verify_chain(connection)
    return Law("audit", "every row of the audit follows from the one before", int(broken is not None), (f"row {broken.id}",) if broken else ())


def check_ended(store: Store, job_ids: Sequence[int]) -> None:
    """Asks the laws of jobs that have just ended. One that breaks a law says so, and is not green."""
    for job_id in job_ids:
        with store.reading() as connection:
            broken = [law.name for law in laws(connection, job_id) if not law.holds]
        if broken:
            log.error("a law of conservation is broken", extra={"job_id": job_id, "code": "not_conserved", "error": ", ".join(broken)})
            message = f"laws that do not hold: {', '.join(broken)} (python manage.py verify {job_id})"
            with store.begin() as connection:
                still = (jobs.c.id == job_id) & jobs.c.state.in_(TERMINAL)
                state = case((jobs.c.state == "COMPLETED", "COMPLETED_WITH_ERRORS"), else_=jobs.c.state)
                connection.execute(update(jobs).where(still).values(state=state, message=message))


def lapsed(connection: Connection, sweep_s: float) -> int:
    """How many claims lapsed more than two sweeps ago: no law, for nothing is lost, but no worker sweeps."""
    old = select(func.count()).select_from(work).where(work.c.state == "leased", work.c.lease_until < now_s() - 2 * sweep_s)
    return int(connection.execute(old).scalar_one())


def _adds_up(connection: Connection, job_id: int | None) -> Law:
    ids = [job_id] if job_id is not None else list(connection.execute(select(jobs.c.id)).scalars())
    broken = [f"job {i}" for i in ids if not counts(connection, i).conserved]
    words = "seen = accepted + duplicate + rejected; accepted = done + failed + cancelled + erased + pending"
    return Law("sums", words, len(broken), tuple(broken[:SHOWN]))


def _rows_law(connection: Connection, job_id: int | None) -> Law:
    """Whether what analysts see is what was read: a reading of a pack without a table of rows has none to have."""
    broken: list[int] = []
    for rows in row_tables(connection):
        of = true() if job_id is None else readings.c.job_id == job_id
        pack = documents.c.pack == rows.name.removesuffix(SUFFIX)
        there = select(rows.c.document_id).where(rows.c.document_id == readings.c.document_id, rows.c.student_id == readings.c.student_id).exists()
        broken += connection.execute(select(readings.c.document_id).join(documents, documents.c.id == readings.c.document_id).where(of, pack, ~there)).scalars()
    return Law("rows shown", "every reading has its row among its pack's results", len(broken), tuple(f"document {i}" for i in broken[:SHOWN]))


def _law(connection: Connection, name: str, words: str, thing: str, ids: Select[tuple[int]]) -> Law:
    n_broken = int(connection.execute(select(func.count()).select_from(ids.subquery())).scalar_one())
    first = connection.execute(ids.limit(SHOWN)).scalars() if n_broken else ()
    return Law(name, words, n_broken, tuple(f"{thing} {i}" for i in first))


def _asked(job_id: int | None) -> Iterator[tuple[str, str, str, Select[tuple[int]]]]:
    """Each other law, and the query for the ids of what breaks it."""

    def of(table: Table) -> ColumnElement[bool]:
        return true() if job_id is None else table.c.job_id == job_id

    def same(a: Table, b: Table) -> ColumnElement[bool]:
        return (a.c.document_id == b.c.document_id) & (a.c.student_id == b.c.student_id)

    def both(a: Table, b: Table) -> Select[tuple[int]]:
        return select(a.c.document_id).where(of(a), select(b.c.document_id).where(same(a, b)).exists())

    def number(table: Table, where: ColumnElement[bool]) -> Any:
        return select(func.count()).select_from(table).where(where).scalar_subquery()

    rows = sources.c.n_seen != sources.c.n_accepted + sources.c.n_duplicate + sources.c.n_rejected
    yield "rows", "of every file: seen = accepted + duplicate + rejected", "source", select(sources.c.id).where(of(sources), rows)
    kept = sources.c.n_rejected != number(rejects, rejects.c.source_id == sources.c.id)
    yield "rejects", "of every file: each rejected row stands with its reason", "source", select(sources.c.id).where(of(sources), kept)
    twice = both(readings, work).union_all(both(failed, work), both(readings, failed)).subquery()
    yield "once", "a document waits, was read, or failed: never two of these for one student", "document", select(twice.c[0])
    whole = readings.c.n_findings != number(findings, same(findings, readings))
    yield "whole", "every reading has all findings that were written with it", "document", select(readings.c.document_id).where(of(readings), whole)
    if job_id is None:
        read = select(readings.c.document_id).where(same(readings, findings)).exists()
        yield "read", "every finding belongs to a reading", "document", select(findings.c.document_id).where(~read).distinct()
    has_text = select(texts.c.document_id).where(texts.c.document_id == work.c.document_id).exists()
    yield "texts", "every waiting document has its text", "document", select(work.c.document_id).where(of(work), ~has_text)
    left = select(work.c.id).where(work.c.job_id == jobs.c.id).exists()
    own = true() if job_id is None else jobs.c.id == job_id
    yield "ended", "a job that has ended has nothing waiting", "job", select(jobs.c.id).where(own, jobs.c.state.in_(TERMINAL), left)
    held = work.c.state == "leased"
    owned = held == (work.c.lease_until.is_not(None) & work.c.owner.is_not(None))
    yield "claims", "who holds a document is known, and until when", "document", select(work.c.document_id).where(of(work), ~owned)
