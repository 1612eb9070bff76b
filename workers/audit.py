"""The audit: who did what and when, one row an act, each bound to the one before it by a hash.

A row's hash is SHA-256 over the row and the hash of the row before: a row that was changed, removed, inserted or
swapped breaks the chain. Rows cut off at its end do not; an anchor kept elsewhere (`audit anchor`) shows those, and a
chain that was made anew. Rows hold no text.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Text, bindparam, insert, select, text

from suites.errors import StoreError, UsageError
from workers.store import Store, writing
from workers.tables import audit, now_s

ACTIONS = (
    *("migrate", "roles", "submit", "cancel", "pause", "resume", "retry", "purge", "erase", "keys"),
    *("release", "rollback", "retire", "diff", "energy", "export", "deliver"),
    *("view", "review"),
)
# what the first row has in place of the hash before it
START = "0" * 64
SUBJECT_CHARS = 200
DETAIL_CHARS = 2000
PORTION = 1000

# the rows' order is that of the ids; PostgreSQL's part is a function of the owner's (migrations/versions/0005_audit.py)
_HEAD = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
_APPEND = text("SELECT record_audit(:os_user, :action, :subject, :detail)").bindparams(
    *(bindparam(name, type_=Text) for name in ("os_user", "action", "subject", "detail"))
)


class Anchor(NamedTuple):
    """The newest row at one time. Kept where the database's administrators cannot write, it shows what was done to the chain since."""

    id: int
    hash: str

    def __str__(self) -> str:
        return f"{self.id}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row at which the chain does not hold; of rows that are missing, the first that is."""

    id: int
    reason: str


def record(connection: Connection, action: str, subject: str, detail: Mapping[str, int | str] = {}) -> None:
    """Appends one act to the audit, in the caller's transaction: both are stored, or neither.

    Call it last in a transaction. It holds a lock until the commit, so that the chain has one order; whoever waits
    for that lock may hold others, such as a job's, and whoever holds it must not wait for those.
    `subject` names what was acted on ("job 3", "pack finance"), `detail` says more; neither holds text of documents.
    Raises ValueError for an action that is not in ACTIONS, and for what is too long.
    """
    if action not in ACTIONS:
        raise ValueError(f"audit: {action!r} is none of {', '.join(ACTIONS)}")
    told = json.dumps(dict(detail), sort_keys=True, separators=(",", ":"))
    if len(subject) > SUBJECT_CHARS or len(told) > DETAIL_CHARS:
        raise ValueError(f"audit: subject of {len(subject)}, detail of {len(told)} characters; at most {SUBJECT_CHARS} and {DETAIL_CHARS}")
    if connection.dialect.name == "postgresql":
        connection.execute(_APPEND, {"os_user": _os_user(), "action": action, "subject": subject, "detail": told})
    else:
        _append(connection, action, subject, told)


def record_alone(store: Store, action: str, subject: str, detail: Mapping[str, int | str] = {}) -> None:
    """Records an act that is no transaction of its own in the store, such as an export, before it is done. Raises StoreError."""
    with writing(store) as connection:
        record(connection, action, subject, detail)


def note(url: str, action: str, subject: str, detail: Mapping[str, int | str] = {}) -> None:
    """Records an act that was done in files, such as a release: where there is no store to record it in, a line says so."""
    from workers.show import words  # rich is slow to import, and most who record show nothing

    store = Store(url)
    try:
        if store.file is not None and not store.file.exists():
            raise StoreError("There is no store yet.")  # which a connection would make
        record_alone(store, action, subject, detail)
    except StoreError as error:
        words(f"Not in the audit: {error.message}")
    finally:
        store.close()


def _append(connection: Connection, action: str, subject: str, detail: str) -> None:
    """SQLite's part: its transactions are one after the other already (BEGIN IMMEDIATE)."""
    before = head(connection) or Anchor(0, START)
    values = {"id": before.id + 1, "at": connection.execute(select(now_s())).scalar_one(), "actor": _os_user()}
    values |= {"action": action, "subject": subject, "detail": detail, "prev_hash": before.hash}
    connection.execute(insert(audit).values(**values, hash=row_hash(values)))


def _os_user() -> str:
    # not getpass.getuser(), which believes the environment
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row as hex digits: of each field its length and its value, the time as IEEE 754 bytes in hex. `record_audit` does the same in SQL."""
    at = struct.pack(">d", row["at"]).hex()
    fields = (row["prev_hash"], str(row["id"]), at, *(row[name] for name in ("actor", "action", "subject", "detail")))
    return hashlib.sha256("".join(f"{len(field)}:{field}" for field in fields).encode("utf-8", "surrogatepass")).hexdigest()


def head(connection: Connection) -> Anchor | None:
    """The newest row's id and hash; None: nothing was recorded yet."""
    found = connection.execute(_HEAD).first()
    return None if found is None else Anchor(found.id, found.hash)


def verify_chain(connection: Connection, anchor: Anchor | None = None) -> Broken | None:
    """The first row at which the chain does not hold, or None. Rows are streamed, however many there are.

    With an anchor also whether the chain still holds the row that was the newest then.
    """
    expected = Anchor(0, START)
    for row in _rows(connection):
        if (reason := _wrong(row, expected)) is not None:
            return Broken(row.id, reason)
        expected = Anchor(row.id, row.hash)
        if anchor is not None and row.id == anchor.id and row.hash != anchor.hash:
            return Broken(row.id, "the row is not the one that the anchor names: the chain was made anew since")
    if anchor is not None and expected.id < anchor.id:
        return Broken(expected.id + 1, f"the chain ends at row {expected.id}, the anchor names row {anchor.id}: rows were cut off since")
    return None


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    yield from connection.execute(select(audit).order_by(audit.c.id), execution_options={"yield_per": PORTION})


def _wrong(row: Row[Any], before: Anchor) -> str | None:
    if row.id != before.id + 1 or row.prev_hash != before.hash:
        return f"the row does not follow row {before.id}: rows were removed, inserted or swapped here" if before.id else "the first row is missing"
    try:
        holds = row_hash(row._mapping) == row.hash  # type: ignore[arg-type]
    except (TypeError, struct.error):  # a value of another type, which SQLite lets in
        holds = False
    return None if holds else "the row was changed"


def parse_anchor(given: str) -> Anchor:
    """`ID:HASH` as `audit anchor` prints it. Raises UsageError."""
    number, _, digest = given.strip().partition(":")
    if not number.isdecimal() or len(digest) != len(START) or set(digest) - set("0123456789abcdef"):
        raise UsageError("--anchor: expected ID:HASH, a row's number and 64 hex digits, as `python manage.py audit anchor` prints it.")
    return Anchor(int(number), digest)


def acts(connection: Connection, *, since: float | None = None, action: str | None = None, limit: int) -> list[dict[str, object]]:
    """The newest acts first, at most `limit`. `since`: seconds since 1970."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if since is not None:
        query = query.where(audit.c.at >= since)
    if action is not None:
        query = query.where(audit.c.action == action)
    return [dict(row._mapping) for row in connection.execute(query)]
