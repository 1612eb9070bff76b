"""The rows of a pack's documents, as the view `<pack>_results` has them."""

from __future__ import annotations

import shlex

from fastapi import APIRouter, Request
from sqlalchemy import column, select, table
from starlette.responses import RedirectResponse, Response

from suites.discover import Pack
from suites.types import LEADING
from workers.console.asked import address
from workers.console.desk import Desk, desk
from workers.console.listing import Field, Source, asked_of, part
from workers.console.render import page
from workers.dictionary import described_columns
from workers.tables import documents

router = APIRouter()

# not shown unless asked for: mostly the same in every row
ASIDE = ("job", "student_id", "document_id")
# facets of the columns that every view begins with
LEADING_FACETS = ("job",)
ORDER = "read_at"


@router.get("/results")
def shown(request: Request) -> Response:
    """A pack's rows; without a pack those of the first one that has some."""
    at = desk(request)
    if "pack" not in request.query_params:
        return RedirectResponse(address("/results", [("pack", first_pack(at))]), 303)
    pack = at.pack(request.query_params["pack"])
    source = source_of(pack)
    columns, kept = _columns(request, source)
    asked = asked_of(request, source.fields, kept={"pack": pack.name} | kept, sort=ORDER)
    with at.asking.reading() as connection:
        found = part(connection, source, asked, columns)
    command = f"python manage.py export {shlex.quote(pack.name)} {shlex.quote(pack.name)}_results.parquet"
    return page(request, "results.html", pack=pack, packs=at.packs, part=found, fields=source.fields, columns=columns, command_line=command)


def _columns(request: Request, source: Source) -> tuple[list[str], dict[str, str]]:
    """The columns that are shown, the document always; and how an address says so."""
    wanted = {*request.query_params.getlist("column"), *request.query_params.get("columns", "").split(",")}
    chosen = [name for name in source.fields if name in wanted]
    if not chosen:
        return [name for name, one in source.fields.items() if one.shown], {}
    return ["document", *(name for name in chosen if name != "document")], {"columns": ",".join(chosen)}


def source_of(pack: Pack) -> Source:
    """The view, its columns and which of them are facets."""
    name = f"{pack.name}_results"
    columns = described_columns(pack, name)
    view = table(name, *(column(each["name"]) for each in columns))
    shown_as = {one.name: one.show for one in pack.manifest.column}
    fields = {
        one["name"]: Field(
            one["name"],
            one["type"],  # type: ignore[arg-type]
            view.c[one["name"]],
            one["description"],
            facet=one["name"] in LEADING_FACETS or shown_as.get(one["name"]) in ("label", "labels"),
            parts=shown_as.get(one["name"]) == "labels",
            score=shown_as.get(one["name"]) == "score",
            shown=one["name"] not in ASIDE,
        )
        for one in columns
    }
    ids = select(documents.c.key).where(documents.c.pack == pack.name)
    hidden = [view.c.document_id.label("number_of_document")]
    return Source(view, _in_order(fields), ids, view.c.document, hidden=hidden, ties=[view.c.document_id], newest=[view.c.read_at.desc()])


def _in_order(fields: dict[str, Field]) -> dict[str, Field]:
    """The document first, then the pack's own columns, then what all views have."""
    leading = [name for name in LEADING if name != "document"]
    return {name: fields[name] for name in ["document", *(name for name in fields if name not in LEADING), *leading]}


def first_pack(at: Desk) -> str:
    """The pack of the newest document, else the first by name."""
    with at.asking.reading() as connection:
        found = connection.execute(select(documents.c.pack).order_by(documents.c.id.desc()).limit(1)).scalar()
    return found if found is not None and found in at.packs else next(iter(at.packs))
