"""A pack's policy: the outcome of least expected cost by the chances of a document's labels, bounded by what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.encode import Floats
from suites.types import Finding, Policy, Task


def costs(policy: Policy, task: Task, of: Task) -> Floats:
    """What each outcome costs where a label is true. Shape: (n_labels, n_outcomes)."""
    return np.asarray([[policy.cost[label][outcome] for outcome in task.labels] for label in of.labels if label in policy.cost], np.float32)


def decide(policy: Policy, task: Task, of: Task, chances: Floats, findings: Sequence[Finding], n_chars: int) -> Finding:
    """The outcome for a document, over its whole text. Shape of chances: (n_labels,).

    It is decided, not guessed: its score is 1. Decided by a rule, it has the source `rule` and `value` names the finding that the rule is
    about. `number` is the risk: what the mildest outcome is expected to cost, by which documents can be ranked.
    """
    table = costs(policy, task, of)[: len(chances)]  # labels appended since are not the student's
    # a sum, not a product of matrices: as many documents as are asked at once, the last digit is the same
    expected = (chances[:, None] * table).sum(axis=0)
    chosen = int(expected.argmin())
    there = {f"{f.task}/{f.label}" for f in findings} | {f.task for f in findings}
    because = None
    for rule in sorted(policy.rule, key=lambda r: r.at_most is not None):
        if rule.finding in there:
            bound = task.labels.index(str(rule.at_least or rule.at_most))
            if (rule.at_least and chosen < bound) or (rule.at_most and chosen > bound):
                chosen, because = bound, rule.finding
    risk = round(float(expected[0]), 4)
    return Finding(task.name, task.labels[chosen], 1.0, 0, n_chars, "rule" if because else "student", value=because, number=risk)
