"""Students as people see them: one row each, and one in full. Reads small files only; a damaged student is a row too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pipelines.release import Register, read_register, student_ids
from pipelines.speed import n_parameters
from pipelines.student import SUMS, load_student
from suites.errors import StudentError, unknown

Row = dict[str, Any]


def packs_with_students(students: Path) -> list[str]:
    """Names of the packs that have a folder of students."""
    return sorted(folder.name for folder in students.glob("*") if folder.is_dir())


def pack_of(students: Path, student_id: str) -> str:
    """The name of the pack whose student this is. Raises StudentError listing the students there are."""
    known = {student: pack for pack in packs_with_students(students) for student in _ids(students, pack)}
    if student_id not in known:
        raise StudentError(unknown("student", student_id, known), "no_student")
    return known[student_id]


def student_rows(students: Path, pack_names: Iterable[str]) -> list[Row]:
    """One row a student, the newest of each pack first; those that the register names without a folder last."""
    return [_row(students, pack, read_register(students, pack), student) for pack in pack_names for student in _ids(students, pack)]


def student_record(students: Path, student_id: str) -> Row:
    """All there is to tell of one student: its row, its files checked, birth, history, scores and the gate's words."""
    pack = pack_of(students, student_id)
    register, folder = read_register(students, pack), students / pack / student_id
    row = _row(students, pack, register, student_id)
    return {
        **row,
        "folder": str(folder),
        "files": _checked(folder),
        "birth": _json(folder / "student.json"),
        "history": _history(register, student_id),
        "metrics": _json(folder / "metrics.json"),
        "gate": _json(folder / "gate.json"),
    }


def _history(register: Register, student_id: str) -> list[Row]:
    """The states that the student took, each with the event that gave it: another student's release may retire this one."""
    told: list[Row] = []
    for n, event in enumerate(register.events, start=1):
        state = Register(events=register.events[:n]).states.get(student_id)
        if state is not None and state != (told[-1]["state"] if told else None):
            told.append({"at": _utc(event.at), "state": state, "by": event.by, "student": event.student})
    return told


def _ids(students: Path, pack: str) -> list[str]:
    sealed = student_ids(students, pack)
    return [*sealed, *(s for s in read_register(students, pack).states if s not in sealed)]


def _row(students: Path, pack: str, register: Register, student: str) -> Row:
    folder = students / pack / student
    birth, metrics = _json(folder / "student.json") or {}, _json(folder / "metrics.json") or {}
    scores = metrics.get("systems", {}).get("student", {})
    released = [e.at for e in register.events if e.student == student and e.by == "release"]
    return {
        "student": student,
        "pack": pack,
        "state": register.states.get(student, "not released"),
        "reads": register.reader == student,
        "made": _utc((folder / SUMS).stat().st_mtime) if (folder / SUMS).exists() else None,
        "parameters": _size(folder),
        "layers": len(birth["layers"]) if "layers" in birth else None,
        "teachers": birth.get("teachers", []),
        "scores": {source: {task: s["score"] for task, s in by_task.items()} for source, by_task in scores.items()},
        "released": _utc(released[-1]) if released else None,
    }


def _size(folder: Path) -> int | None:
    """How many numbers the encoder and the heads hold; None where their files cannot be read."""
    try:
        return n_parameters(folder)
    except (OSError, SafetensorError):
        return None


def _checked(folder: Path) -> str:
    try:
        load_student(folder)
    except StudentError as error:
        return error.message
    return "whole"


def _json(file: Path) -> Any:
    """The file's content; None where there is none or it cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
