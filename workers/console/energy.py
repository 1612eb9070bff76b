"""Energy: what jobs and runs took, what the same would have taken on the teacher, and the sum of each day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection, func, select
from starlette.responses import Response

from workers.console import plot
from workers.console.asked import choice
from workers.console.charts import DAILY, SPANS, WEEK
from workers.console.desk import desk
from workers.console.render import page
from workers.energy_rows import job_rows, on_teacher, run_rows, sample_rows
from workers.tables import energy

router = APIRouter()

SHOWN = 30
DAY_S = 86_400.0
WH = 1000.0


@router.get("/energy")
def shown(request: Request) -> Response:
    """Jobs, runs, and each day's sum."""
    at = desk(request)
    span = choice(request, "days", SPANS, "30")
    with at.asking.reading() as connection:
        jobs, runs = job_rows(connection, limit=SHOWN + 1), run_rows(connection, SHOWN + 1)
        samples = {job["job"]: sample_rows(connection, job["job"]) for job in jobs[:SHOWN]}
        charts = _charts(connection, SPANS[span])
        total = _total(connection)
    beside = {job["job"]: on_teacher(job, samples[job["job"]]) for job in jobs[:SHOWN]}
    return page(
        request,
        "energy.html",
        jobs=jobs[:SHOWN],
        runs=runs[:SHOWN],
        more=max(len(jobs), len(runs)) > SHOWN,
        most=SHOWN,
        samples={number: sample for number, sample in samples.items() if sample},
        beside={number: would for number, would in beside.items() if would},
        charts=charts,
        total=total,
        span=span,
        spans=SPANS,
    )


def _total(connection: Connection) -> Any:
    """All that jobs took, and runs."""
    sums = [func.coalesce(func.sum(energy.c[name]), 0).label(name) for name in ("n_documents", "energy_consumed", "emissions")]
    rows = connection.execute(select(energy.c.kind, *sums).group_by(energy.c.kind)).all()
    return {row.kind: row for row in rows}


def _charts(connection: Connection, n_days: int) -> Sequence[plot.Chart]:
    """Watt-hours by day, or week, and of 1,000 documents."""
    last = connection.execute(select(func.max(energy.c.started_at)).where(energy.c.kind == "job")).scalar()
    if last is None:
        return []
    end = datetime.fromtimestamp(last, UTC).date()
    days = [end - timedelta(days=n_days - 1 - i) for i in range(n_days)]
    day = func.floor(energy.c.started_at / DAY_S)
    sums = [func.sum(energy.c.energy_consumed).label("kwh"), func.sum(energy.c.n_documents).label("n")]
    since = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC).timestamp()
    query = select(day.label("day"), *sums).where(energy.c.kind == "job", energy.c.started_at >= since).group_by(day)
    found = {date(1970, 1, 1) + timedelta(days=int(row.day)): row for row in connection.execute(query)}
    per = WEEK if n_days > DAILY else 1
    each = "week" if per > 1 else "day"
    wh: dict[str, float] = {}
    n: dict[str, int] = {}
    for i, one in enumerate(days):
        step = days[i - i % per].isoformat()
        row = found.get(one)
        wh[step] = wh.get(step, 0.0) + (WH * row.kwh if row else 0.0)
        n[step] = n.get(step, 0) + (row.n if row else 0)
    per_1000 = {step: 1000 * wh[step] / n[step] if n[step] else 0.0 for step in wh}
    return [
        plot.columns("energy", f"Energy of jobs in Wh, by {each} of their beginning", "", wh, "Wh"),
        plot.columns("per-1000", f"Energy of 1,000 documents in Wh, by {each}", "", per_1000, "Wh"),
    ]
