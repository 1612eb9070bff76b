"""The queue in SQL: claims with a fence, completion in one transaction, the sweep of lapsed claims.

The database is the truth; whatever the broker loses or doubles changes nothing here. Rules:

- a claim raises the row's epoch; only the holder of that epoch may finish it (the fence);
- findings, reading and the end of the work row are one transaction;
- time is the database's clock alone;
- a document whose earlier claim lapsed is claimed alone, so a poison document burns only itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, Row, ScalarSelect, Table, bindparam, case, delete, func, insert, select, update

from suites.types import Finding
from workers.bulk import among, insert_rows, listed
from workers.statements import BODIES, END, FRESH, IDLE, LOST, NO_MESSAGE, OLDEST, OURS, TAKE, Ready
from workers.store import insert_new
from workers.tables import failures, findings, jobs, now_s, readings, sources, work

if TYPE_CHECKING:
    from pipelines.predict import Reading
    from workers.derived import Derived

TERMINAL = ("COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELLED")

# a claim holds no more text than this, unless one document alone does: a process holds it in memory
CLAIM_CHARS = 4_000_000
# so few documents are claimed however little waits, if there are as many: a smaller claim costs more than it evens out
FEW = 16

_ANSWER = tuple(f.name for f in fields(Finding))
_FINDING_COLUMNS = tuple(findings.c[name] for name in ("document_id", "student_id", "read_at", *_ANSWER))
_READING_COLUMNS = tuple(
    readings.c[name] for name in ("document_id", "student_id", "job_id", "epoch", "n_findings", "read_at", "n_tokens", "n_unknown", "distance")
)
_EPOCHS = select(readings.c.document_id, readings.c.epoch).where(readings.c.student_id == bindparam("student"), among(readings.c.document_id, "ids"))
_answer: attrgetter[tuple[Any, ...]] = attrgetter(*_ANSWER)


@dataclass(frozen=True, slots=True)
class Claim:
    """One document held by this process until its lease lapses."""

    work_id: int
    epoch: int
    attempts: int
    document_id: int
    text: str
    key_id: int | None = None  # data key that the text is still sealed with
    key: str = ""  # the document's id as submitted


@dataclass(frozen=True, slots=True)
class Claims:
    """What one claim got: documents of one job."""

    job_id: int
    pack: str
    student_id: str
    held: tuple[Claim, ...]
    job: str = ""  # the job's name
    is_lost: bool = False  # one whose earlier claim lapsed


def claim(
    connection: Connection, owner: str, limit: int, lease_s: float, without: Collection[int] = (), share: int = 1, *, lost_first: bool = True
) -> Claims | None:
    """Up to `limit` documents of the oldest waiting job, or one whose earlier claim lapsed; None: nothing waits.

    Jobs in `without` are passed over: their student cannot be used here. Of what waits one part in `share`
    is taken, but `FEW` in any case: towards a job's end claims grow small, and all processes end together.
    """
    kinds = ((LOST, 1, 1), (FRESH, limit, share))
    for kind in kinds if lost_first else kinds[::-1]:
        if rows := _ready(connection, without, *kind):
            return _leased(connection, owner, lease_s, rows, is_lost=kind[0] is LOST)
    return None


def _leased(connection: Connection, owner: str, lease_s: float, rows: Sequence[Row[Any, Any, Any, Any, Any, Any, Any]], *, is_lost: bool) -> Claims:
    """The claim of the first of these rows, as many as a process may hold in memory."""
    within = _within(rows, CLAIM_CHARS)
    ids, keys = listed(row.id for row in within), {row.id: row.key for row in within}
    taken = connection.execute(TAKE, {"ids": ids, "holder": owner, "lease_s": lease_s}).all()
    by_document = {document_id: (work_id, epoch, attempts) for work_id, epoch, attempts, document_id in taken}
    bodies = connection.execute(BODIES, {"ids": listed(by_document)})
    held = tuple(Claim(*by_document[document_id], document_id, text, key_id, keys[by_document[document_id][0]]) for document_id, text, key_id in bodies)
    return Claims(rows[0].job_id, rows[0].pack, rows[0].student_id, held, rows[0].name, is_lost)


def _ready(connection: Connection, without: Collection[int], kind: Ready, limit: int, share: int) -> Sequence[Row[Any, Any, Any, Any, Any, Any, Any]]:
    """Ready rows of one job."""
    passed = {"without": listed(without)}
    first = connection.execute(kind.first, passed).scalar()
    if first is None:
        return []
    if share > 1:
        n_ready = connection.execute(kind.many, passed | {"job": first, "n": limit * share}).scalar_one()
        limit = min(limit, max(FEW, n_ready // share))
    return connection.execute(kind.rows, passed | {"job": first, "n": limit}).all()


def _within(rows: Sequence[Row[Any, Any, Any, Any, Any, Any, Any]], n_chars: int) -> Sequence[Row[Any, Any, Any, Any, Any, Any, Any]]:
    """The first rows whose texts together are within the bound; at least one."""
    totals = list(accumulate(row.n_chars for row in rows))
    return rows[: max(1, bisect_right(totals, n_chars))]


def renew(connection: Connection, held: Sequence[Claim], lease_s: float) -> None:
    """Leases of documents still held, pushed on. Called only after a batch of the encoder ended: a hung process does not renew."""
    connection.execute(update(work).where(OURS).values(lease_until=now_s() + lease_s), {"held": _held(held)})


def give_back(connection: Connection, held: Sequence[Claim]) -> None:
    """Claims returned unread, as if never made: another process may take them at once."""
    if held:
        ready = update(work).where(OURS).values(state="ready", owner=None, lease_until=None, attempts=work.c.attempts - 1)
        connection.execute(ready, {"held": _held(held)})


def finish(connection: Connection, claims: Claims, done: Sequence[tuple[Claim, Reading]], derived: Derived) -> int:
    """Writes findings and failures of documents that are still ours, and what is derived of them; gives how many the fence refused."""
    if not done:
        return 0
    ended_at: dict[int, float] = dict(connection.execute(END, {"held": _held(c for c, _ in done)}).all())
    ours = [(c, r) for c, r in done if c.work_id in ended_at]
    good = [(c, r) for c, r in ours if not r.failed]
    bad = [(c, r) for c, r in ours if r.failed]
    student, job = claims.student_id, claims.job_id
    write_read(connection, claims, [(c, r, ended_at[c.work_id]) for c, r in good], derived)
    if bad:
        connection.execute(
            insert(failures).values(failed_at=now_s()),
            [
                {
                    "document_id": c.document_id,
                    "student_id": student,
                    "job_id": job,
                    "stage": r.stage,
                    "code": r.code,
                    "reason": r.reason,
                    "attempts": c.attempts,
                }
                for c, r in bad
            ],
        )
    connection.execute(NO_MESSAGE, {"job": job})
    refused = len(done) - len(ours)
    written = _written(connection, student, [c for c, _ in done if c.work_id not in ended_at]) if refused else 0
    refused -= written
    if not written:  # what was written by a commit whose answer was lost was counted by it
        derived.count(connection, claims, done, len(ours))
    if refused:
        connection.execute(update(jobs).where(jobs.c.id == job).values(n_refused=jobs.c.n_refused + refused))
    return refused


def write_read(connection: Connection, claims: Claims, read: Sequence[tuple[Claim, Reading, float]], derived: Derived) -> None:
    """Writes readings, each with the time of its end, their findings, and what is derived of them."""
    student, job = claims.student_id, claims.job_id
    insert_rows(connection, _READING_COLUMNS, [(c.document_id, student, job, c.epoch, len(r.findings), at, *_seen(r)) for c, r, at in read])
    insert_rows(connection, _FINDING_COLUMNS, [(c.document_id, student, at, *_answer(f)) for c, r, at in read for f in r.findings])
    derived.write(connection, claims, read)


def _seen(reading: Reading) -> tuple[int | None, int | None, float | None]:
    seen = reading.seen
    return (None, None, None) if seen is None else (seen.n_tokens, seen.n_unknown, seen.distance)


def drop(connection: Connection, claims: Claims, held: Claim) -> None:
    """Ends work that cannot be finished: its document was read already, says the database, and refuses a second reading. Counted as refused."""
    if connection.execute(END, {"held": _held([held])}).all():
        connection.execute(update(jobs).where(jobs.c.id == claims.job_id).values(n_refused=jobs.c.n_refused + 1))


def _written(connection: Connection, student_id: str, held: Sequence[Claim]) -> int:
    """How many of these claims we have finished ourselves, by a commit whose answer was lost."""
    epochs = {c.document_id: c.epoch for c in held}
    found = connection.execute(_EPOCHS, {"student": student_id, "ids": listed(epochs)})
    return sum(epoch == epochs[document_id] for document_id, epoch in found)


def _held(held: Iterable[Claim]) -> str:
    return listed((c.work_id, c.epoch) for c in held)


def sweep(connection: Connection, max_attempts: int) -> int:
    """Lapsed claims made ready again under a new epoch, or failures once attempts ran out. Gives their number."""
    lapsed = connection.execute(select(work).where(work.c.state == "leased", work.c.lease_until < now_s()).with_for_update(skip_locked=True)).all()
    dead = [row for row in lapsed if row.n_lost + 1 >= max_attempts]
    again = [row.id for row in lapsed if row.n_lost + 1 < max_attempts]
    if again:
        connection.execute(
            update(work).where(among(work.c.id, "ids")).values(state="ready", owner=None, lease_until=None, epoch=work.c.epoch + 1, n_lost=work.c.n_lost + 1),
            {"ids": listed(again)},
        )
    for row in dead:
        connection.execute(delete(work).where(work.c.id == row.id))
        reason = f"the claim lapsed {row.n_lost + 1} times: a crash, memory or a hang of the worker is suspected"
        failure = {"job_id": row.job_id, "document_id": row.document_id, "student_id": row.student_id, "attempts": row.attempts, "reason": reason}
        # one that stands there already must not hold up the sweep of all others
        insert_new(connection, failures, [failure | {"stage": "worker", "code": "worker_lost"}], failed_at=now_s())
    return len(lapsed)


def settle(connection: Connection) -> list[int]:
    """Ends the running jobs that have no work left, and gives their ids. Never green when anything failed."""
    # the rows stay locked: a cancel, retry or submit comes before or after, never in between
    idle = connection.execute(IDLE).scalars().all()
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
    """The job's state, held until the transaction ends: no cancel, retry, submit or settling comes in between; findings are written meanwhile."""
    # "no key update": the weakest lock that these exclude one another by. Under a stronger one PostgreSQL makes readings wait, which refer to the job
    return str(connection.execute(select(jobs.c.state).where(jobs.c.id == job_id).with_for_update(key_share=True)).scalar_one())


@dataclass(frozen=True, slots=True)
class Counts:
    """A job in numbers. seen = accepted + duplicate + rejected; accepted = done + failed + cancelled + erased + pending."""

    seen: int
    accepted: int
    duplicate: int
    rejected: int
    done: int
    failed: int
    cancelled: int
    erased: int
    pending: int
    refused: int
    findings: int

    @property
    def conserved(self) -> bool:
        """Whether both laws hold."""
        ended = self.done + self.failed + self.cancelled + self.erased
        return self.seen == self.accepted + self.duplicate + self.rejected and self.accepted == ended + self.pending


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
            jobs.c.n_erased.label("erased"),
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
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(state="CANCELLED", finished_at=now_s(), paused_at=None, n_cancelled=jobs.c.n_cancelled + gone)
    )
    return gone


def pause(connection: Connection, job_id: int) -> int:
    """Sets the job's documents aside until `resume`, also those that are being read: a claim in flight meets the fence. Gives their number."""
    lock_job(connection, job_id)
    aside = update(work).where(work.c.job_id == job_id, work.c.state != "paused")
    n_aside = connection.execute(aside.values(state="paused", owner=None, lease_until=None, epoch=work.c.epoch + 1)).rowcount
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(paused_at=now_s()))
    return n_aside


def resume(connection: Connection, job_id: int) -> int:
    """Lets a paused job's documents be read again. Gives their number."""
    lock_job(connection, job_id)
    n_ready = connection.execute(update(work).where(work.c.job_id == job_id, work.c.state == "paused").values(state="ready")).rowcount
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(paused_at=None))
    return n_ready


def waiting_state(connection: Connection, job_id: int) -> str:
    """The state of new work of a job whose lock is held: a paused job's documents wait until it is resumed."""
    paused_at = connection.execute(select(jobs.c.paused_at).where(jobs.c.id == job_id)).scalar_one()
    return "ready" if paused_at is None else "paused"


def retry(connection: Connection, job_id: int) -> int:
    """Makes work of the job's failed documents again. Gives their number."""
    lock_job(connection, job_id)
    waits = waiting_state(connection, job_id)
    failed = connection.execute(delete(failures).where(failures.c.job_id == job_id).returning(failures.c.document_id, failures.c.student_id)).all()
    if failed:
        connection.execute(insert(work), [{"job_id": job_id, "document_id": f.document_id, "student_id": f.student_id, "state": waits} for f in failed])
        state = case((jobs.c.state == "OPEN", "OPEN"), else_="RUNNING")  # a submit in progress goes on
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(state=state, finished_at=None))
    return len(failed)


def next_job(connection: Connection, *, explained: bool) -> int | None:
    """The job of the oldest document that nobody holds; None: nothing waits.

    Jobs that wait for a usable student are looked at only if `explained`: rung for at every
    wake-up, they would keep all processes busy doing nothing.
    """
    oldest = select(jobs.c.id).where(jobs.c.state.in_(("OPEN", "RUNNING")), OLDEST.is_not(None)).order_by(OLDEST).limit(1)
    return connection.execute(oldest if explained else oldest.where(jobs.c.message.is_(None))).scalar()


def explain(connection: Connection, job_id: int, message: str) -> None:
    """Notes why a job's documents wait."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(message=message))
