"""The findings of a pack's documents, a row each, of its primary student or of another."""

from __future__ import annotations

import shlex
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Boolean, Integer, cast, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from starlette.responses import RedirectResponse, Response

from suites.discover import Pack
from workers.console.asked import address
from workers.console.desk import desk
from workers.console.listing import Field, Source, asked_of, part
from workers.console.readers import reader_of
from workers.console.render import page
from workers.console.results import first_pack
from workers.tables import documents, findings, is_unsure
from workers.views import FINDING_COLUMNS

router = APIRouter()

FACETS = ("task", "label", "source", "unsure")
ASIDE = ("other_start", "other_end", "page")
TYPES: dict[str, Any] = dict.fromkeys(("start", "end", "unsure", "other_start", "other_end", "page"), "integer") | dict.fromkeys(("score", "number"), "number")
FOUND = "found"


class _apart(FunctionElement[str]):
    """A column apart from its indexes. The newest rows are found by their numbers; SQLite would sort all findings of a student by an index of them,
    while PostgreSQL knows by the bare column how many there are, and chooses well."""

    inherit_cache = True


@compiles(_apart, "postgresql")
def _bare(element: _apart, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_apart, "sqlite")
def _hidden(element: _apart, compiler: Any, **options: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **options)}, '')"


@router.get("/findings")
def shown(request: Request) -> Response:
    """A pack's findings."""
    at = desk(request)
    if "pack" not in request.query_params:
        return RedirectResponse(address("/findings", [("pack", first_pack(at))]), 303)
    pack = at.pack(request.query_params["pack"])
    with at.asking.reading() as connection:
        known, student = reader_of(connection, pack, request.query_params.get("student", ""))
        kept = {"pack": pack.name} | ({"student": student} if known and student != known[0].id else {})
        # by score, where an index gives that order: of one label, or of what a human should look at
        narrowed = {name for name in FACETS if request.query_params.get(f"is.{name}")}
        by_score = narrowed >= {"task", "label"} or narrowed >= {"task", "unsure"}
        source = source_of(pack, student, by_score=by_score)
        asked = asked_of(request, source.fields, kept=kept, sort="score" if by_score else FOUND)
        columns = [name for name, one in source.fields.items() if one.shown]
        found = part(connection, source, asked, columns)
    command = f"python manage.py export {shlex.quote(pack.name)} {shlex.quote(pack.name)}_findings.parquet --what findings"
    return page(request, "findings.html", pack=pack, packs=at.packs, part=found, fields=source.fields, command_line=command, students=known, student=student)


def source_of(pack: Pack, student: str, *, by_score: bool) -> Source:
    """The findings of one student, with the columns of the view `<pack>_findings`. `by_score`: they are few enough to be ordered so."""
    words = FINDING_COLUMNS
    columns = {name: findings.c[name] for name in words if name in findings.c} | {"document": documents.c.key, "unsure": cast(findings.c.unsure, Integer)}
    fields = {
        name: Field(
            name,
            TYPES.get(name, "text"),
            columns[name],
            words[name],
            facet=name in FACETS,
            score=name == "score",
            truth=literal_column("findings.unsure", Boolean) if name == "unsure" else None,
            indexed=is_unsure() if name == "unsure" else None,
            sortable=name == "score" and by_score,
            shown=name not in ASIDE,
        )
        for name in words
        if name not in ("student_id", "document_id")
    }
    fields[FOUND] = Field(FOUND, "integer", findings.c.id, "when it was found: the newest first", shown=False)
    rows = findings.join(documents, documents.c.id == findings.c.document_id)
    of_student, by_index = _apart(findings.c.student_id) == student, [findings.c.student_id == student]
    ids = select(documents.c.key).where(documents.c.pack == pack.name)
    hidden = [findings.c.document_id.label("number_of_document"), findings.c.student_id.label("of_student")]
    newest = [findings.c.id.desc()]
    return Source(rows, fields, ids, documents.c.key, [of_student], hidden, [findings.c.id], newest, by_index if by_score else None, findings)
