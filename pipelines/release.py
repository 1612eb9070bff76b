"""The register of released students: which one reads for a pack, and how it came to. Files beside the students."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field

from pipelines.evaluate import Evaluation
from pipelines.files import write_whole
from pipelines.gate import compressed_problems, floor_problems, gate_problems
from pipelines.lock import locked
from pipelines.student import SUMS, check_fits, load_student
from suites.discover import Pack
from suites.errors import GateError, StudentError, UsageError, unknown

State = Literal["primary", "experimental", "retired"]


class Event(BaseModel):
    """One line of a register: a student took a state. A new primary retires the former one without a line of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    student: str
    state: State
    by: Literal["release", "rollback", "retire"] = "release"
    at: float


class Register(BaseModel):
    """released.json of a pack. The events decide; the states stand in the file for those who read it."""

    model_config = ConfigDict(frozen=True)

    events: tuple[Event, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def states(self) -> dict[str, State]:
        """The state of each student that was ever released; the one that took its state last stands last."""
        states: dict[str, State] = {}
        for event in self.events:
            if event.state == "primary":
                states |= {student: "retired" for student, state in states.items() if state == "primary"}
            states.pop(event.student, None)
            states[event.student] = event.state
        return states

    @property
    def line(self) -> tuple[str, ...]:
        """The primaries one after another, the present one last. A rollback takes the last one off."""
        line: list[str] = []
        for event in self.events:
            if event.by == "rollback":
                del line[-1:]
            elif event.state == "primary":
                line.append(event.student)
        return tuple(line)

    @property
    def primary(self) -> str | None:
        return self.line[-1] if self.line else None

    @property
    def reader(self) -> str | None:
        """The student that reads: the primary, else the newest experimental one."""
        experimental = [student for student, state in self.states.items() if state == "experimental"]
        return self.primary or (experimental[-1] if experimental else None)


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
        return _register(path.read_text(encoding="utf-8")) if path.exists() else Register(events=())
    except ValueError:
        raise StudentError(f"{path}: not a readable register. Restore it, or remove it and release again.", "bad_register") from None


def _register(text: str) -> Register:
    """The register of a file's text. Raises ValueError also where its states are not those that its events lead to."""
    register = Register.model_validate_json(text)
    if json.loads(text).get("states", register.states) != register.states:
        raise ValueError("states and events differ")
    return register


def released_student(students: Path, pack_name: str) -> str:
    """The id of the student that reads for this pack. Raises StudentError with the next command."""
    student_id = read_register(students, pack_name).reader
    if student_id is None:
        reason = f"Pack {pack_name!r} has no released student"
        full = f"python manage.py finetune {pack_name}, then: python manage.py release {pack_name}"
        raise StudentError(
            f"{reason}. Run: {full}. Where the full gate is not reached yet: python manage.py release {pack_name} --experimental", "not_released"
        )
    folder = students / pack_name / student_id
    if not (folder / SUMS).is_file():
        missing = f"{folder}: the student that reads for pack {pack_name!r} is missing ({SUMS} not found). Restore the folder"
        raise StudentError(f"{missing}. {way_back(students, pack_name, student_id)}", "no_student")
    return student_id


def way_back(students: Path, pack_name: str, student_id: str) -> str:
    """What to run when this student cannot be loaded and its folder cannot be restored."""
    register = read_register(students, pack_name)
    if student_id == register.primary and len(register.line) > 1:
        return f"Or let {register.line[-2]} read again: python manage.py rollback {pack_name}"
    if register.reader in (student_id, None):
        return f"Or release another student: python manage.py release {pack_name} --student ID"
    return f"Or submit its documents again: {register.reader} reads them now."


def release(pack: Pack, students: Path, student_id: str, evaluation: Evaluation, state: Literal["primary", "experimental"] = "primary") -> Register:
    """Gives a student a state: `primary` if it passes the gate, `experimental` if it holds the floor.

    A new primary retires the former one. Writes gate.json either way. Raises GateError with every figure and bound.
    """
    folder = student_folder(students, pack.name, student_id)
    problems = gate_problems(pack, evaluation) if state == "primary" else floor_problems(pack, evaluation)
    if evaluation.student != student_id:
        problems = [*problems, f"the scores are of {evaluation.student}, not of this student"]
    with locked(students / pack.name):
        register = read_register(students, pack.name)
        if state == "experimental" and register.primary == student_id:
            reason = f"{student_id} is the primary of pack {pack.name!r} already"
            raise UsageError(f"{reason}. To let the former one read: python manage.py rollback {pack.name}", "is_primary")
        lost = compressed_problems(pack, evaluation, experimental=state == "experimental")
        compressed = {"engine": evaluation.compressed_as, "holds": not lost, "problems": lost}
        verdict = {"passed": not problems, "state": state, "problems": problems, "compressed": compressed}
        write_whole(folder / "gate.json", json.dumps(verdict, indent=1) + "\n")
        if problems:
            raise GateError(_refusal(pack, student_id, evaluation, state, problems))
        if register.states.get(student_id) == state:
            return register
        return _add(students, pack.name, register, Event(student=student_id, state=state, at=time.time()))


def _refusal(pack: Pack, student_id: str, evaluation: Evaluation, state: State, problems: list[str]) -> str:
    listed = "".join(f"\n  {problem}" for problem in problems)
    refused = f"The gate refuses {student_id} as {state}:{listed}\nWhich student reads has not changed. Fine-tune with more data or epochs"
    if state == "primary" and evaluation.student == student_id and not floor_problems(pack, evaluation):
        return f"{refused}, or let it read where no primary does: python manage.py release {pack.name} --student {student_id} --experimental"
    return f"{refused}."


def rollback(pack: Pack, students: Path) -> Register:
    """Makes the primary before the present one primary again; the present one is retired.

    Each rollback goes one step further back in the line of primaries. Raises UsageError where the line
    ends, and StudentError where the student to go back to cannot be used.
    """
    with locked(students / pack.name):
        register = read_register(students, pack.name)
        if len(register.line) < 2:
            there = f"{register.primary} is its first" if register.primary else "it has no primary"
            raise UsageError(f"Pack {pack.name!r} has no primary to go back to: {there}. {_another(pack.name)}", "no_way_back")
        former = register.line[-2]
        try:
            check_fits(load_student(students / pack.name / former), pack)
        except StudentError as error:
            raise StudentError(f"Cannot go back to {former}: {error.message} {_another(pack.name)}", error.code) from None
        return _add(students, pack.name, register, Event(student=former, state="primary", by="rollback", at=time.time()))


def _another(pack_name: str) -> str:
    return f"To let another student read: python manage.py release {pack_name} --student ID (see: python manage.py students list {pack_name})"


def retire(pack: Pack, students: Path, student_id: str) -> Register:
    """Retires an experimental student: from now on it reads only when asked for by its id. Raises UsageError for the primary."""
    with locked(students / pack.name):
        register = read_register(students, pack.name)
        state = register.states.get(student_id)
        if state is None:
            raise UsageError(f"Nothing to retire: {unknown('released student', student_id, register.states)}", "no_student")
        if state == "primary":
            reason = f"{student_id} is the primary of pack {pack.name!r} and cannot be retired by hand: nothing might read then"
            raise UsageError(f"{reason}. Let the former one read: python manage.py rollback {pack.name}. {_another(pack.name)}", "is_primary")
        if state == "retired":
            return register
        return _add(students, pack.name, register, Event(student=student_id, state="retired", by="retire", at=time.time()))


def _add(students: Path, pack_name: str, register: Register, event: Event) -> Register:
    """Writes the register with one event more."""
    longer = Register(events=(*register.events, event))
    write_whole(students / pack_name / "released.json", longer.model_dump_json(indent=1) + "\n")
    return longer
