"""What our own students find, in the form in which the peers' findings are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.panel import Given
from pipelines.predict import Predictor
from suites.types import Document, Finding
from tests.bench.packs.gold import Concept, Marked

FLAGS = ("negated", "historical", "family", "hypothetical", "uncertain")


def assertions(predictor: Predictor, gold: Sequence[Concept]) -> list[dict[str, Any]]:
    """Of each marked concept which of ConText's names it is given."""
    documents = [Document(str(i), concept.text) for i, concept in enumerate(gold)]
    spans = [[Finding("mentions", "PROBLEM", 1.0, concept.start, concept.end)] for concept in gold]
    given = {d.id: Given(spans={"assertion": own}) for d, own in zip(documents, spans, strict=True)}
    rows = []
    for concept, reading in zip(gold, predictor.predict(documents, given), strict=True):
        labels = {f.label for f in reading.findings if f.task == "assertion" and (f.start, f.end) == (concept.start, concept.end)}
        rows.append({"id": concept.id} | {flag: flag in labels for flag in FLAGS})
    return rows


def spans(predictor: Predictor, gold: Sequence[Marked], task: str) -> list[dict[str, Any]]:
    """Of each text the ranges of one task."""
    documents = [Document(str(i), marked.text) for i, marked in enumerate(gold)]
    return [
        {"id": marked.id, "spans": [{"start": f.start, "end": f.end, "label": f.label} for f in reading.findings if f.task == task]}
        for marked, reading in zip(gold, predictor.predict(documents), strict=True)
    ]
