"""Back-pressure: submit waits while too much waits to be read, and stops before the store's disk is full."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from suites.errors import RunError
from workers.store import Store
from workers.tables import jobs, work

LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much may wait (0: as much as comes), and how many MB of the disk are left to the workers, who still have to write."""

    high_water: int = 0
    reserve_mb: int = 0

    def hold(self, store: Store, on_wait: Callable[[int], None]) -> None:
        """Returns once there is room for another chunk. Calls `on_wait` with how many documents wait. Raises RunError where the disk is nearly full."""
        self._require_disk(store)
        while self.high_water and (n_waiting := _waiting(store, self.high_water)) >= self.high_water:
            on_wait(n_waiting)
            time.sleep(LOOK_S)

    def _require_disk(self, store: Store) -> None:
        file = store.file
        if file is None or not self.reserve_mb:  # the disk of a PostgreSQL server is not ours to see: it refuses, and nothing of the chunk is stored
            return
        free_mb = shutil.disk_usage(file.parent).free >> 20
        if free_mb < self.reserve_mb:
            words = f"The disk of the store has {free_mb} MB left, less than [ingest] reserve_mb = {self.reserve_mb}; nothing more was stored"
            raise RunError(f"{words}. Free space and submit the same again: it goes on where it stopped.", "disk_reserve")


NO_PRESSURE = Pressure()


def _waiting(store: Store, enough: int) -> int:
    """How many documents wait. Counted only where there can be as many as `enough`: ids are given in order and never twice."""
    with store.reading() as connection:
        first, last = connection.execute(select(select(func.min(work.c.id)).scalar_subquery(), select(func.max(work.c.id)).scalar_subquery())).one()
        if first is None or last - first + 1 < enough:
            return 0
        # paused documents, and those of jobs whose student or key is missing, wait for a person
        readable = (work.c.state != "paused") & jobs.c.message.is_(None)
        return int(connection.execute(select(func.count()).select_from(work.join(jobs)).where(readable)).scalar_one())
