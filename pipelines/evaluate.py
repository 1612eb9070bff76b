"""A student scored on held-out examples, source by source and task by task, beside simple baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.examples import read_examples
from pipelines.metrics import TaskScore, score_task
from pipelines.predict import Given, Predictor
from pipelines.progress import OnProgress, silent
from suites.discover import Pack
from suites.errors import RunError
from suites.samples import Split
from suites.types import Document, Example, Finding

# source -> task -> scores
Scores = dict[str, dict[str, TaskScore]]


class Evaluation(BaseModel):
    """metrics.json of a student."""

    model_config = ConfigDict(frozen=True)

    student: str
    split: Split
    scores: Scores


def evaluate(
    predictor: Predictor,
    student_id: str,
    split: Split = "test",
    *,
    data_root: Path | None = None,
    sources: Sequence[str] | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Scores on one split of the samples and of every source under `data_root`."""
    examples = read_examples(predictor.pack, split, data_root=data_root, sources=sources)
    if not examples:
        raise RunError(f"Pack {predictor.pack.name!r} has no {split} examples in {', '.join(sources or ['samples'])}.")
    return Evaluation(student=student_id, split=split, scores=score(predictor, examples, on_progress=on_progress))


def score(predictor: Predictor, examples: Sequence[Example], on_progress: OnProgress = silent) -> Scores:
    """Scores of the examples by source. Sentences and span-scoped tasks are asked at gold's ranges."""
    # number the documents: ids need not be unique across sources
    documents = [Document(str(i), e.document.text, e.document.meta) for i, e in enumerate(examples)]
    given = {str(i): given_of(predictor.pack, e) for i, e in enumerate(examples)}
    found: list[Sequence[Finding]] = []
    for reading in predictor.predict(documents, given):
        if reading.failed:
            example = examples[int(reading.document_id)]
            raise RunError(f"{example.source}/{example.document.id}: {reading.stage}: {reading.code}: {reading.reason}")
        found.append(reading.findings)
        on_progress("evaluate", len(found), len(examples))
    return score_found(predictor.pack, examples, found)


def score_found(pack: Pack, examples: Sequence[Example], found: Sequence[Sequence[Finding]]) -> Scores:
    """Scores of findings against the examples' gold, by source."""
    score_as: dict[str, Mapping[str, str]] = {d.name: d.score_as for d in pack.manifest.data}
    by_source: dict[str, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        by_source[example.source].append(i)
    scores: Scores = {}
    for source, places in by_source.items():
        scores[source] = {}
        for task in pack.manifest.task:
            asked = [i for i in places if task.name in examples[i].tasks]
            if asked:
                scores[source][task.name] = score_task(task, [examples[i].gold for i in asked], [found[i] for i in asked], score_as.get(source))
    return scores


def given_of(pack: Pack, example: Example) -> Given:
    """Gold's sentence ranges and the spans that span-scoped tasks are asked of."""
    sentence_tasks = {t.name for t in pack.manifest.task if t.scope == "sentence"}
    sentences = sorted({(f.start, f.end) for f in example.gold if f.task in sentence_tasks})
    spans = {t.name: [f for f in example.gold if f.task == t.name] for t in pack.manifest.task if t.scope == "span" and t.name in example.tasks}
    return Given(sentences or None, spans or None)
