"""The real sets of the distillation table, each as a pack of its own, made in code.

A set's labels are read from its train split and sorted; the metric of a row is the task's own
(choice macro-F1, tags micro-F1, spans exact micro-F1).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.discover import Pack
from suites.types import Manifest


@dataclass(frozen=True)
class Set:
    """One set: its domain, the fields that answer its tasks, and the figure that its README cites."""

    name: str
    domain: str
    published: str
    kind: str = "choice"
    scope: str = "document"
    field: str = "label"
    group_by: str | None = None
    order_by: str | None = None

    @property
    def path(self) -> str:
        return f"{self.domain}/{self.name}"


SETS = {
    s.name: s
    for s in (
        Set("mtsamples_specialty", "clinical", "none comparable"),
        Set("nicta_piboso", "clinical", "HSLN weighted F1 84.7", scope="sentence", group_by="doc", order_by="order"),
        Set("medical_abstracts", "clinical", "none supervised"),
        Set("bc5cdr", "clinical", "BERT-base 91.2 chemical / 82.4 disease F1 (types trained apart; not re-checked)", kind="spans", field="spans"),
        Set("ncbi_disease", "clinical", "DistilBERT 83.7 (validation), BioBERT 87.7 (test)", kind="spans", field="spans"),
        Set("ade_ner", "clinical", "SpERT about 89 (10-fold; not re-checked)", kind="spans", field="spans"),
        Set("negex_context", "clinical", "GenNegEx rules: negation F1 95.6 (all 2,376 rows)", scope="span"),
        Set("email_phishing", "finance", "none"),
        Set("sms_smishing", "finance", "about 97.9 % accuracy (not re-checked)"),
        Set("financial_phrasebank", "finance", "FinBERT accuracy 86"),
        Set("banking77", "finance", "DistilBERT accuracy above 92 % (full train split)"),
        Set("finer_ord_ner", "finance", "none seen", kind="spans", field="spans"),
        Set("cfpb_complaints_5class", "finance", "zero-shot GPT-4o 73.6, o1 77.7 accuracy"),
        Set("environmental_claims", "environment", "DistilBERT 84.7 / 80.1 micro / macro F1 (earlier version)"),
        Set("climatex_ipcc_confidence", "environment", "GPT-4 few-shot accuracy 47.0"),
        Set("a3cg_aspect_action", "environment", "none seen", kind="tags", field="labels"),
        Set("measeval_quantities", "environment", "best overall F1 51.9 (another measure; not re-checked)", kind="spans", field="spans"),
    )
}


def set_pack(name: str, data_root: Path, folder: Path, student: Mapping[str, Any] | None = None) -> Pack:
    """A pack whose one data source is the set. `student` are keys of the manifest's [student]; `folder` is the pack's, see `empty_folder`."""
    return _pack(name, [SETS[name]], data_root, folder, student or {})


def domain_pack(domain: str, data_root: Path, folder: Path, student: Mapping[str, Any] | None = None) -> Pack:
    """A pack of all sets of a domain, one task each: what an encoder is distilled for."""
    return _pack(domain, [s for s in SETS.values() if s.domain == domain], data_root, folder, student or {})


def empty_folder(folder: Path) -> Path:
    """A pack's folder without samples of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples.jsonl").touch()
    (folder / "card.md").write_text("A pack made by the measurement of the distillation table.\n", encoding="utf-8")
    return folder


def _pack(name: str, sets: Sequence[Set], data_root: Path, folder: Path, student: Mapping[str, Any]) -> Pack:
    tasks: list[dict[str, Any]] = []
    sources = []
    for chosen in sets:
        labels = {label: re.sub(r"\W+", "_", label) for label in sorted(_found_labels(data_root / chosen.path / "train.jsonl.gz", chosen.field))}
        task = {"name": chosen.name, "kind": chosen.kind, "scope": chosen.scope, "question": f"What does {chosen.name} ask?", "labels": tuple(labels.values())}
        if chosen.scope == "span":  # asked of spans that another task would find; gold gives them
            task["of"] = f"{chosen.name}_of"
            tasks.append({"name": task["of"], "kind": "spans", "question": "Which concepts are asked about?", "labels": ("CONCEPT",)})
        tasks.append(task)
        sources.append(
            {
                "name": chosen.name,
                "path": chosen.path,
                "licence": "see the set's README",
                "group_by": chosen.group_by,
                "order_by": chosen.order_by,
                "maps": [{"task": chosen.name, "field": chosen.field, "labels": labels}],
            }
        )
    columns = [{"name": "n", "task": tasks[0]["name"], "show": "count", "description": "How many findings there are."}]
    about = {"name": name, "version": "1.0", "title": name, "description": f"The real sets {', '.join(s.name for s in sets)}."}
    manifest = Manifest.model_validate({**about, "student": dict(student), "task": tasks, "column": columns, "data": sources})
    return Pack(manifest, folder, "bench")


def _found_labels(path: Path, field: str) -> set[str]:
    return {label for row in rows_of(path) for label in _labels_of(row[field])}


def _labels_of(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(v["label"]) if isinstance(v, dict) else str(v) for v in values]


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
