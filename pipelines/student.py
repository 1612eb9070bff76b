"""A student as a folder: an ordinary Hugging Face encoder, heads, calibration and the exported graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipelines.heads import NO_CUES, Head, n_outputs
from pipelines.lexicon import Lexicon
from pipelines.reference import FILE as REFERENCE_FILE
from pipelines.reference import Reference, read_reference
from pipelines.sources import damaged_file, read_sums, sums_of
from suites.discover import Pack
from suites.errors import StudentError
from suites.types import Task, TextLimits

# the files that decide the student's answers; the id is derived from them (the pack's rules and hooks decide theirs)
CORE = ("config.json", "model.safetensors", "tokenizer.json", "heads.safetensors", "student.json", "calibration.json")
# what is checked when a student is loaded: these, the exported graph, and the int8 encoder where its shape allowed one
SEALED = (*CORE, "encoder.xml", "encoder.bin")
INT8_FILE = "encoder.int8.safetensors"
# sealed where there: what our int8 engine reads, what other tools' tokenizers do, and what drift is measured against
WHERE_THERE = (INT8_FILE, "tokenizer_config.json", REFERENCE_FILE)
SUMS = "SHA256SUMS"


class Birth(BaseModel):
    """student.json: what the student was made from, and what it answers.

    `vocabulary` counts its word pieces, `encoder` is the distilled encoder that it started from or
    empty, `teachers` are ids of students of the same pack, `reviewed` counts examples that people made of
    stored documents. With equal `recipe`, teachers and seed students are equal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pack: str
    pack_version: str
    pack_digest: str
    source: str
    layers: tuple[int, ...]
    vocabulary: int | None = None
    encoder: str = ""
    seed: int
    data: tuple[str, ...]
    reviewed: int = 0
    recipe: str = ""
    teachers: tuple[str, ...] = ()
    text: TextLimits
    tasks: tuple[Task, ...]


class Calibration(BaseModel):
    """One task's entry in calibration.json: what `calibrate` fitted on dev, as `Head` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float
    thresholds: tuple[float, ...]
    platt: tuple[float, float] | None
    abstain: tuple[tuple[float, ...], ...] | None
    n_answers: int


@dataclass(frozen=True)
class Student:
    """A loaded student. Its encoder is in `folder`/encoder.xml; `heads` are small arrays."""

    id: str
    folder: Path
    birth: Birth
    heads: tuple[Head, ...]
    reference: Reference | None = field(default=None, repr=False)


def write_heads(folder: Path, birth: Birth, heads: Sequence[Head]) -> None:
    """Writes heads.safetensors, calibration.json and student.json."""
    arrays = {}
    for head in heads:
        arrays[f"{head.task.name}.weight"] = np.ascontiguousarray(head.weight, np.float32)
        arrays[f"{head.task.name}.bias"] = np.ascontiguousarray(head.bias, np.float32)
        if head.task.kind == "spans":
            arrays[f"{head.task.name}.transitions"] = np.ascontiguousarray(head.transitions, np.float32)
        if head.cues.size:
            arrays[f"{head.task.name}.cues"] = np.ascontiguousarray(head.cues, np.float32)
        if head.lexicon is not None:
            arrays[f"{head.task.name}.lexicon.pieces"] = np.ascontiguousarray(head.lexicon.pieces, np.int32)
            arrays[f"{head.task.name}.lexicon.weights"] = np.ascontiguousarray(head.lexicon.weights, np.float32)
            arrays[f"{head.task.name}.lexicon.bias"] = np.ascontiguousarray(head.lexicon.bias, np.float32)
    save_file(arrays, folder / "heads.safetensors")
    calibration = {h.task.name: {name: getattr(h, name) for name in Calibration.model_fields} for h in heads}
    (folder / "calibration.json").write_text(json.dumps(calibration, indent=1) + "\n", encoding="utf-8")
    # a student without reviewed examples has the file, and so the id, that it had before there were any
    unsaid = None if birth.reviewed else {"reviewed"}
    (folder / "student.json").write_text(birth.model_dump_json(indent=1, exclude=unsaid) + "\n", encoding="utf-8")


def seal(folder: Path, pack_name: str) -> str:
    """Writes SHA256SUMS over the core files and the graph; gives the id: pack name and 12 hex digits."""
    there = [name for name in WHERE_THERE if (folder / name).exists()]
    (folder / SUMS).write_text(sums_of(folder, [*SEALED, *there]), encoding="utf-8")
    return _id(folder, pack_name)


def _id(folder: Path, pack_name: str) -> str:
    lines = [line for line in (folder / SUMS).read_text(encoding="utf-8").splitlines() if line.split("  ")[1] in CORE]
    return f"{pack_name}-{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:12]}"


def load_student(folder: Path) -> Student:
    """The student in a folder, every file checked against SHA256SUMS. Raises StudentError."""
    if not (folder / SUMS).is_file():
        raise StudentError(f"{folder}: no student here ({SUMS} not found). `manage.py finetune PACK` makes one.", "no_student")
    if path := _damaged(folder):
        raise StudentError(f"{path}: missing, or not the file that was sealed (SHA-256 differs). Restore the folder or fine-tune again.", "student_damaged")
    try:
        birth = Birth.model_validate_json((folder / "student.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "heads.safetensors")
        calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
        heads = tuple(_head(t, arrays, calibration[t.name]) for t in birth.tasks)
        reference = read_reference(folder)
    except (ValidationError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StudentError(f"{folder}: unreadable student: {type(error).__name__}. Fine-tune again.", "student_damaged") from None
    for head in heads:
        if head.weight.shape[0] != n_outputs(head.task):
            raise StudentError(f"{folder}: head {head.task.name!r} has {head.weight.shape[0]} outputs, its task {n_outputs(head.task)}.", "student_damaged")
    student_id = _id(folder, birth.pack)
    # a folder may be named otherwise only while it is being made
    if folder.name != student_id and not folder.name.startswith("."):
        raise StudentError(f"{folder}: holds {student_id}. Give the folder the student's own name.", "student_damaged")
    return Student(student_id, folder, birth, heads, reference)


def _damaged(folder: Path) -> Path | None:
    """The first file of a student that is not as it was sealed: SHA256SUMS itself where it cannot be read, or names what no student has."""
    sums = read_sums(folder / SUMS)
    if not sums or sums.keys() - {*SEALED, *WHERE_THERE}:
        return folder / SUMS
    # the int8 engine would read its file also where the list passes it over
    there = [INT8_FILE] if (folder / INT8_FILE).exists() else []
    return damaged_file(folder, sums, sorted({*SEALED, *sums, *there}))


def _head(task: Task, arrays: Mapping[str, np.ndarray], calibration: Mapping[str, object]) -> Head:
    pieces = arrays.get(f"{task.name}.lexicon.pieces")
    lexicon = None if pieces is None else Lexicon(pieces, arrays[f"{task.name}.lexicon.weights"], arrays[f"{task.name}.lexicon.bias"])
    cues = arrays.get(f"{task.name}.cues", NO_CUES)
    made = Head(task, arrays[f"{task.name}.weight"], arrays[f"{task.name}.bias"], lexicon=lexicon, cues=cues, **dict(Calibration.model_validate(calibration)))
    return replace(made, transitions=arrays[f"{task.name}.transitions"]) if task.kind == "spans" else made


def check_fits(student: Student, pack: Pack) -> None:
    """Raises StudentError unless the student answers the pack's tasks as they are now.

    Labels may have been appended to the pack since; a changed order or a removed label may not.
    """
    if missing := {t.name for t in pack.student_tasks} - {h.task.name for h in student.heads}:
        reason = f"Student {student.id} was made before pack {pack.name!r} asked {sorted(missing)}"
        raise StudentError(f"{reason}. Fine-tune again: python manage.py finetune {pack.name}", "student_outdated")
    for head in student.heads:
        ours, task = head.task, pack.tasks.get(head.task.name)
        if task is None or _asked(task, len(ours.labels)) != _asked(ours, len(ours.labels)):
            reason = f"Student {student.id} answers {ours.name!r} otherwise than pack {pack.name!r} asks now"
            raise StudentError(
                f"{reason}: kind, scope, labels, or what it asks about differ. Fine-tune again: python manage.py finetune {pack.name}", "student_outdated"
            )


def _asked(task: Task, n_labels: int) -> tuple[object, ...]:
    """What must be the same in student and pack. Labels may be appended, of those asked about too."""
    return task.kind, task.scope, task.answered_by, task.of, task.labels[:n_labels]
