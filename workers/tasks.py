"""The one Celery call, `wake`, and what a worker's parent and children do around it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

from billiard.process import active_children
from celery.signals import setup_logging, worker_process_init, worker_ready, worker_shutting_down

from suites.errors import StillhouseError
from workers.app import app
from workers.bell import ring
from workers.logs import log_to_stderr
from workers.queue import next_job, settle, sweep
from workers.settings import Settings, load_settings
from workers.store import Store

log = logging.getLogger(__name__)

# a call claims for so long, then rings for the rest and returns: the broker sees short calls only
DRAIN_S = 10.0

STOP_SIGNAL = signal.SIGUSR2

_stopping = threading.Event()
_store: Store | None = None


def _open(settings: Settings) -> Store:
    """This process's store, opened on first use."""
    global _store
    if _store is None:
        _store = Store(settings.store_url)
    return _store


@app.task(name="workers.tasks.wake")
def wake(job_id: int) -> None:
    """Reads whatever waits. The id only says why the bell rang: SQL decides what is read."""
    from workers.drain import drain  # the parent, which reads nothing, does not load what reading takes

    settings = load_settings()
    try:
        store = _open(settings)
        with store.reading() as connection:
            more = next_job(connection, explained=False)
        if more is not None:
            ring(more)  # wakes the next process, which wakes the next: all read when much waits
        drained = drain(store, settings, budget_s=DRAIN_S, stop=_stopping.is_set)
    except StillhouseError as error:
        log.error("wake ended", extra={"code": error.code, "error": error.message})
        return
    if not drained.empty and not _stopping.is_set():
        ring(job_id)


def sweep_once(store: Store, settings: Settings) -> None:
    """One round of the sweep: lapsed claims, ended jobs, and a ring if anything waits."""
    with store.begin() as connection:
        n_swept = sweep(connection, settings.worker.max_attempts)
        settle(connection)
        waiting = next_job(connection, explained=True)
    if n_swept:
        log.warning("claims lapsed", extra={"n_swept": n_swept})
    if waiting is not None:
        ring(waiting)


def _sweep_for_ever(settings: Settings) -> None:
    """The sweep, in every worker's parent: idempotent, so any number may run."""
    store = Store(settings.store_url)
    wait_s = 0.0  # at once: documents that waited for a worker wait no longer
    while not _stopping.wait(wait_s):
        wait_s = settings.worker.sweep_s
        try:
            sweep_once(store, settings)
        except StillhouseError as error:
            log.warning("sweep failed, trying again", extra={"code": error.code, "error": error.message})
        except Exception:  # without the sweep nothing is recovered: it goes on whatever happens
            log.exception("sweep failed, trying again")
    store.close()


@setup_logging.connect
def _logging(loglevel: int = logging.WARNING, **_: Any) -> None:
    log_to_stderr(loglevel)


@worker_ready.connect
def _parent_ready(**_: Any) -> None:
    threading.Thread(target=_sweep_for_ever, args=(load_settings(),), daemon=True, name="sweep").start()
    log.info("worker ready")


@worker_shutting_down.connect
def _parent_stopping(**_: Any) -> None:
    """Celery waits for its children's calls; they are told to end theirs after the part in hand."""
    _stopping.set()
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, STOP_SIGNAL)


@worker_process_init.connect
def _child_ready(**_: Any) -> None:
    log_to_stderr(logging.WARNING)

    def stop(signum: int, frame: FrameType | None) -> None:
        _stopping.set()  # a flag only: an exception here could strike inside a commit

    signal.signal(STOP_SIGNAL, stop)
