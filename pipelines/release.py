"""The release gate and the register of released students, kept in files beside the students."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.evaluate import Evaluation
from pipelines.student import SUMS
from suites.discover import Pack
from suites.errors import GateError, StudentError, unknown


class Release(BaseModel):
    """One line of a pack's register."""

    model_config = ConfigDict(frozen=True)

    student: str
    released_at: float


class Register(BaseModel):
    """released.json of a pack: the last entry is the one that reads."""

    model_config = ConfigDict(frozen=True)

    releases: tuple[Release, ...] = ()

    @property
    def primary(self) -> str | None:
        return self.releases[-1].student if self.releases else None


def student_ids(students: Path, pack_name: str) -> list[str]:
    """The sealed students of a pack, newest first."""
    folders = [p.parent for p in (students / pack_name).glob(f"{pack_name}-*/{SUMS}")]
    return [f.name for f in sorted(folders, key=lambda f: (f / SUMS).stat().st_mtime, reverse=True)]


def student_folder(students: Path, pack_name: str, student_id: str | None = None) -> Path:
    """The folder of a student; without an id of the newest. Raises StudentError listing those there are."""
    known = student_ids(students, pack_name)
    if not known:
        raise StudentError(f"Pack {pack_name!r} has no student yet. Run: python manage.py finetune {pack_name}", "no_student")
    if student_id is not None and student_id not in known:
        raise StudentError(unknown("student", student_id, known), "no_student")
    return students / pack_name / (student_id or known[0])


def read_register(students: Path, pack_name: str) -> Register:
    """The pack's register; an empty one before the first release."""
    path = students / pack_name / "released.json"
    try:
        return Register.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else Register()
    except ValueError:
        raise StudentError(f"{path}: not a readable register. Restore it, or remove it and release again.", "bad_register") from None


def released_student(students: Path, pack_name: str) -> str:
    """The id of the student that reads for this pack. Raises StudentError with the next command."""
    primary = read_register(students, pack_name).primary
    if primary is None:
        raise StudentError(
            f"Pack {pack_name!r} has no released student. Run: python manage.py finetune {pack_name}, then: python manage.py release {pack_name}",
            "not_released",
        )
    return primary


def gate_problems(pack: Pack, evaluation: Evaluation) -> list[str]:
    """Why the gate refuses: each a task, its figure and the bound."""
    problems = [] if evaluation.split == "test" else [f"the scores are of the split {evaluation.split!r}, must be of 'test'"]
    for source, by_task in evaluation.scores.items():
        for name, score in by_task.items():
            if score.score <= score.majority:
                problems.append(f"{source}/{name}: {score.measure} {score.score:.3f}, must be above the majority answer's {score.majority:.3f}")
            minimum = pack.manifest.gate.minimum.get(name)
            if source == "samples" and minimum is not None and score.score < minimum:
                problems.append(f"{source}/{name}: {score.measure} {score.score:.3f}, must be at least {minimum:.3f} ([gate] minimum)")
    answered = {name for by_task in evaluation.scores.values() for name in by_task}
    problems += [f"{task.name}: no test example annotates it, so it cannot be judged" for task in pack.manifest.task if task.name not in answered]
    return problems


def release(pack: Pack, students: Path, student_id: str, evaluation: Evaluation) -> Register:
    """Makes a student the one that reads, if it passes the gate. Writes gate.json either way. Raises GateError."""
    folder = student_folder(students, pack.name, student_id)
    problems = gate_problems(pack, evaluation)
    if evaluation.student != student_id:
        problems.append(f"the scores are of {evaluation.student}, not of this student")
    (folder / "gate.json").write_text(json.dumps({"passed": not problems, "problems": problems}, indent=1) + "\n", encoding="utf-8")
    if problems:
        raise GateError(f"The gate refuses {student_id}: {'; '.join(problems)}. Fine-tune with more data or epochs; the released student stays.")
    register = read_register(students, pack.name)
    if register.primary != student_id:
        register = Register(releases=(*register.releases, Release(student=student_id, released_at=time.time())))
        _replace(students / pack.name / "released.json", register.model_dump_json(indent=1) + "\n")
    return register


def _replace(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
