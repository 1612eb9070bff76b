"""Drift: how far what a student reads lies, day by day, from what it was tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pipelines.reference import Reference, read_reference
from pipelines.release import student_folder
from pipelines.tally import bucket_words
from suites.discover import Pack
from suites.errors import StudentError
from workers.console.asked import address, choice
from workers.console.desk import Desk, desk
from workers.console.readers import reader_of
from workers.console.render import page
from workers.console.results import first_pack
from workers.console.tallied import tallied
from workers.drift import BOUND, Drift, drifts

router = APIRouter()

SPANS = {"7": 7, "14": 14, "30": 30, "90": 90}
BOUNDS = {"0.1": 0.1, f"{BOUND:g}": BOUND, "0.25": 0.25, "0.5": 0.5}
# a cell is shaded by how near its index comes to what is called drift: with few documents a high one is chance
STEPS = (0.2, 0.4, 0.6, 0.8, 1.0)
# what moved most is told of so many
TOLD = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: its index by day, None where too few documents were read."""

    measure: str
    cells: Sequence[Drift | None]


@router.get("/drift")
def shown(request: Request) -> Response:
    """A measure a row, a day a column."""
    at = desk(request)
    if "pack" not in request.query_params:
        return RedirectResponse(address("/drift", [("pack", first_pack(at))]), 303)
    pack = at.pack(request.query_params["pack"])
    span, bound = choice(request, "days", SPANS, "14"), choice(request, "bound", BOUNDS, f"{BOUND:g}")
    with at.asking.reading() as connection:
        known, student = reader_of(connection, pack, request.query_params.get("student", ""))
        reference, why_not = _reference(at, pack, student)
        counted = tallied(connection, student, SPANS[span]).counts if reference is not None else {}
    found = [] if reference is None else list(drifts(reference.tally, counted, BOUNDS[bound]))
    # the newest first: it is what is looked for
    days = sorted({one.day for one in found}, reverse=True)
    return page(
        request,
        "drift.html",
        pack=pack,
        packs=at.packs,
        students=known,
        student=student,
        span=span,
        spans=SPANS,
        bound=bound,
        bounds=BOUNDS,
        why_not=why_not,
        days=days,
        rows=_rows(found, days),
        newest=[one for one in found if one.drifted and one.day == days[0]],
        told=_told(found),
        step_of=_step,
        bucket=bucket_words,
    )


def _reference(at: Desk, pack: Pack, student: str) -> tuple[Reference | None, str]:
    """What the student was tried on; or why that is not known here."""
    if not student:
        return None, "No student has read for this pack in this store yet."
    try:
        reference = read_reference(student_folder(at.settings.students_folder, pack.name, student))
    except StudentError:
        return None, "The student's folder is not on this machine: it has the counts of what the student was tried on."
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"The student's reference.json cannot be read. `python manage.py students show {student}` says what is wrong with it."
    if reference is None:
        return None, "The student was made before students kept counts of what they were tried on. Fine-tune and release again."
    return reference, ""


def _rows(found: Sequence[Drift], days: Sequence[str]) -> list[Row]:
    cells: dict[str, Mapping[str, Drift]] = {}
    for one in found:
        cells[one.measure] = {**cells.get(one.measure, {}), one.day: one}
    return [Row(measure, [of.get(day) for day in days]) for measure, of in cells.items()]


def _told(found: Sequence[Drift]) -> list[Drift]:
    """What drifted, the newest day first, and of a day the farthest first."""
    drifted = sorted((one for one in found if one.drifted), key=lambda one: -one.psi)
    return sorted(drifted, key=lambda one: one.day, reverse=True)[:TOLD]


def _step(one: Drift) -> int:
    return sum(one.psi > step * max(one.bound, one.chance) for step in STEPS)
