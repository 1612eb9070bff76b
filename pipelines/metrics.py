"""How well findings agree with gold, per task: accuracy, macro- and micro-F1, exact span F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from suites.types import Finding, Task

# (document number, start, end): where an answer stands
Place = tuple[int, int, int]


class LabelScore(BaseModel):
    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    support: int


class TaskScore(BaseModel):
    """One task's scores, 0..1. `score` is the figure of merit that `measure` names.

    choice: macro-F1 over the labels that occur in gold; tags: micro-F1; spans: micro-F1 over
    exact ranges and labels. `majority` is what always giving the commonest answer would score.
    """

    model_config = ConfigDict(frozen=True)

    measure: str
    score: float
    majority: float
    accuracy: float | None
    n: int
    labels: dict[str, LabelScore]


def score_task(task: Task, gold: Sequence[Sequence[Finding]], found: Sequence[Sequence[Finding]], score_as: Mapping[str, str] | None = None) -> TaskScore:
    """Scores of one task over documents; `gold[i]` and `found[i]` are document i's findings.

    Predictions outside gold's places count against spans tasks alone: the other tasks are asked
    at gold's places. `score_as` renames labels on both sides first.
    """
    renamed = score_as or {}
    wanted = _answers(task, gold, renamed)
    given = _answers(task, found, renamed)
    if task.kind == "choice":
        return _score_choice(wanted, given)
    return _score_sets(task, wanted, given)


def _answers(task: Task, documents: Sequence[Sequence[Finding]], renamed: Mapping[str, str]) -> list[tuple[Place, str]]:
    return [((i, f.start, f.end), renamed.get(f.label, f.label)) for i, findings in enumerate(documents) for f in findings if f.task == task.name]


def _score_choice(wanted: list[tuple[Place, str]], given: list[tuple[Place, str]]) -> TaskScore:
    answered = dict(given)
    pairs = [(label, answered.get(place, "")) for place, label in wanted]
    labels = _label_scores(true=Counter(g for g, f in pairs if g == f), gold=Counter(g for g, _ in pairs), found=Counter(f for _, f in pairs if f))
    counts = Counter(g for g, _ in pairs)
    top_n = max(counts.values(), default=0)
    occurring = [labels[label].f1 for label in counts]
    majority_f1 = 2 * top_n / (len(pairs) + top_n) / len(counts) if counts else 0.0
    accuracy = sum(g == f for g, f in pairs) / len(pairs) if pairs else 0.0
    return TaskScore(measure="macro_f1", score=_mean(occurring), majority=majority_f1, accuracy=accuracy, n=len(pairs), labels=labels)


def _score_sets(task: Task, wanted: list[tuple[Place, str]], given: list[tuple[Place, str]]) -> TaskScore:
    gold, found = set(wanted), set(given)
    labels = _label_scores(
        true=Counter(label for _, label in gold & found), gold=Counter(label for _, label in gold), found=Counter(label for _, label in found)
    )
    micro = _f1(len(gold & found), len(gold), len(found))
    measure = "span_f1" if task.kind == "spans" else "micro_f1"
    return TaskScore(measure=measure, score=micro, majority=_majority_tags(task, gold), accuracy=None, n=len(gold), labels=labels)


def _majority_tags(task: Task, gold: set[tuple[Place, str]]) -> float:
    """Micro-F1 of giving the commonest tag everywhere gold gives one; no such answer exists for spans."""
    if task.kind == "spans" or not gold:
        return 0.0
    top_n = max(Counter(label for _, label in gold).values())
    return _f1(top_n, len(gold), len({place for place, _ in gold}))


def _label_scores(true: Counter[str], gold: Counter[str], found: Counter[str]) -> dict[str, LabelScore]:
    return {
        label: LabelScore(
            precision=true[label] / found[label] if found[label] else 0.0,
            recall=true[label] / gold[label] if gold[label] else 0.0,
            f1=_f1(true[label], gold[label], found[label]),
            support=gold[label],
        )
        for label in sorted(gold | found)
    }


def _f1(n_true: int, n_gold: int, n_found: int) -> float:
    return 2 * n_true / (n_gold + n_found) if n_gold + n_found else 0.0


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
