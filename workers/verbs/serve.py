"""Answers `POST /score` over HTTP: short texts read at once by the packs' released students. Ctrl-C stops it.

It listens on this machine alone unless --host says otherwise; beyond it, set a token (STILLHOUSE_SCORE__TOKEN) and put TLS before it. Requests
are JSON, `{"text": "..."}`; the answer holds the row and the findings that the queue would give. /openapi.json describes
the interface. Texts are neither stored nor logged. It does not see a later release: start it again.

example: python manage.py serve finance
         curl -s 127.0.0.1:8600/score -H 'content-type: application/json' -d '{"text": "You have won! Reply WIN to claim."}'
"""

from __future__ import annotations

import socket
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress

from suites.errors import RunError, UsageError
from workers.settings import Settings
from workers.show import words
from workers.threads import one_thread_each

# more at once are answered with 503: each may hold a body in memory
CONNECTIONS = 100


def port(written: str) -> int:
    """A port of TCP."""
    if not written.isdecimal() or not 0 < int(written) < 1 << 16:
        raise ArgumentTypeError(f"{written!r} is no port. Expected 1 to 65535")
    return int(written)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack", nargs="+")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=port, default=8600, help="default: 8600")


def run(options: Namespace, settings: Settings) -> object:
    one_thread_each()
    import uvicorn

    from workers.http import app
    from workers.score import Scorer

    token = settings.score.token.get_secret_value()
    if not token and options.host not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError(f"--host {options.host} can be reached from elsewhere: set a token, STILLHOUSE_SCORE__TOKEN, that requests must bring.", "no_token")
    # before the students are loaded: who cannot listen need not
    listening = _listening(options.host, options.port)
    scorers = {name: Scorer.of(settings, name) for name in options.pack}
    for name, scorer in scorers.items():
        words(f"{name}: {scorer.student_id}")
    host = f"[{options.host}]" if ":" in options.host else options.host
    words(f"http://{host}:{options.port}/score (see /openapi.json)")
    # no access log: a caller's address and the time are nobody's business, and a line costs a tenth of a millisecond
    config = uvicorn.Config(app(scorers, token), access_log=False, log_level="warning", limit_concurrency=CONNECTIONS)
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    return {"served": list(scorers)}


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises RunError."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=2048)
        # those that are accepted have it of this one; without it an answer waits 40 ms for the client's acknowledgement
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"Cannot listen on {host}, port {port}: {why}. Choose another --port, or stop what listens there.", "cannot_listen") from None
