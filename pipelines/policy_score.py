"""What a policy costs on labelled documents, and how many of the riskiest are rightly there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from suites.types import Finding, Policy, Task

# an analyst's first looks
RANKS = (10, 50, 100)


class PolicyScore(BaseModel):
    """A policy on the documents of one source.

    `cost_per_1000`: what its outcomes cost by gold. `constant_per_1000`: what giving one outcome to all would. `outcomes`: how often each
    is given. `precision_at`: of so many documents of the greatest risk the share that are hostile, that is, whose label makes
    another outcome than the mildest the cheapest. `base_rate`: the share among all.
    """

    model_config = ConfigDict(frozen=True)

    n: int
    cost_per_1000: float
    constant_per_1000: dict[str, float]
    outcomes: dict[str, int]
    precision_at: dict[int, float]
    base_rate: float


def policy_score(policy: Policy, task: Task, gold: Sequence[str], found: Sequence[Sequence[Finding]]) -> PolicyScore | None:
    """The policy's score; `gold[i]` is document i's label, `found[i]` its findings. None without documents."""
    decided = [next((f for f in findings if f.task == policy.task), None) for findings in found]
    pairs = [(label, finding) for label, finding in zip(gold, decided, strict=True) if finding is not None]
    if not pairs:
        return None
    risks = np.array([finding.number or 0.0 for _, finding in pairs])
    hostile = np.array([_hostile(policy.cost[label], task) for label, _ in pairs])
    order = np.argsort(-risks, kind="stable")
    return PolicyScore(
        n=len(pairs),
        cost_per_1000=_per_1000([policy.cost[label][finding.label] for label, finding in pairs]),
        constant_per_1000={outcome: _per_1000([policy.cost[label][outcome] for label, _ in pairs]) for outcome in task.labels},
        outcomes=dict(Counter(finding.label for _, finding in pairs)),
        precision_at={k: round(float(hostile[order[:k]].mean()), 4) for k in RANKS if k <= len(pairs)},
        base_rate=round(float(hostile.mean()), 4),
    )


def _hostile(costs: Mapping[str, float], task: Task) -> bool:
    return min(task.labels, key=lambda outcome: costs[outcome]) != task.labels[0]


def _per_1000(costs: Sequence[float]) -> float:
    return round(1000 * float(np.mean(costs)), 2)
