"""The one Celery call, `wake`, and what a worker's parent and children do around it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from functools import cache
from types import FrameType
from typing import Any

from billiard.process import active_children
from celery.signals import setup_logging, worker_init, worker_process_init, worker_process_shutdown, worker_ready, worker_shutting_down

from suites.errors import StillhouseError
from workers.app import app
from workers.bell import ring
from workers.hardening import bound_memory, end_before_others
from workers.logs import log_to_stderr
from workers.reader import Reader
from workers.settings import load_settings
from workers.sweeper import sweep_until
from workers.watch import Watch

log = logging.getLogger(__name__)

STOP_SIGNAL = signal.SIGUSR2

# Celery waits for its processes without end; what they hold lapses
STOP_S = 15.0

_stopping = threading.Event()
_watch: Watch | None = None


@cache
def _reader() -> Reader:
    """This process's reader."""
    return Reader(load_settings(), _stopping, ring)


@app.task(name="workers.tasks.wake")
def wake(job_id: int) -> None:
    """Reads whatever waits. The id only says why the bell rang: SQL decides what is read."""
    if type(job_id) is not int or job_id < 1:  # nobody of ours rings so
        log.warning("message dropped", extra={"code": "foreign_message"})
        return
    try:
        more = _reader().read(explained=True)
    except StillhouseError as error:
        log.error("wake ended", extra={"code": error.code, "error": error.message})
        return
    if more and not _stopping.is_set():
        ring(job_id)


@setup_logging.connect
def _logging(loglevel: int = logging.WARNING, **_: Any) -> None:
    log_to_stderr(loglevel)


@worker_init.connect
def _parent_starting(**_: Any) -> None:
    """The sweep needs no broker: it begins although none may answer."""
    threading.Thread(target=sweep_until, args=(_stopping, load_settings(), ring, _look), daemon=True, name="sweep").start()


@worker_ready.connect
def _parent_ready(sender: Any, **_: Any) -> None:
    global _watch
    _watch = Watch(sender.pool.num_processes)
    log.info("worker ready")


def _look() -> None:
    if _watch is not None:
        _watch.look()


@worker_shutting_down.connect
def _parent_stopping(**_: Any) -> None:
    """Celery waits for its children's calls; they are told to end theirs after the part in hand."""
    _stopping.set()
    _signal_children(STOP_SIGNAL)
    timer = threading.Timer(STOP_S, _signal_children, (signal.SIGKILL,))
    timer.daemon = True
    timer.start()


def _signal_children(number: signal.Signals) -> None:
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)


def was_stopped() -> bool:
    """Whether this worker was told to stop."""
    return _stopping.is_set()


@worker_process_init.connect
def _child_ready(**_: Any) -> None:
    end_before_others()
    log_to_stderr(logging.WARNING)

    def stop(signum: int, frame: FrameType | None) -> None:
        _stopping.set()  # a flag only: an exception here could strike inside a commit

    signal.signal(STOP_SIGNAL, stop)
    bound_memory(load_settings().worker.memory_mb)
    _reader().ask_beside(load_settings().worker.sweep_s)  # the way out while the broker is away: it need not ask often


@worker_process_shutdown.connect
def _child_stopping(**_: Any) -> None:
    """The process ends after this: what it reads without having been rung for is finished, and the rest given back."""
    _stopping.set()
    _reader().join()
