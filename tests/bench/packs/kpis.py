"""Key figures on the OS-Climate rows: one question and one answer a paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.predict import Predictor
from suites.types import Document, Finding
from tests.bench.packs.scoring import Span
from tests.bench.sets import rows_of

PATH = "environment/os_climate_kpi/test.jsonl.gz"
# a method that a report states is more than the question asks
SCOPE_2 = ("SCOPE2_LOCATION_EMISSIONS", "SCOPE2_MARKET_EMISSIONS")


@dataclass(frozen=True, slots=True)
class KpiScore:
    """Of the questions: how many are answered, how many of these exactly as gold has it, or overlapping it.

    Only findings of the label that is asked for are judged: the rows say nothing of others.
    """

    n: int
    answered: int
    exact: int
    overlap: int
    found: int

    def row(self) -> dict[str, Any]:
        """The counts, and precision and recall of exact and overlapping answers; precision is over all findings of the label."""
        figures = {}
        for name, right in (("exact", self.exact), ("overlap", self.overlap)):
            figures[name] = {"precision": _ratio(right, self.found), "recall": _ratio(right, self.n), "f1": _ratio(2 * right, self.found + self.n)}
        return {"n": self.n, "answered": self.answered, "found": self.found, **figures}


def kpi_scores(predictor: Predictor, data_root: Path) -> dict[str, KpiScore]:
    """The scores by label, and of all together."""
    rows = list(rows_of(data_root / PATH))
    readings = list(predictor.predict(Document(str(i), row["text"]) for i, row in enumerate(rows)))
    asked = [Span(row["spans"][0]["start"], row["spans"][0]["end"], row["spans"][0]["label"]) for row in rows]
    answers = [[f for f in r.findings if f.task == "kpi" and _label(f) == gold.label] for r, gold in zip(readings, asked, strict=True)]
    labels = sorted({gold.label for gold in asked})
    chosen = {label: [i for i, gold in enumerate(asked) if gold.label == label] for label in labels} | {"all": list(range(len(asked)))}
    return {label: _score([asked[i] for i in places], [answers[i] for i in places]) for label, places in chosen.items()}


def _label(finding: Finding) -> str:
    return "SCOPE2_EMISSIONS" if finding.label in SCOPE_2 else finding.label


def _score(asked: Sequence[Span], answers: Sequence[Sequence[Finding]]) -> KpiScore:
    pairs = list(zip(asked, answers, strict=True))
    return KpiScore(
        n=len(pairs),
        answered=sum(bool(found) for _, found in pairs),
        exact=sum(any((f.start, f.end) == (gold.start, gold.end) for f in found) for gold, found in pairs),
        overlap=sum(any(f.start < gold.end and gold.start < f.end for f in found) for gold, found in pairs),
        found=sum(len(found) for found in answers),
    )


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
