"""The table `energy`: what jobs, runs and samples took, a row a process or a measurement.

Of a job each process has one row, to which every part that it finishes adds what was taken since the part before: in the part's
own transaction, so that what is counted is what was finished. Runs (training, evaluation, release) and samples are a row each.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Double, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pipelines.energy import Meter, Rates, Spent
from suites.errors import StillhouseError
from workers.owner import owner_name
from workers.settings import Settings
from workers.store import Store, writing
from workers.tables import energy, jobs, now_s

if TYPE_CHECKING:
    from pipelines.predict import Predictor
    from workers.queue import Claim, Claims

log = logging.getLogger(__name__)

ADDED = ("n_documents", "duration", "cpu_seconds", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "emissions")
# how the figures came about: of the last part, should a process of the same name count otherwise than one before it
FACTS = ("country_iso_code", "method", "cpu_model", "cpu_power")


def _adding(dialect: Any) -> Any:
    """The statement that makes a job's row of a process, or adds to it."""
    named = select(jobs.c.name).where(jobs.c.id == bindparam("job")).scalar_subquery()
    made = dialect.insert(energy).values(started_at=now_s() - bindparam("took", type_=Double), name=named)
    added = {name: energy.c[name] + made.excluded[name] for name in ADDED} | {name: made.excluded[name] for name in FACTS}
    return made.on_conflict_do_update(index_elements=["kind", "job_id", "owner", "engine"], set_=added)


_LAP = {"sqlite": _adding(sqlite), "postgresql": _adding(postgresql)}


def rates(settings: Settings) -> Rates:
    """What energy is reckoned with by these settings."""
    return Rates(settings.energy.country_iso_code, settings.energy.watts_per_core)


def _told(meter: Meter, spent: Spent) -> dict[str, Any]:
    """The columns that hold what some work took."""
    return {name: value for name, value in meter.told(spent).items() if name in energy.c}


def record(
    connection: Connection,
    meter: Meter,
    spent: Spent,
    *,
    kind: str,
    name: str,
    pack: str,
    owner: str,
    student_id: str | None = None,
    engine: str | None = None,
    job_id: int | None = None,
    n_documents: int = 0,
    began: float | None = None,
) -> None:
    """Stores a run or a sample in the caller's transaction. `owner` names the measurement where a job has several. None: it has just ended."""
    started_at = began if began is not None else now(connection) - spent.duration
    said = {"kind": kind, "name": name, "pack": pack, "student_id": student_id, "engine": engine, "job_id": job_id, "owner": owner}
    connection.execute(insert(energy), _told(meter, spent) | said | {"n_documents": n_documents, "started_at": started_at})


def now(connection: Connection) -> float:
    """Seconds since 1970 on the database's clock."""
    return float(connection.execute(select(now_s())).scalar_one())


def add_job_lap(connection: Connection, meter: Meter, spent: Spent, claims: Claims, *, engine: str, owner: str, n_documents: int) -> None:
    """Adds what a part of a job took to the job's row of this process, in the caller's transaction."""
    said = {"kind": "job", "pack": claims.pack, "student_id": claims.student_id, "engine": engine, "job_id": claims.job_id, "job": claims.job_id}
    counted = {"owner": owner, "n_documents": n_documents, "took": spent.duration}
    connection.execute(_LAP[connection.dialect.name], _told(meter, spent) | said | counted)


class JobMeter:
    """What this process takes for jobs. Each finished part carries what was taken since the part before, or since a claim began.

    Nothing that goes wrong here costs a document: it is logged, and this meter counts no more.
    """

    def __init__(self, settings: Settings, owner: str) -> None:
        self._owner = owner
        self._engine = ""
        self._meter: Meter | None = None
        self._since = self._until = Spent()
        self._part: tuple[int, int] | None = None
        with self._harmless():
            self._meter = Meter(rates(settings))

    def begin(self) -> None:
        """A claim begins: what was before it was waiting."""
        with self._harmless():
            if self._meter is not None:
                self._until, self._part = self._meter.total(), None

    def reads_with(self, readings: Predictor) -> None:
        """What the next parts are read with."""
        with self._harmless():
            self._engine = readings.engine_name

    def add(self, connection: Connection, claims: Claims, done: Sequence[tuple[Claim, object]], n_documents: int) -> None:
        """Counts a part within the transaction that finishes it. The same part again, its first transaction being lost, is counted from its beginning."""
        with self._harmless():
            if self._meter is not None:
                part = (done[0][0].work_id, done[0][0].epoch)
                if part != self._part:
                    self._since, self._part = self._until, part
                self._until = self._meter.total()
                self._store(connection, self._meter, claims, n_documents)

    def _store(self, connection: Connection, meter: Meter, claims: Claims, n_documents: int) -> None:
        # on PostgreSQL a statement that fails takes the transaction with it, and the findings, were it not for the savepoint
        savepoint = connection.begin_nested()
        try:
            add_job_lap(connection, meter, self._until - self._since, claims, engine=self._engine, owner=self._owner, n_documents=n_documents)
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            savepoint.rollback()  # raises where the transaction itself is gone
            self._stop(error)
        else:
            savepoint.commit()

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError:  # the transaction is gone, and with it the part: it is finished again
            raise
        except Exception as error:  # whatever a counter or a table raises: documents are read without it
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        self._meter = None
        code = f"store_{getattr(error.orig, 'sqlstate', None)}" if isinstance(error, DBAPIError) else type(error).__name__
        log.warning("energy is not counted any more", extra={"code": code})


@dataclass(slots=True)
class Run:
    """A run that is being measured, and the student that comes of it or is read with."""

    meter: Meter
    student_id: str | None = None


@contextmanager
def measured(settings: Settings, name: str, pack: str, student_id: str | None = None) -> Iterator[Run]:
    """Measures what is done within it, and stores it where there is a store: also what failed or was interrupted has taken energy."""
    made = Run(Meter(rates(settings)), student_id)
    begun = True
    try:
        yield made
    except StillhouseError as error:
        begun = error.exit_code != 2  # wrong usage: nothing was done
        raise
    finally:
        if begun:
            _note(settings.store_url, made, name, pack)


def _note(url: str, made: Run, name: str, pack: str) -> None:
    """Stores a run; where there is no store yet its student's own record has it, and where the store refuses a line says so."""
    from workers.show import words  # rich is slow to import, and workers show nothing

    try:
        store = Store(url)
        if store.file is None or store.file.exists():
            with writing(store) as connection:
                record(connection, made.meter, made.meter.total(), kind="run", name=name, pack=pack, owner=owner_name(), student_id=made.student_id)
        store.close()
    except StillhouseError as error:  # a training is not lost for it
        words(f"Not in the table energy: {error.message}")
