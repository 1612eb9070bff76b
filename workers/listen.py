"""A socket that an HTTP server listens on, made before anything is loaded: who cannot listen need not."""

from __future__ import annotations

import socket
from argparse import ArgumentTypeError

from suites.errors import RunError


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
