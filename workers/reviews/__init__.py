"""The review loop: what waits for a person, what they decide, how far they agree, and the gold that comes of it."""

from __future__ import annotations

from workers.reviews.decisions import addable_tasks, begin, decide, other_labels, undo
from workers.reviews.gold import SOURCE, Reviewed, reviewed_examples, row_of
from workers.reviews.judged import VERDICTS
from workers.reviews.key import FindingKey
from workers.reviews.standing import Progress, progress
from workers.reviews.texts import stored_texts
from workers.reviews.waiting import Waiting, primary, queue

__all__ = [
    "SOURCE",
    "VERDICTS",
    "FindingKey",
    "Progress",
    "Reviewed",
    "Waiting",
    "addable_tasks",
    "begin",
    "decide",
    "other_labels",
    "primary",
    "progress",
    "queue",
    "reviewed_examples",
    "row_of",
    "stored_texts",
    "undo",
]
