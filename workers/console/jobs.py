"""Jobs: how far each is, how fast it goes, what failed; and one job with all its counts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection, func, select
from starlette.responses import Response

from suites.errors import UsageError
from workers.console import asked
from workers.console.asking import count_to
from workers.console.desk import Desk, desk
from workers.console.pulse import Beat
from workers.console.render import page
from workers.tables import documents, energy, failures, jobs, rejects, sources

router = APIRouter()

PAGE_JOBS = 20
# rows of each kind on the page of a job; `python manage.py failures` shows more
SHOWN = 20
BOUND = 10_000
MOST = 10**18
# what a failed document's stage says of where it failed, and what to do
STAGES = {
    "open": "Its text could not be opened: the master key, or a purge.",
    "clean": "The pack's `clean` failed on it: mend hooks.py, then read it again.",
    "rules": "A rule of the pack took too long or failed on it: mend rules.jsonl, then read it again.",
    "refine": "The pack's `refine` failed on it: mend hooks.py, then read it again.",
    "predict": "The student could not read it.",
    "store": "The database refused what was found: see the worker's log.",
    "worker": "Its readers were lost, one after another: it may need more memory ([worker] memory_mb).",
}


@router.get("/jobs")
def shown(request: Request) -> Response:
    """The newest jobs."""
    return page(request, "jobs.html", **_jobs(desk(request), request))


@router.get("/jobs/live")
def live(request: Request) -> Response:
    """The part of the page that changes."""
    return page(request, "jobs_live.html", **_jobs(desk(request), request))


@router.get("/jobs/{number}")
def one(request: Request, number: int) -> Response:
    """One job."""
    return page(request, "job.html", **_job(desk(request), number))


@router.get("/jobs/{number}/live")
def one_live(request: Request, number: int) -> Response:
    """The part of a job's page that changes."""
    return page(request, "job_live.html", **_job(desk(request), number))


def _jobs(at: Desk, request: Request) -> dict[str, Any]:
    before = asked.whole(request, "before", 0, 1, MOST)
    query = select(jobs).order_by(jobs.c.id.desc()).limit(PAGE_JOBS + 1)
    if before:
        query = query.where(jobs.c.id < before)
    with at.asking.reading() as connection:
        beats = at.pulse.beats(connection, query)
    older = beats[PAGE_JOBS - 1].id if len(beats) > PAGE_JOBS else None
    beats = beats[:PAGE_JOBS]
    running = [beat for beat in beats if not beat.is_over]
    return {"beats": beats, "before": before, "older": older, "running": running, "waiting": sum(b.counts.pending for b in running), "speed": _speed(running)}


def _speed(running: list[Beat]) -> float | None:
    known = [beat.per_s_now for beat in running if beat.per_s_now is not None]
    return sum(known) if known else None


def _job(at: Desk, number: int) -> dict[str, Any]:
    with at.asking.reading() as connection:
        found = at.pulse.beats(connection, select(jobs).where(jobs.c.id == min(number, MOST)))
        if not found:
            raise UsageError(f"There is no job {number}. The page of jobs lists those there are.", "no_job")
        row = connection.execute(select(jobs).where(jobs.c.id == number)).one()
        return {"beat": found[0], "deidentified": row.deidentified, "stages": STAGES, "shown": SHOWN, **_lists(connection, number)}


def _lists(connection: Connection, number: int) -> dict[str, Any]:
    """Files, documents that failed, rows that were rejected, and energy."""
    failed = select(failures.c.document_id, documents.c.key, failures.c.stage, failures.c.code, failures.c.reason, failures.c.attempts)
    failed = failed.join(documents, documents.c.id == failures.c.document_id).where(failures.c.job_id == number).order_by(failures.c.id)
    of_job = select(rejects).join(sources, sources.c.id == rejects.c.source_id).where(sources.c.job_id == number)
    codes = of_job.limit(BOUND).subquery()
    n = func.count().label("n")
    by_code = select(codes.c.code, func.min(codes.c.remedy).label("remedy"), n).group_by(codes.c.code).order_by(n.desc(), codes.c.code)
    files = select(sources).where(sources.c.job_id == number).order_by(sources.c.id)
    return {
        "files": connection.execute(files.limit(SHOWN)).all(),
        "n_files": count_to(connection, select(sources.c.id).where(sources.c.job_id == number), BOUND),
        "failed": connection.execute(failed.limit(SHOWN)).all(),
        "rejected": connection.execute(of_job.order_by(rejects.c.id).limit(SHOWN)).all(),
        "reject_codes": connection.execute(by_code).all(),
        "energy": _energy(connection, number),
        "bound": BOUND,
    }


def _energy(connection: Connection, number: int) -> list[Any]:
    """What reading the job took, a row an engine and method."""
    total = [func.sum(energy.c[name]).label(name) for name in ("n_documents", "duration", "cpu_seconds", "energy_consumed", "emissions")]
    kind = (energy.c.kind == "job") & (energy.c.job_id == number)
    of = (energy.c.student_id, energy.c.engine, energy.c.method, energy.c.country_iso_code)
    return list(connection.execute(select(*of, func.count().label("n_processes"), *total).where(kind).group_by(*of).order_by(*of)).all())
