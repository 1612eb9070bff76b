"""The sweep, in every worker's parent: lapsed claims, ended jobs, and a ring for all that waits. Any number of them may run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import text

from suites.errors import StillhouseError
from workers.queue import next_job, settle, sweep
from workers.settings import Settings
from workers.store import Store
from workers.verify import check_ended

log = logging.getLogger(__name__)

# PostgreSQL's partitions of findings are there so long before their month begins
MONTHS_AHEAD = 2
_MONTHS = text("SELECT make_findings_months(:ahead)")


def sweep_once(store: Store, settings: Settings, ring: Callable[[int], object]) -> None:
    """One round: lapsed claims are made ready again or become failures, jobs without work end, the bell is rung if anything waits,
    and PostgreSQL has a partition for the months to come."""
    with store.begin() as connection:
        n_swept = sweep(connection, settings.worker.max_attempts)
        ended = settle(connection)
        waiting = next_job(connection, explained=True)
    check_ended(store, ended)
    if n_swept:
        log.warning("claims lapsed", extra={"n_swept": n_swept})
    if waiting is not None:
        ring(waiting)
    if not store.is_sqlite:
        with store.begin() as connection:
            connection.execute(_MONTHS, {"ahead": MONTHS_AHEAD})


def sweep_until(stopping: threading.Event, settings: Settings, ring: Callable[[int], object], look: Callable[[], object]) -> None:
    """Sweeps every `sweep_s` until told to stop, at once to begin with: documents that waited for a worker wait no longer. Calls `look` each time."""
    store = Store(settings.store_url)
    wait_s = 0.0
    while not stopping.wait(wait_s):
        wait_s = settings.worker.sweep_s
        try:
            look()
            sweep_once(store, settings, ring)
        except StillhouseError as error:
            log.warning("sweep failed, trying again", extra={"code": error.code, "error": error.message})
        except Exception:  # without the sweep nothing is recovered: it goes on whatever happens
            log.exception("sweep failed, trying again")
    store.close()
