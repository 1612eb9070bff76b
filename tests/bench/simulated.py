"""A simulated student and documents for it: they cost next to nothing, so what is measured is all that lies around a student."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.predict import Reading
from suites.types import Document, Finding

STUDENT = "finance-000000000000"
# readings that differ are made once: making ten findings takes longer than storing them should
N_READINGS = 64
_WORDS = ("account", "please", "verify", "your", "bank", "transfer", "of", "invoice", "number", "urgent", "delivery", "fee", "confirm", "a", "prize", "link")
# the findings of a finance message, as the pack's student gives them: an answer, what two sentences ask, parties, amounts, links
_FOUND = (
    ("verdict", "phishing", 0, 110, None, None, None),
    ("asks", "pay", 0, 52, None, None, None),
    ("asks", "click", 53, 110, None, None, None),
    ("parties", "organisation", 4, 17, "first national", None, None),
    ("parties", "organisation", 60, 71, "parcel post", None, None),
    ("parties", "person", 20, 26, None, None, None),
    ("facts", "amount", 28, 35, "1,250.00 EUR", 1250.0, "EUR"),
    ("facts", "amount", 73, 80, "12.50 USD", 12.5, "USD"),
    ("facts", "link", 82, 104, "parcel.example", None, None),
    ("facts", "phone", 105, 110, "+491510000", None, None),
)


class SimulatedStudent:
    """Reads as a `Predictor` does, ten findings a document, after `cost_s` seconds of one core a document."""

    cache = None

    def __init__(self, cost_s: float = 0.0) -> None:
        self._cost_s = cost_s
        drawn = random.Random(1)
        self._findings = [tuple(_finding(row, drawn.random()) for row in _FOUND) for _ in range(N_READINGS)]

    def predict(
        self, documents: Sequence[Document], given: Mapping[str, object] | None = None, on_batch: Callable[[], None] = lambda: None
    ) -> Iterator[Reading]:
        for number, document in enumerate(documents):
            if self._cost_s:
                _spin(self._cost_s)
            if number % 8 == 7:
                on_batch()
            yield Reading(document.id, self._findings[len(document.text) % N_READINGS])


def _finding(row: tuple[str, str, int, int, str | None, float | None, str | None], score: float) -> Finding:
    task, label, start, end, value, number, unit = row
    return Finding(task, label, score, start, end, "rule" if task == "facts" else "student", value, number, unit, unsure=score < 0.1)


def _spin(seconds: float) -> None:
    """Uses the core: a sleep would leave it to the store."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


def write_documents(path: Path, n: int) -> Path:
    """A JSONL file of `n` different short messages of some 110 characters, written line by line."""
    drawn = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            text = f"Message {number}: " + " ".join(drawn.choices(_WORDS, k=drawn.randint(12, 20)))
            file.write(json.dumps({"id": f"msg-{number}", "text": text, "channel": "sms"}) + "\n")
    return path
