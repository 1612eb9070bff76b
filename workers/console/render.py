"""Pages from templates: everything is escaped; static files carry their content's digest in their address, so that browsers may keep them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from workers.console.nav import PAGES
from workers.console.shown import FILTERS
from workers.console.tokens import Viewer

HERE = Path(__file__).parent
STATIC = HERE / "static"


@cache
def templates() -> Environment:
    """The templates, read once."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    made.filters |= FILTERS
    made.globals |= {"pages": PAGES, "static": static}
    return made


@cache
def static(name: str) -> str:
    """The address of a static file."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:16]}"


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page for whoever looks."""
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    html = templates().get_template(template).render(path=request.scope["path"], viewer=viewer, **context)
    return HTMLResponse(html, status)


def refusal(status: int, code: str, message: str) -> HTMLResponse:
    """A page for whom no other is meant."""
    return HTMLResponse(templates().get_template("refused.html").render(path="", viewer=None, status=status, code=code, message=message), status)
