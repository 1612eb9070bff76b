"""What stands before an HTTP application: the token, bounds on a request's body, and silence about what went wrong inside.

A request without the token is refused before its body is read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MAX_BYTES = 16 << 20
# a body comes whole within so many seconds, or not at all
BODY_S = 30.0
FAILED = "The request could not be answered; the server's log has the kind of error."

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
# status, code and message of a refusal, as a body and its type
Told = Callable[[int, str, str], tuple[bytes, bytes]]
_log = logging.getLogger(__name__)


def told_in_json(status: int, code: str, message: str) -> tuple[bytes, bytes]:
    """A refusal as programs read it."""
    return json.dumps({"error": {"code": code, "message": message}}).encode(), b"application/json"


class Guard:
    """An ASGI application around another. With a `token` each request must bring it: `Authorization: Bearer TOKEN`. `told` words refusals."""

    def __init__(self, app: App, token: str = "", *, max_bytes: int = MAX_BYTES, told: Told = told_in_json) -> None:
        self._app, self._token, self._max_bytes, self._told = app, token.encode(), max_bytes, told

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (refusal := self._refusal(scope)) is not None:
            await self._answer(send, *refusal)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, _hasty(receive), sending)
        except TimeoutError:
            await self._answer(send, 408, "too_slow", f"The request's body did not come within {BODY_S:.0f} s. Send it again.")
        except Exception as error:  # its message may quote a text
            _log.error("a request failed", extra={"error": type(error).__name__})
            if not begun:
                await self._answer(send, 500, "error", FAILED)

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str, str] | None:
        headers = dict(scope["headers"])
        if self._token and not self._is_allowed(headers.get(b"authorization", b"")):
            return 401, "no_token", "Give the token: Authorization: Bearer TOKEN."
        length = headers.get(b"content-length", b"" if scope["method"] == "POST" else b"0")
        if b"transfer-encoding" in headers or not length.isdigit():
            return 411, "no_length", f"A request has a Content-Length, of {self._max_bytes} bytes at most."
        if int(length[:20]) > self._max_bytes:
            return 413, "too_large", f"A request has {self._max_bytes} bytes at most. Send less at once."
        return None

    def _is_allowed(self, brought: bytes) -> bool:
        scheme, _, token = brought.strip().partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    async def _answer(self, send: Send, status: int, code: str, message: str) -> None:
        body, kind = self._told(status, code, message)
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _hasty(receive: Receive) -> Receive:
    """Raises TimeoutError where the body does not come; what is asked after it, whether the client is gone, may take its time."""
    ends = asyncio.get_running_loop().time() + BODY_S
    is_whole = False

    async def receiving() -> Message:
        nonlocal is_whole
        if is_whole:
            return await receive()
        async with asyncio.timeout_at(ends):
            message = await receive()
        is_whole = not message.get("more_body", False)
        return message

    return receiving
