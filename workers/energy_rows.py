"""Energy as people see it: jobs summed over their processes, runs, and what a job would have taken on its teacher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from workers.tables import energy, jobs

Row = dict[str, Any]


def job_rows(connection: Connection, job_id: int | None = None, limit: int = 50) -> list[Row]:
    """One row a job, the newest first, summed over its processes."""
    of_jobs = select(energy).where(energy.c.kind == "job")
    if job_id is not None:
        of_jobs = of_jobs.where(energy.c.job_id == job_id)
    newest = select(energy.c.job_id).where(energy.c.kind == "job").distinct().order_by(energy.c.job_id.desc()).limit(limit)
    chosen = of_jobs.where(energy.c.job_id.in_(newest)) if job_id is None else of_jobs
    rows = connection.execute(chosen.order_by(energy.c.job_id.desc(), energy.c.id)).mappings().all()
    return [_job_row(list(of_job)) for _, of_job in groupby(rows, key=lambda row: row["job_id"])]


def process_rows(connection: Connection, job_id: int) -> list[Row]:
    """One row a process that read the job, and engine that it read it on."""
    of_job = select(energy).where(energy.c.kind == "job", energy.c.job_id == job_id).order_by(energy.c.id)
    return [{"owner": row["owner"], "engine": row["engine"], **_figures([row])} for row in connection.execute(of_job).mappings()]


def run_rows(connection: Connection, limit: int) -> list[Row]:
    """One row a run, the newest first."""
    runs = select(energy).where(energy.c.kind == "run").order_by(energy.c.id.desc()).limit(limit)
    return [
        {"run": row["name"], "pack": row["pack"], "student": row["student_id"], "at": _utc(row["started_at"]), **_figures([row])}
        for row in connection.execute(runs).mappings()
    ]


def sample_rows(connection: Connection, job_id: int) -> list[Row]:
    """The newest sample of a job, one row a way of reading it: whose student reads, and on which engine; none where there was no sample."""
    samples = (energy.c.kind == "sample") & (energy.c.job_id == job_id)
    newest = select(func.max(energy.c.started_at)).where(samples).scalar_subquery()
    of_job = select(jobs.c.student_id).where(jobs.c.id == job_id).scalar_subquery()
    ways = select(energy, (energy.c.student_id == of_job).label("is_job_s")).where(samples, energy.c.started_at == newest).order_by(energy.c.id)
    return [
        {"reads": "student" if row["is_job_s"] else "teacher", "student": row["student_id"], "engine": row["engine"], **_figures([row])}
        for row in connection.execute(ways).mappings()
    ]


def on_teacher(job: Row, sample: Sequence[Row]) -> Row | None:
    """What a job would have taken on its teacher, by a sample of it; None without one.

    `teacher_over_student` compares the engines that each is read on here: one beside f32 where the sample has one. What is not
    reading stays as it was, and what was answered from memory no teacher would have read either: of the job times the
    ratio and the job plus the difference for all its documents the smaller counts.
    """
    per_1000 = {who: _on_its_engine(sample, who) for who in ("student", "teacher")}
    student, teacher = per_1000["student"], per_1000["teacher"]
    if not student or not teacher:
        return None
    ratio = teacher / student
    kwh = job["energy_consumed"]
    would = min(kwh * ratio, kwh + (teacher - student) * job["n_documents"] / 1e6)
    return {
        "teacher_over_student": ratio,
        "energy_consumed": would,
        "gco2e": job["gco2e"] * would / kwh if kwh else 0.0,
        "saved_energy": would - kwh,
    }


def _on_its_engine(sample: Sequence[Row], who: str) -> float | None:
    """Wh per 1,000 documents of the student or the teacher as it is read here."""
    found = sorted((row["engine"] == "f32", row["wh_per_1000_documents"]) for row in sample if row["reads"] == who)
    return found[0][1] if found else None


def _job_row(rows: Sequence[RowMapping]) -> Row:
    first = rows[0]
    return {
        "job": first["job_id"],
        "name": first["name"],
        "pack": first["pack"],
        "student": first["student_id"],
        "engine": _several(row["engine"] for row in rows),
        "processes": len({row["owner"] for row in rows}),
        **_figures(rows),
    }


def _figures(rows: Sequence[RowMapping]) -> Row:
    """Sums, in kWh and grams of CO2e, and what they are of 1,000 documents in Wh and grams; None where no document was read."""
    n, kwh, kg = (sum(row[name] for row in rows) for name in ("n_documents", "energy_consumed", "emissions"))
    return {
        "n_documents": n,
        "duration": sum(row["duration"] for row in rows),
        "cpu_seconds": sum(row["cpu_seconds"] for row in rows),
        "energy_consumed": kwh,
        "wh_per_1000_documents": kwh * 1e6 / n if n else None,
        "gco2e": kg * 1000,
        "gco2e_per_1000_documents": kg * 1e6 / n if n else None,
        "method": _several(row["method"] for row in rows),
        "country_iso_code": _several(row["country_iso_code"] for row in rows),
    }


def _several(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
