"""A worker's parent looks whether its processes are there: a pool that cannot replace them any more must not stand idle as if all were well."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from billiard.process import active_children

log = logging.getLogger(__name__)

PATIENCE_S = 30.0  # a new process is there within seconds
EXIT_CODE = 70


class Watch:
    """Ends the worker where some of its processes have been missing for `PATIENCE_S`: `up`, or whoever runs it, starts it anew."""

    def __init__(self, n_expected: int, now: Callable[[], float] = time.monotonic) -> None:
        self._n_expected, self._now = n_expected, now
        self._whole_at = now()

    def look(self) -> None:
        if len(active_children()) >= self._n_expected:
            self._whole_at = self._now()
        elif self._now() - self._whole_at > PATIENCE_S:
            log.critical("worker processes are not replaced; the worker ends, to be started anew")
            _end()


def _end() -> None:
    """At once, without Celery's own stop, which would wait for the pool. What is held lapses."""
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    os._exit(EXIT_CODE)
