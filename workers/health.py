"""Whether all is well, by what SQL shows: for a balancer, for systemd, for whoever is on call."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from suites.errors import StillhouseError
from workers.migrate import newest
from workers.pulse import last_read, leases, now, oldest_waiting_s, revision
from workers.query import reading

LIMIT_S = 8.0
# documents that wait so long without anybody reading are a sign that nobody does: a lease is 60 s, and a process that died is replaced first
PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    ok: bool
    words: str


def health(url: str) -> dict[str, Check]:
    """Whether the store answers, its schema is this code's, and somebody reads what waits."""
    try:
        with reading(url, limit_s=LIMIT_S) as connection:
            checks = {"store": Check(True, "it answers"), "schema": _schema(connection)}
            return checks | ({"workers": _workers(connection)} if checks["schema"].ok else {})
    except StillhouseError as error:
        return {"store": Check(False, error.message)}


def _schema(connection: Connection) -> Check:
    found, wanted = revision(connection), newest()
    return Check(found == wanted, f"schema {found}" if found == wanted else f"schema {found}, this code wants {wanted}: python manage.py migrate")


def _workers(connection: Connection) -> Check:
    """Alive is who holds a document or has read one lately. Jobs that wait for a student, or are paused, are no fault of the workers."""
    waited = oldest_waiting_s(connection, explained=False)
    if waited is None:
        return Check(True, "nothing waits for a worker")
    if live := leases(connection).live:
        return Check(True, f"{live} documents are held by workers")
    last = max(last_read(connection).values(), default=None)
    ago = None if last is None else now(connection) - last
    told = "none was read so far" if ago is None else f"the last was read {ago:.0f} s ago"
    reads = ago is not None and ago < PATIENCE_S
    return Check(reads or waited < PATIENCE_S, f"a document has waited for {waited:.0f} s, none is held, {told}")
