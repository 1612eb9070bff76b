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
from suites.errors import StillhouseError
from suites.types import Document
from workers.queue import Claim, Claims, claim, finish, give_back, renew, settle
from workers.settings import Settings
from workers.store import Store
from workers.students import predictor

log = logging.getLogger(__name__)

# documents finished in one transaction: small enough that a kill repeats little, large enough to
# share the commit (docs/performance.md)
FINISH = 32

GetPredictor = Callable[[str, str], Predictor]


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did. `empty`: nothing waits any more."""

    n_read: int
    n_refused: int
    empty: bool


def owner_name() -> str:
    """Names this process in the work table."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


def drain(store: Store, settings: Settings, *, budget_s: float, n_threads: int = 1, get_predictor: GetPredictor | None = None) -> Drained:
    """Reads waiting documents until none waits or `budget_s` seconds are over; a claim begun is read to its end."""
    get = get_predictor or (lambda pack, student: predictor(settings, pack, student, n_threads))
    ends = time.monotonic() + budget_s
    n_read = n_refused = 0
    while time.monotonic() < ends:
        with store.begin() as connection:
            claims = claim(connection, owner_name(), settings.worker.chunk, settings.worker.lease_s)
        if claims is None:
            with store.begin() as connection:
                settle(connection)
            return Drained(n_read, n_refused, empty=True)
        read, refused = _read(store, settings, claims, get)
        n_read, n_refused = n_read + read, n_refused + refused
    return Drained(n_read, n_refused, empty=False)


def _read(store: Store, settings: Settings, claims: Claims, get: GetPredictor) -> tuple[int, int]:
    """Reads one claim part by part; gives documents read and writes refused."""
    n_read = n_refused = 0
    waiting = list(claims.held)
    # a hang in native code holds the interpreter's lock; this thread does not need it
    faulthandler.dump_traceback_later(settings.worker.stall_s, exit=True)
    try:
        readings = get(claims.pack, claims.student_id)
        while waiting:
            faulthandler.dump_traceback_later(settings.worker.stall_s, exit=True)
            part, waiting = waiting[:FINISH], waiting[FINISH:]
            done = _predict(readings, part)
            with store.begin() as connection:
                n_refused += finish(connection, claims, done)
                if waiting:
                    renew(connection, waiting, settings.worker.lease_s)
            n_read += len(done)
    except StillhouseError as error:
        # the student or the store, not a document: nothing is failed, others may read them
        log.error("claim given back", extra={"job_id": claims.job_id, "code": error.code, "error": error.message})
        with store.begin() as connection:
            give_back(connection, waiting)
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
    log.info("claim read", extra={"job_id": claims.job_id, "pack": claims.pack, "n_documents": n_read, "n_refused": n_refused})
    return n_read, n_refused


def _predict(predictor: Predictor, part: list[Claim]) -> list[tuple[Claim, Reading]]:
    """The claims with their readings."""
    return list(zip(part, predictor.predict([Document(str(c.document_id), c.text) for c in part]), strict=True))
