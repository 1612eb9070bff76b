"""Rows whose id is stored already, with another text: refused where `[ingest] same_id` is "reject", counted where texts lose their identifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, bindparam, func, select

from workers.bulk import among, listed
from workers.ingest.rows import Incoming, Reject
from workers.tables import documents, jobs

_STORED = select(documents.c.key, documents.c.content_sha256).where(documents.c.pack == bindparam("pack"), among(documents.c.key, "keys"))
_ORIGINALS = (
    select(func.count(documents.c.key.distinct()))
    .select_from(documents.outerjoin(jobs, jobs.c.id == documents.c.job_id))
    .where(documents.c.pack == bindparam("pack"), among(documents.c.key, "keys"), jobs.c.deidentified.is_(None))
)

Of = TypeVar("Of")


def without_conflicts(
    connection: Connection, pack: str, batch: Sequence[tuple[Of, Incoming | Reject | None]], digests: Callable[[str], Iterable[str]]
) -> list[tuple[Of, Incoming | Reject | None]]:
    """The rows of a chunk. A row whose id is stored, or stands before it in the chunk, with other texts alone becomes a reject `conflict_id`.

    `digests`: a text's `documents.content_sha256`, in each form it may be stored in. Two submits at once that bring one new id
    may both store it.
    """
    stored = _stored(connection, pack, batch)
    told: list[tuple[Of, Incoming | Reject | None]] = []
    for source, row in batch:
        if isinstance(row, Incoming):
            own = set(digests(row.text))
            is_known = not own.isdisjoint(stored.setdefault(row.key, own))
            told.append((source, row if is_known else _conflict(row.place)))
        else:
            told.append((source, row))
    return told


def n_originals(connection: Connection, pack: str, batch: Sequence[tuple[Of, Incoming | Reject | None]]) -> int:
    """How many of a chunk's ids hold documents that are stored as they came, by jobs that left their identifiers in."""
    keys = listed(row.key for _, row in batch if isinstance(row, Incoming))
    return int(connection.execute(_ORIGINALS, {"pack": pack, "keys": keys}).scalar_one())


def _stored(connection: Connection, pack: str, batch: Sequence[tuple[Of, Incoming | Reject | None]]) -> dict[str, set[str]]:
    """The digests of the texts that are stored under the chunk's ids."""
    stored: dict[str, set[str]] = {}
    keys = listed(row.key for _, row in batch if isinstance(row, Incoming))
    for key, digest in connection.execute(_STORED, {"pack": pack, "keys": keys}):
        stored.setdefault(key, set()).add(digest)
    return stored


def _conflict(place: str) -> Reject:
    reason = "Its id is stored already, with another text."
    return Reject(place, "conflict_id", reason, 'Give it an id of its own, or set [ingest] same_id = "version" to keep both texts.')
