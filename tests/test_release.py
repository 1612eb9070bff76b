"""Evaluation, the release gate and the register."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.evaluate import Evaluation, evaluate, score_found
from pipelines.predict import make_predictor
from pipelines.release import read_register, release, released_student, student_folder, student_ids
from pipelines.student import Student
from suites.discover import Pack
from suites.errors import GateError, RunError, StudentError
from suites.samples import read_samples
from suites.types import Example, Finding, Gate


@pytest.fixture(scope="module")
def examples(toy_pack: Pack) -> list[Example]:
    return read_samples(toy_pack, "test")


@pytest.fixture
def students(toy_student: tuple[Path, Student], tmp_path: Path) -> Path:
    """A copy of the folder of students that a test may change."""
    return Path(shutil.copytree(toy_student[0], tmp_path / "students"))


@pytest.fixture
def student_id(toy_student: tuple[Path, Student]) -> str:
    return toy_student[1].id


def evaluation(pack: Pack, student_id: str, examples: Sequence[Example], found: Sequence[Sequence[Finding]]) -> Evaluation:
    return Evaluation(student=student_id, split="test", scores=score_found(pack, examples, found))


def perfect(pack: Pack, student_id: str, examples: Sequence[Example]) -> Evaluation:
    return evaluation(pack, student_id, examples, [e.gold for e in examples])


def majority(pack: Pack, student_id: str, examples: Sequence[Example]) -> Evaluation:
    """The scores of a student that gives the topic's commonest label always, and is right in all else."""
    (common, _), *_ = Counter(f.label for e in examples for f in e.gold if f.task == "topic").most_common()
    found = [[replace(f, label=common) if f.task == "topic" else f for f in e.gold] for e in examples]
    return evaluation(pack, student_id, examples, found)


def test_an_evaluation_scores_every_task(toy_pack: Pack, toy_student: tuple[Path, Student], examples: list[Example]) -> None:
    """Evaluating the toy student scores all tasks of its pack on the test split, rules exactly, and reports each document."""
    seen: list[tuple[str, int, int]] = []
    made = evaluate(make_predictor(toy_pack, toy_student[1]), toy_student[1].id, on_progress=lambda *step: seen.append(step))
    scores = made.scores["samples"]
    assert (made.student, made.split, made.scores.keys()) == (toy_student[1].id, "test", {"samples"})
    assert scores.keys() == toy_pack.tasks.keys()
    assert scores["codes"].score == 1.0
    assert scores["mood"].n == sum(f.task == "mood" for e in examples for f in e.gold)
    assert seen == [("evaluate", i + 1, len(examples)) for i in range(len(examples))]


def test_an_evaluation_survives_its_file(toy_pack: Pack, student_id: str, examples: list[Example]) -> None:
    """An evaluation written as JSON and read again is the same."""
    made = perfect(toy_pack, student_id, examples)
    assert Evaluation.model_validate_json(made.model_dump_json()) == made


def test_no_examples_are_an_error(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """An evaluation of nothing is a RunError that names pack and split: no other split takes its place."""
    with pytest.raises(RunError, match="'toy' has no test examples"):
        evaluate(make_predictor(toy_pack, toy_student[1]), toy_student[1].id, sources=[])


def test_a_passing_student_becomes_primary(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A student that passes the gate is the one that reads, and gate.json says so."""
    register = release(toy_pack, students, student_id, perfect(toy_pack, student_id, examples))
    assert register.primary == released_student(students, "toy") == student_id
    assert read_register(students, "toy") == register
    gate = json.loads((students / "toy" / student_id / "gate.json").read_text(encoding="utf-8"))
    assert gate == {"passed": True, "problems": []}


def test_releasing_twice_adds_one_entry(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """Releasing the student that already reads changes nothing."""
    first = release(toy_pack, students, student_id, perfect(toy_pack, student_id, examples))
    assert release(toy_pack, students, student_id, perfect(toy_pack, student_id, examples)) == first
    assert len(read_register(students, "toy").releases) == 1


def test_an_earlier_student_can_be_released_again(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """The register keeps the history, and its last entry reads."""
    shutil.copytree(students / "toy" / student_id, students / "toy" / "toy-other")
    for name in (student_id, "toy-other", student_id):
        release(toy_pack, students, name, perfect(toy_pack, name, examples))
    assert [r.student for r in read_register(students, "toy").releases] == [student_id, "toy-other", student_id]


def test_the_majority_answer_is_refused(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A student no better than the majority answer is refused with figure and bound, and the register stays."""
    release(toy_pack, students, student_id, perfect(toy_pack, student_id, examples))
    before = (students / "toy" / "released.json").read_bytes()
    weak = majority(toy_pack, student_id, examples)
    topic = weak.scores["samples"]["topic"]
    assert topic.score == topic.majority > 0
    with pytest.raises(GateError, match=rf"samples/topic: macro_f1 {topic.score:.3f}, must be above the majority answer's {topic.majority:.3f}"):
        release(toy_pack, students, student_id, weak)
    assert (students / "toy" / "released.json").read_bytes() == before
    gate = json.loads((students / "toy" / student_id / "gate.json").read_text(encoding="utf-8"))
    assert (gate["passed"], len(gate["problems"])) == (False, 1)


def test_a_first_student_that_is_refused_does_not_read(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """After a refused first release no student reads, and the error gives the next commands."""
    with pytest.raises(GateError):
        release(toy_pack, students, student_id, majority(toy_pack, student_id, examples))
    with pytest.raises(StudentError, match=r"no released student\. Run: python manage\.py finetune toy"):
        released_student(students, "toy")


def test_the_packs_bounds_are_held(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A student under a bound of [gate] minimum is refused with figure and bound; at the bound it passes."""
    found = [e.gold for e in examples]
    found[0] = tuple(f for f in found[0] if f.task != "things")
    made = evaluation(toy_pack, student_id, examples, found)
    figure = made.scores["samples"]["things"].score
    assert 0 < figure < 1

    def bounded(minimum: float) -> Pack:
        return replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"gate": Gate(minimum={"things": minimum})}))

    with pytest.raises(GateError, match=rf"samples/things: span_f1 {figure:.3f}, must be at least 0\.999"):
        release(bounded(0.999), students, student_id, made)
    assert release(bounded(figure), students, student_id, made).primary == student_id


def test_a_task_that_is_not_judged_is_refused(toy_pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A task that no test example annotates refuses the release: silence is no pass."""
    partly = [replace(e, tasks=e.tasks - {"flags"}) for e in examples]
    with pytest.raises(GateError, match="flags: no test example annotates it"):
        release(toy_pack, students, student_id, perfect(toy_pack, student_id, partly))


@pytest.mark.parametrize("wrong", [{"student": "toy-another"}, {"split": "train"}], ids=["student", "split"])
def test_the_evaluation_is_of_this_student_on_test(toy_pack: Pack, students: Path, student_id: str, examples: list[Example], wrong: dict[str, str]) -> None:
    """The scores of another student, or on another split than test, release nothing."""
    with pytest.raises(GateError):
        release(toy_pack, students, student_id, perfect(toy_pack, student_id, examples).model_copy(update=wrong))


def test_an_unknown_student_is_guessed(students: Path, student_id: str) -> None:
    """An unknown id is a StudentError with the known ones; a pack without students gives the command."""
    assert student_ids(students, "toy") == [student_id]
    assert student_folder(students, "toy") == students / "toy" / student_id
    with pytest.raises(StudentError, match=rf"No student 'toy-000'\. Known: {student_id}"):
        student_folder(students, "toy", "toy-000")
    with pytest.raises(StudentError, match=r"has no student yet\. Run: python manage\.py finetune tay"):
        student_folder(students, "tay")
