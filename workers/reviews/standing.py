"""How far a review has come: what waits, who looked at how much, and how far reviewers agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import Connection, Integer, cast, func, select

from suites.discover import Pack
from workers.reviews.agreement import Agreement, agreement
from workers.reviews.judged import VERDICTS, Judged, Judgement, judged
from workers.reviews.key import FindingKey, key_of, same
from workers.tables import findings, is_unsure, reviews


@dataclass(frozen=True, slots=True)
class TaskStanding:
    """One task in numbers: unsure findings that nobody has judged, findings judged, and of sure ones how many were judged and how many of these were wrong."""

    task: str
    waiting: int
    judged: int
    sure_judged: int
    sure_wrong: int


@dataclass(frozen=True, slots=True)
class ReviewerStanding:
    """What one reviewer said about one task: how often each verdict."""

    reviewer: str
    task: str
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two reviewers agree on one task."""

    task: str
    a: str
    b: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Progress:
    """A student's findings under review. `disputed` wait for a third look."""

    student_id: str
    tasks: tuple[TaskStanding, ...]
    reviewers: tuple[ReviewerStanding, ...]
    agreements: tuple[PairAgreement, ...]
    disputed: tuple[FindingKey, ...]


def progress(connection: Connection, pack: Pack, student_id: str) -> Progress:
    """How far the review of a student's findings has come, task by task in the pack's order."""
    looked_at = judged(connection, student_id)
    return Progress(
        student_id,
        tuple(_tasks(connection, pack, student_id, looked_at)),
        tuple(_reviewers(looked_at)),
        tuple(_agreements(looked_at)),
        tuple(one.key for one in looked_at if not one.is_settled),
    )


def _tasks(connection: Connection, pack: Pack, student_id: str, looked_at: Sequence[Judged]) -> Iterator[TaskStanding]:
    of = select(findings.c.task, func.count().label("n")).where(findings.c.student_id == student_id, is_unsure()).group_by(findings.c.task)
    n_unsure = {row.task: row.n for row in connection.execute(of)}
    # a finding looked up for each review: of a join some databases would walk all findings of the student
    unsure = select(cast(findings.c.unsure, Integer)).where(same(reviews, findings)).limit(1).correlate(reviews).scalar_subquery().label("unsure")
    keyed = select(*(reviews.c[name] for name in FindingKey._fields), unsure).where(reviews.c.student_id == student_id).distinct()
    in_doubt = {key_of(row): bool(row.unsure) for row in connection.execute(keyed) if row.unsure is not None}
    for task in pack.annotated_tasks:
        own = [one for one in looked_at if one.key.task == task.name]
        sure = [one for one in own if not in_doubt.get(one.key, True)]
        n_seen = sum(in_doubt.get(one.key, False) for one in own)
        n_wrong = sum(one.is_settled and not one.is_kept for one in sure)
        yield TaskStanding(task.name, n_unsure.get(task.name, 0) - n_seen, len(own), len(sure), n_wrong)


def _reviewers(looked_at: Sequence[Judged]) -> Iterator[ReviewerStanding]:
    said: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in looked_at:
        for reviewer, verdict in one.verdicts.items():
            said[reviewer, one.key.task][verdict] += 1
    for (reviewer, task), verdicts in sorted(said.items()):
        yield ReviewerStanding(reviewer, task, {verdict: verdicts[verdict] for verdict in VERDICTS})


def _agreements(looked_at: Sequence[Judged]) -> Iterator[PairAgreement]:
    """Each task and two reviewers who judged the same findings of it."""
    pairs: dict[tuple[str, str, str], list[tuple[Hashable, Hashable]]] = defaultdict(list)
    for one in looked_at:
        for a, b in combinations(sorted(one.by), 2):
            pairs[one.key.task, a, b].append((_class(one, one.by[a]), _class(one, one.by[b])))
    for (task, a, b), both in sorted(pairs.items()):
        yield PairAgreement(task, a, b, agreement(both))


def _class(one: Judged, judgement: Judgement) -> Hashable:
    """What a judgement counts as: nothing, or a label and how far the range was moved. So findings of different places are of few classes."""
    return None if judgement is None else (judgement[0], judgement[1] - one.key.start, judgement[2] - one.key.end)
