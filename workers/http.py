"""`POST /score` over HTTP: one student a pack, kept warm. No text is stored, logged, or sent back in an error."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as AnyHTTPException

from suites.types import Document
from workers.http_guard import FAILED, Guard
from workers.score import Scored, Scorer

MAX_DOCUMENTS = 1_000
# so many short texts are read on the loop itself
SHORT_DOCUMENTS = 16
# what an error may name of a request: a key that is none of ours may be somebody's text
PLACES = frozenset({"body", "query", "documents", "text", "id", "pack"})
CODES = {404: "not_found", 405: "wrong_method", 422: "bad_request"}
# a request whose texts are longer together is read on a thread of its own: the loop answers others meanwhile
SHORT_CHARS = 5_000


class Asked(BaseModel):
    """One text to be read. `id` comes back with the answer."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"id": "m1", "text": "Your account is locked. Confirm your PIN at http://example.org/x"}]}
    )

    text: str = Field(min_length=1, pattern=r"\S")
    id: str = Field(default="", max_length=200)


class AskedMany(BaseModel):
    """Several texts, read together: faster than one by one."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Asked] = Field(min_length=1, max_length=MAX_DOCUMENTS)


class Failure(BaseModel):
    """Why a text could not be read; never the text."""

    stage: str
    code: str
    reason: str


class Answer(BaseModel):
    """What was read in a text: `row` as in the view `<pack>_results`, and the findings as in `<pack>_findings`."""

    id: str
    row: dict[str, str | float | int | None]
    findings: list[dict[str, Any]]
    failure: Failure | None = None


class Answered(BaseModel):
    """The answers in the order of the texts, who gave them, and how long reading took, in milliseconds."""

    pack: str
    student: str
    ms: float
    answers: list[Answer]


class Served(BaseModel):
    """A pack that is served."""

    pack: str
    student: str
    title: str
    columns: dict[str, str]


def app(scorers: Mapping[str, Scorer], token: str = "") -> Guard:
    """The application over loaded students, by pack. With a `token` each request must bring it: `Authorization: Bearer TOKEN`."""
    return Guard(_unguarded(scorers), token)


def _unguarded(scorers: Mapping[str, Scorer]) -> FastAPI:
    made = FastAPI(
        title="Stillhouse",
        # the library's pages load their scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        version="1",
        description="Reads short texts at once: the same findings as the queue gives. Texts are neither stored nor logged.",
    )

    @made.get("/packs", summary="The packs served here")
    async def packs() -> list[Served]:
        return [
            Served(pack=name, student=s.student_id, title=s.pack.manifest.title, columns={c.name: c.description for c in s.pack.manifest.column})
            for name, s in scorers.items()
        ]

    @made.get("/healthz", summary="Whether students are loaded")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @made.post("/score", summary="Read one text with the only pack served, or the one named")
    async def score(asked: Asked, pack: str | None = None) -> Answered:
        return await _answered(_chosen(scorers, pack), [asked])

    @made.post("/score/many", summary="Read several texts")
    async def score_many(asked: AskedMany, pack: str | None = None) -> Answered:
        return await _answered(_chosen(scorers, pack), asked.documents)

    @made.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        if "json" not in request.headers.get("content-type", ""):
            message = "Send JSON, and say so in the header: Content-Type: application/json."
            return JSONResponse({"error": {"code": "no_json", "message": message}}, 415)
        # the library's own answer repeats what was sent
        problems = [{"where": ".".join(str(part) for part in e["loc"] if part in PLACES or isinstance(part, int)), "what": e["msg"]} for e in error.errors()]
        message = "The request is not as this page expects it: one text to POST /score, several to /score/many, a pack as ?pack=NAME; see /openapi.json."
        return JSONResponse({"error": {"code": "bad_request", "message": message, "problems": problems}}, 422)

    @made.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        # the guard logs its kind
        return JSONResponse({"error": {"code": "error", "message": FAILED}}, 500)

    @made.exception_handler(AnyHTTPException)
    async def refused(request: Request, error: AnyHTTPException) -> JSONResponse:
        told = {404: "There is no such page; see /openapi.json.", 405: "This page has another method; see /openapi.json."}
        message = error.detail if isinstance(error, HTTPException) else told.get(error.status_code, error.detail)
        return JSONResponse({"error": {"code": CODES.get(error.status_code, "error"), "message": message}}, error.status_code, error.headers)

    return made


def _chosen(scorers: Mapping[str, Scorer], pack: str | None) -> Scorer:
    if pack is None and len(scorers) == 1:
        return next(iter(scorers.values()))
    if pack is None:
        raise HTTPException(422, f"Several packs are served: name one, ?pack={'|'.join(scorers)}")
    if pack not in scorers:
        raise HTTPException(404, f"This pack is not served. Served: {', '.join(sorted(scorers))}.")
    return scorers[pack]


async def _answered(scorer: Scorer, asked: Sequence[Asked]) -> Answered:
    documents = [Document(one.id, one.text) for one in asked]
    started = time.perf_counter()
    is_short = len(documents) <= SHORT_DOCUMENTS and sum(len(d.text) for d in documents) <= SHORT_CHARS
    # short texts are answered right here, unless another thread is at work: the loop waits for nobody
    scored = scorer.score_now(documents) if is_short else None
    if scored is None:
        scored = await run_in_threadpool(scorer.score_all, documents)
    ms = round((time.perf_counter() - started) * 1000, 3)
    return Answered(pack=scorer.pack.name, student=scorer.student_id, ms=ms, answers=[_answer(s) for s in scored])


def _answer(scored: Scored) -> Answer:
    failure = None if scored.failure is None else Failure(**scored.failure)
    return Answer(id=scored.id, row=scored.row, findings=scored.findings, failure=failure)
