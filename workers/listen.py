"""How HTTP is served: a socket, made before anything is loaded, as who cannot listen need not; a token, where others reach it; a server that ends softly."""

from __future__ import annotations

import signal
import socket
from argparse import ArgumentTypeError
from contextlib import suppress
from typing import Any

from suites.errors import RunError, UsageError

HERE = ("127.0.0.1", "::1", "localhost")


def port(written: str) -> int:
    """A port of TCP."""
    if not written.isdecimal() or not 0 < int(written) < 1 << 16:
        raise ArgumentTypeError(f"{written!r} is no port. Expected 1 to 65535")
    return int(written)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises RunError."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(address[:2], family=family, backlog=2048)
        # those that are accepted have it of this one; without it an answer waits 40 ms for the client's acknowledgement
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"Cannot listen on {host}, port {port}: {why}. Choose another --port, or stop what listens there.", "cannot_listen") from None


def in_url(host: str) -> str:
    """An address as a URL has it."""
    return f"[{host}]" if ":" in host else host


def require_token(host: str, token: str, setting: str) -> None:
    """Raises UsageError where others than this machine can ask and need bring no token; `setting` is its name in the environment."""
    if not token and host not in HERE:
        raise UsageError(f"--host {host} can be reached from elsewhere: set a token, {setting}, that requests must bring.", "no_token")


def serve_until_stopped(app: Any, listens: socket.socket, *, connections: int, end_s: int | None = None) -> None:
    """Serves an ASGI application until SIGTERM or Ctrl-C; what is being answered then has `end_s` to end, None: as long as it takes.

    More than so many connections at once are answered with 503. There is no access log: whose address asks for what is nobody's
    business, an address may hold a document's id, and a line costs a tenth of a millisecond.
    """
    import uvicorn

    from workers.logs import log_to_stderr

    log_to_stderr()
    config = uvicorn.Config(app, access_log=False, log_config=None, limit_concurrency=connections, timeout_graceful_shutdown=end_s, server_header=False)
    # the server ends softly and then raises the signal that it got once more
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listens])
