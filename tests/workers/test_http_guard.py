"""What stands before the HTTP application: no body is read of a request that may not be answered, and nothing is said of what went wrong inside."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import MutableMapping
from typing import Any

import pytest

from workers import http_guard
from workers.http_guard import Guard

Headers = list[tuple[bytes, bytes]]
ALLOWED: Headers = [(b"authorization", b"Bearer s3cret")]
LENGTH: Headers = [(b"content-length", b"2")]


class Client:
    """A request to an application, whose body comes in pieces; counts what was read of it, and keeps the answer."""

    def __init__(self, headers: Headers, pieces: list[bytes] | None = None, method: str = "POST") -> None:
        self.scope = {"type": "http", "method": method, "path": "/score", "headers": headers}
        self.pieces = [b"{}"] if pieces is None else pieces
        self.n_read = 0
        self.sent: list[MutableMapping[str, Any]] = []

    async def receive(self) -> MutableMapping[str, Any]:
        if self.n_read == len(self.pieces):
            await asyncio.sleep(60)
        self.n_read += 1
        return {"type": "http.request", "body": self.pieces[self.n_read - 1], "more_body": self.pieces[self.n_read - 1] != b"{}"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    async def answered(self, app: Guard) -> tuple[int, str]:
        """The status and the code of the answer."""
        await app(self.scope, self.receive, self.send)
        return self.sent[0]["status"], json.loads(self.sent[1]["body"])["error"]["code"]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers with a code of its own."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"error": {"code": "none"}}'})


async def failing(scope: Any, receive: Any, send: Any) -> None:
    raise OSError(28, "No space left", "John Smith")


REFUSED: dict[str, tuple[Headers, tuple[int, str]]] = {
    "no token": (LENGTH, (401, "no_token")),
    "another token": ([*LENGTH, (b"authorization", b"Bearer wrong")], (401, "no_token")),
    "no scheme": ([*LENGTH, (b"authorization", b"s3cret")], (401, "no_token")),
    "no length": (ALLOWED, (411, "no_length")),
    "a length and pieces": ([*ALLOWED, *LENGTH, (b"transfer-encoding", b"chunked")], (411, "no_length")),
    "a length that is none": ([*ALLOWED, (b"content-length", b"-2")], (411, "no_length")),
    "too large": ([*ALLOWED, (b"content-length", b"99999999")], (413, "too_large")),
    "a length without end": ([*ALLOWED, (b"content-length", b"9" * 5_000)], (413, "too_large")),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("headers", "answer"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_request_is_not_read(headers: Headers, answer: tuple[int, str]) -> None:
    """It is answered from its headers alone."""
    client = Client(headers)
    assert await client.answered(Guard(echo, "s3cret")) == answer
    assert client.n_read == 0


@pytest.mark.anyio
@pytest.mark.parametrize("brought", ["Bearer tök", "bearer tök", " BEARER  tök "])
async def test_the_token_may_hold_any_letters(brought: str) -> None:
    """It is compared byte by byte, and its scheme without regard to case."""
    assert await Client([*LENGTH, (b"authorization", brought.encode())]).answered(Guard(echo, "tök")) == (200, "none")


@pytest.mark.anyio
async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed after a while; one that comes in pieces is read."""
    assert await Client(LENGTH, [b"{", b"}", b"{}"]).answered(Guard(echo)) == (200, "none")
    monkeypatch.setattr(http_guard, "BODY_S", 0.1)
    client = Client(LENGTH, [b"{"])
    assert await client.answered(Guard(echo)) == (408, "too_slow")
    assert (b"connection", b"close") in client.sent[0]["headers"]


@pytest.mark.anyio
async def test_a_fault_inside_is_told_by_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    """Neither answer nor log holds its message, which may quote a text."""
    with caplog.at_level(logging.DEBUG):
        client = Client(LENGTH)
        assert await client.answered(Guard(failing)) == (500, "error")
    assert [record.error for record in caplog.records if record.levelno == logging.ERROR] == ["OSError"]  # type: ignore[attr-defined]
    assert "John Smith" not in caplog.text + str(client.sent)
