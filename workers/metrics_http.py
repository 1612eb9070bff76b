"""`GET /metrics` and `GET /healthz` over HTTP: whoever looks has the store asked."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from workers.health import health
from workers.http_guard import Guard
from workers.metrics import exposition


def app(url: str, token: str = "") -> Guard:
    """The application over a store. With a `token` each request must bring it: `Authorization: Bearer TOKEN`."""
    made = FastAPI(title="Stillhouse", docs_url=None, redoc_url=None, openapi_url=None)

    # no coroutines: each is answered by a thread of its own, and the loop waits for no database

    @made.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(url), media_type=CONTENT_TYPE_LATEST)

    @made.get("/healthz")
    def healthz() -> JSONResponse:
        checks = health(url)
        ok = all(check.ok for check in checks.values())
        return JSONResponse({"status": "ok" if ok else "failing", "checks": {n: asdict(c) for n, c in checks.items()}}, 200 if ok else 503)

    return Guard(made, token)
