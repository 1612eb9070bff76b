"""Asks the process that reads PDF files, and starts it where none runs. What it answers is not trusted: it is bounded and checked."""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from workers.ingest.pdf.reading import PAGE_S
from workers.ingest.pdf.server import REQUEST

ROOT = Path(__file__).parents[3]
SILENCE_S = PAGE_S + 10  # the process ends itself before
FRAME_BYTES = 8 << 20
_PIECE = 1 << 16
_ENVIRONMENT = ("LD_LIBRARY_PATH", "LANG", "LC_ALL")  # what Python may need to start; no settings, no passwords


class CannotAsk(OSError):
    """This machine cannot start the process now, or give it a file: nothing is said of the file."""


class Server:
    """The process and the socket by which it is asked."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-E", "-s", "-m", "workers.ingest.pdf.server", str(theirs.fileno())],
                cwd=ROOT,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, file: int, pipe: int, max_chars: int) -> None:
        """Hands over an opened file and the pipe to answer on. Raises OSError where the process is gone."""
        socket.send_fds(self._socket, [REQUEST.pack(max_chars)], [file, pipe])

    def end(self) -> None:
        """Ends the process and those that it has forked."""
        self._socket.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_lock = threading.Lock()
_servers: list[Server] = []  # at most one; a list, so that nothing starts at import


def answers(file: int, max_chars: int) -> Iterator[dict[str, object]]:
    """The frames of a file (`reading.frames`) as they come; they end without `end` or `refused` where its process did. Raises CannotAsk."""
    try:
        reading, writing = os.pipe()
    except OSError as error:
        raise CannotAsk(*error.args) from None
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        try:
            _ask(file, writing, max_chars)
        finally:
            os.close(writing)
        data = b""
        while b"\n" in data or (more := _read(pipe.fileno())):
            if b"\n" not in data:
                data += more
                if len(data) > FRAME_BYTES:
                    return
                continue
            line, _, data = data.partition(b"\n")
            frame = json.loads(line)
            if not isinstance(frame, dict):
                return
            yield frame


def _ask(file: int, pipe: int, max_chars: int) -> None:
    with _lock:
        try:
            _started().ask(file, pipe, max_chars)
        except OSError:  # it may have died since it was looked at
            end()
            try:
                _started().ask(file, pipe, max_chars)
            except OSError as error:
                raise CannotAsk(*error.args) from None


def _started() -> Server:
    if not _servers or not _servers[0].is_alive:
        end()
        _servers.append(Server())
    return _servers[0]


def _read(pipe: int) -> bytes:
    """What comes next; nothing at the end, or where nothing came for too long: then the server is ended too."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        if selector.select(SILENCE_S):
            return os.read(pipe, _PIECE)
    end()
    return b""


@atexit.register
def end() -> None:
    """Ends the process, if one runs."""
    while _servers:
        _servers.pop().end()
