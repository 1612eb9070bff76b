"""How often not only the place of a finding is right, but what was made of it: its number and unit, and its value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from suites.types import Finding, Task

FORMS = ("number", "value")


class FormScore(BaseModel):
    """One form of one task's findings: of those found, and of those that gold has with this form, the share with the right place, label and form."""

    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    n_gold: int
    n_found: int


def form_scores(task: Task, gold: Sequence[Sequence[Finding]], found: Sequence[Sequence[Finding]]) -> dict[str, FormScore]:
    """The scores of the forms that gold has; `number` is right with its unit."""
    made = {}
    for form in FORMS:
        wanted = [{_key(f): f for f in own if f.task == task.name and getattr(f, form) is not None} for own in gold]
        # what gold has without this form is not judged: samples need not state it
        silent = [{_key(f) for f in own if f.task == task.name and getattr(f, form) is None} for own in gold]
        given = [
            {_key(f): f for f in own if f.task == task.name and getattr(f, form) is not None and _key(f) not in unsaid}
            for own, unsaid in zip(found, silent, strict=True)
        ]
        n_gold, n_found = sum(map(len, wanted)), sum(map(len, given))
        if n_gold:
            n_right = sum(key in theirs and _same(form, ours, theirs[key]) for mine, theirs in zip(wanted, given, strict=True) for key, ours in mine.items())
            made[form] = FormScore(
                precision=n_right / n_found if n_found else 0.0,
                recall=n_right / n_gold,
                f1=2 * n_right / (n_gold + n_found),
                n_gold=n_gold,
                n_found=n_found,
            )
    return made


def _key(finding: Finding) -> tuple[str, int, int]:
    return finding.label, finding.start, finding.end


def _same(form: str, gold: Finding, found: Finding) -> bool:
    if form == "value":
        return gold.value == found.value
    return math.isclose(gold.number or 0.0, found.number or 0.0, rel_tol=1e-6, abs_tol=1e-9) and gold.unit == found.unit
