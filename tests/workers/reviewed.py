"""A pack that states costs, and stores with findings of it under review: for the tests of the review loop."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from suites.discover import Pack
from suites.types import Finding, Manifest
from workers.reviews import FindingKey, decide
from workers.seal import plain_digest
from workers.store import Store
from workers.tables import documents, findings, jobs, readings, students, texts

from ..conftest import TOY_MANIFEST

STUDENT, OTHER = "toy-000000000000", "toy-111111111111"
COSTS = """labels = ["animals", "weather"]
[task.cost]
animals = { false_positive = 2.0, review = 0.25 }
"*" = { review = 0.25 }
"""
PACK = Pack(Manifest.model_validate(tomllib.loads(TOY_MANIFEST.format(encoder="none").replace('labels = ["animals", "weather"]\n', COSTS, 1))), Path("none"))
READ_AT = 1000.0


def fill(store: Store, found: Sequence[Sequence[Finding]], bodies: Sequence[str] = (), *, student: str = STUDENT) -> None:
    """Documents of a hundred characters, or of these texts, with what a student found in each: numbers from 1 on, ids `doc-NUMBER`."""
    with store.begin() as connection:
        if student == STUDENT:  # of another student they are there already
            job = {"id": 1, "name": "a", "pack": "toy", "student_id": student, "state": "COMPLETED", "submitted_at": 0.0, "n_cancelled": 0, "n_refused": 0}
            connection.execute(insert(jobs).values(job))
        connection.execute(insert(students).values(id=student, pack="toy", state="primary", seen_at=0.0))
        for number, of in enumerate(found, start=1):
            if student == STUDENT:
                text = bodies[number - 1] if bodies else f"Document {number} ".ljust(100, ".")
                row = {"id": number, "pack": "toy", "key": f"doc-{number}", "content_sha256": plain_digest(text), "n_chars": len(text), "meta": {}}
                connection.execute(insert(documents).values(row | {"received_at": 0.0, "job_id": 1}))
                connection.execute(insert(texts).values(document_id=number, text=text))
            reading = {"document_id": number, "student_id": student, "job_id": 1, "epoch": 1, "n_findings": len(of), "read_at": READ_AT}
            connection.execute(insert(readings).values(reading))
            for finding in of:
                connection.execute(insert(findings).values(document_id=number, student_id=student, read_at=READ_AT, **asdict(finding)))


def topic(label: str, score: float, *, unsure: bool = True) -> Finding:
    """An answer about the topic of a document of a hundred characters."""
    return Finding("topic", label, score, 0, 100, unsure=unsure)


def thing(label: str, start: int, end: int, score: float = 0.6, *, unsure: bool = True) -> Finding:
    return Finding("things", label, score, start, end, unsure=unsure)


def key(document: int, finding: Finding, student: str = STUDENT) -> FindingKey:
    return FindingKey(document, student, finding.task, finding.label, finding.start, finding.end, finding.other_start, finding.other_end)


def say(store: Store, document: int, finding: Finding, reviewer: str, verdict: str, *, student: str = STUDENT, **new: Any) -> None:
    """One decision, stored."""
    with store.begin() as connection:
        decide(connection, PACK, key(document, finding, student), reviewer, verdict, **new)
