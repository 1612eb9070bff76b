"""Worker processes without a broker, and so without Celery: each asks the store by itself; their parent sweeps, and replaces those that die."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.context import SpawnContext, SpawnProcess
from types import FrameType

from workers.hardening import bound_memory, end_before_others
from workers.logs import log_to_stderr
from workers.reader import Reader
from workers.settings import Settings
from workers.sweeper import sweep_until

log = logging.getLogger(__name__)

# after a stop the processes have so long for the part in hand; then they are killed, and what they hold lapses
STOP_S = 15.0
# a process that dies as soon as it starts is not started again at once
RESTART_S = 1.0
LOOK_S = 0.2


def _no_bell(job_id: int) -> None:
    """There is nobody to ring for."""


def run_alone(settings: Settings, n_processes: int) -> None:
    """Runs until SIGTERM or SIGINT, then lets each process finish the part in hand."""
    log_to_stderr(logging.WARNING)
    stopping = threading.Event()
    _stop_on_signals(stopping)
    sweeper = threading.Thread(target=sweep_until, args=(stopping, settings, _no_bell, lambda: None), daemon=True, name="sweep")
    sweeper.start()
    # spawn: a fork after native threads have started hangs for ever
    context = multiprocessing.get_context("spawn")
    processes = [_started(context, settings) for _ in range(n_processes)]
    try:
        while not stopping.wait(LOOK_S):
            processes = [_replaced(context, settings, process, stopping) for process in processes]
    finally:
        _stopped(processes)


def _started(context: SpawnContext, settings: Settings) -> SpawnProcess:
    process = context.Process(target=_child, args=(settings, os.getpid()), daemon=False)
    process.start()
    return process


def _replaced(context: SpawnContext, settings: Settings, process: SpawnProcess, stopping: threading.Event) -> SpawnProcess:
    if process.is_alive() or stopping.is_set():
        return process
    log.warning("a worker process died and is replaced", extra={"code": f"exit_{process.exitcode}"})
    return process if stopping.wait(RESTART_S) else _started(context, settings)


def _stopped(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _child(settings: Settings, parent: int) -> None:
    """Asks until told to stop, or until its parent is gone: nobody would sweep, stop or replace it."""
    log_to_stderr(logging.WARNING)
    end_before_others()
    bound_memory(settings.worker.memory_mb)
    stopping = threading.Event()
    _stop_on_signals(stopping)
    threading.Thread(target=_stop_with, args=(parent, stopping), daemon=True, name="parent").start()
    Reader(settings, stopping, _no_bell).ask(settings.worker.poll_s)


def _stop_on_signals(stopping: threading.Event) -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()  # a flag only: an exception here could strike inside a commit

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, stop)


def _stop_with(parent: int, stopping: threading.Event) -> None:
    while os.getppid() == parent and not stopping.wait(1.0):
        pass
    stopping.set()
