"""Findings of rules and of the student for one spans task, made one list without overlap."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipelines.heads import LIKELY
from suites.types import Finding, Task


def joined(text: str, findings: Sequence[Finding], tasks: Mapping[str, Task]) -> list[Finding]:
    """All findings; of a spans task that both answer, where they overlap, the rule's stays whole, or the student's around it if it is sure of more.

    Of the others what sticks out stays, if there is a letter or digit in it: no place that either found is lost, which is what a
    task that finds what must be hidden lives by. Of a choice that both answer at one range the rule's answer stays.
    """
    ruled, answered = ({f.task for f in findings if f.source == source} for source in ("rule", "student"))
    spans, choices = ({name for name in ruled & answered if name in tasks and tasks[name].kind == kind} for kind in ("spans", "choice"))
    told = {(f.task, f.start, f.end) for f in findings if f.task in choices and f.source == "rule"}
    made = [f for f in findings if f.task not in spans and (f.source == "rule" or (f.task, f.start, f.end) not in told)]
    for task in sorted(spans):
        made += _apart(text, [f for f in findings if f.task == task])
    return made


def _apart(text: str, findings: Sequence[Finding]) -> Iterator[Finding]:
    taken = bytearray(len(text))
    for finding in _by_precedence(findings):
        for start, end in _free(taken, finding.start, finding.end):
            if (start, end) == (finding.start, finding.end) or any(c.isalnum() for c in text[start:end]):
                yield finding if (start, end) == (finding.start, finding.end) else _trimmed(text, finding, start, end)
        taken[finding.start : finding.end] = b"\1" * (finding.end - finding.start)


def _by_precedence(findings: Sequence[Finding]) -> list[Finding]:
    """Rules first: what they say of their range is exact. A rule's finding inside a longer one of the same label that the student is sure of comes last."""
    sure = sorted((f for f in findings if f.source == "student" and f.score >= LIKELY), key=lambda f: f.start)
    starts = [f.start for f in sure]

    def rank(finding: Finding) -> int:
        if finding.source == "student":
            return 1
        around = sure[max(0, bisect_right(starts, finding.start) - 1) :][:1]
        longer = [f for f in around if f.end - f.start > finding.end - finding.start]
        return 2 if any(f.label == finding.label and f.start <= finding.start and finding.end <= f.end for f in longer) else 0

    return sorted(findings, key=lambda f: (rank(f), f.start - f.end, f.start))


def _free(taken: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges within [start, end) that nothing has taken."""
    while (begin := taken.find(0, start, end)) >= 0:
        stop = taken.find(1, begin, end)
        start = end if stop < 0 else stop
        yield begin, start


def _trimmed(text: str, finding: Finding, start: int, end: int) -> Finding:
    # its normalised forms are the whole's, and marks at its ends nobody's
    while not text[start].isalnum():
        start += 1
    while not text[end - 1].isalnum():
        end -= 1
    return replace(finding, start=start, end=end, value=None, number=None, unit=None)
