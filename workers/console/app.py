"""The application: the pages behind the door, errors as pages, the headers around all."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from suites.errors import RunError, SettingsError, StillhouseError, StoreError, UsageError
from workers.console import charts, dictionary, document, drift, energy, findings, jobs, results, review, sql, students
from workers.console.desk import Desk
from workers.console.door import Door, Hosts, Refusal
from workers.console.headers import Headers
from workers.console.render import STATIC, page, refusal
from workers.console.tokens import Sessions
from workers.http_guard import FAILED, Guard

# a form holds a statement of SQL at most
MAX_BYTES = 256 << 10
NOT_FOUND = frozenset({"no_job", "no_document", "no_pack", "no_student", "no_table"})
WORDS = {404: "There is no such page.", 405: "This page is not asked for in this way."}
ROUTERS = tuple(one.router for one in (jobs, results, findings, document, review, charts, drift, energy, students, sql, dictionary))


def app(desk: Desk, sessions: Sessions, hosts: Hosts, cookie: str) -> Headers:
    """The whole console as an ASGI application."""
    door = Door(_pages(desk), sessions, hosts, cookie=cookie, page=_refused)
    return Headers(Guard(door, max_bytes=MAX_BYTES, told=_told))


def _told(status: int, code: str, message: str) -> tuple[bytes, bytes]:
    return bytes(refusal(status, code, message).body), b"text/html; charset=utf-8"


def _refused(said: Refusal) -> Response:
    return refusal(*said)


class _Static(StaticFiles):
    """Files whose address changes with their content: browsers keep them."""

    def file_response(self, *args: object, **options: object) -> Response:
        answer = super().file_response(*args, **options)  # type: ignore[arg-type]
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def _pages(desk: Desk) -> FastAPI:
    made = FastAPI(title="Stillhouse console", docs_url=None, redoc_url=None, openapi_url=None)
    made.state.desk = desk
    made.mount("/static", _Static(directory=STATIC))
    for router in ROUTERS:
        made.include_router(router)

    @made.get("/")
    async def home() -> RedirectResponse:
        return RedirectResponse("/jobs", 303)

    @made.get("/keys")
    async def keys(request: Request) -> Response:
        return page(request, "keys.html")

    @made.exception_handler(StillhouseError)
    async def told(request: Request, error: StillhouseError) -> Response:
        return page(request, "error.html", status=_status(error), code=error.code, message=error.message)

    @made.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return page(request, "error.html", status=error.status_code, code="http", message=WORDS.get(error.status_code, error.detail))

    @made.exception_handler(RequestValidationError)
    async def no_number(request: Request, error: RequestValidationError) -> Response:
        # the library's own answer repeats what was sent
        return page(request, "error.html", status=404, code="http", message=WORDS[404])

    @made.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # the guard logs its kind
        return page(request, "error.html", status=500, code="error", message=FAILED)

    return made


def _status(error: StillhouseError) -> int:
    if error.code in NOT_FOUND:
        return 404
    if error.code == "no_reviewer":
        return 403
    if isinstance(error, RunError):
        return 409
    if isinstance(error, UsageError):
        return 400
    return 503 if isinstance(error, StoreError | SettingsError) else 500
