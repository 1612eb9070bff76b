"""What a worker process does, rung for or asking by itself: it reads what waits, one thing at a time."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from suites.errors import RunError, StillhouseError
from workers.queue import next_job
from workers.settings import Settings
from workers.store import Store

log = logging.getLogger(__name__)

# a call reads for so long, then tells that more waits: the broker sees short calls only
DRAIN_S = 10.0
# a stop waits for the part in hand, no longer than this: what is held then lapses
JOIN_S = 15.0
EXIT_CODE = 71
# a process that the machine has refused for so long may be at fault itself, as one is whose modules were half loaded when files ran out
PATIENCE_S = 60.0

Ring = Callable[[int], object]


class Reader:
    """One process's reading: its store, opened on first use, and what tells it to stop."""

    def __init__(self, settings: Settings, stopping: threading.Event, ring: Ring) -> None:
        self._settings, self._stopping, self._ring = settings, stopping, ring
        self._store: Store | None = None
        self._reading = threading.Lock()
        self._tried_at = time.monotonic()
        self._refused_at = 0.0
        self._thread: threading.Thread | None = None

    def read(self, *, explained: bool) -> bool:
        """Reads for DRAIN_S at most what waits; gives whether more does. Jobs that wait for a usable student are tried only if `explained`."""
        with self._reading:
            return self._read(explained)

    def ask(self, every_s: float) -> None:
        """Asks the store for work until told to stop, `every_s` apart, more or less: processes that start together would all ask at once."""
        more = False
        while not self._stopping.wait(0.0 if more else every_s * random.uniform(0.5, 1.5)):
            more = self._reading.acquire(blocking=False) and self._asked()

    def ask_beside(self, every_s: float) -> None:
        """The same in a thread, beside a bell: a broker that is away costs seconds."""
        self._thread = threading.Thread(target=self.ask, args=(every_s,), name="ask", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Waits for the thread's part in hand; `stopping` has been set."""
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _asked(self) -> bool:
        tries = time.monotonic() - self._tried_at >= self._settings.worker.sweep_s
        if tries:
            self._tried_at = time.monotonic()
        try:
            return self._read(tries)
        except StillhouseError as error:
            log.warning("reading failed, trying again", extra={"code": error.code, "error": error.message})
        except Exception:  # without it a lost bell would be a lost process: it goes on whatever happens
            log.exception("reading failed, trying again")
        finally:
            self._reading.release()
        return False

    def _read(self, explained: bool) -> bool:
        if self._store is None:
            self._store = Store(self._settings.store_url)
        with self._store.reading() as connection:
            waiting = next_job(connection, explained=False)
            if waiting is None and not (explained and next_job(connection, explained=True)):
                return False
        if waiting is not None:
            self._ring(waiting)  # wakes the next process, which wakes the next: all read when much waits
        from workers.drain import drain  # a parent, which reads nothing, does not load what reading takes

        try:
            drained = drain(self._store, self._settings, budget_s=DRAIN_S, stop=self._stopping.is_set)
        except MemoryError:
            _end()
        except RunError:
            self._refused_at = self._refused_at or time.monotonic()
            if time.monotonic() - self._refused_at > PATIENCE_S:
                _end()
            raise
        if drained.exhausted:
            _end()
        self._refused_at = 0.0
        return not drained.empty


def _end() -> NoReturn:
    """All that was held is finished or given back by now, but for the document that was in hand where memory ran out or nothing could be read."""
    log.critical("no memory is left, or nothing could be read for long; the process ends and is replaced")
    os._exit(EXIT_CODE)
