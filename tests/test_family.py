"""Whom a student is compared with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.family import births, family, is_own_teacher
from pipelines.student import Birth, Student
from suites.discover import Pack
from suites.types import Task, TextLimits

TASK = Task(name="topic", kind="choice", labels=("a", "b"), question="Which topic is it?")


def birth(seed: int = 1, layers: tuple[int, ...] = (1, 3, 5), **changes: object) -> Birth:
    known = {"pack": "toy", "pack_version": "1", "pack_digest": "d", "source": "path:x", "data": ("samples",), "recipe": "r", "text": TextLimits()}
    return Birth.model_validate(known | {"seed": seed, "layers": layers, "tasks": (TASK,)} | changes)


FULL = (0, 1, 2, 3, 4, 5)
# three teachers, three students each taught by the teacher of its seed, two that no one taught
KNOWN = {
    **{f"teacher-{n}": birth(n, FULL, recipe="full") for n in (1, 2, 3)},
    **{f"taught-{n}": birth(n, teachers=(f"teacher-{n}",), encoder="distilled") for n in (1, 2, 3)},
    **{f"plain-{n}": birth(n) for n in (1, 2)},
}


def test_the_family_of_a_taught_student() -> None:
    """A taught student has its own teacher first, then the teacher's other seeds; its own other seeds; and the untaught ones of its shape."""
    assert family("taught-2", KNOWN) == {
        "teacher": ["teacher-2", "teacher-1", "teacher-3"],
        "plain": ["plain-1", "plain-2"],
        "student": ["taught-2", "taught-1", "taught-3"],
    }


def test_a_student_without_teachers_has_none() -> None:
    """An untaught student is plain itself: its seeds are the untaught ones, and it has no teacher to compare with."""
    assert family("plain-2", KNOWN) == {"student": ["plain-2", "plain-1"]}


def test_its_own_teacher() -> None:
    """A student into which nothing was distilled is its own teacher, alone: its other seeds are seeds of the student."""
    assert family("teacher-1", KNOWN, own_teacher=True) == {"teacher": ["teacher-1"], "student": ["teacher-1", "teacher-2", "teacher-3"]}


@pytest.mark.parametrize(
    "changes",
    [{"source": "path:y"}, {"layers": (0, 1, 2)}, {"vocabulary": 9000}, {"data": ("samples", "more")}, {"pack_digest": "e"}],
    ids=lambda c: next(iter(c)),
)
def test_another_shape_is_another_family(changes: dict[str, object]) -> None:
    """A student of another source, layers, vocabulary, data or pack is no seed of this one, and not what it would be untaught."""
    strange = birth(9, **changes)  # type: ignore[arg-type]
    known = KNOWN | {"strange": strange, "strange-taught": strange.model_copy(update={"teachers": ("teacher-1",), "encoder": "distilled"})}
    assert family("taught-2", known) == family("taught-2", KNOWN)


@pytest.mark.parametrize("changes", [{"recipe": "quick"}, {"encoder": "another"}, {"teachers": ("teacher-1", "teacher-2")}], ids=lambda c: next(iter(c)))
def test_a_seed_is_made_alike_in_all_else(changes: dict[str, object]) -> None:
    """A student of other options, another distilled encoder or more teachers is no seed of this one."""
    assert family("taught-2", KNOWN | {"strange": KNOWN["taught-1"].model_copy(update=changes)}) == family("taught-2", KNOWN)


def test_the_untaught_are_of_one_recipe() -> None:
    """Of the untaught students those of the recipe with most seeds are shown: a quick try does not mix in; nor does one from a distilled encoder."""
    known = KNOWN | {"quick": birth(3, recipe="quick"), "distilled": birth(3, encoder="distilled")}
    assert family("taught-1", known)["plain"] == ["plain-1", "plain-2"]


def test_a_teacher_of_the_same_shape_is_not_plain() -> None:
    """Where only knowledge was distilled, and no layer left out, the teacher is not shown as the student without a teacher."""
    known = {"teacher-1": birth(1), "taught": birth(1, teachers=("teacher-1",)), "plain": birth(2)}
    assert family("taught", known)["plain"] == ["plain"]


def test_a_teacher_that_has_gone_is_left_out() -> None:
    """Without its teacher's folder a student has no teacher to compare with; no other one takes its place."""
    assert "teacher" not in family("taught-2", {i: b for i, b in KNOWN.items() if i != "teacher-2"})


def test_births_are_of_sealed_students(toy_student: tuple[Path, Student], tmp_path: Path) -> None:
    """The records of all sealed students are read; an unsealed folder, and one whose record is damaged, are passed over."""
    folder = Path(shutil.copytree(toy_student[0], tmp_path / "students")) / "toy"
    shutil.copytree(toy_student[1].folder, folder / "toy-unsealed", ignore=shutil.ignore_patterns("SHA256SUMS"))
    (Path(shutil.copytree(toy_student[1].folder, folder / "toy-damaged")) / "student.json").write_text("{", encoding="utf-8")
    assert births(tmp_path / "students", "toy") == {toy_student[1].id: toy_student[1].birth}
    assert births(tmp_path / "students", "none") == {}


def test_when_nothing_was_distilled(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """The toy student has all layers and word pieces of its source; with less, a teacher, or another source than teachers have, it is not its own teacher."""
    whole, plan = toy_student[1].birth, toy_pack.manifest.student
    assert is_own_teacher(whole, plan)
    assert is_own_teacher(whole.model_copy(update={"vocabulary": None}), plan)
    for changes in ({"layers": (1,)}, {"vocabulary": 9000}, {"teachers": ("toy-1",)}, {"encoder": "toy-distilled"}):
        assert not is_own_teacher(whole.model_copy(update=changes), plan), changes
    assert not is_own_teacher(whole, plan.model_copy(update={"teacher": "path:/larger"}))
    gone = {"source": "path:/nowhere"}
    assert not is_own_teacher(whole.model_copy(update=gone), plan.model_copy(update=gone))
