"""Files to documents and work rows, chunk by chunk, each chunk one transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, insert, literal, select, text, union_all, update

from suites.discover import Pack
from suites.errors import RunError, UsageError
from workers.audit import record
from workers.bulk import among, insert_rows, listed
from workers.ingest import ReadOptions, Source, read_paths
from workers.ingest.rows import Incoming, Reject
from workers.keys import Keys, Sealing
from workers.pressure import NO_PRESSURE, Pressure
from workers.queue import lock_job, waiting_state
from workers.reject_rate import RejectRate
from workers.same_id import n_originals, without_conflicts
from workers.store import Store, insert_new
from workers.students import register_student
from workers.tables import documents, failures, jobs, now_s, readings, rejects, sources, texts, work
from workers.tombstones import refused, reject, share
from workers.views import refresh_views

if TYPE_CHECKING:
    from workers.deidentify import Deidentifier

_WORK_COLUMNS = tuple(work.c[name] for name in ("job_id", "document_id", "student_id", "state", "epoch", "attempts", "n_lost"))
COUNTED = ("seen", "accepted", "duplicate", "rejected")

# One statement for a chunk, which gives the ids that it made. What another submit has just stored is left out: on PostgreSQL
# this waits for the other's end, and the next statement sees its rows
_DESCRIBED = "INSERT INTO documents (pack, job_id, key, content_sha256, n_chars, meta, received_at) SELECT CAST(:pack AS varchar), CAST(:job AS bigint),"
_GIVING = "ON CONFLICT DO NOTHING RETURNING id, key, content_sha256"
_NEW_DOCUMENTS = {
    "sqlite": text(f"{_DESCRIBED} value ->> 0, value ->> 1, value ->> 2, value ->> 3, unixepoch('subsec') FROM json_each(:rows) WHERE true {_GIVING}"),
    "postgresql": text(
        f"{_DESCRIBED} value ->> 0, value ->> 1, CAST(value ->> 2 AS integer), CAST(value ->> 3 AS json), extract(epoch FROM clock_timestamp()) "
        f"FROM json_array_elements(CAST(:rows AS json)) {_GIVING}"
    ),
}
_KNOWN = select(documents.c.id, documents.c.key, documents.c.content_sha256).where(documents.c.pack == bindparam("pack"), among(documents.c.key, "keys"))
# one statement, and so one moment: asked one after the other, a document that is finished in between stands in none of them
_TAKEN = union_all(
    *(
        select(table.c.document_id, literal(table.name).label("holds")).where(table.c.student_id == bindparam("student"), among(table.c.document_id, "ids"))
        for table in (readings, failures, work)
    )
)
# what other submits, of other jobs too, are about to make work of
_LOCKED = select(documents.c.id).where(among(documents.c.id, "ids")).order_by(documents.c.id).with_for_update(key_share=True)

# (label of the file, or None while the workers are waited for; rows seen so far)
OnRows = Callable[[str | None, int], None]


@dataclass(slots=True)
class Submitted:
    """What one submit did. seen = accepted + duplicate + rejected.

    `failed_before` of the duplicates could not be read by this student (`retry` their job), and
    `waiting_elsewhere` wait in this or another job. `originals` of the ids that came to be
    de-identified hold documents that are stored as they came.
    """

    job_id: int
    job: str
    seen: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    failed_before: int = 0
    waiting_elsewhere: int = 0
    originals: int = 0
    by_code: dict[str, int] = field(default_factory=dict)


def job_name(pack: Pack, student_id: str, paths: Sequence[Path], mode: str | None = None) -> str:
    """The same paths for the same student, stored in the same way, give the same job: a repeated submit resumes it."""
    told = [*sorted(str(p.resolve()) for p in paths), *([mode] if mode else [])]
    digest = hashlib.sha256("\0".join(told).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{pack.name}-{student_id.rpartition('-')[2][:6]}-{digest[:8]}"


def _no_rows(label: str | None, n_rows: int) -> None:
    """Shows nothing."""


def submit(
    store: Store,
    pack: Pack,
    student_id: str,
    paths: Sequence[Path],
    *,
    name: str | None = None,
    chunk: int,
    ring: Callable[[int], object],
    on_rows: OnRows = _no_rows,
    pressure: Pressure = NO_PRESSURE,
    keys: Keys | None = None,
    allow_erased: bool = False,
    options: ReadOptions | None = None,
    same_id: str = "version",
    max_reject_rate: float | None = None,
    deidentifier: Deidentifier | None = None,
) -> Submitted:
    """Stores the documents of `paths` and their work; rings once a chunk, so reading starts while storing goes on.

    With `keys` of settings that encrypt, documents are sealed. With `allow_erased` those that a purge erased are taken in again.
    With a `deidentifier` they are stored without their identifiers.
    """
    keys = keys or Keys()
    rate = RejectRate(max_reject_rate)
    rows = _stream(read_paths(paths, options or pack.manifest.text.max_chars))
    first = next(rows, None)
    if first is None:
        raise UsageError(f"Nothing to submit in {', '.join(map(str, paths))}: the folder holds no files.")
    rows = chain([first], rows)
    told = ({"allow_erased": "yes"} if allow_erased else {}) | ({"deidentified": deidentifier.mode} if deidentifier else {})
    with store.begin() as connection:
        register_student(connection, pack, student_id)
        refresh_views(connection, [pack])
        mode = deidentifier.mode if deidentifier else None
        done = Submitted(*_open_job(connection, pack, student_id, name or job_name(pack, student_id, paths, mode), mode))
        record(connection, "submit", f"job {done.job_id}", {"pack": pack.name, "student": student_id} | told)
    source_ids: dict[Source, int] = {}
    rings = True
    while batch := list(islice(rows, chunk)):
        batch = _without_identifiers(batch, deidentifier)
        pressure.hold(store, lambda n_waiting: on_rows(None, done.seen))
        with store.begin() as connection:
            share(connection)
            _require_open(connection, done.job_id)
            sealing = keys.sealing(connection, done.job_id)
            if deidentifier:
                done.originals += n_originals(connection, pack.name, batch)
            if same_id == "reject":
                batch = without_conflicts(connection, pack.name, batch, sealing.digests)
            _store_chunk(connection, pack.name, student_id, done, source_ids, _without_erased(connection, sealing, pack.name, batch, allow_erased), sealing)
        on_rows(batch[-1][0].label, done.seen)
        rate.check(done.job_id, batch)
        # a broker out of reach costs seconds a ring: after the first miss only the last ring is tried
        rings = rings and ring(done.job_id) is not False
    with store.begin() as connection:
        _require_open(connection, done.job_id)
        connection.execute(update(jobs).where(jobs.c.id == done.job_id).values(state="RUNNING"))
    ring(done.job_id)
    return done


def _stream(files: Iterable[tuple[Source, Iterator[Incoming | Reject]]]) -> Iterator[tuple[Source, Incoming | Reject | None]]:
    """The rows of all files, each with its file; None ends a file."""
    for source, rows in files:
        for row in rows:
            yield source, row
        yield source, None


def _require_open(connection: Connection, job_id: int) -> None:
    """Raises RunError if the job was cancelled while it was being filled; opens it again if another submit of it ended first."""
    state = lock_job(connection, job_id)
    if state == "CANCELLED":
        raise RunError(f"Job {job_id} was cancelled while it was being submitted; nothing more was stored. Submit again to undo.", "cancelled")
    if state != "OPEN":
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state="OPEN", finished_at=None))


def _open_job(connection: Connection, pack: Pack, student_id: str, name: str, mode: str | None) -> tuple[int, str]:
    new = {"name": name, "pack": pack.name, "student_id": student_id, "state": "OPEN", "deidentified": mode}
    insert_new(connection, jobs, [new], submitted_at=now_s(), n_cancelled=0, n_refused=0)
    row = connection.execute(select(jobs).where(jobs.c.name == name)).one()
    if (row.pack, row.student_id) != (pack.name, student_id):
        raise UsageError(f"Job {name!r} exists already, for pack {row.pack} and student {row.student_id}. Choose another --job.")
    if row.deidentified != mode:
        stored = f"de-identified ({row.deidentified})" if row.deidentified else "as they are"
        raise UsageError(f"Job {name!r} exists already, and its documents are stored {stored}. Choose another --job: so they can be erased apart.")
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(state="OPEN", finished_at=None))
    return row.id, name


def _open_source(connection: Connection, job_id: int, source: Source) -> int:
    values = {"job_id": job_id, "label": source.label, "path_sha256": source.path_sha256, "size": source.size}
    return int(connection.execute(insert(sources).values(**values).returning(sources.c.id)).scalar_one())


ChunkRow = tuple[Source, Incoming | Reject | None]
Chunk = Sequence[ChunkRow]


def _without_identifiers(batch: list[ChunkRow], deidentifier: Deidentifier | None) -> list[ChunkRow]:
    """The chunk with the identifiers gone from its texts, before any of it is stored."""
    if deidentifier is None:
        return batch
    made = deidentifier.rows(row for _, row in batch if isinstance(row, Incoming))
    return [(source, next(made) if isinstance(row, Incoming) else row) for source, row in batch]


def _without_erased(connection: Connection, sealing: Sealing, pack: str, batch: Chunk, allow: bool) -> Chunk:
    """The chunk with rejects in place of documents that were erased."""
    places = [i for i, (_, row) in enumerate(batch) if isinstance(row, Incoming)]
    erased = refused(connection, sealing, pack, [row for _, row in batch if isinstance(row, Incoming)], allow=allow)
    gone = {places[i] for i in erased}
    return [(source, reject(row) if i in gone and isinstance(row, Incoming) else row) for i, (source, row) in enumerate(batch)] if gone else batch


def _store_chunk(connection: Connection, pack: str, student_id: str, done: Submitted, source_ids: dict[Source, int], batch: Chunk, sealing: Sealing) -> None:
    """Stores one chunk of rows, of however many files, and counts it per file and in all."""
    incoming = [(source, row) for source, row in batch if isinstance(row, Incoming)]
    ids, old = _store_documents(connection, pack, done.job_id, [row for _, row in incoming], sealing)
    taken = _taken(connection, student_id, old)  # a new document was never read
    new: dict[int, Source] = {}
    per_source: dict[Source, Counter[str]] = {source: Counter() for source, _ in batch}
    bad: dict[Source, list[Reject]] = {source: [] for source in per_source}
    for source, row in batch:
        if isinstance(row, Reject):
            bad[source].append(row)
    finished = {source for source, row in batch if row is None}
    for (source, _), document_id in zip(incoming, ids, strict=True):
        if document_id in taken or document_id in new:
            per_source[source]["duplicate"] += 1
            done.failed_before += taken.get(document_id) == "failures"
            done.waiting_elsewhere += taken.get(document_id) == "work"
        else:
            new[document_id] = source
            per_source[source]["accepted"] += 1
    waits = waiting_state(connection, done.job_id)
    insert_rows(connection, _WORK_COLUMNS, [(done.job_id, document_id, student_id, waits, 0, 0, 0) for document_id in new])
    for source, count in per_source.items():
        count["rejected"] = len(bad[source])
        count["seen"] = sum(count.values())
        if source not in source_ids:
            source_ids[source] = _open_source(connection, done.job_id, source)
        source_id = source_ids[source]
        if bad[source]:
            connection.execute(insert(rejects), [{"source_id": source_id, **asdict(row)} for row in bad[source]])
            done.by_code = dict(Counter(done.by_code) + Counter(row.code for row in bad[source]))
        values = {f"n_{n}": sources.c[f"n_{n}"] + count[n] for n in COUNTED}
        ended = {"finished_at": now_s()} if source in finished else {}
        connection.execute(update(sources).where(sources.c.id == source_id).values(**values, **ended))
        for n in COUNTED:
            setattr(done, n, getattr(done, n) + count[n])


def _store_documents(connection: Connection, pack: str, job_id: int, incoming: Sequence[Incoming], sealing: Sealing) -> tuple[list[int], set[int]]:
    """The document's id of each row, and the ids that were there before; new ones are stored with their text, equal rows share one."""
    if not incoming:
        return [], set()
    keys = [(row.key, sealing.digest(row.text)) for row in incoming]
    rows = dict(zip(keys, incoming, strict=True))
    old = _known_otherwise(connection, pack, rows, sealing)
    meta = {key: json.dumps(dict(row.meta)) for key, row in rows.items() if key not in old}
    described = [(*key, len(rows[key].text), "{}" if sealing.key else told) for key, told in meta.items()]
    stored = connection.execute(_NEW_DOCUMENTS[connection.dialect.name], {"pack": pack, "job": job_id, "rows": listed(described)})
    ids = {(key, digest): document_id for document_id, key, digest in stored}
    bodies = [(i, sealing.body(i, pack, key[1], rows[key].text, meta[key]), sealing.key_id) for key, i in ids.items()]
    insert_rows(connection, (texts.c.document_id, texts.c.text, texts.c.key_id), bodies)
    old |= _known(connection, pack, [key for key in rows if key not in ids and key not in old])
    ids |= old
    return [ids[k] for k in keys], set(old.values())


def _known_otherwise(connection: Connection, pack: str, rows: Mapping[tuple[str, str], Incoming], sealing: Sealing) -> dict[tuple[str, str], int]:
    """Those that are stored under another digest, from before encryption was switched on or off."""
    others = {(key, other): (key, digest) for (key, digest), row in rows.items() if sealing.mixed for other in sealing.digests(row.text) if other != digest}
    return {others[other]: document_id for other, document_id in _known(connection, pack, list(others)).items()}


def _known(connection: Connection, pack: str, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The stored documents of these ids and contents."""
    if not keys:
        return {}
    found = connection.execute(_KNOWN, {"pack": pack, "keys": listed(key for key, _ in keys)})
    wanted = set(keys)
    return {(key, sha256): document_id for document_id, key, sha256 in found if (key, sha256) in wanted}


def _taken(connection: Connection, student_id: str, ids: Collection[int]) -> dict[int, str]:
    """Documents that this student has read, failed on or still has to read, each with the table that says so."""
    if not ids:
        return {}
    asked = {"student": student_id, "ids": listed(ids)}
    if connection.dialect.name == "postgresql":  # SQLite has one writer
        connection.execute(_LOCKED, {"ids": asked["ids"]})
    return {row.document_id: row.holds for row in connection.execute(_TAKEN, asked)}
