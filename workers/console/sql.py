"""The SQL box: one statement that reads, answered by a child process."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from suites.discover import Pack
from suites.errors import UsageError
from workers.console.desk import Desk, desk
from workers.console.forms import Form
from workers.console.render import page
from workers.console.sql_child import STATEMENT_S, Answer

router = APIRouter()

LIMITS = (50, 200, 1000)
SQL_CHARS = 20_000


@router.get("/sql")
async def shown(request: Request) -> Response:
    """The empty box."""
    return _page(request, desk(request), "", LIMITS[1], None)


@router.post("/sql")
async def asked(request: Request, given: Form) -> Response:
    """The box with its statement and, unless it is a draft, the answer."""
    at = desk(request)
    sql = given.get("sql", "").strip()
    limit = next((n for n in LIMITS if str(n) == given.get("limit")), LIMITS[1])
    if len(sql) > SQL_CHARS:
        raise UsageError(
            f"A statement has {SQL_CHARS:,} characters here at most. Longer ones are asked on the command line: python manage.py query -", "too_long"
        )
    answer = await at.child.asked(sql, limit) if sql and not given.get("draft") else None
    return _page(request, at, sql, limit, answer)


def _page(request: Request, at: Desk, sql: str, limit: int, answer: Answer | None) -> Response:
    examples = [(pack.manifest.title, list(_examples(pack))) for pack in at.packs.values()]
    return page(request, "sql.html", sql=sql, limit=limit, limits=LIMITS, seconds=STATEMENT_S, answer=answer, examples=examples)


def _examples(pack: Pack) -> list[tuple[str, str]]:
    """Statements to begin with, made from the pack's own columns: what each asks, and how."""
    results, found = f"{pack.name}_results", f"{pack.name}_findings"
    label = next((column.name for column in pack.manifest.column if column.show in ("label", "labels")), None)
    made = [("the newest documents", f"SELECT * FROM {results}\nORDER BY read_at DESC")]
    if label is not None:
        made.append((f"documents by {label}", f"SELECT {label}, count(*) AS n\nFROM {results}\nGROUP BY {label}\nORDER BY n DESC"))
    made.append(
        (
            "findings by task and label",
            f"SELECT task, label, count(*) AS n, avg(score) AS mean_score\nFROM {found}\nGROUP BY task, label\nORDER BY task, n DESC",
        )
    )
    made.append(("what a human should look at", f"SELECT document, task, label, score\nFROM {found}\nWHERE unsure = 1\nORDER BY score"))
    return made
