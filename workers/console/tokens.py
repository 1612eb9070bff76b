"""Who may open the console: a token of the analysts, and one of each reviewer, who may see texts."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from workers.settings import ConsoleSettings

# a session that nobody uses for so long is over
IDLE_S = 12 * 3600.0
SESSIONS = 1000


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page. `reviewer`: the name of one who may see texts; None: an analyst."""

    reviewer: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token and whom it stands for. `made`: it was made at this start, and may be shown to whoever started the console."""

    viewer: Viewer
    text: str = field(repr=False)
    made: bool


def tokens_of(settings: ConsoleSettings, reviewers: Iterable[str] = ()) -> list[Token]:
    """The tokens by the settings, and new ones of 256 random bits where those give none: of analysts, and of further `reviewers`."""
    fixed = settings.token.get_secret_value()
    tokens = [Token(Viewer(), fixed or secrets.token_urlsafe(32), not fixed)]
    tokens += [Token(Viewer(name), token.get_secret_value(), False) for name, token in settings.reviewers]
    known = {token.viewer.reviewer for token in tokens}
    return [*tokens, *(Token(Viewer(name), secrets.token_urlsafe(32), True) for name in dict.fromkeys(reviewers) if name not in known)]


class Sessions:
    """Tokens that were brought, as sessions: a cookie names a session and holds no token. Forgotten when the console stops."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = [(_digest(token.text), token.viewer) for token in tokens]
        self._open: OrderedDict[bytes, tuple[Viewer, float]] = OrderedDict()
        self._lock = threading.Lock()

    def viewer_of_token(self, token: str) -> Viewer | None:
        """Whom a token stands for. All are compared, each in constant time."""
        brought, found = _digest(token), None
        for digest, viewer in self._tokens:
            if hmac.compare_digest(brought, digest):
                found = viewer
        return found

    def open(self, viewer: Viewer) -> str:
        """A new session; of too many the one that was longest unused is over."""
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_digest(session)] = viewer, time.monotonic()
            while len(self._open) > SESSIONS:
                self._open.popitem(last=False)
        return session

    def viewer(self, session: str) -> Viewer | None:
        """Who opened a session; None: there is none such, or it is over."""
        key = _digest(session)
        with self._lock:
            viewer, used_at = self._open.pop(key, (None, 0.0))
            if viewer is None or time.monotonic() - used_at > IDLE_S:
                return None
            self._open[key] = viewer, time.monotonic()
        return viewer

    def close(self, session: str) -> None:
        with self._lock:
            self._open.pop(_digest(session), None)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
