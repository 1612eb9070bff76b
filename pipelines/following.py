"""What follows from a document's findings: pairs, the policy's outcome, and each finding's page."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.encode import Floats
from pipelines.heads import Range
from pipelines.pairs import pairs
from pipelines.policy import decide
from suites.discover import Pack
from suites.types import PAGE_END, Finding


def following(pack: Pack, findings: Sequence[Finding], sentences: Sequence[Range], chances: Mapping[str, Floats], n_chars: int) -> list[Finding]:
    """The findings, and those of the pack's pairs tasks and of its policy. `chances` are of each choice of the document."""
    made = list(findings)
    for task in pack.manifest.task:
        if task.kind == "pairs":
            made += pairs(task, findings, sentences)
    policy = pack.manifest.policy
    if policy is not None and policy.of in chances:
        made.append(decide(policy, pack.tasks[policy.task], pack.tasks[policy.of], chances[policy.of], made, n_chars))
    return made


def paged(text: str, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings with their pages, counted from 1, where the text has pages."""
    ends = [i for i, c in enumerate(text) if c == PAGE_END] if PAGE_END in text else []
    return tuple(replace(f, page=1 + bisect_left(ends, f.start)) for f in findings) if ends else tuple(findings)
