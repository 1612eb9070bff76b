"""Jobs as people see them: found by number or name, as rows, and followed until they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from pipelines.progress import OnProgress
from suites.errors import UsageError, unknown
from workers.queue import TERMINAL, Counts, counts, pending
from workers.store import Store
from workers.tables import documents, failures, jobs, rejects, sources

POLL_S = 0.25
# counting what is left takes longer the more is left: it gets this part of the time at most
COUNT_SHARE = 0.02


def find_job(connection: Connection, wanted: str) -> int:
    """The id of a job given by number or name. Raises UsageError listing the latest ones."""
    found = None
    if wanted.isdecimal() and len(wanted) < 18:
        found = connection.execute(select(jobs.c.id).where(jobs.c.id == int(wanted))).scalar()
    if found is None:  # a name may be digits alone
        found = connection.execute(select(jobs.c.id).where(jobs.c.name == wanted)).scalar()
    if found is None:
        known = connection.execute(select(jobs.c.id, jobs.c.name).order_by(jobs.c.id.desc()).limit(10)).all()
        raise UsageError(unknown("job", wanted, [f"{row.id} ({row.name})" for row in known]), "no_job")
    return int(found)


def job_rows(connection: Connection, job_id: int | None = None, limit: int = 50) -> list[dict[str, object]]:
    """One row a job, newest first: state, counts, documents a second."""
    query = select(jobs).order_by(jobs.c.id.desc())
    if job_id is not None:
        query = query.where(jobs.c.id == job_id)
    rows = []
    for job in connection.execute(query.limit(limit)):
        count = counts(connection, job.id)
        seconds = job.finished_at - job.submitted_at if job.finished_at else None
        rows.append(
            {
                "job": job.id,
                "name": job.name,
                "pack": job.pack,
                "student": job.student_id,
                "state": "PAUSED" if job.paused_at is not None and job.state not in TERMINAL else job.state,
                **asdict(count),
                "adds_up": count.conserved,
                "submitted": datetime.fromtimestamp(job.submitted_at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "docs_per_s": round(count.done / seconds, 1) if seconds else None,
                "message": job.message,
            }
        )
    return rows


def follow(store: Store, job_id: int, on_progress: OnProgress, check: Callable[[], None] = lambda: None) -> tuple[str, Counts]:
    """Waits until the job ends; gives its state and counts. `check` may raise to end the waiting."""
    with store.reading() as connection:
        total = counts(connection, job_id).accepted
    left, count_at = total, 0.0
    while True:
        with store.reading() as connection:
            state, paused_at, message = connection.execute(select(jobs.c.state, jobs.c.paused_at, jobs.c.message).where(jobs.c.id == job_id)).one()
            if state in TERMINAL or time.monotonic() >= count_at:
                started = time.monotonic()
                left = pending(connection, job_id)
                count_at = time.monotonic() + (time.monotonic() - started) / COUNT_SHARE
        total = max(total, left)  # a submit may still be adding
        waits = "paused (python manage.py resume)" if paused_at is not None else f"waits: {message}" if message else "read"
        on_progress(waits, total - left, total)
        if state in TERMINAL:
            with store.reading() as connection:
                return str(state), counts(connection, job_id)
        check()
        time.sleep(POLL_S)


def failure_rows(connection: Connection, job_id: int | None, limit: int) -> list[dict[str, object]]:
    """Documents that could not be read."""
    query = select(failures.c.job_id, documents.c.key, failures.c.stage, failures.c.code, failures.c.reason, failures.c.attempts)
    query = query.join(documents, documents.c.id == failures.c.document_id).order_by(failures.c.id).limit(limit)
    if job_id is not None:
        query = query.where(failures.c.job_id == job_id)
    return [dict(row._mapping) for row in connection.execute(query)]


def reject_rows(connection: Connection, job_id: int | None, limit: int) -> list[dict[str, object]]:
    """Rows that never became documents."""
    query = select(sources.c.job_id, rejects.c.place, rejects.c.code, rejects.c.reason, rejects.c.remedy)
    query = query.join(sources, sources.c.id == rejects.c.source_id).order_by(rejects.c.id).limit(limit)
    if job_id is not None:
        query = query.where(sources.c.job_id == job_id)
    return [dict(row._mapping) for row in connection.execute(query)]
