"""The review of what the student is unsure of: how far it has come, and for reviewers one finding after the other in its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from sqlalchemy import Connection, select
from starlette.responses import RedirectResponse, Response

from suites.discover import Pack
from suites.errors import RunError, StoreError, UsageError, unknown
from suites.types import Finding, Task
from workers.arguments import CHECK_SURE
from workers.console.agreement import finding_of
from workers.console.asked import address, words
from workers.console.desk import Desk, desk, reviewer, viewer
from workers.console.forms import Form
from workers.console.marks import Mark, marked, marks_of
from workers.console.render import page
from workers.console.results import first_pack
from workers.console.review_form import acted, key_told
from workers.console.seats import Place, Seat
from workers.keys import Unopened
from workers.reviews import Waiting, addable_tasks, other_labels, primary, progress, queue
from workers.reviews.sitting import REASONS, Sitting, Wanted
from workers.tables import findings

router = APIRouter()

NAME_CHARS = 60
# what a reviewer may look at, by the word in the address
MODES = {"": "What waits", "second": "Second reading", "disputed": "Disputed"}
# findings that the overview lists
LISTED = 20
# characters of a text that are shown, as many before the finding at most, and other findings in them
PART_CHARS, BEFORE = 20_000, 4_000
SHOWN_FINDINGS = 1000
# texts that do not open are passed over, so many in one request
PASSED = 20
NOW = "now"


@router.get("/review")
def overview(request: Request) -> Response:
    """How far the review of a pack has come, and what waits, without text."""
    at, who = desk(request), viewer(request)
    if "pack" not in request.query_params:
        return RedirectResponse(address("/review", [("pack", first_pack(at))]), 303)
    pack = at.pack(request.query_params["pack"])
    with at.asking.reading() as connection:
        try:
            student_id = primary(connection, pack)
        except RunError:
            return page(request, "review.html", pack=pack, packs=at.packs, standing=None)
        standing = progress(connection, pack, student_id)
        rows = queue(connection, pack, student_id, reviewer=who.reviewer or "", limit=LISTED)
    return page(request, "review.html", pack=pack, packs=at.packs, standing=standing, rows=rows, modes=MODES, reasons=REASONS)


@router.get("/review/next")
def shown(request: Request) -> Response:
    """What is to be looked at now, in its text."""
    at, who = desk(request), viewer(request)
    pack = at.pack(words(request, "pack", NAME_CHARS))
    if who.reviewer is None:
        return RedirectResponse(address("/review", [("pack", pack.name)]), 303)
    place = _place(at, who.reviewer, pack, words(request, "mode", NAME_CHARS), words(request, "task", NAME_CHARS))
    seat = _seat(at, pack, place)
    with seat.lock, at.viewing:
        _begin(seat)
        opened = _opened(seat)
        shown_text = None if opened is None else _laid_out(at, pack, *opened)
        return page(
            request,
            "review_next.html",
            pack=pack,
            place=place,
            modes=MODES,
            reasons=REASONS,
            at=shown_text,
            said=seat.told(),
            n_decided=len(seat.sitting.decided),
            n_skipped=len(seat.sitting.skipped),
            last=seat.sitting.decided[-1] if seat.sitting.decided else None,
        )


@router.post("/review/next")
def decided(request: Request, given: Form) -> Response:
    """Does what a reviewer said, and goes on."""
    at, name = desk(request), reviewer(request)
    pack = at.pack(given.get("pack", ""))
    place = _place(at, name, pack, given.get("mode", ""), given.get("task", ""))
    seat = _seat(at, pack, place)
    with seat.lock, at.viewing:
        _begin(seat)
        seat.said = acted(seat.sitting, pack, given)
    return RedirectResponse(address("/review/next", [("pack", pack.name), ("mode", place.mode), ("task", place.task)]) + f"#{NOW}", 303)


def _place(at: Desk, name: str, pack: Pack, mode: str, task: str) -> Place:
    """Raises UsageError for a mode or task that is not known, RunError where nobody has read for the pack."""
    if mode not in MODES:
        raise UsageError(unknown("mode", mode, [one for one in MODES if one]))
    if task and task not in (known := [each.name for each in pack.annotated_tasks]):
        raise UsageError(unknown("task to review", task, known))
    with at.asking.reading() as connection:
        return Place(name, pack.name, primary(connection, pack), mode, task)


def _seat(at: Desk, pack: Pack, place: Place) -> Seat:
    wanted = Wanted(place.reviewer, place.task or None, place.mode == "second", place.mode == "disputed", CHECK_SURE if not place.mode else 0.0)
    return at.seats.at(place, lambda: Sitting(at.store, pack, place.student_id, at.keys, wanted))


def _begin(seat: Seat) -> None:
    if not seat.begun:
        seat.sitting.begin()
        seat.begun = True


# --- what is shown


def _opened(seat: Seat) -> tuple[Waiting, str] | None:
    """What comes next and its text; None: nothing waits. What does not open is passed over. Raises StoreError where too much in a row does not."""
    for _ in range(PASSED):
        one = seat.sitting.next()
        if one is None:
            return None
        text = seat.sitting.text(one)
        if not isinstance(text, Unopened):
            return one, text
        seat.sitting.skip(one.key)
        seat.said = f"{seat.said} {one.document} is passed over: {text.reason}.".strip()
    raise StoreError(
        f"{PASSED} findings in a row are of documents that do not open, and were passed over. Load the page again to go on behind them.", "unopened"
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding in its text, and all that may be said of it. The part of the text that is shown begins at code point `begin` and ends at `end`."""

    one: Waiting
    task: Task
    key: str
    html: str
    begin: int
    end: int
    others: Sequence[str]
    addable: Sequence[Task]


def _laid_out(at: Desk, pack: Pack, one: Waiting, text: str) -> Shown:
    task = pack.tasks[one.key.task]
    begin = 0 if task.is_of_document else max(0, one.key.start - BEFORE) if len(text) > PART_CHARS else 0
    part = text[begin : begin + PART_CHARS]
    with at.asking.reading() as connection:
        beside = _beside(connection, pack, one)
    marks = [mark for i, found in enumerate(beside) for mark in marks_of(f"o{i}", found, hue=2, is_evidence=task.is_of_document)]
    html = marked(part, begin, marks + _current(one, task))
    end = begin + len(part)
    return Shown(one, task, key_told(one.key), html, begin, end, other_labels(task, one.key.label), addable_tasks(pack))


def _current(one: Waiting, task: Task) -> list[Mark]:
    if task.is_of_document:
        return []
    key = one.key
    found = Finding(key.task, key.label, one.score, key.start, key.end, other_start=key.other_start, other_end=key.other_end)
    return marks_of(NOW, found, hue=1, classes=" current")


def _beside(connection: Connection, pack: Pack, one: Waiting) -> list[Finding]:
    """What helps to decide: of an answer about the document the sentences that bear it, of another the student's other findings of that task."""
    task = pack.tasks[one.key.task]
    names = [each.name for each in pack.manifest.task if each.answered_by == "share" and task.name in each.of] if task.is_of_document else [task.name]
    columns = [findings.c[name] for name in Finding.__dataclass_fields__]
    query = select(*columns).where(findings.c.document_id == one.key.document_id, findings.c.student_id == one.key.student_id, findings.c.task.in_(names))
    rows = connection.execute(query.order_by(findings.c.start, findings.c.end).limit(SHOWN_FINDINGS))
    return [
        each for each in map(finding_of, rows) if (each.task, each.start, each.end, each.label) != (one.key.task, one.key.start, one.key.end, one.key.label)
    ]
