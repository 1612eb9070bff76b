"""What a reviewer decides about a finding, checked and stored; and taken back.

The row in `reviews` says who decided what and when. The audit has one row a sitting (`begin`), not one a key press: its chain has one writer at a
time, who waits for all others, and would say nothing that the row does not. Which texts were opened stands in it one by one (`view`).
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects import postgresql, sqlite

from suites.discover import Pack
from suites.errors import StoreError, UsageError, unknown
from suites.types import Task
from workers.audit import record
from workers.reviews.judged import ACCEPTED, ADDED, CORRECTED, VERDICTS
from workers.reviews.key import FindingKey, is_at, key_of
from workers.store import writable
from workers.tables import documents, findings, now_s, readings, reviews

REVIEWER_CHARS = 80
_MAY_REVIEW = text("SELECT has_table_privilege('texts', 'SELECT') AND has_table_privilege('reviews', 'INSERT')")


class Said(NamedTuple):
    """A decision: its verdict, and of a correction what is right."""

    verdict: str
    new_label: str | None = None
    new_start: int | None = None
    new_end: int | None = None


def begin(connection: Connection, pack: Pack, student_id: str, reviewer: str) -> None:
    """Records that a reviewer sits down: once a sitting, before its first decision.

    Raises UsageError for a name that cannot be kept, StoreError where the login is no reviewer's.
    """
    writable(connection)
    if connection.dialect.name == "postgresql" and not connection.execute(_MAY_REVIEW).scalar_one():
        raise StoreError("This login may not review: that takes the right to read texts and to write reviews, which the role reviewer has.", "store_42501")
    record(connection, "review", f"pack {pack.name}", {"student": student_id, "reviewer": checked_name(reviewer)})


def checked_name(reviewer: str) -> str:
    """A reviewer's name. Raises UsageError for one that is empty, too long or cannot be shown."""
    if not reviewer.strip() or len(reviewer) > REVIEWER_CHARS or not reviewer.isprintable():
        raise UsageError(f"The reviewer's name has {len(reviewer)} characters. Expected 1 to {REVIEWER_CHARS} that can be shown.", "bad_reviewer")
    return reviewer


def decide(
    connection: Connection,
    pack: Pack,
    key: FindingKey,
    reviewer: str,
    verdict: str,
    *,
    new_label: str | None = None,
    new_start: int | None = None,
    new_end: int | None = None,
) -> Said | None:
    """Stores what a reviewer says of a finding; their former decision about it is replaced, and given back.

    `accept`: it is right. `correct`: it has another label of the task (`new_label`), another range (`new_start`, `new_end`; of spans), or both.
    `reject`: it is wrong, and what is right is not said. `add`: the student missed what `key` says. Raises UsageError for what the pack, the document
    or the finding does not allow.
    """
    task = _checked_task(pack, key, verdict)
    n_chars = _n_chars(connection, pack, key)
    if verdict == ADDED:
        _check_addition(connection, task, key, n_chars)
    elif not _is_there(connection, key):
        raise UsageError(f"{_told(key)} is no finding of {key.student_id}. It may have been erased, or read anew.", "no_finding")
    if verdict == CORRECTED:
        _check_correction(task, key, new_label, new_start, new_end, n_chars)
    elif (new_label, new_start, new_end) != (None, None, None):
        raise UsageError(f"A new label or range goes with {CORRECTED!r}, not with {verdict!r}.", "bad_verdict")
    former = said_of(connection, key, reviewer)
    put(connection, key, checked_name(reviewer), Said(verdict, new_label, new_start, new_end))
    return former


def said_of(connection: Connection, key: FindingKey, reviewer: str) -> Said | None:
    """What this reviewer has decided about a finding."""
    row = connection.execute(select(*(reviews.c[name] for name in Said._fields)).where(is_at(reviews, key), reviews.c.reviewer == reviewer)).first()
    return None if row is None else Said(*row)


def other_labels(task: Task, label: str) -> list[str]:
    """The labels that a finding of a task may be corrected to."""
    return [other for other in task.labels if other != label]


def addable_tasks(pack: Pack) -> list[Task]:
    """The tasks of which a reviewer may say that the student missed something."""
    return [task for task in pack.annotated_tasks if _takes_additions(task)]


def _takes_additions(task: Task) -> bool:
    # pairs follow from their ranges, and a choice has an answer wherever it is asked, but of spans that were missed
    return task.kind in ("spans", "tags") or (task.kind == "choice" and task.scope == "span")


def undo(connection: Connection, student_id: str, reviewer: str, key: FindingKey | None = None) -> FindingKey | None:
    """Takes back the reviewer's last decision about this student's findings, or that about one of them; gives the finding. None: there is none."""
    theirs = select(reviews).where(reviews.c.student_id == student_id, reviews.c.reviewer == reviewer)
    if key is not None:
        theirs = theirs.where(is_at(reviews, key))
    row = connection.execute(theirs.order_by(reviews.c.reviewed_at.desc(), reviews.c.id.desc()).limit(1)).first()
    if row is None:
        return None
    connection.execute(delete(reviews).where(reviews.c.id == row.id))
    return key_of(row)


def put(connection: Connection, key: FindingKey, reviewer: str, said: Said) -> None:
    """Stores a decision that was checked, in place of a former one."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    values = {**said._asdict(), "reviewed_at": now_s()}
    made = dialect.insert(reviews).values(**key._asdict(), reviewer=reviewer, **values)
    connection.execute(made.on_conflict_do_update(index_elements=[*FindingKey._fields, "reviewer"], set_=values))


def _told(key: FindingKey) -> str:
    return f"{key.task}/{key.label} at {key.start}..{key.end} of document {key.document_id}"


def _checked_task(pack: Pack, key: FindingKey, verdict: str) -> Task:
    if verdict not in VERDICTS:
        raise UsageError(unknown("verdict", verdict, VERDICTS), "bad_verdict")
    task = next((t for t in pack.annotated_tasks if t.name == key.task), None)
    if task is None:
        raise UsageError(unknown("task to review", key.task, [t.name for t in pack.annotated_tasks]))
    return task


def _n_chars(connection: Connection, pack: Pack, key: FindingKey) -> int:
    """The document's length, from which offsets are judged."""
    of = select(documents.c.n_chars).join(readings, readings.c.document_id == documents.c.id)
    found = connection.execute(of.where(documents.c.id == key.document_id, documents.c.pack == pack.name, readings.c.student_id == key.student_id)).scalar()
    if found is None:
        raise UsageError(f"{key.student_id} has read no document {key.document_id} of pack {pack.name!r}. It may have been erased.", "no_document")
    return int(found)


def _is_there(connection: Connection, key: FindingKey) -> bool:
    """Whether the student gave it, or a reviewer added it."""
    given = select(findings.c.id).where(is_at(findings, key))
    added = select(reviews.c.id).where(is_at(reviews, key), reviews.c.verdict == ADDED)
    return any(connection.execute(query.limit(1)).first() is not None for query in (given, added))


def _check_correction(task: Task, key: FindingKey, label: str | None, start: int | None, end: int | None, n_chars: int) -> None:
    if label is not None and label not in task.labels:
        raise UsageError(f"Task {task.name!r}: {unknown('label', label, task.labels)}", "bad_label")
    if (start is None) != (end is None):
        raise UsageError("A range is corrected by its start and its end: give both.", "bad_range")
    if start is not None and end is not None:
        if task.kind != "spans":
            raise UsageError(f"Task {task.name!r} is asked of given ranges: only its label can be corrected. Reject what is no such place.", "bad_range")
        _check_range(start, end, n_chars)
    if (label or key.label, key.start if start is None else start, key.end if end is None else end) == (key.label, key.start, key.end):
        raise UsageError(f"A correction says another label or range than {_told(key)} has; what is right is accepted.", "no_change")


def _check_addition(connection: Connection, task: Task, key: FindingKey, n_chars: int) -> None:
    if key.label not in task.labels:
        raise UsageError(f"Task {task.name!r}: {unknown('label', key.label, task.labels)}", "bad_label")
    if not _takes_additions(task):
        why = "pairs follow from the ranges that they join" if task.kind == "pairs" else f"every {task.scope} has an answer: correct that one"
        raise UsageError(f"Nothing can be added to task {task.name!r}: {why}.", "bad_verdict")
    if task.kind == "tags" and (key.start, key.end) != (0, n_chars):
        raise UsageError(f"Task {task.name!r} is asked of the document: its range is 0..{n_chars}, not {key.start}..{key.end}.", "bad_range")
    if key.other_start or key.other_end:
        raise UsageError(f"Task {task.name!r} has one range, no second one.", "bad_range")
    _check_range(key.start, key.end, n_chars)
    of_task = (findings.c.document_id == key.document_id, findings.c.student_id == key.student_id, findings.c.task == key.task)
    here = select(findings.c.label).where(*of_task, findings.c.start == key.start, findings.c.end == key.end)
    if any(task.kind == "choice" or label == key.label for label in connection.execute(here).scalars()):
        raise UsageError(f"{key.student_id} answers {key.task} at {key.start}..{key.end} itself: {ACCEPTED} or {CORRECTED} that finding.", "no_change")


def _check_range(start: int, end: int, n_chars: int) -> None:
    if not 0 <= start < end <= n_chars:
        reason = f"range {start}..{end} is empty or outside the document of {n_chars} characters"
        raise UsageError(f"{reason[0].upper()}{reason[1:]}. Count code points from 0, end excluded.", "bad_range")
