"""What waits for a reviewer, the dearest first.

A finding in the abstain band comes by what leaving it unseen is expected to cost: the chance that it is wrong, 1 - score, times what such an
error costs by the pack (`[task.cost]`; 1 where none is stated). One that a colleague has seen is not unseen: it costs nothing and comes last.
Of equally dear ones the document with more waiting comes first: it is opened once. A rule says no chance, so its findings in doubt have places
of their own, one in RULE_EVERY. So that what the student is sure of is seen too, a share of the places may go to sure findings drawn by chance.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from statistics import fmean
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, String, cast, exists, func, literal, select

from suites.discover import Pack
from suites.errors import RunError, UsageError, unknown
from suites.types import Cost, Task
from workers.bulk import among, listed
from workers.reviews.judged import ADDED, judged
from workers.reviews.key import FindingKey, is_at, key_of, same
from workers.tables import documents, findings, is_unsure, reviews, students

Reason = Literal["doubt", "rule", "check", "second", "disputed"]

# rules teach the student nothing: their doubts must neither crowd out its own nor never be looked at
RULE_EVERY = 5
# of a task so many of the least sure are weighed at most: where labels cost differently, one that is surer than all these may wait longer than it should
WALKED = 10_000
# of equally dear ones so many are told apart by what else waits in their documents
TOLD_APART = 500
# sure findings are looked for from a place drawn by chance on, so many rows far and so many times
STRETCH, TRIES = 1000, 20
# rows that the server sends at once
PORTION = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """A finding to be looked at, without its text.

    `cost` is what leaving it unseen is expected to cost. `reason`: the student's doubt; a rule's; a check of a sure one; a second reading of what
    another judged; a third where reviewers disagree. Of one that a reviewer added `source` is `reviewer`.
    """

    key: FindingKey
    document: str
    n_chars: int
    score: float
    source: str
    value: str | None
    number: float | None
    unit: str | None
    page: int | None
    cost: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose findings, of which tasks, who looks, and what is passed over."""

    student_id: str
    tasks: Sequence[Task]
    reviewer: str
    skip: Collection[FindingKey]

    @property
    def unreviewed(self) -> ColumnElement[bool]:
        return ~exists().where(same(reviews, findings), reviews.c.reviewer == self.reviewer)


def primary(connection: Connection, pack: Pack) -> str:
    """The student whose findings the pack's views show. Raises RunError where none has read yet."""
    found = connection.execute(select(students.c.id).where(students.c.pack == pack.name, students.c.state == "primary")).scalar()
    if found is None:
        raise RunError(f"No student has read for pack {pack.name!r} in this store yet. Submit documents first: python manage.py submit {pack.name} PATH")
    return str(found)


def error_cost(task: Task, label: str) -> float:
    """What it costs that an answer with this label is wrong. A wrong choice misses one of the other labels, and nobody knows which: their mean."""
    wrong = (task.cost_of(label) or Cost()).false_positive
    if task.kind != "choice":
        return wrong
    return wrong * fmean((task.cost_of(other) or Cost()).false_negative for other in task.labels if other != label)


def queue(
    connection: Connection,
    pack: Pack,
    student_id: str,
    *,
    reviewer: str,
    limit: int,
    task: str | None = None,
    second: bool = False,
    disputed: bool = False,
    check_sure: float = 0.0,
    skip: Collection[FindingKey] = (),
) -> list[Waiting]:
    """The next `limit` findings that this reviewer has not judged, of one task or of all that samples have gold for.

    `second`: those that exactly one other reviewer has judged, in the order in which they were. `disputed`: those on which reviewers disagree.
    `check_sure`: the share of sure findings, drawn by chance; what is drawn for a reviewer's next place is the same until they decide. `skip`:
    what they passed over. Raises UsageError for an unknown task.
    """
    tasks = pack.annotated_tasks
    if task is not None:
        tasks = [t for t in tasks if t.name == task]
        if not tasks:
            raise UsageError(unknown("task to review", task, [t.name for t in pack.annotated_tasks]))
    asked = _Asked(student_id, tasks, reviewer, set(skip))
    if second or disputed:
        return _described(connection, _known(connection, asked, limit, "second" if second else "disputed"))
    return _described(connection, _mixed(connection, asked, limit, check_sure))


# --- the first reading


_Found = tuple[Row[Any], float, Reason]

_ANSWER = [findings.c[name] for name in (*FindingKey._fields, "score", "source", "value", "number", "unit", "page")]


def _mixed(connection: Connection, asked: _Asked, limit: int, check_sure: float) -> list[_Found]:
    """Doubts, rules in their places, and checks by chance. A place is numbered by what the reviewer has decided, however few are asked for at once."""
    doubts, rules = iter(_doubted(connection, asked, limit)), iter(_ruled(connection, asked, limit))
    of_reviewer = select(func.count()).where(reviews.c.student_id == asked.student_id, reviews.c.reviewer == asked.reviewer)
    n_done = int(connection.execute(of_reviewer).scalar_one())
    found: list[_Found] = []
    for place in range(n_done, n_done + limit):
        rng = random.Random(f"{asked.student_id}/{asked.reviewer}/{place}")
        chosen = None
        if check_sure and rng.random() < check_sure:
            chosen = _sure(connection, asked, rng, {key_of(row) for row, _, _ in found})
        if chosen is None and place % RULE_EVERY == RULE_EVERY - 1:
            chosen = next(rules, None)
        chosen = chosen or next(doubts, None) or next(rules, None)
        if chosen is not None:
            found.append(chosen)
    return found


def _unsure(asked: _Asked, task: Task) -> Select[Any]:
    seen = exists().where(same(reviews, findings), reviews.c.reviewer != asked.reviewer)
    where = (findings.c.student_id == asked.student_id, findings.c.task == task.name, is_unsure(), asked.unreviewed)
    return select(*_ANSWER, seen.label("seen")).where(*where).order_by(findings.c.score)


def _streamed(connection: Connection, asked: _Asked, query: Select[Any]) -> Iterator[Row[Any]]:
    with connection.execute(query, execution_options={"yield_per": PORTION}) as rows:
        yield from (row for row in rows if key_of(row) not in asked.skip)


def _doubted(connection: Connection, asked: _Asked, limit: int) -> list[_Found]:
    """The dearest of those with a chance of being wrong.

    An index gives a task's findings by their score. What the next ones can cost at most falls with it: once that is less than the cost of the
    last of those that are wanted, none of the others can be among them.
    """
    costs = {task.name: {label: error_cost(task, label) for label in task.labels} for task in asked.tasks}
    least: list[float] = []  # a heap of the dearest costs
    found: list[_Found] = []
    for task in sorted(asked.tasks, key=lambda t: -max(costs[t.name].values())) if limit else ():
        most = max(costs[task.name].values())
        for row in _streamed(connection, asked, _unsure(asked, task).where(findings.c.score < 1.0).limit(WALKED)):
            chance = 1.0 - row.score
            if len(least) == limit and round(most * chance, 6) < least[0]:
                break
            cost = 0.0 if row.seen else round(costs[task.name].get(row.label, 1.0) * chance, 6)
            if len(least) == limit and cost < least[0]:
                continue
            heappush(least, cost) if len(least) < limit else heappushpop(least, cost)
            found.append((row, cost, "doubt"))
    dear = [one for one in found if one[1] >= least[0]]
    return _told_apart(connection, asked, sorted(dear, key=lambda one: (-one[1], *_place(one)))[: max(limit, TOLD_APART)])[:limit]


def _place(found: _Found) -> tuple[int, int, str]:
    return found[0].document_id, found[0].start, found[0].label


def _told_apart(connection: Connection, asked: _Asked, found: list[_Found]) -> list[_Found]:
    """In order of their costs, and of equally dear ones by how many wait in their documents."""
    n_waiting: dict[int, int] = {}
    if len({cost for _, cost, _ in found}) < len(found):
        of_documents = asked.unreviewed & is_unsure() & among(findings.c.document_id, "ids") & (findings.c.student_id == asked.student_id)
        counted = select(findings.c.document_id, func.count().label("n")).where(of_documents).group_by(findings.c.document_id)
        n_waiting = {row.document_id: row.n for row in connection.execute(counted, {"ids": listed({row.document_id for row, _, _ in found})})}
    return sorted(found, key=lambda one: (-one[1], -n_waiting.get(one[0].document_id, 0), *_place(one)))


def _ruled(connection: Connection, asked: _Asked, limit: int) -> list[_Found]:
    """Rules' findings in doubt, in the order in which they lie: a score of 1 says no chance. Those of student's tasks too, where rules answer besides."""
    found: list[_Found] = []
    for task in asked.tasks:
        wanted = limit - len(found)
        rows = _streamed(connection, asked, _unsure(asked, task).where(findings.c.score >= 1.0).limit(wanted + len(asked.skip)))
        found += [(row, error_cost(task, row.label) / 2, "rule") for row in rows][:wanted]
    return found


def _sure(connection: Connection, asked: _Asked, rng: random.Random, taken: Collection[FindingKey]) -> _Found | None:
    """A finding that the student is sure of, drawn by chance; None where none is met with.

    The next one after a random place: one behind a stretch of others is drawn more readily, which for a check is even enough.
    """
    tasks = {task.name: task for task in asked.tasks if task.answered_by == "student"}
    ends = select(*(select(end(findings.c.id)).scalar_subquery() for end in (func.min, func.max)))
    first, last = connection.execute(ends).one()
    for _ in range(TRIES if first is not None and tasks else 0):
        at = rng.randint(first, last)
        # by their numbers alone: of an index on student and task the databases believe too much
        stretch = select(*_ANSWER, findings.c.unsure).where(findings.c.id.between(at, at + STRETCH)).order_by(findings.c.id)
        for row in _streamed(connection, asked, stretch):
            is_sure = row.student_id == asked.student_id and row.task in tasks and row.source == "student" and not row.unsure
            if is_sure and (key := key_of(row)) not in taken and not _is_reviewed(connection, asked, key):
                return row, round(error_cost(tasks[row.task], row.label) * (1.0 - row.score), 6), "check"
    return None


def _is_reviewed(connection: Connection, asked: _Asked, key: FindingKey) -> bool:
    return connection.execute(select(reviews.c.id).where(is_at(reviews, key), reviews.c.reviewer == asked.reviewer)).first() is not None


# --- the second and the third reading


def _known(connection: Connection, asked: _Asked, limit: int, reason: Literal["second", "disputed"]) -> list[_Found]:
    """Findings that others have judged. What they said is not told: a second opinion is one's own."""
    names = {task.name for task in asked.tasks}
    wanted = _judged_once(connection, asked) if reason == "second" else _disputed(connection, asked)
    keys = [key for key in wanted if key.task in names and key not in asked.skip][:limit]
    rows = {key_of(row): row for row in _answers(connection, keys)}
    return [(rows[key], 0.0, reason) for key in keys if key in rows]


def _grouped(asked: _Asked) -> Select[Any]:
    """The findings of the student that somebody judged, those judged first first."""
    keyed = [reviews.c[name] for name in FindingKey._fields]
    return select(*keyed).where(reviews.c.student_id == asked.student_id).group_by(*keyed).order_by(func.min(reviews.c.id))


def _judged_once(connection: Connection, asked: _Asked) -> Iterator[FindingKey]:
    """What one other reviewer has judged, and nobody else."""
    once = _grouped(asked).having(func.count() == 1, func.max(reviews.c.reviewer) != asked.reviewer)
    yield from map(key_of, connection.execute(once))


def _disputed(connection: Connection, asked: _Asked) -> list[FindingKey]:
    """What others see otherwise than each other."""
    said: ColumnElement[str] = reviews.c.verdict
    for name in ("new_label", "new_start", "new_end"):
        said = said + "/" + func.coalesce(cast(reviews.c[name], String), "")
    differ = connection.execute(_grouped(asked).having(func.count(said.distinct()) > 1))
    looked_at = judged(connection, asked.student_id, {row.document_id for row in differ})
    return [one.key for one in looked_at if not one.is_settled and asked.reviewer not in one.by]


def _answers(connection: Connection, keys: Sequence[FindingKey]) -> Iterator[Any]:
    """The findings with these keys; of those that a reviewer added what was added."""
    by_student = {student_id: listed({key.document_id for key in keys if key.student_id == student_id}) for student_id in {key.student_id for key in keys}}
    wanted = set(keys)
    for student_id, ids in by_student.items():
        given = select(*_ANSWER).where(findings.c.student_id == student_id, among(findings.c.document_id, "ids"))
        yield from (row for row in connection.execute(given, {"ids": ids}) if key_of(row) in wanted)
        nothing = [literal(None).label(name) for name in ("value", "number", "unit", "page")]
        keyed = [reviews.c[name] for name in FindingKey._fields]
        added = select(*keyed, literal(1.0).label("score"), literal("reviewer").label("source"), *nothing)
        added = added.where(reviews.c.student_id == student_id, among(reviews.c.document_id, "ids"), reviews.c.verdict == ADDED)
        yield from (row for row in connection.execute(added, {"ids": ids}) if key_of(row) in wanted)


def _described(connection: Connection, found: Sequence[_Found]) -> list[Waiting]:
    """With the documents' ids and lengths."""
    of = select(documents.c.id, documents.c.key, documents.c.n_chars).where(among(documents.c.id, "ids"))
    known = {row.id: row for row in connection.execute(of, {"ids": listed({row.document_id for row, _, _ in found})})}
    made = []
    for row, cost, reason in found:
        document = known[row.document_id]
        told = {name: getattr(row, name) for name in ("score", "source", "value", "number", "unit", "page")}
        made.append(Waiting(key_of(row), document.key, document.n_chars, cost=cost, reason=reason, **told))
    return made
