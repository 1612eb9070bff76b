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
from workers.console.desk import Desk, desk, held, reviewer, viewer
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
WORDS_CHARS = 200
ANSWER = ("task", "label", "start", "end", "other_start", "other_end")


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


@router.get("/review/begin")
def begun(request: Request) -> Response:
    """A new sitting: what was passed over in the former one comes again."""
    at, pack, place = _asked(request)
    if place is None:
        return _overview(pack)
    at.seats.leave(place)
    return _next(place)


@router.get("/review/next")
def shown(request: Request) -> Response:
    """What is to be looked at now, in its text."""
    at, pack, place = _asked(request)
    if place is None:
        return _overview(pack)
    seat = _seat(at, pack, place)
    with held(seat.lock), held(at.viewing):
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
            last=key_told(seat.sitting.decided[-1].key) if seat.sitting.decided else "",
        )


@router.post("/review/next")
def decided(request: Request, given: Form) -> Response:
    """Does what a reviewer said, and goes on."""
    at, name = desk(request), reviewer(request)
    pack = at.pack(given.get("pack", ""))
    place = _place(at, name, pack, given.get("mode", ""), given.get("task", ""))
    seat = _seat(at, pack, place)
    with held(seat.lock), held(at.viewing):
        _begin(seat)
        seat.said = acted(seat.sitting, pack, given)
    return _next(place)


def _asked(request: Request) -> tuple[Desk, Pack, Place | None]:
    """What an address asks to look at; no place for an analyst, who has none."""
    at, name = desk(request), viewer(request).reviewer
    pack = at.pack(words(request, "pack", NAME_CHARS))
    return at, pack, None if name is None else _place(at, name, pack, words(request, "mode", NAME_CHARS), words(request, "task", NAME_CHARS))


def _overview(pack: Pack) -> Response:
    return RedirectResponse(address("/review", [("pack", pack.name)]), 303)


def _next(place: Place) -> Response:
    return RedirectResponse(address("/review/next", [("pack", place.pack), ("mode", place.mode), ("task", place.task)]) + f"#{NOW}", 303)


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
    words: str
    html: str
    begin: int
    end: int
    others: Sequence[str]
    addable: Sequence[Task]


def _laid_out(at: Desk, pack: Pack, one: Waiting, text: str) -> Shown:
    task = pack.tasks[one.key.task]
    begin = 0 if task.is_of_document or len(text) <= PART_CHARS else max(0, _first(one) - BEFORE)
    part = text[begin : begin + PART_CHARS]
    with at.asking.reading() as connection:
        beside = _beside(connection, pack, one)
    marks = [mark for i, found in enumerate(beside) for mark in marks_of(f"o{i}", found, hue=2, is_evidence=task.is_of_document)]
    # not stops of the Tab key: there may be hundreds before the buttons
    html = marked(part, begin, marks + _current(one, task), focusable=False)
    said = "" if task.is_of_document else text[one.key.start : min(one.key.end, one.key.start + WORDS_CHARS)]
    return Shown(one, task, key_told(one.key), said, html, begin, begin + len(part), other_labels(task, one.key.label), addable_tasks(pack))


def _first(one: Waiting) -> int:
    """Where what is shown begins: of a pair the range that comes first."""
    return min(one.key.start, one.key.other_start) if one.key.other_end else one.key.start


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
    return [each for each in map(finding_of, rows) if any(getattr(each, name) != getattr(one.key, name) for name in ANSWER)]
