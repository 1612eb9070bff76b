"""One document: what is known of it, what students found in it, and for reviewers its text, each view of which is recorded first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection, Row, Select, select
from starlette.responses import RedirectResponse, Response

from pipelines.columns import Shown
from pipelines.columns import row as shown_row
from suites.discover import Pack
from suites.errors import StoreError, UsageError, unknown
from suites.types import Finding, Task
from workers.audit import record_alone
from workers.console.agreement import finding_of
from workers.console.asked import address, whole, words
from workers.console.desk import Desk, desk, held, viewer
from workers.console.listing import like
from workers.console.marks import Mark, marks_of
from workers.console.marks import marked as marked_text
from workers.console.render import page
from workers.console.tokens import Viewer
from workers.keys import Body, Unopened
from workers.tables import documents, failures, findings, jobs, readings, students, texts, work

router = APIRouter()

MOST = 10**18
# findings of one student that are shown, characters of a text in one part, documents that a search lists
SHOWN_FINDINGS = 3000
PART_CHARS = 20_000
FOUND = 50
# colours for tasks; further tasks begin anew
HUES = 10
WORDS_CHARS = 80
ID_CHARS = 255
# what analysts may read: the metadata may tell who it is about
KNOWN = [documents.c[name] for name in ("id", "pack", "key", "n_chars", "received_at")]
NOT_RECORDED = "The view could not be recorded in the audit, so the text is not shown. Try again; if it stays so, ask whoever runs the store."


@dataclass(frozen=True, slots=True)
class Numbered:
    """A finding, the name of its place in the page, and whether the student beside has none like it; `words`: what it says of the text, for reviewers."""

    name: str
    finding: Finding
    is_alone: bool
    words: str | None


@dataclass(frozen=True, slots=True)
class Layer:
    """The findings of one task; `is_whole`: they are about the document, and mark no place; `is_on`: they are shown at first."""

    task: Task
    hue: int
    found: Sequence[Numbered]
    is_on: bool

    @property
    def is_whole(self) -> bool:
        return self.task.is_of_document

    @property
    def is_evidence(self) -> bool:
        return self.task.answered_by == "share"


@dataclass(frozen=True, slots=True)
class Side:
    """What one student found: its reading, the row that it makes, its findings by task, and the text with them marked."""

    reading: Row[Any]
    letter: str
    row: Mapping[str, Shown]
    layers: Sequence[Layer]
    marked: str | None

    @property
    def student(self) -> str:
        return str(self.reading.student_id)


@dataclass(frozen=True, slots=True)
class Opened:
    """A text as a reviewer sees it, from code point `begin` on; or why it is not shown."""

    text: str | None = None
    begin: int = 0
    meta: Mapping[str, Any] | None = None
    withheld: str = ""


@router.get("/documents")
def found(request: Request) -> Response:
    """Documents by part of their id, or the newest ones; one that has exactly this id is shown."""
    at = desk(request)
    chosen, wanted = words(request, "pack", ID_CHARS), words(request, "id", ID_CHARS)
    packs = [at.pack(chosen).name] if chosen else list(at.packs)
    query = select(*KNOWN).where(documents.c.pack.in_(packs))
    with at.asking.reading() as connection:
        if wanted and (number := _newest(connection, query.where(documents.c.key == wanted))) is not None:
            return RedirectResponse(f"/documents/{number}", 303)
        query = query.where(like(documents.c.key, wanted)) if wanted else query.order_by(documents.c.id.desc())
        rows = connection.execute(query.limit(FOUND + 1)).all()
    return page(request, "documents.html", rows=rows[:FOUND], more=len(rows) > FOUND, packs=at.packs, chosen=chosen, wanted=wanted)


@router.get("/documents/{number}")
def shown(request: Request, number: int) -> Response:
    """One document."""
    at, who = desk(request), viewer(request)
    with at.asking.reading() as connection:
        document = _document(connection, number)
        pack = at.packs.get(document.pack)
        read = _readings(connection, number)
        chosen = _chosen(request, read)
        given = {row.student_id: _findings(connection, number, row.student_id) for row in chosen}
        about = _about(connection, document)
    opened = _opened(at, who, request, document)
    sides = [] if pack is None else [_side(pack, row, given, opened, letter) for row, letter in zip(chosen, "ab", strict=False)]
    return page(
        request,
        "document.html",
        status=503 if opened.withheld == NOT_RECORDED else 200,
        document=document,
        pack=pack,
        read=read,
        chosen=[row.student_id for row in chosen],
        sides=sides,
        opened=opened,
        parts=_parts(request, opened, document),
        most=SHOWN_FINDINGS,
        **about,
    )


def _newest(connection: Connection, query: Select[Any]) -> int | None:
    """The newest of the documents of a query: an id may come with several texts."""
    return connection.execute(query.with_only_columns(documents.c.id).order_by(documents.c.id.desc()).limit(1)).scalar()


def _document(connection: Connection, number: int) -> Row[Any]:
    row = connection.execute(select(*KNOWN).where(documents.c.id == min(number, MOST))).first()
    if row is None:
        raise UsageError(f"There is no document {number}. It may have been erased.", "no_document")
    return row


def _readings(connection: Connection, number: int) -> Sequence[Row[Any]]:
    """Who read it, the primary student first, then the newest reading."""
    query = select(readings, students.c.state, jobs.c.name.label("job")).join(jobs, jobs.c.id == readings.c.job_id)
    query = query.outerjoin(students, students.c.id == readings.c.student_id).where(readings.c.document_id == number)
    rows = connection.execute(query).all()
    return sorted(rows, key=lambda row: (row.state != "primary", -row.read_at))


def _chosen(request: Request, read: Sequence[Row[Any]]) -> list[Row[Any]]:
    """The readings that are shown: the one asked for or the first, and the one that is to stand beside it. Raises UsageError."""
    by_student = {row.student_id: row for row in read}
    wanted = [request.query_params.get(name, "") for name in ("student", "beside")]
    if strange := [student for student in wanted if student and student not in by_student]:
        raise UsageError(unknown("student that read this document", strange[0][:80], by_student), "no_student")
    first = wanted[0] or next(iter(by_student), "")
    return [by_student[student] for student in dict.fromkeys([first, wanted[1]]) if student]


def _findings(connection: Connection, number: int, student: str) -> list[Finding]:
    columns = [findings.c[name] for name in Finding.__dataclass_fields__]
    query = select(*columns).where(findings.c.document_id == number, findings.c.student_id == student)
    rows = connection.execute(query.order_by(findings.c.start, findings.c.end, findings.c.task, findings.c.label).limit(SHOWN_FINDINGS))
    return [finding_of(row) for row in rows]


def _about(connection: Connection, document: Row[Any]) -> dict[str, Any]:
    """Other texts of the same id, and where it waits or failed."""
    same = select(documents.c.id, documents.c.received_at).where(documents.c.pack == document.pack, documents.c.key == document.key)
    return {
        "versions": connection.execute(same.order_by(documents.c.id.desc()).limit(FOUND)).all(),
        "failed": connection.execute(select(failures).where(failures.c.document_id == document.id)).all(),
        "waiting": connection.execute(select(work.c.student_id, work.c.job_id).where(work.c.document_id == document.id)).all(),
    }


# --- the text


def _opened(at: Desk, who: Viewer, request: Request, document: Row[Any]) -> Opened:
    """The part of the text that is asked for. The view is recorded before the text is read; where that fails it is not shown."""
    if who.reviewer is None:
        return Opened(withheld="The text is shown to reviewers.")
    begin = whole(request, "from", 0, 0, max(0, document.n_chars - 1))
    with held(at.viewing):
        try:
            record_alone(at.store, "view", f"document {document.id}", {"reviewer": who.reviewer})
        except StoreError:
            return Opened(withheld=NOT_RECORDED)
        return _read(at, document, begin)


def _read(at: Desk, document: Row[Any], begin: int) -> Opened:
    query = select(documents.c.meta, texts.c.text, texts.c.key_id).join(texts, texts.c.document_id == documents.c.id).where(documents.c.id == document.id)
    with at.store.reading() as connection:
        row = connection.execute(query).first()
        if row is None:
            return Opened(withheld="Its text is not in the store any more.")
        body = at.keys.opened_whole(connection, [Body(document.id, row.text, row.key_id)])[document.id]
    if isinstance(body, Unopened):
        return Opened(withheld=f"The text does not open: {body.reason}.")
    text, sealed_meta = body
    return Opened(text[begin : begin + PART_CHARS], begin, row.meta if sealed_meta is None else sealed_meta)


def _parts(request: Request, opened: Opened, document: Row[Any]) -> dict[str, Any]:
    """Which part of a long text is shown, and the addresses of those before and after it."""
    kept = [(name, request.query_params.get(name)) for name in ("student", "beside")]
    before, after = opened.begin - PART_CHARS, opened.begin + PART_CHARS
    has_text = opened.text is not None
    return {
        "previous": address(request.scope["path"], [*kept, ("from", max(0, before) or None)]) if has_text and opened.begin else None,
        "next": address(request.scope["path"], [*kept, ("from", after)]) if has_text and after < document.n_chars else None,
        "end": min(after, document.n_chars),
    }


# --- what students found


def _side(pack: Pack, reading: Row[Any], given: Mapping[str, Sequence[Finding]], opened: Opened, letter: str) -> Side:
    """What a student found, numbered from 1 in the order of the text."""
    own = given[reading.student_id]
    others = [other for student, other in given.items() if student != reading.student_id]
    theirs = {_answer(finding) for other in others for finding in other}
    numbered: dict[str, list[Numbered]] = {name: [] for name in pack.tasks}
    for n, finding in enumerate(own, start=1):
        is_alone = bool(others) and _answer(finding) not in theirs
        numbered.setdefault(finding.task, []).append(Numbered(f"{letter}{n}", finding, is_alone, _words(finding, opened)))
    layers = [_layer(pack.tasks[name], i % HUES + 1, of_task) for i, (name, of_task) in enumerate(numbered.items()) if of_task and name in pack.tasks]
    marks = [mark for layer in layers if not layer.is_whole for one in layer.found for mark in _marks(layer, one)]
    html = None if opened.text is None else marked_text(opened.text, opened.begin, marks)
    return Side(reading, letter, shown_row(pack, own), layers, html)


def _answer(finding: Finding) -> tuple[object, ...]:
    return (finding.task, finding.label, finding.start, finding.end, finding.other_start, finding.other_end)


def _words(finding: Finding, opened: Opened) -> str | None:
    """The words that a finding marks, where they lie in the part that is shown; of many the first."""
    if opened.text is None or not opened.begin <= finding.start < finding.end <= opened.begin + len(opened.text):
        return None
    said = opened.text[finding.start - opened.begin : min(finding.end, finding.start + WORDS_CHARS) - opened.begin]
    return said + ("…" if finding.end - finding.start > WORDS_CHARS else "")


def _layer(task: Task, hue: int, found: Sequence[Numbered]) -> Layer:
    # what is asked of sentences or of others' spans, and sections, would cover all; they can be switched on
    is_on = task.kind in ("spans", "pairs") and task.extends is None
    return Layer(task, hue, found, is_on)


def _marks(layer: Layer, one: Numbered) -> list[Mark]:
    classes = f" layer-{layer.task.name}{' alone' if one.is_alone else ''}"
    return marks_of(one.name, one.finding, hue=layer.hue, is_evidence=layer.is_evidence, classes=classes)
