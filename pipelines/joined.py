"""Findings of rules and of the student for one spans task, made one list without overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from suites.types import Finding


def joined(text: str, findings: Sequence[Finding]) -> list[Finding]:
    """All findings; of a task that both answer, where they overlap, the longest stays whole, the rule's of two equally long.

    Of the others what sticks out stays, if there is a letter or digit in it: nothing that either found is lost, which is what a
    task that finds what must be hidden lives by.
    """
    ruled, answered = ({f.task for f in findings if f.source == source and not f.other_end} for source in ("rule", "student"))
    # a choice may have both too, at ranges that are its own
    both = {f.task for f in findings if f.task in ruled & answered and f.start < f.end}
    made = [f for f in findings if f.task not in both]
    for task in sorted(both):
        made += _apart(text, [f for f in findings if f.task == task])
    return made


def _apart(text: str, findings: Sequence[Finding]) -> Iterator[Finding]:
    taken = bytearray(len(text))
    for finding in sorted(findings, key=lambda f: (f.start - f.end, f.source != "rule", f.start)):
        for start, end in _free(taken, finding.start, finding.end):
            if (start, end) == (finding.start, finding.end) or any(c.isalnum() for c in text[start:end]):
                yield finding if (start, end) == (finding.start, finding.end) else _trimmed(text, finding, start, end)
        taken[finding.start : finding.end] = b"\1" * (finding.end - finding.start)


def _free(taken: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges within [start, end) that nothing has taken."""
    while (begin := taken.find(0, start, end)) >= 0:
        stop = taken.find(1, begin, end)
        start = end if stop < 0 else stop
        yield begin, start


def _trimmed(text: str, finding: Finding, start: int, end: int) -> Finding:
    rest = text[start:end]
    start += len(rest) - len(rest.lstrip())
    return replace(finding, start=start, end=start + len(rest.strip()))
