"""The data dictionary as a page: what there is to ask, with worked queries that the SQL box takes."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from workers.console.desk import desk
from workers.console.render import page
from workers.dictionary import data_dictionary
from workers.query import FORBIDDEN

router = APIRouter()

SHOWN = 20


@router.get("/tables")
def shown(request: Request) -> Response:
    """All views and tables with their columns."""
    at = desk(request)
    dialect = "sqlite" if at.store.is_sqlite else "postgresql"
    entries = [entry | {"statement": f"SELECT * FROM {entry['name']} LIMIT {SHOWN}"} for entry in data_dictionary(at.packs.values())]
    return page(request, "tables.html", entries=entries, dialect=dialect, forbidden=FORBIDDEN)
