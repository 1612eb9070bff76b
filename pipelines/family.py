"""Whom a student is compared with: its teachers, its other seeds, and the same student without a teacher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipelines.sources import encoder_folder, shape_of
from pipelines.student import SUMS, Birth
from suites.errors import StudentError
from suites.types import StudentPlan


def births(students: Path, pack_name: str) -> dict[str, Birth]:
    """The birth records of a pack's sealed students by id; those of folders that cannot be read are left out."""
    found: dict[str, Birth] = {}
    for path in sorted((students / pack_name).glob(f"{pack_name}-*/student.json")):
        if (path.parent / SUMS).is_file():
            try:
                found[path.parent.name] = Birth.model_validate_json(path.read_text(encoding="utf-8"))
            except ValidationError:
                continue  # of another version of the suite: it could not be loaded either
    return found


def family(student_id: str, known: Mapping[str, Birth], *, own_teacher: bool = False) -> dict[str, list[str]]:
    """The ids of each system's students; a system without any is left out.

    `student`: the student itself, then its other seeds, made alike in all else. `teacher`: those that
    taught it, then their other seeds; the student itself if it is its `own_teacher`: nothing was
    distilled, and it is what others would imitate. `plain`: what the student would be had nothing
    been distilled; a student without teachers has no other.
    """
    birth = known[student_id]
    teachers = [student_id] if own_teacher else [teacher for teacher in birth.teachers if teacher in known]
    systems = {
        "teacher": teachers if own_teacher else [*teachers, *(other for other in _seeds(known, teachers) if other not in teachers)],
        "plain": _plain(known, birth) if birth.teachers else [],
        "student": [student_id, *(other for other in _seeds(known, [student_id]) if other != student_id)],
    }
    return {system: ids for system, ids in systems.items() if ids}


def _seeds(known: Mapping[str, Birth], of: Sequence[str]) -> list[str]:
    """The students made as one of these was, whatever their seed."""
    made = {_making(known[student_id]) for student_id in of}
    return [other for other, birth in known.items() if _making(birth) in made]


def _making(birth: Birth) -> tuple[object, ...]:
    """What a student is made of, its seed left out. Seeds may each have a teacher of their own seed."""
    return (*_shape(birth), birth.encoder, birth.recipe, len(birth.teachers))


def _plain(known: Mapping[str, Birth], birth: Birth) -> list[str]:
    """The students of the same shape that nothing was distilled into: of several recipes those of the one with most seeds."""
    there = {
        other: theirs
        for other, theirs in known.items()
        if _shape(theirs) == _shape(birth) and not theirs.teachers and not theirs.encoder and other not in birth.teachers
    }
    recipes = Counter(theirs.recipe for theirs in there.values())
    return [other for other, theirs in there.items() if theirs.recipe == recipes.most_common(1)[0][0]]


def _shape(birth: Birth) -> tuple[object, ...]:
    return birth.source, birth.layers, birth.vocabulary, birth.data, birth.pack_digest


def is_own_teacher(birth: Birth, plan: StudentPlan) -> bool:
    """Whether nothing was distilled: no teacher, all layers and all word pieces of the source that teachers come from. Reads the source's folder."""
    if birth.teachers or birth.encoder or birth.source != (plan.teacher or plan.source):
        return False
    try:
        shape = shape_of(encoder_folder(birth.source))
    except StudentError:
        return False  # the source has gone: what it had cannot be known
    return len(birth.layers) == shape.n_layers and birth.vocabulary in (None, shape.n_pieces)
