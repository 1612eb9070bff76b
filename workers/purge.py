"""Erasing documents for good: texts, findings and all that was noted of them, chunk by chunk, and a certificate of it.

Each chunk is one transaction, so a purge that was killed is repeated and goes on. A claim in flight meets the fence: its work row
is gone. What is erased leaves a tombstone (workers/tombstones.py) and counts in its jobs as `erased`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, func, insert, literal, select, true, union, update
from sqlalchemy.exc import DBAPIError

from pipelines.progress import OnProgress, silent
from workers.audit import record
from workers.bulk import among, listed
from workers.keys import Keys, unused
from workers.queue import TERMINAL, cancel, lock_job
from workers.rows import row_tables
from workers.seal import keyed_digest
from workers.store import Store
from workers.tables import data_keys, documents, erasures, failures, findings, jobs, now_s, readings, rejects, reviews, sources, texts, work
from workers.tombstones import bury, exact, exclude, named

CHUNK = 500
DAY_S = 86_400
ERASED = "(erased)"
# in this order: what was being finished when the work rows went is there to be found in the other tables
COUNTED = (work, failures, readings)
TABLES = (*COUNTED, findings, reviews, texts, documents)

BACKUPS = "copies of the store made before, with what they hold"
MASTER = "where those copies hold the destroyed keys, wrapped by master key {}: until it is rotated and destroyed"
FREED = "blocks that the file system has freed, until the disk writes them anew"
LOG = "the write-ahead log, which others were reading: repeat the purge when nothing runs"
NOT_REBUILT = "free places inside the store's file, which was not rebuilt: repeat the purge without --no-vacuum"
SERVER = "PostgreSQL's write-ahead log, its archive and its replicas; free places inside data files, until used again or VACUUM FULL"
COUNTS = "counts by day of labels, scores and lengths (table tallies), in which what was erased is among the rest"
NOT_VACUUMED = "dead rows, until the server vacuums: this login does not own the tables"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be erased: a job's documents, or one document by its id, or those received more than `days` ago, of one pack or all."""

    job_id: int | None = None
    pack: str | None = None
    key: str | None = None
    days: int | None = None

    def told(self, index: bytes) -> dict[str, object]:
        """The scope as a certificate says it: a document's id as its keyed digest."""
        if self.job_id is not None:
            return {"job": self.job_id}
        if self.key is not None and self.pack is not None:
            return {"pack": self.pack, "document": named(index, self.pack, self.key)}
        return {"pack": self.pack, "older_than_days": self.days}

    def ids(self) -> Select[Any]:
        """The ids of all its documents."""
        if self.job_id is None:
            return select(documents.c.id).where(self._where())
        dealt_with = (select(t.c.document_id.label("id")).where(t.c.job_id == self.job_id) for t in (readings, failures))
        both = union(*dealt_with, select(documents.c.id).where(self._where())).subquery()
        return select(both.c.id)

    def portions(self) -> Iterator[Select[Any]]:
        """Queries that find them, `n` at a time, above the id `after`; each is asked until it finds none. None sorts or reads a table twice."""
        for table in (readings, failures) if self.job_id is not None else ():
            yield select(table.c.document_id).where(table.c.job_id == self.job_id).limit(bindparam("n"))
        above = documents.c.id > bindparam("after")
        yield select(documents.c.id).where(self._where(), above).order_by(documents.c.id).limit(bindparam("n"))

    def _where(self) -> ColumnElement[bool]:
        if self.job_id is not None:
            return documents.c.job_id == self.job_id
        of_pack = true() if self.pack is None else documents.c.pack == self.pack
        if self.key is not None:
            return of_pack & (documents.c.key == self.key)
        return of_pack & (documents.c.received_at < now_s() - literal((self.days or 0) * DAY_S))


def count(connection: Connection, scope: Scope) -> dict[str, int]:
    """How many rows of each table a purge would erase now."""
    ids = scope.ids()
    columns = {table.name: documents.c.id if table is documents else table.c.document_id for table in TABLES}
    return {name: int(connection.execute(select(func.count()).where(column.in_(ids))).scalar_one()) for name, column in columns.items()}


def purge(store: Store, keys: Keys, scope: Scope, *, vacuum: bool = True, chunk: int = CHUNK, on_progress: OnProgress = silent) -> dict[str, Any]:
    """Erases what the scope names and gives the certificate. Repeat it where it was interrupted: it goes on.

    Raises SettingsError where the store is encrypted and the master key is missing or another; StoreError.
    """
    return _Purge(store, keys, scope, chunk, on_progress).run(vacuum=vacuum)


class _Purge:
    """One purge: its erasure row, which every chunk counts in, and the index key that tombstones are laid with."""

    def __init__(self, store: Store, keys: Keys, scope: Scope, chunk: int, on_progress: OnProgress) -> None:
        self._store, self._keys, self._scope, self._chunk, self._on_progress = store, keys, scope, chunk, on_progress
        self._index = b""
        self._id = 0

    def run(self, *, vacuum: bool) -> dict[str, Any]:
        with self._store.reading() as connection:
            total = count(connection, self._scope)[documents.name]
        self._store.write(self._begin)
        done = 0
        for query in self._scope.portions():
            after = 0
            while ids := self._store.write(partial(self._erase_next, query, after)):
                after, done = ids[-1], done + len(ids)
                self._on_progress("erase", done, max(total, done))
        self._store.write(self._destroy_unused)
        remains = _scrubbed(self._store, vacuum=vacuum)
        return self._store.write(partial(self._end, remains))

    def _begin(self, connection: Connection) -> None:
        """The first transaction. A job's key goes first: whatever happens to the rest of the purge, its texts are unreadable."""
        _overwrite(connection)
        exclude(connection)
        self._index = self._keys.make_index(connection)
        told = json.dumps(self._scope.told(self._index), sort_keys=True)
        open_one = select(erasures.c.id).where(erasures.c.scope == told, erasures.c.finished_at.is_(None))
        begun = connection.execute(open_one).scalar()
        if begun is None:
            made = insert(erasures).values(
                scope=told, begun_at=now_s(), erased=json.dumps(dict.fromkeys((t.name for t in TABLES), 0)), keys_destroyed="{}", remains="[]"
            )
            begun = connection.execute(made.returning(erasures.c.id)).scalar_one()
        self._id = int(begun)
        if self._scope.key is not None and self._scope.pack is not None:
            bury(connection, self._id, [named(self._index, self._scope.pack, self._scope.key)])
        if self._scope.job_id is not None:
            self._end_job(connection, self._scope.job_id)
        record(connection, "purge", f"certificate {self._id}", {"state": "begun"})

    def _end_job(self, connection: Connection, job_id: int) -> None:
        """Gives up what waits, destroys the key, and takes away the names of files, which may tell of whom they are."""
        if lock_job(connection, job_id) not in TERMINAL:
            self._add(connection, {work.name: cancel(connection, job_id)})
        self._note_keys(connection, connection.execute(select(data_keys.c.id).where(data_keys.c.job_id == job_id)).scalars().all())
        connection.execute(update(rejects).where(rejects.c.source_id.in_(select(sources.c.id).where(sources.c.job_id == job_id))).values(place=ERASED))
        for row in connection.execute(select(sources.c.id, sources.c.path_sha256).where(sources.c.job_id == job_id, sources.c.label != ERASED)).all():
            # still one name a file: of its readings the newest counts. The name that it had does not lead back to its path
            hidden = keyed_digest(self._index, "path", row.path_sha256)
            connection.execute(update(sources).where(sources.c.id == row.id).values(label=ERASED, path_sha256=hidden))

    def _erase_next(self, query: Select[Any], after: int, connection: Connection) -> list[int]:
        """Erases the next portion; gives its ids, none at the end."""
        _overwrite(connection)
        exclude(connection)
        ids = sorted(set(connection.execute(query, {"after": after, "n": self._chunk}).scalars()))
        if not ids:
            return []
        named_ones = {"ids": listed(ids)}
        for job_id in _jobs_of(connection, named_ones):
            lock_job(connection, job_id)
        if self._scope.key is None:
            rows = connection.execute(select(documents).where(among(documents.c.id, "ids")), named_ones).all()
            bury(connection, self._id, [exact(self._index, row.pack, row.key, row.content_sha256) for row in rows])
        erased: Counter[str] = Counter()
        by_job: Counter[int] = Counter()
        for table in TABLES:
            column = documents.c.id if table is documents else table.c.document_id
            gone = delete(table).where(among(column, "ids"))
            if table in COUNTED:
                of_jobs = connection.execute(gone.returning(table.c.job_id), named_ones).scalars().all()
                by_job.update(of_jobs)
                erased[table.name] = len(of_jobs)
            else:
                erased[table.name] = connection.execute(gone, named_ones).rowcount
        for shown in row_tables(connection):  # what they show is counted with the findings
            connection.execute(delete(shown).where(among(shown.c.document_id, "ids")), named_ones)
        for job_id, n in sorted(by_job.items()):
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(n_erased=jobs.c.n_erased + n))
        self._add(connection, erased)
        return ids

    def _destroy_unused(self, connection: Connection) -> None:
        """Keys that seal nothing any more are of no use but to read copies."""
        _overwrite(connection)
        exclude(connection)
        self._note_keys(connection, unused(connection))

    def _note_keys(self, connection: Connection, ids: Sequence[int]) -> None:
        destroyed = self._keys.destroy(connection, ids)
        if destroyed:
            self._note(connection, keys_destroyed=json.loads(self._row(connection).keys_destroyed) | {str(i): master for i, master in destroyed.items()})

    def _end(self, remains: Sequence[str], connection: Connection) -> dict[str, Any]:
        """The last transaction: the certificate."""
        row = self._row(connection)
        if row.finished_at is not None:  # a commit whose answer was lost
            return certificate(row)
        masters = sorted(set(json.loads(row.keys_destroyed).values()))
        self._note(connection, remains=[BACKUPS, COUNTS, *map(MASTER.format, masters), *remains])
        connection.execute(update(erasures).where(erasures.c.id == self._id).values(finished_at=now_s()))
        sha256 = _hashed(certificate(self._row(connection)))
        connection.execute(update(erasures).where(erasures.c.id == self._id).values(sha256=sha256))
        made = certificate(self._row(connection))
        detail = {"state": "ended", "documents": made["erased"].get(documents.name, 0), "keys": len(made["keys_destroyed"]), "sha256": sha256}
        record(connection, "purge", f"certificate {self._id}", detail)
        return made

    def _add(self, connection: Connection, erased: Mapping[str, int]) -> None:
        """Counts rows that were erased, in the transaction that erases them."""
        before = json.loads(self._row(connection).erased)
        # one that former code began knows fewer tables
        self._note(connection, erased={table.name: before.get(table.name, 0) + erased.get(table.name, 0) for table in TABLES})

    def _row(self, connection: Connection) -> Row[Any]:
        return connection.execute(select(erasures).where(erasures.c.id == self._id)).one()

    def _note(self, connection: Connection, **values: object) -> None:
        told = {name: json.dumps(value, sort_keys=True) for name, value in values.items()}
        connection.execute(update(erasures).where(erasures.c.id == self._id).values(**told))


def _jobs_of(connection: Connection, named_ones: Mapping[str, str]) -> list[int]:
    """The jobs that have rows of these documents, in the order in which they are locked."""
    found = union(*(select(t.c.job_id).where(among(t.c.document_id, "ids")) for t in COUNTED))
    return sorted(connection.execute(found, named_ones).scalars())


def begun(connection: Connection, keys: Keys, scope: Scope) -> bool:
    """Whether a purge of this scope was interrupted."""
    interrupted = set(connection.execute(select(erasures.c.scope).where(erasures.c.finished_at.is_(None))).scalars())
    return bool(interrupted) and json.dumps(scope.told(keys.make_index(connection)), sort_keys=True) in interrupted


def certificate(row: Row[Any]) -> dict[str, Any]:
    """A row of `erasures` as people read it; `intact` says whether its hash fits, None where the purge has not ended."""
    made = {
        "certificate": row.id,
        "scope": json.loads(row.scope),
        "begun": _utc(row.begun_at),
        "finished": None if row.finished_at is None else _utc(row.finished_at),
        "erased": json.loads(row.erased),
        "keys_destroyed": json.loads(row.keys_destroyed),
        "remains": json.loads(row.remains),
    }
    return made | {"sha256": row.sha256, "intact": None if row.sha256 is None else _hashed(made) == row.sha256}


def certificates(connection: Connection) -> list[dict[str, Any]]:
    """All certificates, the newest first."""
    return [certificate(row) for row in connection.execute(select(erasures).order_by(erasures.c.id.desc()))]


def _hashed(made: Mapping[str, Any]) -> str:
    content = {name: value for name, value in made.items() if name not in ("sha256", "intact")}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _overwrite(connection: Connection) -> None:
    """SQLite writes zeros over what this connection deletes; it leaves the bytes where they were otherwise."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _scrubbed(store: Store, *, vacuum: bool) -> list[str]:
    """Cleans the database's files of what was deleted; gives where something may still lie."""
    return _scrubbed_file(store, vacuum=vacuum) if store.is_sqlite else _scrubbed_server(store)


def _scrubbed_file(store: Store, *, vacuum: bool) -> list[str]:
    import pysqlite3.dbapi2 as driver

    remains = [FREED]
    with closing(store.engine.raw_connection()) as raw:
        # rows that the file's pages once moved have left bytes behind: only a rebuilt file is clean. It is built in memory
        if not (vacuum and _runs(lambda: raw.cursor().execute("VACUUM"), (driver.Error, MemoryError))):
            remains.append(NOT_REBUILT)
        emptied: list[Any] = []
        # a reader of an older state keeps the log: it is waited for, busy_timeout long
        if not _runs(lambda: emptied.extend(raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()), driver.Error) or emptied[0]:
            remains.append(LOG)
    return remains


def _scrubbed_server(store: Store) -> list[str]:
    with store.reading() as connection:
        owns = connection.exec_driver_sql("SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = 'texts'::regclass").scalar_one()
    if not owns:
        return [SERVER, NOT_VACUUMED]

    def run() -> None:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.exec_driver_sql(f"VACUUM {', '.join(table.name for table in (*TABLES, data_keys, rejects, sources))}")
            connection.exec_driver_sql("RESET statement_timeout")

    return [SERVER] if _runs(run, DBAPIError) else [SERVER, NOT_VACUUMED]


def _runs(step: Callable[[], object], error: type[Exception] | tuple[type[Exception], ...]) -> bool:
    """Whether the step ran; what it was for is not lost if not, and the certificate says so."""
    try:
        step()
    except error:
        return False
    return True
