"""Broker and workers as child processes, stopped when the block ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from suites.errors import BrokerError, RunError
from workers.broker import EmbeddedBroker, is_embedded
from workers.hardening import end_with_parent
from workers.logs import notice
from workers.settings import PREFIX, Settings

MANAGE = Path(__file__).parent.parent / "manage.py"
# a worker finishes what it has in hand: one drain and one claim
STOP_S = 30.0
# a worker that ends within so long of its start has something wrong that a new one would have too
SHORT_S = 10.0
LONGEST_WAIT_S = 30.0


class Fleet:
    """What runs: the worker, and the broker where it is ours."""

    def __init__(self, settings: Settings, processes: int | None, broker: EmbeddedBroker | None) -> None:
        self._settings, self._processes, self._broker = settings, processes, broker
        self._has_run = False
        self._wait_s = 0.0
        self._start()

    def _start(self) -> None:
        self.worker = start_worker(self._settings, self._processes)
        self._started_at = time.monotonic()

    def check(self) -> None:
        """Starts what died again. Raises RunError where the worker ended as soon as it was first started: it would do so again."""
        self._check_broker()
        ran_s = time.monotonic() - self._started_at
        if self.worker.poll() is None:
            self._has_run |= ran_s > SHORT_S
            return
        if not self._has_run and ran_s < SHORT_S:
            raise RunError(f"The worker ended with exit code {self.worker.returncode}; its reason stands above.")
        # one that has run may end at once as long as the database restarts
        self._wait_s = 0.0 if ran_s > SHORT_S else min(LONGEST_WAIT_S, 2 * self._wait_s + 1)
        notice(f"The worker had ended with exit code {self.worker.returncode} and is started again in {self._wait_s:g} s.")
        time.sleep(self._wait_s)
        kill_session(self.worker)
        self._start()

    def _check_broker(self) -> None:
        try:
            if self._broker is not None and self._broker.ensure():
                notice("The broker had died and was started again.")
        except BrokerError as error:  # tried again at the next check: the workers ask the store meanwhile
            notice(error.message)


@contextmanager
def fleet(settings: Settings, processes: int | None = None) -> Iterator[Fleet]:
    """Runs the broker, if embedded, and one `worker` with its processes. SIGTERM and SIGHUP end the block as Ctrl-C does."""
    with _signals(), ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(settings)) if is_embedded(settings) else None
        running = Fleet(settings, processes, broker)
        try:
            yield running
        finally:
            stop_worker(running.worker)


@contextmanager
def _signals() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # one that was ignored when we were started stays so: that is how nohup keeps `up` running
    heard = [number for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_worker(settings: Settings, processes: int | None = None) -> subprocess.Popen[bytes]:
    """`manage.py worker` in a session of its own: Ctrl-C reaches us, and we stop it in order. If we are killed it stops by itself."""
    command = [sys.executable, str(MANAGE), "worker", *(["--processes", str(processes)] if processes else [])]
    # the worker runs in another folder than we: a relative path of the settings' file would lead elsewhere
    env = dict(os.environ)
    if file := env.get(f"{PREFIX}SETTINGS"):
        env[f"{PREFIX}SETTINGS"] = str(Path(file).absolute())
    return subprocess.Popen(command, cwd=settings.home, env=env, stdout=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)


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
                notice("Stopping at once: documents in hand are read again later.")
                break
    kill_session(worker)
    worker.wait()


def kill_session(worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL to all that share the worker's session: a parent that was killed leaves its processes behind."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
