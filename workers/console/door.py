"""What stands before the pages: the host that is asked for, requests that other sites send, and who looks.

A link's token becomes a session's cookie, which scripts cannot read and other sites cannot send, and goes from the address by a redirect.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from workers.console.tokens import Sessions, Viewer

# what can be had without a token, and tells nothing
OPEN = "/static/"
HEALTH = "/healthz"
SIGN_OUT = "/sign-out"
SAFE = ("GET", "HEAD")
ANY_ADDRESS = ("0.0.0.0", "::")


class Refusal(NamedTuple):
    """Why a request is not answered, as a page says it."""

    status: int
    code: str
    message: str


NO_TOKEN = Refusal(
    401, "no_token", "Open the link that `python manage.py console` printed when it was started: it holds a token. A session ends when the console does."
)
OTHER_HOST = Refusal(421, "other_host", "This name is not the one that the console is served under. Open the link that it printed.")
OTHER_SITE = Refusal(403, "other_site", "This was sent by another page than the console's own. Open the console and do it there.")

Page = Callable[[Refusal], Response]


class Hosts:
    """The names under which a console may be asked for. Others are refused: a site could give its own name this machine's address (DNS rebinding)."""

    def __init__(self, served: str) -> None:
        self._served = served.lower()
        self._is_any = served in ANY_ADDRESS
        self._is_local = served.lower() == "localhost" or _is_loopback(served)

    def allows(self, header: str) -> bool:
        """Whether a Host header names this console. The port is left out: a tunnel may have another."""
        try:
            name = (urlsplit(f"//{header}").hostname or "").lower()
        except ValueError:
            return False
        if self._is_local:
            return name == "localhost" or _is_loopback(name)
        # an address is no name that a site could have chosen
        return name == self._served or (self._is_any and (_is_address(name) or name in ("localhost", socket.gethostname().lower())))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


class Door:
    """An ASGI application around the pages; `page` words refusals. Whom it lets in stands in the request's state as `viewer`."""

    def __init__(self, app: ASGIApp, sessions: Sessions, hosts: Hosts, *, cookie: str, page: Page) -> None:
        self._app, self._sessions, self._hosts, self._cookie, self._page = app, sessions, hosts, cookie, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = self._answer(request)
        await (self._app if answer is None else answer)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        """What is said in place of a page; None: the page is to be shown."""
        if request.scope["path"] == HEALTH:
            return PlainTextResponse("ok\n")
        if not self._hosts.allows(request.headers.get("host", "")):
            return self._page(OTHER_HOST)
        if request.scope["path"].startswith(OPEN):
            return None
        if "token" in request.query_params and request.method in SAFE:
            return self._let_in(request)
        viewer = self._viewer(request)
        if viewer is None:
            return self._page(NO_TOKEN)
        if request.method not in SAFE and not _is_own(request):
            return self._page(OTHER_SITE)
        if request.scope["path"] == SIGN_OUT and request.method == "POST":
            return self._sign_out(request)
        request.state.viewer = viewer
        return None

    def _let_in(self, request: Request) -> Response:
        viewer = self._sessions.viewer_of_token(request.query_params["token"])
        if viewer is None:
            return self._page(NO_TOKEN)
        rest = urlencode([(name, value) for name, value in parse_qsl(request.url.query, keep_blank_values=True) if name != "token"])
        # one slash: two would name another host
        answer = RedirectResponse(f"/{quote(request.scope['path'].lstrip('/'))}{'?' if rest else ''}{rest}", 303)
        is_https = request.url.scheme == "https"
        answer.set_cookie(self._cookie, self._sessions.open(viewer), httponly=True, samesite="strict", secure=is_https, path="/")
        return answer

    def _viewer(self, request: Request) -> Viewer | None:
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._sessions.viewer_of_token(token.strip())
        return self._sessions.viewer(self._session(request))

    def _session(self, request: Request) -> str:
        return request.cookies.get(self._cookie, "")

    def _sign_out(self, request: Request) -> Response:
        self._sessions.close(self._session(request))
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(self._cookie, path="/", httponly=True, samesite="strict")
        return answer


def _is_own(request: Request) -> bool:
    """Whether a request that does something comes from a page of the console, or from a program that brings a token."""
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    if origin := request.headers.get("origin"):
        return urlsplit(origin).netloc == request.headers.get("host")
    return "authorization" in request.headers
