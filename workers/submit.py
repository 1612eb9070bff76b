"""Files to documents and work rows, chunk by chunk, each chunk one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from suites.discover import Pack
from suites.errors import UsageError
from workers.ingest import Source, read_paths
from workers.ingest.rows import Incoming, Reject
from workers.store import Store, insert_new
from workers.students import register_student
from workers.tables import documents, failures, jobs, now_s, readings, rejects, sources, texts, work
from workers.views import refresh_views

# (label of the file, rows seen so far)
OnRows = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What one submit did. seen = accepted + duplicate + rejected."""

    job_id: int
    job: str
    seen: int
    accepted: int
    duplicate: int
    rejected: int
    by_code: dict[str, int]


def job_name(pack: Pack, student_id: str, paths: Sequence[Path]) -> str:
    """The same paths for the same student give the same job: a repeated submit resumes it."""
    digest = hashlib.sha256("\0".join(sorted(str(p.resolve()) for p in paths)).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{pack.name}-{student_id.rpartition('-')[2][:6]}-{digest[:8]}"


def _no_rows(label: str, n_rows: int) -> None:
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
) -> Submitted:
    """Stores the documents of `paths` and their work; rings once a chunk, so reading starts while storing goes on."""
    files = list(read_paths(paths, pack.manifest.text.max_chars))
    if not files:
        raise UsageError(f"Nothing to submit in {', '.join(map(str, paths))}: the folder holds no files.")
    with store.begin() as connection:
        register_student(connection, pack, student_id)
        refresh_views(connection, [pack])
        job_id, job = _open_job(connection, pack, student_id, name or job_name(pack, student_id, paths))
    totals = [0, 0, 0, 0]
    by_code: dict[str, int] = {}
    for source, rows in files:
        with store.begin() as connection:
            source_id = _open_source(connection, job_id, source)
        while batch := list(islice(rows, chunk)):
            with store.begin() as connection:
                seen = _store_chunk(connection, pack.name, student_id, job_id, source_id, batch)
            totals = [a + b for a, b in zip(totals, seen, strict=True)]
            for row in batch:
                if isinstance(row, Reject):
                    by_code[row.code] = by_code.get(row.code, 0) + 1
            on_rows(source.label, totals[0])
            ring(job_id)
        with store.begin() as connection:
            connection.execute(update(sources).where(sources.c.id == source_id).values(finished_at=now_s()))
    with store.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state="RUNNING"))
    ring(job_id)
    return Submitted(job_id, job, totals[0], totals[1], totals[2], totals[3], by_code)


def _open_job(connection: Connection, pack: Pack, student_id: str, name: str) -> tuple[int, str]:
    insert_new(
        connection, jobs, [{"name": name, "pack": pack.name, "student_id": student_id, "state": "OPEN"}], submitted_at=now_s(), n_cancelled=0, n_refused=0
    )
    row = connection.execute(select(jobs).where(jobs.c.name == name)).one()
    if (row.pack, row.student_id) != (pack.name, student_id):
        raise UsageError(f"Job {name!r} exists already, for pack {row.pack} and student {row.student_id}. Choose another --job.")
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(state="OPEN", finished_at=None))
    return row.id, name


def _open_source(connection: Connection, job_id: int, source: Source) -> int:
    values = {"job_id": job_id, "label": source.label, "size": source.size}
    return int(connection.execute(insert(sources).values(**values).returning(sources.c.id)).scalar_one())


def _store_chunk(
    connection: Connection, pack: str, student_id: str, job_id: int, source_id: int, batch: Sequence[Incoming | Reject]
) -> tuple[int, int, int, int]:
    """Stores one chunk; gives seen, accepted, duplicate, rejected."""
    incoming = [row for row in batch if isinstance(row, Incoming)]
    bad = [row for row in batch if isinstance(row, Reject)]
    if bad:
        connection.execute(insert(rejects), [{"source_id": source_id, "place": r.place, "code": r.code, "reason": r.reason, "remedy": r.remedy} for r in bad])
    ids = _store_documents(connection, pack, incoming)
    new = _without_work(connection, student_id, ids)
    if new:
        connection.execute(insert(work), [{"job_id": job_id, "document_id": i, "student_id": student_id} for i in new])
    counted = (len(batch), len(new), len(incoming) - len(new), len(bad))
    names = ("n_seen", "n_accepted", "n_duplicate", "n_rejected")
    connection.execute(update(sources).where(sources.c.id == source_id).values({n: sources.c[n] + v for n, v in zip(names, counted, strict=True)}))
    return counted


def _store_documents(connection: Connection, pack: str, incoming: Sequence[Incoming]) -> list[int]:
    """Ids of the documents, new ones stored with their text; equal rows share one id and come once."""
    rows = {(r.key, _sha256(r.text)): r for r in incoming}
    stored = [{"pack": pack, "key": key, "content_sha256": sha, "n_chars": len(r.text), "meta": dict(r.meta)} for (key, sha), r in rows.items()]
    insert_new(connection, documents, stored, received_at=now_s())
    found = connection.execute(
        select(documents.c.id, documents.c.key, documents.c.content_sha256).where(documents.c.pack == pack, documents.c.key.in_({key for key, _ in rows}))
    ).all()
    ids = {(f.key, f.content_sha256): f.id for f in found}
    insert_new(connection, texts, [{"document_id": ids[k], "text": r.text} for k, r in rows.items()])
    return [ids[k] for k in rows]


def _without_work(connection: Connection, student_id: str, ids: Sequence[int]) -> list[int]:
    """The documents that this student has neither read nor failed on nor waiting."""
    taken: set[int] = set()
    for table in (work, readings, failures):
        taken |= set(connection.execute(select(table.c.document_id).where(table.c.student_id == student_id, table.c.document_id.in_(ids))).scalars())
    return [i for i in ids if i not in taken]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
