"""Meters for measurements: time inside a store's transactions, processor time of a server's processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil
from sqlalchemy import Connection

from workers.store import Store


class MeteredStore(Store):
    """A store that adds up the seconds its transactions took, from asking for a connection to the end of the commit."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seconds = 0.0

    def begin(self) -> AbstractContextManager[Connection]:
        return self._metered(super().begin())

    def reading(self) -> AbstractContextManager[Connection]:
        return self._metered(super().reading())

    @contextmanager
    def _metered(self, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
        began = time.monotonic()
        try:
            with transaction as connection:
                yield connection
        finally:
            self.seconds += time.monotonic() - began


def tree_cpu_s(pid: int | None) -> float:
    """Processor seconds of a process and its children, those that ended included; 0 without a process."""
    if pid is None:
        return 0.0
    root = psutil.Process(pid)
    while True:
        try:
            alive = [child.cpu_times() for child in root.children(recursive=True)]
            break
        except psutil.NoSuchProcess:  # one ended meanwhile: its time is the parent's now
            continue
    own = root.cpu_times()
    return float(own.user + own.system + own.children_user + own.children_system + sum(times.user + times.system for times in alive))
