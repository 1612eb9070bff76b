"""Charts of one student over time: documents, labels, scores, lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pipelines.tally import SCORES, bucket_words
from suites.discover import Pack
from workers.console import plot, tallied
from workers.console.asked import address, choice
from workers.console.desk import desk
from workers.console.readers import reader_of
from workers.console.render import page
from workers.console.results import first_pack
from workers.console.tallied import Tallies

router = APIRouter()

SPANS = {"30": 30, "90": 90, "365": 364}
# longer than this and a column stands for a week
DAILY = 92
WEEK = 7


@router.get("/charts")
def shown(request: Request) -> Response:
    """What a student found, by day."""
    at = desk(request)
    if "pack" not in request.query_params:
        return RedirectResponse(address("/charts", [("pack", first_pack(at))]), 303)
    pack = at.pack(request.query_params["pack"])
    span = choice(request, "days", SPANS, "30")
    with at.asking.reading() as connection:
        known, student = reader_of(connection, pack, request.query_params.get("student", ""))
        found = tallied.tallied(connection, student, SPANS[span])
    charts = list(_charts(pack, found))
    return page(request, "charts.html", pack=pack, packs=at.packs, students=known, student=student, span=span, spans=SPANS, charts=charts, days=found.days)


def _charts(pack: Pack, found: Tallies) -> Iterator[plot.Chart]:
    per = WEEK if len(found.days) > DAILY else 1
    each = "week" if per > 1 else "day"
    if found.has(tallied.DOCUMENTS):
        counted = _steps(found, tallied.DOCUMENTS, per)
        yield plot.columns("documents", f"Documents read, by {each}", "", {day: sum(counts.values()) for day, counts in counted.items()}, "documents")
    for task in pack.manifest.task:
        if found.has(f"{tallied.LABEL}{task.name}"):
            title = f"{task.name}: labels, by {each}"
            yield plot.shares(f"labels-{task.name}", title, task.question, _steps(found, f"{tallied.LABEL}{task.name}", per))
        scores = found.totals(f"{tallied.SCORE}{task.name}")
        if task.answered_by == "student" and scores:
            title, bins = f"{task.name}: scores", {bucket_words("score", str(i)): scores.get(str(i), 0) for i in range(SCORES)}
            yield plot.columns(f"scores-{task.name}", title, "How sure the student was, calibrated.", bins, "findings")
    if lengths := found.totals(tallied.LENGTH):
        yield plot.columns("lengths", "Lengths of documents", "In characters; a column ends at 1.4 times where it begins.", _lengths(lengths), "documents")


def _steps(found: Tallies, measure: str, per: int) -> dict[str, dict[str, int]]:
    """The counts by day, or by week, named by its first day."""
    days: Sequence[Mapping[str, int]] = found.by_day(measure)
    steps: dict[str, dict[str, int]] = {}
    for i, counts in enumerate(days):
        step = steps.setdefault(found.days[i - i % per], {})
        for bucket, n in counts.items():
            step[bucket] = step.get(bucket, 0) + n
    return steps


def _lengths(counts: Mapping[str, int]) -> dict[str, int]:
    """The bins from the shortest to the longest, none left out: bin k holds texts of 2^(k/2) characters and more."""
    bins = {int(bucket): n for bucket, n in counts.items() if bucket.isdecimal()}
    return {bucket_words("length", str(k)): bins.get(k, 0) for k in range(min(bins), max(bins) + 1)} if bins else {}
