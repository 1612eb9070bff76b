"""The statements of the queue's hot path, built once: SQLAlchemy takes longer to build one than SQLite to run it.

Each is written so that the databases have one sensible way to run it, whatever they believe of a table that fills and
empties within minutes: by the key, or by the first entries of an index's range (tests/workers/test_plans.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, Select, bindparam, delete, func, select, update

from workers.bulk import among, not_among, pairs_among
from workers.tables import documents, jobs, now_s, texts, work


@dataclass(frozen=True)
class Ready:
    """What finds the ready rows of one kind: the job of the first, how many that job has, and these; locked on PostgreSQL so that two claims never meet."""

    first: Select[Any]
    many: Select[Any]
    rows: Select[Any]

    @classmethod
    def of(cls, kind: ColumnElement[bool]) -> Ready:
        ready = (work.c.state == "ready") & kind & not_among(work.c.job_id, "without")
        # the least often lost first: where machine after machine dies it is not one document that is in hand each time, and called poison
        order = (work.c.n_lost, work.c.id)
        first = select(work.c.job_id).where(ready).order_by(*order).limit(1)
        rows = select(work.c.id, work.c.job_id, jobs.c.pack, jobs.c.student_id, documents.c.n_chars, documents.c.key, jobs.c.name)
        rows = rows.join(documents, documents.c.id == work.c.document_id).join(jobs, jobs.c.id == work.c.job_id)
        mine = ready & (work.c.job_id == bindparam("job"))
        rows = rows.where(mine).order_by(*order).limit(bindparam("n"))
        many = select(func.count()).select_from(select(work.c.id).where(mine).limit(bindparam("n")).subquery())
        return cls(first.with_for_update(skip_locked=True), many, rows.with_for_update(of=work, skip_locked=True))


LOST, FRESH = Ready.of(work.c.n_lost > 0), Ready.of(work.c.n_lost == 0)
TAKE = (
    update(work)
    .where(among(work.c.id, "ids"))
    .values(
        state="leased",
        owner=bindparam("holder"),
        epoch=work.c.epoch + 1,
        attempts=work.c.attempts + 1,
        lease_until=now_s() + bindparam("lease_s", type_=Double),
    )
    .returning(work.c.id, work.c.epoch, work.c.attempts, work.c.document_id)
)
BODIES = select(texts.c.document_id, texts.c.text, texts.c.key_id).where(among(texts.c.document_id, "ids")).order_by(texts.c.document_id)
# The fence: the row is still leased under the epoch that this process was given. A leased row has an end of its lease; its state is not
# asked for: PostgreSQL would take that column's index, and wade through every row that was leased since the last vacuum
OURS = pairs_among(work.c.id, work.c.epoch, "held") & work.c.lease_until.is_not(None)
# the database's time comes back with the rows: COPY takes no expressions
END = delete(work).where(OURS).returning(work.c.id, now_s().label("at"))
# a job's first row by its index: asked whether there is one, or for the least, the databases may go through all that waits
_FIRST = select(work.c.id).where(work.c.job_id == jobs.c.id).order_by(work.c.job_id, work.c.state, work.c.n_lost, work.c.id).limit(1)
OLDEST = _FIRST.where(work.c.state == "ready").scalar_subquery()
IDLE = select(jobs.c.id).where(jobs.c.state == "RUNNING", _FIRST.scalar_subquery().is_(None)).with_for_update(skip_locked=True, key_share=True)
# documents are read again: why they waited is past
NO_MESSAGE = update(jobs).where(jobs.c.id == bindparam("job"), jobs.c.message.is_not(None)).values(message=None)
