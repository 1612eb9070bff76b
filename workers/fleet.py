"""Broker and workers as child processes, stopped when the block ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from suites.errors import RunError
from workers.broker import embedded_broker, is_embedded
from workers.settings import Settings
from workers.show import words

MANAGE = Path(__file__).parent.parent / "manage.py"
# a worker finishes what it has in hand: one drain and one claim
STOP_S = 30.0


@contextmanager
def fleet(settings: Settings, processes: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the broker, if embedded, and one `worker` with its processes; gives the worker."""
    with embedded_broker(settings) if is_embedded(settings) else nullcontext():
        worker = start_worker(settings, processes)
        try:
            yield worker
        finally:
            stop_worker(worker)


def start_worker(settings: Settings, processes: int | None = None) -> subprocess.Popen[bytes]:
    """`manage.py worker` in a session of its own: Ctrl-C reaches us, and we stop it in order."""
    command = [sys.executable, str(MANAGE), "worker", *(["--processes", str(processes)] if processes else [])]
    return subprocess.Popen(command, cwd=settings.home, stdout=subprocess.DEVNULL, start_new_session=True)


def stop_worker(worker: subprocess.Popen[bytes]) -> None:
    """SIGTERM, time to finish the documents in hand, then SIGKILL to its whole session."""
    if worker.poll() is None:
        worker.terminate()
        deadline = time.monotonic() + STOP_S
        while worker.poll() is None and time.monotonic() < deadline:
            try:
                worker.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:
                words("Stopping at once: documents in hand are read again later.")
                break
    # its children share the session; a killed parent leaves them behind
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def require_alive(worker: subprocess.Popen[bytes]) -> None:
    """Raises RunError if the worker ended by itself."""
    if worker.poll() is not None:
        raise RunError(f"The worker ended with exit code {worker.returncode}; its reason stands above.")
