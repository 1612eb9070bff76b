"""Pairs: every finding of one kind with every one of another in the same sentence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from suites.types import Finding, Task

Range = tuple[int, int]
# of the second kind so many before and after each of the first: a list of a thousand words is no sentence that relates them all
NEAREST = 20


def pairs(task: Task, findings: Sequence[Finding], sentences: Sequence[Range]) -> list[Finding]:
    """The pairs of a task of kind `pairs`, each as sure as the less sure of the two."""
    starts = [start for start, _ in sentences]
    firsts, seconds = ([f for f in findings if _is(f, reference)] for reference in task.of)
    by_sentence: dict[int, list[Finding]] = {}
    for finding in sorted(seconds, key=lambda f: f.start):
        by_sentence.setdefault(bisect_right(starts, finding.start), []).append(finding)
    made = []
    for first in firsts:
        others = by_sentence.get(bisect_right(starts, first.start), [])
        at = bisect_right(others, first.start, key=lambda o: o.start)
        made += [_pair(task, first, second) for second in others[max(0, at - NEAREST) : at + NEAREST] if second is not first]
    return made


def _is(finding: Finding, reference: str) -> bool:
    task, _, label = reference.partition("/")
    return finding.task == task and label in ("", finding.label)


def _pair(task: Task, first: Finding, second: Finding) -> Finding:
    weaker = min(first, second, key=lambda f: f.score)
    return Finding(
        task.name,
        task.labels[0],
        weaker.score,
        first.start,
        first.end,
        weaker.source,
        unsure=first.unsure or second.unsure,
        other_start=second.start,
        other_end=second.end,
    )
