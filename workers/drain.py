"""Reading what waits: claim, predict, finish, again and again until nothing waits or time is up."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.predict import Predictor, Reading
from suites.errors import StillhouseError, StoreError
from suites.types import Document
from workers.queue import Claim, Claims, claim, explain, finish, give_back, renew, settle
from workers.settings import Settings
from workers.store import Store
from workers.students import predictor

log = logging.getLogger(__name__)

# a part is finished in one transaction: small enough that a kill repeats little and a stop waits
# little, large enough to share the commit (docs/performance.md)
PART_DOCUMENTS = 32
PART_CHARS = 100_000

GetPredictor = Callable[[str, str], Predictor]


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did. `empty`: nothing waits any more that could be read here."""

    n_read: int
    n_refused: int
    empty: bool


def owner_name() -> str:
    """Names this process in the work table."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


def drain(
    store: Store,
    settings: Settings,
    *,
    budget_s: float,
    stop: Callable[[], bool] = lambda: False,
    n_threads: int = 1,
    get_predictor: GetPredictor | None = None,
) -> Drained:
    """Reads waiting documents until none waits, `budget_s` seconds are over, or `stop` says so.

    A job whose student or pack cannot be used is passed over, with the reason in its `message`;
    its documents wait.
    """
    get = get_predictor or (lambda pack, student: predictor(settings, pack, student, n_threads))
    ends = time.monotonic() + budget_s
    n_read = n_refused = 0
    unusable: set[int] = set()
    while time.monotonic() < ends and not stop():
        with store.begin() as connection:
            claims = claim(connection, owner_name(), settings.worker.chunk, settings.worker.lease_s, unusable)
        if claims is None:
            with store.begin() as connection:
                settle(connection)
            return Drained(n_read, n_refused, empty=True)
        try:
            readings = get(claims.pack, claims.student_id)
        except Exception as error:  # whatever the files of a pack or a student raise: the documents are not at fault and wait
            unusable.add(claims.job_id)
            _pass_over(store, claims, error)
            continue
        read, refused = _read(store, settings, claims, readings, lambda: stop() or time.monotonic() > ends)
        n_read, n_refused = n_read + read, n_refused + refused
    return Drained(n_read, n_refused, empty=False)


def _pass_over(store: Store, claims: Claims, error: Exception) -> None:
    """Gives a claim back whose student or pack cannot be used, and notes why in its job."""
    if isinstance(error, StillhouseError):
        code, reason = error.code, error.message
    else:
        code, reason = "unexpected", f"Loading student {claims.student_id} of pack {claims.pack!r} raised {type(error).__name__}; the worker's log says where."
    log.error("student or pack cannot be used", extra={"job_id": claims.job_id, "code": code, "error": reason}, exc_info=error)
    with store.begin() as connection:
        give_back(connection, claims.held)
        explain(connection, claims.job_id, reason)


def _read(store: Store, settings: Settings, claims: Claims, readings: Predictor, stop: Callable[[], bool]) -> tuple[int, int]:
    """Reads one claim part by part, the first in any case; gives documents read and writes refused. What is not read is given back."""
    n_read = n_refused = 0
    waiting = list(claims.held)
    progress = _Progress(store, settings)
    try:
        while waiting and not (n_read and stop()):
            part = waiting[: _part(waiting)]
            progress.holding = waiting
            done = _predict(readings, part, progress)
            with store.begin() as connection:
                n_refused += finish(connection, claims, done)
            waiting = waiting[len(part) :]
            n_read += len(done)
    finally:
        progress.end()
        # also after an error of ours: others may read them. A process that dies gives nothing back; its lease lapses
        if waiting:
            with store.begin() as connection:
                give_back(connection, waiting)
    log.info("claim read", extra={"job_id": claims.job_id, "pack": claims.pack, "n_documents": n_read, "n_refused": n_refused})
    return n_read, n_refused


def _part(waiting: list[Claim]) -> int:
    """How many documents the next part takes: at least one, then within both bounds."""
    n_chars = 0
    for n, held in enumerate(waiting[:PART_DOCUMENTS]):
        n_chars += len(held.text)
        if n and n_chars > PART_CHARS:
            return n
    return min(len(waiting), PART_DOCUMENTS)


class _Progress:
    """Called after every batch of the encoder: re-arms the watchdog and, in time, renews the leases.

    A process that hangs in native code calls nothing: the watchdog, a thread without need of the
    interpreter's lock, ends it, and its leases lapse.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._worker = store, settings.worker
        self._renewed = time.monotonic()
        self.holding: list[Claim] = []
        self()

    def __call__(self) -> None:
        faulthandler.dump_traceback_later(self._worker.stall_s, exit=True)
        if self.holding and time.monotonic() - self._renewed > self._worker.lease_s / 3:
            with self._store.begin() as connection:
                renew(connection, self.holding, self._worker.lease_s)
            self._renewed = time.monotonic()

    def end(self) -> None:
        faulthandler.cancel_dump_traceback_later()


def _predict(readings: Predictor, part: list[Claim], progress: _Progress) -> list[tuple[Claim, Reading]]:
    """The claims with their readings. An error that no stage expected is found and failed one by one."""
    documents = [Document(str(c.document_id), c.text) for c in part]
    try:
        return list(zip(part, readings.predict(documents, on_batch=progress), strict=True))
    except StoreError:
        raise
    except Exception as error:
        if len(part) > 1:
            return [pair for held in part for pair in _predict(readings, [held], progress)]
        log.exception("document failed", extra={"stage": "predict", "code": "unexpected"})
        return [(part[0], Reading(documents[0].id, stage="predict", code="unexpected", reason=f"reading raised {type(error).__name__}"))]
