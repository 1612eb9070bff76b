"""How far jobs are and how fast they go. Counting a large job takes time: it is done now and then, whoever looks, and not again for one that has ended."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, Select, func, select

from workers.queue import TERMINAL, Counts, counts
from workers.tables import failures, now_s

# a running job is counted again after so long at the earliest, and counting takes this part of the time at most
COUNT_S = 1.5
COUNT_SHARE = 0.1
# "now" is over the last so many seconds
NOW_S = 30.0
# jobs that are remembered
KEPT = 500


@dataclass(frozen=True, slots=True)
class Reason:
    """Why documents of a job could not be read, and how many."""

    stage: str
    code: str
    n: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A job as it was counted last. Speeds are documents a second; `eta_s` is None where nothing can be said."""

    id: int
    name: str
    pack: str
    student: str
    state: str
    message: str | None
    submitted_at: float
    finished_at: float | None
    counts: Counts
    reasons: tuple[Reason, ...]
    seconds: float
    per_s: float | None
    per_s_now: float | None
    eta_s: float | None

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL

    @property
    def ended(self) -> int:
        """Documents that nobody waits for any more."""
        return self.counts.done + self.counts.failed + self.counts.cancelled + self.counts.erased

    @property
    def share(self) -> float:
        """The part of its documents that nobody waits for any more."""
        return self.ended / self.counts.accepted if self.counts.accepted else float(self.is_over)


@dataclass(slots=True)
class _Counted:
    """A job's counts, of when and of which state they are, and what counting cost."""

    key: tuple[object, ...]
    counts: Counts
    reasons: tuple[Reason, ...]
    at: float
    cost_s: float
    done: deque[tuple[float, int]] = field(default_factory=deque)


class Pulse:
    """The counts of jobs, shared by all who look."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, _Counted] = OrderedDict()
        self._lock = threading.Lock()

    def beats(self, connection: Connection, query: Select[tuple[object, ...]]) -> list[Beat]:
        """The jobs of a query over the table `jobs`, in its order."""
        rows = connection.execute(query.add_columns(now_s().label("now"))).all()
        with self._lock:  # who comes meanwhile finds what was counted
            return [self._beat(connection, row) for row in rows]

    def _beat(self, connection: Connection, job: Row[tuple[object, ...]]) -> Beat:
        counted = self._counted(connection, job)
        seconds = (job.finished_at or job.now) - job.submitted_at
        now = None if job.state in TERMINAL else _now(counted.done)
        per_s = counted.counts.done / seconds if seconds > 0 and counted.counts.done else None
        speed = now if now is not None else per_s
        waits = job.state in TERMINAL or job.paused_at is not None or job.message is not None
        return Beat(
            id=job.id,
            name=job.name,
            pack=job.pack,
            student=job.student_id,
            state="PAUSED" if job.paused_at is not None and job.state not in TERMINAL else job.state,
            message=job.message,
            submitted_at=job.submitted_at,
            finished_at=job.finished_at,
            counts=counted.counts,
            reasons=counted.reasons,
            seconds=seconds,
            per_s=per_s,
            per_s_now=now,
            eta_s=None if waits or not speed else counted.counts.pending / speed,
        )

    def _counted(self, connection: Connection, job: Row[tuple[object, ...]]) -> _Counted:
        key = (job.state, job.finished_at, job.n_cancelled, job.n_erased)
        known, started = self._kept.get(job.id), time.monotonic()
        if known is not None and known.key == key:
            rests = started - known.at < max(COUNT_S, known.cost_s / COUNT_SHARE)
            if job.state in TERMINAL or rests:
                return known
        found, reasons = counts(connection, job.id), _reasons(connection, job.id)
        done = known.done if known is not None else deque()
        while done and started - done[0][0] > NOW_S:
            done.popleft()
        done.append((started, found.done))
        counted = _Counted(key, found, reasons, time.monotonic(), time.monotonic() - started, done)
        self._kept[job.id] = counted
        self._kept.move_to_end(job.id)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return counted


def _now(done: Sequence[tuple[float, int]]) -> float | None:
    """Documents a second between the first and the last of what was counted lately."""
    if len(done) < 2 or done[-1][0] - done[0][0] < 1:
        return None
    return max(0.0, (done[-1][1] - done[0][1]) / (done[-1][0] - done[0][0]))


def _reasons(connection: Connection, job_id: int) -> tuple[Reason, ...]:
    n = func.count().label("n")
    query = select(failures.c.stage, failures.c.code, n).where(failures.c.job_id == job_id).group_by(failures.c.stage, failures.c.code)
    return tuple(Reason(row.stage, row.code, row.n) for row in connection.execute(query.order_by(n.desc(), failures.c.code)))
