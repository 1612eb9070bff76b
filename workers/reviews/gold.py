"""Decided findings as gold: examples to learn from, and others that are held back to be scored on.

When a document is gold for a task:

- a choice (of the document, its sentences or spans): where findings of it are settled and say a label. Each stands for its own range alone, so what
  nobody looked at is not in it. One that was rejected without a correction is left out: it says what is wrong, not what is right.
- tags, spans, pairs: what is not named is wrong in them, so the whole document must be known. It is gold once all that the student was unsure of
  is settled and at least one finding was judged: what was accepted, corrected and added, and what the student was sure of and nobody judged. Those
  last are silver: the student's own answers. Each example says in its metadata how many there are.
- what reviewers disagree on and no third look settled is left out; of tags, spans and pairs the task with it.

Where several students' findings of one document were judged, what was judged last counts: of a choice range by range, of others task by task.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count
from typing import Any

from sqlalchemy import Connection, select

from suites.discover import Pack
from suites.samples import SPLITS, Split, split_of
from suites.types import Document, Example, Finding, Task
from workers.bulk import among, listed
from workers.keys import Keys, Unopened
from workers.reviews.judged import Judged, judged
from workers.reviews.key import FindingKey
from workers.reviews.texts import stored_texts
from workers.store import Store
from workers.tables import documents, findings, reviews

SOURCE = "reviews"
# documents whose texts are opened in one transaction
CHUNK = 64

_FIELDS = tuple(f.name for f in fields(Finding))


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Examples to learn from, those held back, and how many documents could not be opened."""

    train: tuple[Example, ...] = ()
    held_back: tuple[Example, ...] = ()
    n_unopened: int = 0


@dataclass(slots=True)
class _Gold:
    """What one document is gold for: findings by task, how many of them somebody judged, and ranges that are no spans of a task."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    n_judged: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, set[tuple[int, int]]] = field(default_factory=dict)


def reviewed_examples(store: Store, pack: Pack, keys: Keys, held_back: float) -> Reviewed:
    """The pack's reviewed documents as examples, in an order that follows from their texts; of them the share `held_back` is not to be learned from.

    Whether a document is held back follows from its text and the share alone, so no export or training takes it otherwise; of a larger share those
    of a smaller one are a part. Ids are made so that among a pack's samples the document's split is the same: train, or test where it is held back.
    Raises SettingsError where texts are sealed and the master key is missing or another.
    """
    with store.reading() as connection:
        known = _gold(connection, pack)
    train: dict[str, Example] = {}
    kept: dict[str, Example] = {}
    n_unopened = 0
    ids = sorted(known)
    for at in range(0, len(ids), CHUNK):
        chunk = ids[at : at + CHUNK]
        with store.reading() as connection:
            texts = stored_texts(connection, keys, chunk)
            named = select(documents.c.id, documents.c.key).where(among(documents.c.id, "ids"))
            names = {row.id: row.key for row in connection.execute(named, {"ids": listed(chunk)})}
        for number in (n for n in chunk if n in texts):  # what was erased meanwhile is gone
            text = texts[number]
            if isinstance(text, Unopened):
                n_unopened += 1
                continue
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            is_kept = _share(digest) < held_back
            # the same text under two ids is one example: the one stored last
            (kept if is_kept else train)[digest] = _example(pack, names[number], text, digest, known[number], "test" if is_kept else "train")
    return Reviewed(tuple(train[d] for d in sorted(train)), tuple(kept[d] for d in sorted(kept)), n_unopened)


def row_of(example: Example) -> dict[str, Any]:
    """An example as a line of samples.jsonl."""
    row = {"id": example.document.id, "text": example.document.text, "findings": [_finding_row(f) for f in example.gold], "tasks": sorted(example.tasks)}
    return row | {"meta": dict(example.document.meta)}


def _finding_row(finding: Finding) -> dict[str, Any]:
    row: dict[str, Any] = {"task": finding.task, "label": finding.label, "start": finding.start, "end": finding.end}
    row |= {"other_start": finding.other_start, "other_end": finding.other_end} if finding.other_end else {}
    return row | {name: value for name in ("value", "number", "unit") if (value := getattr(finding, name)) is not None}


def _share(digest: str) -> float:
    """A number of 0 to 1 that a text's digest stands for."""
    return int(digest[:8], 16) / 2**32


def _example(pack: Pack, name: str, text: str, digest: str, gold: _Gold, split: Split) -> Example:
    n_gold, n_judged = sum(map(len, gold.findings.values())), sum(gold.n_judged.values())
    meta = {"document": name, "judged": n_judged, "silver": n_gold - n_judged}
    order = {task.name: i for i, task in enumerate(pack.manifest.task)}
    found = sorted((f for of in gold.findings.values() for f in of), key=lambda f: (order[f.task], f.start, f.end, f.label, f.other_start))
    return Example(Document(_id(digest, split), text, meta), tuple(found), frozenset(gold.findings), SOURCE)


def _id(digest: str, split: Split) -> str:
    """An id from the text, of the wanted split by `split_of`."""
    assert split in SPLITS
    made = (f"review-{digest[:16]}" + (f"-{n}" if n else "") for n in count())
    return next(i for i in made if split_of(i) == split)


# --- what is gold


def _gold(connection: Connection, pack: Pack) -> dict[int, _Gold]:
    """What each reviewed document is gold for."""
    of_pack = select(reviews.c.student_id).join(documents, documents.c.id == reviews.c.document_id).where(documents.c.pack == pack.name).distinct()
    judged_together: list[tuple[float, int, list[Judged], list[Finding]]] = []
    for student_id in sorted(connection.execute(of_pack).scalars()):
        by_document: dict[int, list[Judged]] = defaultdict(list)
        for one in judged(connection, student_id):
            by_document[one.key.document_id].append(one)
        answers = _answers(connection, student_id, by_document)
        for document_id, looked_at in by_document.items():
            judged_together.append((max(at for one in looked_at for at in one.at.values()), document_id, looked_at, answers[document_id]))
    found: dict[int, _Gold] = defaultdict(_Gold)
    for _, document_id, looked_at, given in sorted(judged_together, key=lambda one: one[:2]):
        _add(found[document_id], pack, looked_at, given)
    for gold in found.values():
        _drop_unasked(pack, gold)
    return {document_id: gold for document_id, gold in found.items() if gold.findings}


def _answers(connection: Connection, student_id: str, document_ids: Iterable[int]) -> dict[int, list[Finding]]:
    """All findings of these documents by this student."""
    query = select(findings.c.document_id, *(findings.c[name] for name in _FIELDS)).where(findings.c.student_id == student_id)
    found: dict[int, list[Finding]] = defaultdict(list)
    for row in connection.execute(query.where(among(findings.c.document_id, "ids")), {"ids": listed(document_ids)}):
        values = {name: getattr(row, name) for name in _FIELDS}
        found[row.document_id].append(Finding(**values | {"unsure": bool(row.unsure)}))
    return found


def _add(gold: _Gold, pack: Pack, looked_at: Sequence[Judged], answers: Sequence[Finding]) -> None:
    """Adds what one student's judged findings make of a document to what was judged before."""
    for task in pack.annotated_tasks:
        if not (own := [one for one in looked_at if one.key.task == task.name]):
            continue
        given = [f for f in answers if f.task == task.name]
        if task.kind == "choice":
            _add_chosen(gold, task, own, given)
        elif (made := _whole(task, own, given)) is not None:
            gold.findings[task.name], gold.n_judged[task.name] = made
        if task.kind == "spans":
            moved = (one.key for one in own if not one.is_settled or one.outcome is None or one.outcome[1:] != (one.key.start, one.key.end))
            gold.dropped[task.name] = {(key.start, key.end) for key in moved}


def _add_chosen(gold: _Gold, task: Task, own: Sequence[Judged], given: Sequence[Finding]) -> None:
    """Adds the settled answers of a choice, each in place of what was said of its range before."""
    by_range: dict[tuple[int, int], list[Finding]] = defaultdict(list)
    for finding in _settled(task, own, given):
        by_range[finding.start, finding.end].append(finding)
    # two who added different answers to one range disagree
    chosen = [of[0] for of in by_range.values() if len({f.label for f in of}) == 1]
    ranges = {(f.start, f.end) for f in chosen}
    before = [f for f in gold.findings.get(task.name, []) if (f.start, f.end) not in ranges]
    if chosen or before:
        gold.findings[task.name] = [*before, *chosen]
        gold.n_judged[task.name] = len(gold.findings[task.name])


def _whole(task: Task, own: Sequence[Judged], given: Sequence[Finding]) -> tuple[list[Finding], int] | None:
    """Gold of tags, spans or pairs and how many of it were judged. None: something of the document is not known yet."""
    seen = {_place(one.key) for one in own}
    silver = [f for f in given if _place(f) not in seen]
    if any(f.unsure for f in silver) or not all(one.is_settled for one in own):
        return None
    sure = list(_settled(task, own, given))
    if task.kind == "spans":
        sure = _apart(sure)
        silver = [f for f in silver if not any(_overlap(f, other) for other in sure)]
    return [*sure, *(_as_gold(f) for f in silver)], len(sure)


def _settled(task: Task, own: Sequence[Judged], given: Sequence[Finding]) -> Iterator[Finding]:
    """The findings as reviewers hold them to be; one whose label the pack no longer has is left out. An accepted one keeps its value, number and unit."""
    answers = {_place(f): f for f in given}
    for one in own:
        if not one.is_settled or one.outcome is None or one.outcome[0] not in task.labels:
            continue
        label, start, end = one.outcome
        if one.is_kept and (answer := answers.get(_place(one.key))) is not None:
            yield _as_gold(answer)
        else:
            yield Finding(task.name, label, 1.0, start, end, other_start=one.key.other_start, other_end=one.key.other_end)


def _as_gold(finding: Finding) -> Finding:
    return replace(finding, score=1.0, source="student", unsure=False, page=None)


def _place(one: FindingKey | Finding) -> tuple[str, int, int, int, int]:
    return one.label, one.start, one.end, one.other_start, one.other_end


def _apart(found: Sequence[Finding]) -> list[Finding]:
    """The findings, of overlapping ones the longest: tags of words hold no overlap."""
    kept: list[Finding] = []
    for finding in sorted(found, key=lambda f: (f.start - f.end, f.start, f.label)):
        if not any(_overlap(finding, other) for other in kept):
            kept.append(finding)
    return kept


def _overlap(one: Finding, other: Finding) -> bool:
    return one.start < other.end and other.start < one.end


def _drop_unasked(pack: Pack, gold: _Gold) -> None:
    """Takes out answers about spans that reviewers do not hold to be there, and those whose spans are gold but not asked about."""
    for task in pack.annotated_tasks:
        if task.scope != "span" or task.name not in gold.findings:
            continue
        known = {name for name in task.of if name in gold.findings}
        asked = {(f.start, f.end) for name in known for f in gold.findings[name] if task.asks(f)}
        dropped = set().union(*(gold.dropped.get(name, ()) for name in task.of))
        kept = [f for f in gold.findings[task.name] if (f.start, f.end) in asked or ((f.start, f.end) not in dropped and known != set(task.of))]
        gold.n_judged[task.name] = len(kept)
        if kept:
            gold.findings[task.name] = kept
        else:
            del gold.findings[task.name], gold.n_judged[task.name]
