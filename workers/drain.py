"""Reading what waits: claim, predict, finish, again and again until nothing waits or time is up."""

from __future__ import annotations

import faulthandler
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from pipelines.predict import Predictor, Reading, is_machines
from suites.discover import Pack
from suites.errors import RunError, StillhouseError, StoreError
from suites.types import Document
from workers.derived import Derived
from workers.energy import JobMeter
from workers.keys import Body, Keys, Unopened
from workers.owner import owner_name
from workers.queue import Claim, Claims, claim, drop, explain, finish, give_back, renew, settle
from workers.rows import require_fresh
from workers.settings import Settings
from workers.store import Store
from workers.students import predictor
from workers.turns import Turns
from workers.verify import check_ended

log = logging.getLogger(__name__)

# A part is finished in one transaction: small enough that a kill repeats little and a stop waits
# little, large enough to share the commit, which waits for the disk (docs/performance.md)
PART_DOCUMENTS = 128
PART_CHARS = 100_000
# a claim takes a quarter of what waits at most: the last documents of a job are spread over the processes
SHARE = 4
# a lease is renewed so many times while it would last: rules of a long document, which renew nothing, begin with nearly a whole one
RENEWALS = 8

# codes of a database that refuses a row as such: SQLSTATE's classes 22 (data) and 23 (integrity), and SQLite's words for them
TWICE = ("store_23505", "store_sqlite_constraint_unique")
REFUSALS = ("store_22", "store_23", "store_sqlite_constraint", "store_sqlite_mismatch", "store_sqlite_toobig")

GetPredictor = Callable[[str, str], Predictor]


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did.

    `empty`: nothing waits any more that could be read here. `exhausted`: this process has no memory left, or reads nothing any more, and should end.
    """

    n_read: int
    n_refused: int
    empty: bool
    exhausted: bool = False


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
    return _Drain(store, settings, get, lambda: stop() or time.monotonic() > ends).run()


class _Drain:
    """One drain: what it has done so far, and the jobs that it passes over."""

    def __init__(self, store: Store, settings: Settings, get: GetPredictor, over: Callable[[], bool]) -> None:
        self._store, self._settings, self._get, self._over = store, settings, get, over
        self._keys = Keys.of(settings)
        self._unusable: set[int] = set()
        self._n_read = self._n_refused = 0
        self._claimed_s = time.monotonic()
        self._empty = False
        self._turns = Turns()
        self._failing: _Failing | None = None
        self._derived: dict[str, Derived] = {}
        self._meter = JobMeter(settings, owner_name())

    def run(self) -> Drained:
        claims = self._next()
        while claims is not None:
            try:
                readings = self._get(claims.pack, claims.student_id)
                self._meter.reads_with(readings)
                derived = self._derived_of(readings.pack)
                opened = self._opened(claims, derived)
            except StoreError:
                self._store.write(partial(give_back, held=claims.held))
                raise
            except Exception as error:  # whatever the files of a pack or a student raise, or the master key: the documents are not at fault and wait
                self._unusable.add(claims.job_id)
                _pass_over(self._store, claims, error)
                claims = self._next()
            else:
                claims = self._read(opened, readings, derived) if opened.held else self._next()
        if self._empty:
            # by itself, after the last commit: of two processes that finish at the same time the later one sees both
            with self._store.begin() as connection:
                ended = settle(connection)
            check_ended(self._store, ended)
            if ended:
                self._store.refresh_statistics()
        if self._failing is not None and not self._failing.exhausted:
            raise RunError(f"Reading stopped: the machine refused ({self._failing.error}). Memory, open files or the disk may be short.", "machine")
        return Drained(self._n_read, self._n_refused, self._empty, self._failing is not None)

    def _next(self) -> Claims | None:
        if self._is_over():
            return None
        self._meter.begin()
        with self._store.begin() as connection:
            return self._claim(connection)

    def _is_over(self) -> bool:
        return self._failing is not None or self._over()

    def _claim(self, connection: Connection) -> Claims | None:
        worker = self._settings.worker
        lost_first = self._turns.lost_first(time.monotonic())
        claims = claim(connection, owner_name(), worker.chunk, worker.lease_s, self._unusable, SHARE, lost_first=lost_first)
        self._empty = claims is None
        self._claimed_s = time.monotonic()
        if claims is not None:
            self._turns.begin(self._claimed_s, is_lost=claims.is_lost)
        return claims

    def _derived_of(self, pack: Pack) -> Derived:
        """What is written beside the pack's findings. Raises PackError where the store's table of rows is of other columns: asked once a drain."""
        if pack.name not in self._derived:
            with self._store.reading() as connection:
                require_fresh(connection, pack)
            self._derived[pack.name] = Derived(pack, self._meter)
        return self._derived[pack.name]

    def _opened(self, claims: Claims, derived: Derived) -> Claims:
        """The claims with their texts in clear. Those that no key opens any more are failures. Raises SettingsError without the master key."""
        if all(held.key_id is None for held in claims.held):
            return claims
        with self._store.reading() as connection:
            texts = self._keys.opened(connection, [Body(held.document_id, held.text, held.key_id) for held in claims.held])
        pairs = [(held, texts[held.document_id]) for held in claims.held]
        lost = [(held, Reading(str(held.document_id), stage="open", code=text.code, reason=text.reason)) for held, text in pairs if isinstance(text, Unopened)]
        if lost:
            self._n_refused += self._store.write(partial(finish, claims=claims, done=lost, derived=derived))
        return replace(claims, held=tuple(replace(held, text=text, key_id=None) for held, text in pairs if not isinstance(text, Unopened)))

    def _finish(
        self, claims: Claims, done: Sequence[tuple[Claim, Reading]], derived: Derived, connection: Connection, *, goes_on: bool
    ) -> tuple[int, Claims | None]:
        """Finishes a part; gives how many the fence refused, and the next claim, which shares the commit."""
        refused = finish(connection, claims, done, derived)
        return refused, self._claim(connection) if goes_on else None

    def _finished(
        self, claims: Claims, done: Sequence[tuple[Claim, Reading]], derived: Derived, progress: _Progress, *, goes_on: bool
    ) -> tuple[int, Claims | None]:
        """The same through a restart of the database. What it refuses for one document's sake is finished one by one: its neighbours go free."""
        try:
            return self._store.write(partial(self._finish, claims, done, derived, goes_on=goes_on), progress.arm)
        except StoreError as error:
            if not error.code.startswith(REFUSALS):
                raise
            log.error("the database refused a part", extra={"job_id": claims.job_id, "code": error.code})
            return sum(self._finished_alone(claims, pair, derived, progress) for pair in done), None

    def _finished_alone(self, claims: Claims, pair: tuple[Claim, Reading], derived: Derived, progress: _Progress) -> int:
        held, reading = pair
        try:
            return self._store.write(partial(finish, claims=claims, done=[pair], derived=derived), progress.arm)
        except StoreError as error:
            if not error.code.startswith(REFUSALS):
                raise
            if not error.code.startswith(TWICE):
                refused = Reading(reading.document_id, stage="store", code="store_refused", reason=f"the database refused its findings ({error.code})")
                return self._store.write(partial(finish, claims=claims, done=[(held, refused)], derived=derived), progress.arm)
            self._store.write(partial(drop, claims=claims, held=held), progress.arm)
            return 1

    def _read(self, claims: Claims, readings: Predictor, derived: Derived) -> Claims | None:
        """Reads one claim part by part, the first in any case, and gives the next one. What is not read is given back."""
        waiting = list(claims.held)
        progress = _Progress(self._store, self._settings, self._claimed_s)
        n_read = n_refused = 0
        cached_before = _n_cached(readings)
        following = None
        try:
            progress()
            while waiting and self._failing is None and not (n_read and self._over()):
                part = waiting[: _part(waiting)]
                progress.holding = waiting
                done, self._failing = _predict(readings, part, progress)
                ended = {c.work_id for c, _ in done} | ({self._failing.claim.work_id} if self._failing and self._failing.exhausted else set())
                rest = [c for c in waiting if c.work_id not in ended]
                goes_on = not rest and not self._is_over()
                refused, following = self._finished(claims, done, derived, progress, goes_on=goes_on)
                n_refused += refused
                waiting = rest
                n_read += len(done)
        finally:
            progress.end()
            # also after an error of ours: others may read them. A process that dies gives nothing back; its lease lapses
            if waiting:
                self._store.write(partial(give_back, held=waiting))
        self._n_read, self._n_refused = self._n_read + n_read, self._n_refused + n_refused
        counted = {"n_documents": n_read, "n_cached": _n_cached(readings) - cached_before, "n_refused": n_refused}
        log.info("claim read", extra={"job_id": claims.job_id, "pack": claims.pack, **counted})
        return following


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


def _n_cached(readings: Predictor) -> int:
    """How many documents this process's cache has answered."""
    return readings.cache.hits if readings.cache is not None else 0


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
    interpreter's lock, ends it, and its leases lapse. Leases count from the claim: loading a student may have taken a part of them.
    """

    def __init__(self, store: Store, settings: Settings, claimed_s: float) -> None:
        self._store, self._worker = store, settings.worker
        self._grain_s = min(1.0, self._worker.stall_s / 10)
        self._renewed = claimed_s
        self._armed = -math.inf
        self.holding: list[Claim] = []

    def __call__(self) -> None:
        now = time.monotonic()
        # each arming ends one thread and starts another, 0.4 ms: not at every batch. It lasts the longer for it
        if now - self._armed > self._grain_s:
            self.arm()
        if self.holding and now - self._renewed > self._worker.lease_s / RENEWALS:
            self._renew()

    def arm(self) -> None:
        """Starts the watchdog's time anew. Raises MemoryError where there is none left for its thread."""
        try:
            faulthandler.dump_traceback_later(self._worker.stall_s + self._grain_s, exit=True)
        except RuntimeError:
            raise MemoryError from None
        self._armed = time.monotonic()

    def _renew(self) -> None:
        try:
            with self._store.begin() as connection:
                renew(connection, self.holding, self._worker.lease_s)
        except StoreError as error:  # tried again after the next batch: a lease lasts for several attempts
            log.warning("leases could not be renewed", extra={"code": error.code})
        else:
            self._renewed = time.monotonic()

    def end(self) -> None:
        faulthandler.cancel_dump_traceback_later()


@dataclass(frozen=True, slots=True)
class _Failing:
    """The machine failed while this document alone was read.

    It is given back; but where memory ran out or the process reads nothing any more, which may be its own doing, its claim lapses and the process ends.
    """

    claim: Claim
    error: str
    exhausted: bool


def _predict(readings: Predictor, part: list[Claim], progress: _Progress) -> tuple[list[tuple[Claim, Reading]], _Failing | None]:
    """The claims with their readings; all, unless the machine fails. An error that no stage expected is looked for one by one, and fails that document."""
    documents = [Document(str(c.document_id), c.text) for c in part]
    try:
        return list(zip(part, readings.predict(documents, on_batch=progress), strict=True)), None
    except StoreError:
        raise
    except Exception as error:
        if len(part) == 1:
            return _failed_alone(readings, part[0], error)
    # not while the error is handled: it holds what its frames held, a document that ate the memory all of it
    return _one_by_one(readings, part, progress)


def _failed_alone(readings: Predictor, held: Claim, error: Exception) -> tuple[list[tuple[Claim, Reading]], _Failing | None]:
    if is_machines(error):
        log.exception("the machine failed", extra={"stage": "predict", "code": "machine"})
        return [], _Failing(held, type(error).__name__, isinstance(error, MemoryError))
    if not _reads_anything(readings):
        log.exception("this process reads nothing any more", extra={"stage": "predict", "code": "broken_process"})
        return [], _Failing(held, type(error).__name__, exhausted=True)
    log.exception("document failed", extra={"stage": "predict", "code": "unexpected"})
    return [(held, Reading(str(held.document_id), stage="predict", code="unexpected", reason=f"reading raised {type(error).__name__}"))], None


def _reads_anything(readings: Predictor) -> bool:
    """Whether a harmless text can be read: if not, the process is at fault, and would fail document after document."""
    try:
        return len(list(readings.predict([Document("probe", "A sentence.")]))) == 1
    except Exception:
        return False


def _one_by_one(readings: Predictor, part: list[Claim], progress: _Progress) -> tuple[list[tuple[Claim, Reading]], _Failing | None]:
    done: list[tuple[Claim, Reading]] = []
    for held in part:
        read, failing = _predict(readings, [held], progress)
        done += read
        if failing is not None:
            return done, failing
    return done, None
