"""Tombstones: documents that were erased are not taken in again, though nothing of them is kept but a keyed digest.

A document that was named to be erased is known by its pack and id, whatever it holds; one that went with its job or by its age
by its content too: where rows have no id, theirs is the file and row, and tomorrow's file of that name holds others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, exists, select, text

from workers.bulk import among, listed
from workers.ingest.rows import Incoming, Reject
from workers.keys import Sealing
from workers.seal import keyed_digest
from workers.store import insert_new
from workers.tables import tombstones

REASON = "The document was erased by a purge and is not taken in again."
REMEDY = "Leave it out; or submit with --allow-erased, which takes such documents in again."


def named(index: bytes, pack: str, key: str) -> str:
    """The digest of a document by its id."""
    return keyed_digest(index, "document", pack, key)


def exact(index: bytes, pack: str, key: str, content: str) -> str:
    """The digest of a document by its id and content."""
    return keyed_digest(index, "document and content", pack, key, content)


def share(connection: Connection) -> None:
    """Keeps purges out until this transaction ends: what it takes in is not erased meanwhile, nor its tombstone overlooked."""
    _lock(connection, "ROW EXCLUSIVE")


def exclude(connection: Connection) -> None:
    """Keeps submits, reviewers' decisions and other purges out until this transaction ends; workers go on reading and writing."""
    _lock(connection, "SHARE ROW EXCLUSIVE", "documents, reviews")


def _lock(connection: Connection, mode: str, tables: str = "documents") -> None:
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
        connection.execute(text(f"LOCK TABLE {tables} IN {mode} MODE"))


def bury(connection: Connection, erasure_id: int, digests: Iterable[str]) -> None:
    """Lays tombstones; one that lies there already stays."""
    insert_new(connection, tombstones, [{"digest": digest, "erasure_id": erasure_id} for digest in digests])


def refused(connection: Connection, sealing: Sealing, pack: str, incoming: Sequence[Incoming], *, allow: bool) -> set[int]:
    """Which of these, by their index in the list, were erased. With `allow` none is: their tombstones go instead."""
    if sealing.index is None or not connection.execute(select(exists(select(tombstones.c.digest)))).scalar_one():
        return set()
    digests = [_digests(sealing, sealing.index, pack, row) for row in incoming]
    asked = {"digests": listed(digest for all_of_one in digests for digest in all_of_one)}
    lie = set(connection.execute(select(tombstones.c.digest).where(among(tombstones.c.digest, "digests")), asked).scalars())
    if allow:
        connection.execute(delete(tombstones).where(among(tombstones.c.digest, "digests")), asked)
        return set()
    return {i for i, all_of_one in enumerate(digests) if lie.intersection(all_of_one)}


def reject(row: Incoming) -> Reject:
    """The reject of an erased document."""
    return Reject(row.place, "erased", REASON, REMEDY)


def _digests(sealing: Sealing, index: bytes, pack: str, row: Incoming) -> list[str]:
    return [named(index, pack, row.key), *(exact(index, pack, row.key, content) for content in sealing.digests(row.text))]
