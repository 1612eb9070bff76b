"""How reading goes, in questions that cost little however much the store holds: each is answered by an index or a small table."""

from __future__ import annotations

import calendar
import time
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, column, func, make_url, select, table, text

from workers.queue import TERMINAL
from workers.roles import ALEMBIC
from workers.rows import row_tables
from workers.tables import documents, jobs, now_s, students, work

_FORM = "%Y-%m-%d %H:%M:%S"


class Leases(NamedTuple):
    """Documents that workers hold, and those whose claim has lapsed and that no sweep has found yet."""

    live: int
    lapsed: int


def now(connection: Connection) -> float:
    """Seconds since 1970 on the database's clock, by which all times of the store are."""
    return float(connection.execute(select(now_s())).scalar_one())


def revision(connection: Connection) -> str | None:
    return connection.execute(text(f"SELECT version_num FROM {ALEMBIC}")).scalar()


def store_bytes(connection: Connection, url: str) -> int:
    """The size of PostgreSQL's database, or of SQLite's file and what lies beside it."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    name = make_url(url).database or ""
    return sum(file.stat().st_size for suffix in ("", "-wal", "-shm") if (file := Path(name + suffix)).exists())


def packs_of_jobs(connection: Connection) -> dict[int, str]:
    return {row.id: row.pack for row in connection.execute(select(jobs.c.id, jobs.c.pack))}


def oldest_waiting_s(connection: Connection, *, explained: bool = True) -> float | None:
    """For how long the oldest document has waited that nobody holds; None: none waits. With `explained` False jobs that wait for a student do not count."""
    fresh, lost = (_first_ready(which) for which in (work.c.n_lost == 0, work.c.n_lost > 0))
    asked = select(jobs.c.submitted_at, fresh.label("fresh"), lost.label("lost")).where(jobs.c.state.not_in(TERMINAL))
    if not explained:
        asked = asked.where(jobs.c.message.is_(None))
    waiting = [(row.submitted_at, document) for row in connection.execute(asked) for document in (row.fresh, row.lost) if document is not None]
    if not waiting:
        return None
    received = select(documents.c.received_at)
    # a document of a former job may have been received long before it was submitted to this one
    since = [max(at, float(connection.execute(received.where(documents.c.id == document)).scalar_one())) for at, document in waiting]
    return max(0.0, now(connection) - float(min(since)))


def _first_ready(which: ColumnElement[bool]) -> ScalarSelect[int]:
    """The document of a job that is next, among fresh ones or those whose claim lapsed before: the first entry of a range of an index."""
    of_job = select(work.c.document_id).where(work.c.job_id == jobs.c.id, work.c.state == "ready", which)
    return of_job.order_by(work.c.n_lost, work.c.id).limit(1).correlate(jobs).scalar_subquery()


def leases(connection: Connection) -> Leases:
    def held(is_live: ColumnElement[bool]) -> int:
        return int(connection.execute(select(func.count()).select_from(work).where(work.c.state == "leased", is_live)).scalar_one())

    return Leases(held(work.c.lease_until >= now_s()), held(work.c.lease_until < now_s()))


def read_since(connection: Connection, seconds: float) -> dict[str, int]:
    """By pack how many documents were read in the last so many seconds."""
    since = time.strftime(_FORM, time.gmtime(now(connection) - seconds))
    found = {}
    for pack, name, of_pack in _rows(connection):
        rows = table(name, column("student_id"), column("read_at"))
        counts = [select(func.count()).select_from(rows).where(rows.c.student_id == student, rows.c.read_at >= since) for student in of_pack]
        found[pack] = sum(int(connection.execute(asked).scalar_one()) for asked in counts)
    return found


def last_read(connection: Connection) -> dict[str, int]:
    """By pack when its last document was read, in whole seconds since 1970."""
    found = {}
    for pack, name, of_pack in _rows(connection):
        rows = table(name, column("student_id"), column("read_at"))
        newest = [connection.execute(select(func.max(rows.c.read_at)).where(rows.c.student_id == student)).scalar() for student in of_pack]
        if told := [at for at in newest if at is not None]:
            found[pack] = calendar.timegm(time.strptime(max(told), _FORM))
    return found


def read_by_student(connection: Connection) -> dict[tuple[str, str], int]:
    """By pack and student how many documents lie in the store that it has read."""
    found: dict[tuple[str, str], int] = {}
    for pack, name, _ in _rows(connection):
        rows = table(name, column("student_id"))
        counted = connection.execute(select(rows.c.student_id, func.count().label("n")).group_by(rows.c.student_id))
        found |= {(pack, row.student_id): int(row.n) for row in counted}
    return found


def _rows(connection: Connection) -> list[tuple[str, str, list[str]]]:
    """Pack, its table of rows, and its students."""
    by_pack: dict[str, list[str]] = {}
    for row in connection.execute(select(students.c.pack, students.c.id)):
        by_pack.setdefault(row.pack, []).append(row.id)
    packs = {found.name.removesuffix("_rows"): found.name for found in row_tables(connection)}
    return [(pack, name, by_pack.get(pack, [])) for pack, name in packs.items()]
