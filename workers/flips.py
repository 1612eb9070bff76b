"""Label flips: where two students answer otherwise about the same place of a stored document. No text in them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, zip_longest
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, union

from pipelines.predict import Predictor
from pipelines.progress import OnProgress, silent
from suites.discover import Pack
from suites.types import Document, Finding, Task
from workers.keys import Body, Keys, Unopened
from workers.queue import CLAIM_CHARS
from workers.store import Store
from workers.tables import documents, failures, readings, texts, work

# documents held at once, with their texts; their characters are bounded as a claim's are
CHUNK = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What one student says of a place."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Place:
    """A range of a document that a task was answered for, by student A, student B or both."""

    document: str
    document_id: int
    task: str
    start: int
    end: int
    a: Answer | None
    b: Answer | None

    @property
    def labels(self) -> tuple[str | None, str | None]:
        return (self.a.label if self.a else None, self.b.label if self.b else None)

    @property
    def is_flip(self) -> bool:
        return self.labels[0] != self.labels[1]


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that a student could not read; it is not compared."""

    document: str
    document_id: int
    student: str
    stage: str
    code: str


@dataclass(slots=True)
class Comparison:
    """What the readings of students `a` and `b` came to: places by task and pair of labels, and documents not compared."""

    a: str
    b: str
    n_documents: int = 0
    labels: dict[str, Counter[tuple[str | None, str | None]]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    def summary(self) -> list[dict[str, Any]]:
        """One row a task: places compared = equal + flips, and how often which label stood against which."""
        return [
            {
                "task": task,
                "compared": counts.total(),
                "equal": (equal := sum(n for (a, b), n in counts.items() if a == b)),
                "flips": counts.total() - equal,
                "labels": [{"a": a, "b": b, "n": n} for (a, b), n in counts.most_common()],
            }
            for task, counts in self.labels.items()
        ]


def flips(
    store: Store,
    pair: tuple[Predictor, Predictor],
    comparison: Comparison,
    *,
    tasks: Sequence[Task],
    limit: int,
    job_id: int | None = None,
    on_progress: OnProgress = silent,
    keys: Keys | None = None,
) -> Iterator[Place]:
    """The places where the two predictors differ in the newest `limit` documents; `comparison` counts all places as they come.

    Raises SettingsError where texts are sealed and the master key of `keys` is missing or another.
    """
    comparison.labels |= {task.name: Counter() for task in tasks}
    for stored in stored_documents(store, pair[0].pack, job_id, limit, keys):
        sealed = [(number, key, text.code) for number, key, text in stored if isinstance(text, Unopened)]
        comparison.unread += [Unread(key, number, student, "open", code) for number, key, code in sealed for student in (comparison.a, comparison.b)]
        comparison.n_documents += len(sealed)
        chunk = [(number, key, text) for number, key, text in stored if not isinstance(text, Unopened)]
        asked = [Document(str(number), text) for number, _, text in chunk]
        for (number, key, _), a, b in zip(chunk, pair[0].predict(asked), pair[1].predict(asked), strict=True):
            comparison.n_documents += 1
            on_progress("compare", comparison.n_documents, limit)
            readings_of = ((comparison.a, a), (comparison.b, b))
            if unread := [Unread(key, number, student, reading.stage, reading.code) for student, reading in readings_of if reading.failed]:
                comparison.unread += unread
                continue
            for place in places(key, number, tasks, a.findings, b.findings):
                comparison.labels[place.task][place.labels] += 1
                if place.is_flip:
                    yield place


def places(key: str, number: int, tasks: Sequence[Task], a: Iterable[Finding], b: Iterable[Finding]) -> Iterator[Place]:
    """All places of one document, by task and range, from what students A and B found in it."""
    by_place: dict[tuple[str, int, int, int, int], tuple[list[Finding], list[Finding]]] = defaultdict(lambda: ([], []))
    for side, found in enumerate((a, b)):
        for finding in found:
            by_place[finding.task, finding.start, finding.end, finding.other_start, finding.other_end][side].append(finding)
    for task in tasks:
        for place in sorted(place for place in by_place if place[0] == task.name):
            for ours, theirs in _pairs(task, *by_place[place]):
                yield Place(key, number, *place[:3], ours, theirs)


def _pairs(task: Task, a: Sequence[Finding], b: Sequence[Finding]) -> Iterator[tuple[Answer | None, Answer | None]]:
    """The answers of one place against each other: equal labels first, then what is left, the surest first.

    Tags are independent of each other, so a tag that one student alone gives stands against nothing.
    """
    ours, theirs = ({f.label: Answer(f.label, f.score) for f in sorted(found, key=lambda f: -f.score)} for found in (a, b))
    yield from ((ours[label], theirs[label]) for label in ours if label in theirs)
    only_a, only_b = [x for x in ours.values() if x.label not in theirs], [x for x in theirs.values() if x.label not in ours]
    if task.kind == "tags":
        yield from ((x, None) for x in only_a)
        yield from ((None, x) for x in only_b)
    else:
        yield from zip_longest(only_a, only_b)


def count_documents(store: Store, pack: Pack, job_id: int | None = None) -> int:
    """How many of the pack's documents, or of a job's, the store holds with their text."""
    query = select(func.count()).select_from(documents.join(texts)).where(_chosen(pack, job_id))
    with store.reading() as connection:
        return int(connection.execute(query).scalar_one())


def stored_documents(store: Store, pack: Pack, job_id: int | None, limit: int, keys: Keys | None = None) -> Iterator[list[tuple[int, str, str | Unopened]]]:
    """The newest `limit` documents in chunks, each its number, its id as submitted and its text, or why it does not open.

    Each chunk is a transaction of its own: none stays open while the students read.
    """
    before: int | None = None
    while limit > 0:
        query = select(documents.c.id, documents.c.n_chars).join(texts).where(_chosen(pack, job_id)).order_by(documents.c.id.desc())
        if before is not None:
            query = query.where(documents.c.id < before)
        with store.reading() as connection:
            rows = connection.execute(query.limit(min(CHUNK, limit))).all()
            fit = max(1, bisect_right(list(accumulate(row.n_chars for row in rows)), CLAIM_CHARS))
            numbers = [row.id for row in rows[:fit]]
            chunk = opened_documents(connection, numbers, keys)
        if not chunk:
            return
        yield chunk
        before, limit = numbers[-1], limit - len(numbers)


def spread_numbers(store: Store, pack: Pack, job_id: int, n: int) -> list[int]:
    """The numbers of about `n` of a job's documents that lie in the store with their text, from its first to its last at equal distances."""
    every = max(1, count_documents(store, pack, job_id) // n)
    counted = select(documents.c.id, (func.row_number().over(order_by=documents.c.id) - 1).label("place")).join(texts).where(_chosen(pack, job_id)).subquery()
    query = select(counted.c.id).where(counted.c.place % every == 0).order_by(counted.c.id).limit(n)
    with store.reading() as connection:
        return list(connection.execute(query).scalars())


def opened_documents(connection: Connection, numbers: Sequence[int], keys: Keys | None = None) -> list[tuple[int, str, str | Unopened]]:
    """These documents, the newest first: each its number, its id as submitted and its text, or why it does not open."""
    bodies = select(documents.c.id, documents.c.key, texts.c.text, texts.c.key_id).join(texts).where(documents.c.id.in_(numbers))
    found = connection.execute(bodies.order_by(documents.c.id.desc())).all()
    opened = (keys or Keys()).opened(connection, [Body(row.id, row.text, row.key_id) for row in found])
    return [(row.id, row.key, opened[row.id]) for row in found]


def _chosen(pack: Pack, job_id: int | None) -> ColumnElement[bool]:
    """The pack's documents; of a job those that it has read, failed on or still has to read."""
    chosen = documents.c.pack == pack.name
    if job_id is None:
        return chosen
    return chosen & documents.c.id.in_(union(*(select(t.c.document_id).where(t.c.job_id == job_id) for t in (readings, failures, work))))
