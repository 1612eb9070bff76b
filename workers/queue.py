"""The queue in SQL: claims with a fence, completion in one transaction, the sweep of lapsed claims.

The database is the truth; whatever the broker loses or doubles changes nothing here. Rules:

- a claim raises the row's epoch; only the holder of that epoch may finish it (the fence);
- findings, reading and the end of the work row are one transaction;
- time is the database's clock alone;
- a document whose earlier claim lapsed is claimed alone, so a poison document burns only itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, ScalarSelect, Table, case, delete, func, insert, select, tuple_, update

from pipelines.predict import Reading
from workers.tables import documents, failures, findings, jobs, now_s, readings, sources, texts, work

TERMINAL = ("COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELLED")

# a claim holds no more text than this, unless one document alone does: a process holds it in memory
CLAIM_CHARS = 4_000_000


@dataclass(frozen=True, slots=True)
class Claim:
    """One document held by this process until its lease lapses."""

    work_id: int
    epoch: int
    attempts: int
    document_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What one claim got: documents of one job."""

    job_id: int
    pack: str
    student_id: str
    held: tuple[Claim, ...]


def claim(connection: Connection, owner: str, limit: int, lease_s: float, without: Collection[int] = ()) -> Claims | None:
    """Up to `limit` documents of the oldest waiting job, or one whose earlier claim lapsed; None: nothing waits.

    Jobs in `without` are passed over: their student cannot be used here.
    """
    rows = _ready(connection, without, lost=True, limit=1) or _ready(connection, without, lost=False, limit=limit)
    if not rows:
        return None
    ids = [row.id for row in _within(rows, CLAIM_CHARS)]
    taken = connection.execute(
        update(work)
        .where(work.c.id.in_(ids))
        .values(state="leased", owner=owner, epoch=work.c.epoch + 1, attempts=work.c.attempts + 1, lease_until=now_s() + lease_s)
        .returning(work.c.id, work.c.epoch, work.c.attempts, work.c.document_id)
    ).all()
    by_document = {t.document_id: t for t in taken}
    bodies = connection.execute(select(texts.c.document_id, texts.c.text).where(texts.c.document_id.in_(by_document)).order_by(texts.c.document_id))
    held = tuple(Claim(t.id, t.epoch, t.attempts, b.document_id, b.text) for b in bodies for t in [by_document[b.document_id]])
    job = connection.execute(select(jobs.c.id, jobs.c.pack, jobs.c.student_id).where(jobs.c.id == rows[0].job_id)).one()
    return Claims(job.id, job.pack, job.student_id, held)


def _ready(connection: Connection, without: Collection[int], *, lost: bool, limit: int) -> Sequence[Row[Any, Any, Any]]:
    """Ready rows of one job, locked on PostgreSQL so that two claims never meet."""
    fresh = work.c.n_lost > 0 if lost else work.c.n_lost == 0
    ready = (work.c.state == "ready") & fresh & work.c.job_id.not_in(without)
    first = connection.execute(select(work.c.job_id).where(ready).order_by(work.c.id).limit(1).with_for_update(skip_locked=True)).scalar()
    if first is None:
        return []
    rows = select(work.c.id, work.c.job_id, documents.c.n_chars).join(documents, documents.c.id == work.c.document_id)
    return connection.execute(rows.where(ready, work.c.job_id == first).order_by(work.c.id).limit(limit).with_for_update(of=work, skip_locked=True)).all()


def _within(rows: Sequence[Row[Any, Any, Any]], n_chars: int) -> Sequence[Row[Any, Any, Any]]:
    """The first rows whose texts together are within the bound; at least one."""
    totals = list(accumulate(row.n_chars for row in rows))
    return rows[: max(1, bisect_right(totals, n_chars))]


def renew(connection: Connection, held: Sequence[Claim], lease_s: float) -> None:
    """Leases of documents still held, pushed on. Called only after a batch of the encoder ended: a hung process does not renew."""
    connection.execute(update(work).where(_ours(held)).values(lease_until=now_s() + lease_s))


def give_back(connection: Connection, held: Sequence[Claim]) -> None:
    """Claims returned unread, as if never made: another process may take them at once."""
    if held:
        connection.execute(update(work).where(_ours(held)).values(state="ready", owner=None, lease_until=None, attempts=work.c.attempts - 1))


def finish(connection: Connection, claims: Claims, done: Sequence[tuple[Claim, Reading]]) -> int:
    """Writes findings and failures of documents that are still ours; gives how many the fence refused."""
    if not done:
        return 0
    ended = {row.id for row in connection.execute(delete(work).where(_ours([c for c, _ in done])).returning(work.c.id))}
    ours = [(c, r) for c, r in done if c.work_id in ended]
    key = {"student_id": claims.student_id}
    good = [(c, r) for c, r in ours if not r.failed]
    bad = [(c, r) for c, r in ours if r.failed]
    if good:
        connection.execute(
            insert(readings).values(read_at=now_s()),
            [key | {"document_id": c.document_id, "job_id": claims.job_id, "epoch": c.epoch, "n_findings": len(r.findings)} for c, r in good],
        )
        if rows := [key | {"document_id": c.document_id} | asdict(f) for c, r in good for f in r.findings]:
            connection.execute(insert(findings), rows)
    if bad:
        connection.execute(
            insert(failures).values(failed_at=now_s()),
            [
                key | {"document_id": c.document_id, "job_id": claims.job_id, "stage": r.stage, "code": r.code, "reason": r.reason, "attempts": c.attempts}
                for c, r in bad
            ],
        )
    # documents are read again: why they waited is past
    connection.execute(update(jobs).where(jobs.c.id == claims.job_id, jobs.c.message.is_not(None)).values(message=None))
    refused = len(done) - len(ours)
    if refused:
        connection.execute(update(jobs).where(jobs.c.id == claims.job_id).values(n_refused=jobs.c.n_refused + refused))
    return refused


def _ours(held: Sequence[Claim]) -> ColumnElement[bool]:
    """The fence: the row is still leased under the epoch that this process was given."""
    return tuple_(work.c.id, work.c.epoch).in_([(c.work_id, c.epoch) for c in held]) & (work.c.state == "leased")


def sweep(connection: Connection, max_attempts: int) -> int:
    """Lapsed claims made ready again under a new epoch, or failures once attempts ran out. Gives their number."""
    lapsed = connection.execute(select(work).where(work.c.state == "leased", work.c.lease_until < now_s()).with_for_update(skip_locked=True)).all()
    dead = [row for row in lapsed if row.n_lost + 1 >= max_attempts]
    again = [row.id for row in lapsed if row.n_lost + 1 < max_attempts]
    if again:
        connection.execute(
            update(work).where(work.c.id.in_(again)).values(state="ready", owner=None, lease_until=None, epoch=work.c.epoch + 1, n_lost=work.c.n_lost + 1)
        )
    for row in dead:
        connection.execute(delete(work).where(work.c.id == row.id))
        reason = f"the claim lapsed {row.n_lost + 1} times: a crash, memory or a hang of the worker is suspected"
        connection.execute(
            insert(failures).values(
                job_id=row.job_id,
                document_id=row.document_id,
                student_id=row.student_id,
                stage="worker",
                code="worker_lost",
                reason=reason,
                attempts=row.attempts,
                failed_at=now_s(),
            )
        )
    return len(lapsed)


def settle(connection: Connection) -> list[int]:
    """Ends the running jobs that have no work left, and gives their ids. Never green when anything failed."""
    waiting = select(work.c.job_id).where(work.c.job_id == jobs.c.id).exists()
    # the rows stay locked: a cancel, retry or submit comes before or after, never in between
    idle = connection.execute(select(jobs.c.id).where(jobs.c.state == "RUNNING", ~waiting).with_for_update(skip_locked=True)).scalars().all()
    ended = []
    for job_id in idle:
        count = counts(connection, job_id)
        if count.pending:  # came between the look and the lock
            continue
        state = "COMPLETED_WITH_ERRORS" if count.failed or _open_rejects(connection, job_id) else "COMPLETED"
        if count.failed and not count.done:
            state = "FAILED"
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state=state, finished_at=now_s(), message=None))
        ended.append(job_id)
    return ended


def _open_rejects(connection: Connection, job_id: int) -> int:
    """Rejects of the newest reading of each file: a mended file that is submitted again supersedes its earlier reading."""
    # by path, not by label: x.jsonl of day1/ and x.jsonl of day2/ share one where each folder is submitted by itself
    newest = select(func.max(sources.c.id)).where(sources.c.job_id == job_id).group_by(sources.c.path_sha256)
    return int(connection.execute(select(func.coalesce(func.sum(sources.c.n_rejected), 0)).where(sources.c.id.in_(newest))).scalar_one())


def lock_job(connection: Connection, job_id: int) -> str:
    """The job's state, held until the transaction ends."""
    return str(connection.execute(select(jobs.c.state).where(jobs.c.id == job_id).with_for_update()).scalar_one())


@dataclass(frozen=True, slots=True)
class Counts:
    """A job in numbers. seen = accepted + duplicate + rejected; accepted = done + failed + cancelled + pending."""

    seen: int
    accepted: int
    duplicate: int
    rejected: int
    done: int
    failed: int
    cancelled: int
    pending: int
    refused: int
    findings: int

    @property
    def conserved(self) -> bool:
        """Whether both laws hold."""
        return self.seen == self.accepted + self.duplicate + self.rejected and self.accepted == self.done + self.failed + self.cancelled + self.pending


def counts(connection: Connection, job_id: int) -> Counts:
    """The numbers of one job, from one snapshot: a document is never counted twice while it moves."""

    def number(table: Table) -> ScalarSelect[int]:
        return select(func.count()).select_from(table).where(table.c.job_id == job_id).scalar_subquery()

    def total(column: Column[int]) -> ScalarSelect[int]:
        return select(func.coalesce(func.sum(column), 0)).where(column.table.c.job_id == job_id).scalar_subquery()

    row = connection.execute(
        select(
            total(sources.c.n_seen).label("seen"),
            total(sources.c.n_accepted).label("accepted"),
            total(sources.c.n_duplicate).label("duplicate"),
            total(sources.c.n_rejected).label("rejected"),
            number(readings).label("done"),
            number(failures).label("failed"),
            jobs.c.n_cancelled.label("cancelled"),
            number(work).label("pending"),
            jobs.c.n_refused.label("refused"),
            total(readings.c.n_findings).label("findings"),
        ).where(jobs.c.id == job_id)
    ).one()
    return Counts(**{name: int(value) for name, value in row._mapping.items()})


def pending(connection: Connection, job_id: int) -> int:
    """How many of a job's documents still have to be read."""
    return int(connection.execute(select(func.count()).select_from(work).where(work.c.job_id == job_id)).scalar_one())


def cancel(connection: Connection, job_id: int) -> int:
    """Gives up the job's waiting and claimed documents; a claim in flight meets the fence. Gives their number."""
    lock_job(connection, job_id)
    gone = connection.execute(delete(work).where(work.c.job_id == job_id)).rowcount
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(state="CANCELLED", finished_at=now_s(), n_cancelled=jobs.c.n_cancelled + gone))
    return gone


def retry(connection: Connection, job_id: int) -> int:
    """Makes work of the job's failed documents again. Gives their number."""
    lock_job(connection, job_id)
    failed = connection.execute(delete(failures).where(failures.c.job_id == job_id).returning(failures.c.document_id, failures.c.student_id)).all()
    if failed:
        connection.execute(insert(work), [{"job_id": job_id, "document_id": f.document_id, "student_id": f.student_id} for f in failed])
        state = case((jobs.c.state == "OPEN", "OPEN"), else_="RUNNING")  # a submit in progress goes on
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state=state, finished_at=None))
    return len(failed)


def next_job(connection: Connection, *, explained: bool) -> int | None:
    """The job of the oldest document that nobody holds; None: nothing waits.

    Jobs that wait for a usable student are looked at only if `explained`: rung for at every
    wake-up, they would keep all processes busy doing nothing.
    """
    waiting = select(work.c.job_id).where(work.c.state == "ready").order_by(work.c.id).limit(1)
    if not explained:
        waiting = waiting.join(jobs, jobs.c.id == work.c.job_id).where(jobs.c.message.is_(None))
    return connection.execute(waiting).scalar()


def explain(connection: Connection, job_id: int, message: str) -> None:
    """Notes why a job's documents wait."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(message=message))
