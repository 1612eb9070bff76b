"""Students: who reads for which pack, how well each did on held-out examples, and how two of them differ on stored documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from suites.errors import StudentError, UsageError, unknown
from workers.console import tallied
from workers.console.agreement import DOCUMENTS, SHOWN, compared
from workers.console.asking import count_to
from workers.console.desk import Desk, desk
from workers.console.render import page
from workers.roster import packs_with_students, student_rows
from workers.tables import findings, students

router = APIRouter()

BOUND = 10_000


@router.get("/students")
def shown(request: Request) -> Response:
    """All students by pack, those whose folders lie here and those that the store alone knows."""
    at = desk(request)
    with at.asking.reading() as connection:
        known = {row.id: row for row in connection.execute(select(students).order_by(students.c.seen_at.desc()))}
        counted = tallied.totals(connection, known)
        uncounted = {student: _findings(connection, student) for student in known if student not in counted}
    packs, problems = _packs(at, known)
    scores = {name: _scores(rows) for name, rows in packs.items()}
    return page(request, "students.html", packs=packs, scores=scores, problems=problems, known=known, counted=counted, uncounted=uncounted)


def _findings(connection: Connection, student: str) -> str:
    """How many findings of a student the store has, up to a bound: it read them before anything was counted."""
    n = count_to(connection, select(findings.c.id).where(findings.c.student_id == student), BOUND)
    return f"{BOUND:,}+" if n > BOUND else f"{n:,}"


class Scores(NamedTuple):
    """Scores on held-out examples: a row a source and student, a value a task."""

    tasks: list[str]
    rows: list[tuple[str, str, list[float | None]]]


def _scores(rows: Sequence[dict[str, Any]]) -> Scores | None:
    """The scores of a pack's students beside each other, by source; None where nobody was evaluated."""
    scored = [(source, str(row["student"]), by_task) for row in rows for source, by_task in row.get("scores", {}).items()]
    tasks = list(dict.fromkeys(task for _, _, by_task in scored for task in by_task))
    ordered = sorted(scored, key=lambda one: one[0])
    return Scores(tasks, [(source, student, [by_task.get(task) for task in tasks]) for source, student, by_task in ordered]) if scored else None


def _packs(at: Desk, known: dict[str, Any]) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """The rows of each pack's students, and what is wrong with registers that cannot be read."""
    folder = at.settings.students_folder
    rows: dict[str, list[dict[str, Any]]] = {}
    problems: list[str] = []
    for name in sorted({*packs_with_students(folder), *(row.pack for row in known.values())}):
        try:
            rows[name] = student_rows(folder, [name])
        except StudentError as error:
            rows[name] = []
            problems.append(error.message)
        here = {row["student"] for row in rows[name]}
        rows[name] += [{"student": row.id, "state": row.state, "is_away": True} for row in known.values() if row.pack == name and row.id not in here]
    return {name: found for name, found in rows.items() if found}, problems


@router.get("/students/compare")
def two(request: Request) -> Response:
    """Two students over the newest documents that both read."""
    at = desk(request)
    a, b = (request.query_params.get(name, "") for name in "ab")
    with at.asking.reading() as connection:
        known = {row.id: row.pack for row in connection.execute(select(students)).all()}
        if strange := [student for student in (a, b) if student not in known]:
            raise UsageError(unknown("student", strange[0][:80], known), "no_student")
        if a == b or known[a] != known[b]:
            raise UsageError("Choose two students of one pack: only those answer the same tasks.")
        pack = at.pack(known[a])
        task = request.query_params.get("task", "")
        if task and task not in pack.tasks:
            raise UsageError(unknown("task", task[:80], pack.tasks))
        comparison, flips = compared(connection, pack, a, b, task)
    most = comparison.n_documents >= DOCUMENTS
    return page(request, "compare.html", pack=pack, a=a, b=b, comparison=comparison, flips=flips, task=task, is_bounded=most, shown=SHOWN)
