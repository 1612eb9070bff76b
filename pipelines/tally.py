"""Counts of what was found in documents, without text: label shares, scores, lengths, unknown pieces, distances.

The same counts are made of the documents that a student was tried on (pipelines/reference.py) and of those that it reads
(the table `tallies`), so that the two can be compared (workers/drift.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from suites.discover import Pack
from suites.types import Finding

# (measure, bucket) -> how many
Tally = Counter[tuple[str, str]]
# measures of the text itself: each document counts once
OF_TEXT = ("length", "unknown", "distance")

DOCUMENTS = ("documents", "")
# the bucket of documents in which a task found nothing: no label is called so
NONE = "-"
NOTHING = "none found"
# scores are counted by twentieths, unknown pieces by percent, distances by tenths, lengths by half powers of two
SCORES = 20
MOST_UNKNOWN = 20
MOST_DISTANT = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """What the encoder saw of a document: its word pieces, those of them that it does not know, and how far the text lies from those it was tried on.

    `distance` is None where the student has no reference.
    """

    n_tokens: int
    n_unknown: int
    distance: float | None = None


def bucket_words(measure: str, bucket: str) -> str:
    """What a bucket, or several joined as `3-5`, counts, as people say it: `0.15 to 0.30`, `32 to 45`; labels are their own words."""
    kind = measure.partition(":")[0]
    first, dash, last = bucket.partition("-")
    if kind == "label":
        return NOTHING if bucket == NONE else bucket
    low, high = int(first), int(last if dash else first) + 1
    if kind == "score":
        return f"{low / SCORES:.2f} to {high / SCORES:.2f}"
    if kind == "length":
        return f"{2 ** (low / 2):,.0f} to {2 ** (high / 2):,.0f}"
    if kind == "unknown":
        return f"{low} % unknown" if high == low + 1 else f"{low} to {high - 1} % unknown"
    return f"distance {low / 10:.1f} to {high / 10:.1f}"


def tally(pack: Pack, findings: Sequence[Finding], seen: Seen | None, n_chars: int) -> Tally:
    """The counts of one document."""
    found: Tally = Counter({DOCUMENTS: 1, ("length", str(int(2 * log2(max(n_chars, 1))))): 1})
    there = set()
    for finding in findings:
        task = pack.tasks[finding.task]
        if task.answered_by == "share":  # parts of another answer
            continue
        there.add(task.name)
        found[f"label:{task.name}", finding.label] += 1
        if task.answered_by == "student" and finding.source == "student":
            found[f"score:{task.name}", str(min(int(finding.score * SCORES), SCORES - 1))] += 1
    for task in pack.manifest.task:
        if task.name not in there and task.answered_by != "share":
            found[f"label:{task.name}", NONE] += 1
    if seen is not None:
        percent = round(100 * seen.n_unknown / max(seen.n_tokens, 1))
        found["unknown", str(min(percent, MOST_UNKNOWN))] += 1
        if seen.distance is not None:
            found["distance", str(min(int(10 * seen.distance), MOST_DISTANT))] += 1
    return found
