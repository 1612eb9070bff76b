"""Scores of students on held-out examples, source by source and task by task, and how far their scores can be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipelines.calibration_error import Bin, calibration_error, error_by_chance, reliability
from pipelines.examples import read_examples
from pipelines.form_score import FormScore, form_scores
from pipelines.heads import Head
from pipelines.metrics import N_RESAMPLES, TaskScore, score_majority, score_task, scored_answers
from pipelines.panel import Given
from pipelines.policy_score import PolicyScore, policy_score
from pipelines.predict import Predictor
from pipelines.progress import OnProgress, silent
from pipelines.student import Student
from suites.discover import Pack
from suites.errors import RunError
from suites.samples import Split
from suites.types import Document, Example, Finding, Task

# source -> task -> scores
Scores = dict[str, dict[str, TaskScore]]
# the findings of each document, in the examples' order
Found = Sequence[Sequence[Finding]]

# what can be scored, in the order in which it is shown. `plain` is the student of the same layers
# that no teacher taught, `compressed` the student itself on the engine `compressed_as`.
SYSTEMS = ("majority", "tfidf", "teacher", "plain", "student", "compressed")


class Calibration(BaseModel):
    """How far the scores of one task's answers are from the share that is right.

    `before` is the error of the same student without what was fitted on dev, `expected_by_chance`
    what scores that are exactly right show with so few answers.
    """

    model_config = ConfigDict(frozen=True)

    before: float | None
    after: float
    expected_by_chance: float
    n: int
    bins: tuple[Bin, ...]


class Evaluation(BaseModel):
    """metrics.json of a student.

    `systems` holds the scores of each system; those of `student` and `compressed` are of the
    student itself, those of `teacher` and `plain` the means over their `members`, whose scores one
    by one stand in `per_seed` (system -> source -> task), as do those of the student's other seeds.
    `gaps` says what the student was made from and was not there to be scored, a sentence each.
    `policy`: by source. `attacked`: the student's scores on disguised messages, attack -> source (`pipelines.attacks`), `plain` first.
    `forms`: of the student's findings whose number or value gold has, source -> task -> form.
    `compressed_as` names the engine of the compressed student. `size` is in parameters, `speed` in tokens a second on `machine`.
    """

    model_config = ConfigDict(frozen=True)

    student: str
    split: Split
    systems: dict[str, Scores]
    members: dict[str, list[str]] = Field(default_factory=dict)
    per_seed: dict[str, dict[str, dict[str, list[float]]]] = Field(default_factory=dict)
    calibration: dict[str, dict[str, Calibration]] = Field(default_factory=dict)
    compressed_as: str = ""
    size: dict[str, int] = Field(default_factory=dict)
    speed: dict[str, float] = Field(default_factory=dict)
    machine: str = ""
    policy: dict[str, PolicyScore] = Field(default_factory=dict)
    attacked: dict[str, dict[str, TaskScore]] = Field(default_factory=dict)
    forms: dict[str, dict[str, dict[str, FormScore]]] = Field(default_factory=dict)
    gaps: tuple[str, ...] = ()

    @property
    def scores(self) -> Scores:
        """The student's own."""
        return self.systems["student"]


def mean_scores(evaluation: Evaluation, tasks: Sequence[str]) -> tuple[dict[str, float], int]:
    """The mean score of each system over the tests of these tasks that all systems have, and how many these are."""
    tests = [
        (source, task)
        for source, by_task in evaluation.scores.items()
        for task in by_task
        if task in tasks and all(task in scores.get(source, {}) for scores in evaluation.systems.values())
    ]
    if not tests:
        return {}, 0
    return {system: sum(scores[s][t].score for s, t in tests) / len(tests) for system, scores in evaluation.systems.items()}, len(tests)


def evaluate(
    predictor: Predictor,
    student_id: str,
    split: Split = "test",
    *,
    data_root: Path | None = None,
    sources: Sequence[str] | None = None,
    compressed: tuple[Predictor, str] | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """A student's scores beside the majority answer, on one split of the samples and of every source under `data_root`.

    `compressed` is the same student on another engine, and that engine's name.
    """
    pack = predictor.pack
    examples = held_out(pack, split, data_root=data_root, sources=sources)
    found = findings(predictor, examples, on_progress)
    systems = {"majority": majority_scores(pack, examples), "student": score_found(pack, examples, found, n_resamples=N_RESAMPLES)}
    if compressed is not None:
        systems["compressed"] = score_found(pack, examples, findings(compressed[0], examples, on_progress, "compressed"), n_resamples=N_RESAMPLES)
    return Evaluation(
        student=student_id,
        split=split,
        systems=systems,
        members={"student": [student_id]},
        calibration=calibrations(pack, examples, found),
        compressed_as=compressed[1] if compressed else "",
    )


def held_out(pack: Pack, split: Split, *, data_root: Path | None = None, sources: Sequence[str] | None = None) -> list[Example]:
    """The examples to score on. Raises RunError where there are none: no other split takes their place."""
    examples = read_examples(pack, split, data_root=data_root, sources=sources)
    if not examples:
        raise RunError(f"Pack {pack.name!r} has no {split} examples in {', '.join(sources or ['samples'])}.")
    return examples


def score(predictor: Predictor, examples: Sequence[Example], on_progress: OnProgress = silent) -> Scores:
    """Scores of the examples by source, without intervals."""
    return score_found(predictor.pack, examples, findings(predictor, examples, on_progress))


def findings(predictor: Predictor, examples: Sequence[Example], on_progress: OnProgress = silent, what: str = "evaluate") -> Found:
    """The findings of each example. Sentences and span-scoped tasks are asked at gold's ranges."""
    # number the documents: ids need not be unique across sources
    documents = [Document(str(i), e.document.text, e.document.meta) for i, e in enumerate(examples)]
    given = {str(i): given_of(predictor.pack, e) for i, e in enumerate(examples)}
    found: list[Sequence[Finding]] = []
    for reading in predictor.predict(documents, given):
        if reading.failed:
            example = examples[int(reading.document_id)]
            raise RunError(f"{example.source}/{example.document.id}: {reading.stage}: {reading.code}: {reading.reason}")
        found.append(reading.findings)
        on_progress(what, len(found), len(examples))
    return found


def score_found(pack: Pack, examples: Sequence[Example], *found: Found, n_resamples: int = 0) -> Scores:
    """Scores of findings against the examples' gold, by source; of several students' findings the means of their scores."""
    scores: Scores = defaultdict(dict)
    for source, task, places, score_as in _questions(pack, examples):
        gold = [examples[i].gold for i in places]
        scores[source][task.name] = score_task(task, gold, *([f[i] for i in places] for f in found), score_as=score_as, n_resamples=n_resamples)
    return dict(scores)


def policy_scores(pack: Pack, examples: Sequence[Example], found: Found) -> dict[str, PolicyScore]:
    """What the pack's policy costs, by source; nothing without one."""
    policy = pack.manifest.policy
    made: dict[str, PolicyScore] = {}
    for source, task, places, _ in _questions(pack, examples):
        if policy is not None and task.name == policy.of:
            gold = [next(f.label for f in examples[i].gold if f.task == policy.of) for i in places]
            score = policy_score(policy, pack.tasks[policy.task], gold, [found[i] for i in places])
            made |= {source: score} if score is not None else {}
    return made


def all_form_scores(pack: Pack, examples: Sequence[Example], found: Found) -> dict[str, dict[str, dict[str, FormScore]]]:
    """How often numbers and values are right, source -> task -> form, where gold has any."""
    made: dict[str, dict[str, dict[str, FormScore]]] = defaultdict(dict)
    for source, task, places, _ in _questions(pack, examples):
        if scores := form_scores(task, [examples[i].gold for i in places], [found[i] for i in places]):
            made[source][task.name] = scores
    return dict(made)


def majority_scores(pack: Pack, examples: Sequence[Example], n_resamples: int = N_RESAMPLES) -> Scores:
    """Scores of always giving the commonest answer, by source."""
    scores: Scores = defaultdict(dict)
    for source, task, places, score_as in _questions(pack, examples):
        scores[source][task.name] = score_majority(task, [examples[i].gold for i in places], score_as, n_resamples)
    return dict(scores)


def calibrations(pack: Pack, examples: Sequence[Example], found: Found, raw: Found | None = None) -> dict[str, dict[str, Calibration]]:
    """How far scores can be trusted, source -> task, where the student gave any. `raw` are the findings of its raw heads."""
    made: dict[str, dict[str, Calibration]] = defaultdict(dict)
    for source, task, places, score_as in _questions(pack, examples):
        gold = [examples[i].gold for i in places]
        scores, right = scored_answers(task, gold, [found[i] for i in places], score_as)
        bins = reliability(scores, right)
        after = calibration_error(bins)
        if after is None:
            continue
        before = None if raw is None else calibration_error(reliability(*scored_answers(task, gold, [raw[i] for i in places], score_as)))
        made[source][task.name] = Calibration(before=before, after=after, expected_by_chance=error_by_chance(scores), n=len(scores), bins=tuple(bins))
    return dict(made)


def raw(student: Student) -> Student:
    """The student with scores that nothing was fitted to: its heads' logits as they are; lexicon, transitions and cues, which choose answers, stay."""
    return replace(student, heads=tuple(Head(h.task, h.weight, h.bias, lexicon=h.lexicon, transitions=h.transitions, cues=h.cues) for h in student.heads))


def given_of(pack: Pack, example: Example) -> Given:
    """Gold's sentence ranges and the spans that span-scoped tasks are asked of."""
    sentence_tasks = {t.name for t in pack.manifest.task if t.scope == "sentence"}
    sentences = sorted({(f.start, f.end) for f in example.gold if f.task in sentence_tasks})
    spans = {t.name: [f for f in example.gold if f.task == t.name] for t in pack.manifest.task if t.scope == "span" and t.name in example.tasks}
    return Given(sentences or None, spans or None)


def _questions(pack: Pack, examples: Sequence[Example]) -> Iterator[tuple[str, Task, list[int], Mapping[str, str]]]:
    """For each source and task: the examples that annotate it, and the labels that count as others there."""
    score_as: dict[str, Mapping[str, str]] = {d.name: d.score_as for d in pack.manifest.data}
    by_source: dict[str, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        by_source[example.source].append(i)
    for source, places in by_source.items():
        for task in pack.manifest.task:
            if asked := [i for i in places if task.name in examples[i].tasks]:
                yield source, task, asked, score_as.get(source, {})
