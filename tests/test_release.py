"""Evaluation, and the register of released students."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.evaluate import Evaluation, evaluate, majority_scores, score_found
from pipelines.predict import make_predictor
from pipelines.release import Event, Register, read_register, release, released_student, retire, rollback, student_folder, student_ids
from pipelines.student import Student, seal
from suites.discover import Pack
from suites.errors import GateError, RunError, StudentError, UsageError
from suites.samples import read_samples
from suites.types import Example, Finding, Gate

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def examples(toy_pack: Pack) -> list[Example]:
    return read_samples(toy_pack, "test")


@pytest.fixture(scope="module")
def pack(toy_pack: Pack) -> Pack:
    """The toy pack with a gate that its few test examples can judge."""
    return gated(toy_pack, Gate(min_answers=1))


def gated(pack: Pack, gate: Gate) -> Pack:
    return replace(pack, manifest=pack.manifest.model_copy(update={"gate": gate}))


@pytest.fixture
def students(toy_student: tuple[Path, Student], tmp_path: Path) -> Path:
    """A copy of the folder of students that a test may change."""
    return Path(shutil.copytree(toy_student[0], tmp_path / "students"))


@pytest.fixture
def student_id(toy_student: tuple[Path, Student]) -> str:
    return toy_student[1].id


@pytest.fixture
def three(students: Path, student_id: str) -> tuple[str, str, str]:
    """The ids of three sealed students."""
    return student_id, another(students, student_id, 101), another(students, student_id, 102)


def another(students: Path, student_id: str, seed: int) -> str:
    """A copy of a student that says it has another seed, and so has another id."""
    draft = Path(shutil.copytree(students / "toy" / student_id, students / "toy" / f".making-{seed}"))
    birth = json.loads((draft / "student.json").read_text(encoding="utf-8")) | {"seed": seed}
    (draft / "student.json").write_text(json.dumps(birth), encoding="utf-8")
    return draft.rename(draft.parent / seal(draft, "toy")).name


def evaluation(pack: Pack, student_id: str, examples: Sequence[Example], found: Sequence[Sequence[Finding]]) -> Evaluation:
    scores, gold = (score_found(pack, examples, f) for f in (found, [e.gold for e in examples]))
    systems = {"student": scores, "compressed": scores, "teacher": gold, "tfidf": majority_scores(pack, examples, 0)}
    return Evaluation(student=student_id, split="test", systems=systems, compressed_as="int8")


def perfect(pack: Pack, student_id: str, examples: Sequence[Example]) -> Evaluation:
    return evaluation(pack, student_id, examples, [e.gold for e in examples])


def blind(pack: Pack, student_id: str, examples: Sequence[Example]) -> Evaluation:
    """The scores of a student that misses every other example's things, and is right in all else: far below its teacher."""
    found = [e.gold if i % 2 else [f for f in e.gold if f.task != "things"] for i, e in enumerate(examples)]
    return evaluation(pack, student_id, examples, found)


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
    assert scores.keys() == {t.name for t in toy_pack.annotated_tasks}
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


def test_a_passing_student_becomes_primary(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A student that passes the gate is the one that reads, and gate.json says so."""
    register = release(pack, students, student_id, perfect(pack, student_id, examples))
    assert register.primary == register.reader == released_student(students, "toy") == student_id
    assert read_register(students, "toy") == register
    gate = json.loads((students / "toy" / student_id / "gate.json").read_text(encoding="utf-8"))
    assert gate == {"passed": True, "state": "primary", "problems": [], "compressed": {"engine": "int8", "holds": True, "problems": []}}


def test_releasing_twice_adds_one_event(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """Releasing the student that already has the state changes nothing, whichever state."""
    for state in ("experimental", "primary"):
        first = release(pack, students, student_id, perfect(pack, student_id, examples), state)  # type: ignore[arg-type]
        assert release(pack, students, student_id, perfect(pack, student_id, examples), state) == first  # type: ignore[arg-type]
    assert [e.state for e in read_register(students, "toy").events] == ["experimental", "primary"]


def test_the_life_of_students(pack: Pack, students: Path, three: tuple[str, str, str], examples: list[Example]) -> None:
    """Experimental, promoted, replaced, rolled back, replaced again: at each step the states and the reader are right, in the file too."""
    a, b, c = three

    def released(student: str, state: str = "primary") -> Register:
        return release(pack, students, student, perfect(pack, student, examples), state)  # type: ignore[arg-type]

    def held(register: Register, reader: str, **states: str) -> None:
        names = {"a": a, "b": b, "c": c}
        assert register.states == {names[name]: state for name, state in states.items()}
        assert register.reader == released_student(students, "toy") == reader
        assert read_register(students, "toy") == register
        stored = json.loads((students / "toy" / "released.json").read_text(encoding="utf-8"))
        assert stored["states"] == register.states

    held(released(a, "experimental"), a, a="experimental")
    held(released(b, "experimental"), b, a="experimental", b="experimental")  # the newest experimental one reads
    held(released(a), a, a="primary", b="experimental")  # promoted: the primary reads before any experimental one
    held(released(b), b, a="retired", b="primary")
    held(released(c), c, a="retired", b="retired", c="primary")
    held(rollback(pack, students), b, a="retired", b="primary", c="retired")
    held(rollback(pack, students), a, a="primary", b="retired", c="retired")
    with pytest.raises(UsageError, match=rf"no primary to go back to: {a} is its first.*manage\.py release toy --student ID"):
        rollback(pack, students)
    held(released(c), c, a="retired", b="retired", c="primary")
    held(rollback(pack, students), a, a="primary", b="retired", c="retired")  # from c back to the one before it, which was a
    assert [e.by for e in read_register(students, "toy").events] == [*["release"] * 5, "rollback", "rollback", "release", "rollback"]


def test_an_experimental_student_is_retired_by_hand(pack: Pack, students: Path, three: tuple[str, str, str], examples: list[Example]) -> None:
    """A retired experimental student reads no more; the primary and a student never released cannot be retired, and the error says what to do."""
    a, b, c = three
    for student in (a, b):
        release(pack, students, student, perfect(pack, student, examples), "experimental")
    assert retire(pack, students, b).reader == a
    assert retire(pack, students, b) == read_register(students, "toy")  # once is enough
    assert retire(pack, students, a).reader is None
    with pytest.raises(StudentError, match="no released student"):
        released_student(students, "toy")
    release(pack, students, a, perfect(pack, a, examples))
    before = (students / "toy" / "released.json").read_bytes()
    with pytest.raises(UsageError, match=rf"{a} is the primary of pack 'toy' .*manage\.py rollback toy.*manage\.py release toy"):
        retire(pack, students, a)
    with pytest.raises(UsageError, match=rf"No released student '{c}'"):
        retire(pack, students, c)
    assert (students / "toy" / "released.json").read_bytes() == before


def test_the_primary_is_not_made_experimental(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """Releasing the primary as experimental would leave the pack without one: it is refused, and rollback is named."""
    first = release(pack, students, student_id, perfect(pack, student_id, examples))
    with pytest.raises(UsageError, match=r"is the primary of pack 'toy' already.*manage\.py rollback toy"):
        release(pack, students, student_id, perfect(pack, student_id, examples), "experimental")
    assert read_register(students, "toy") == first


def test_rollback_needs_a_student_that_can_be_used(pack: Pack, students: Path, three: tuple[str, str, str], examples: list[Example]) -> None:
    """A rollback to a damaged or missing student, or to one that does not fit the pack, changes nothing and says what to do."""
    a, b, _ = three
    for student in (a, b):
        release(pack, students, student, perfect(pack, student, examples))
    before = (students / "toy" / "released.json").read_bytes()
    asks_more = replace(pack, manifest=pack.manifest.model_copy(update={"task": tuple(t for t in pack.manifest.task if t.name != "topic")}))
    with pytest.raises(StudentError, match=rf"Cannot go back to {a}: .*'topic' otherwise"):
        rollback(asks_more, students)
    (students / "toy" / a / "heads.safetensors").write_bytes(b"")
    with pytest.raises(StudentError, match=rf"Cannot go back to {a}: .*heads\.safetensors.*manage\.py release toy --student ID"):
        rollback(pack, students)
    shutil.rmtree(students / "toy" / a)
    with pytest.raises(StudentError, match=rf"Cannot go back to {a}"):
        rollback(pack, students)
    assert (students / "toy" / "released.json").read_bytes() == before
    assert released_student(students, "toy") == b


def test_a_missing_reader_names_the_way_back(pack: Pack, students: Path, three: tuple[str, str, str], examples: list[Example]) -> None:
    """Where the folder of the student that reads is missing, the error gives the command that lets another read."""
    a, b, _ = three
    for student in (a, b):
        release(pack, students, student, perfect(pack, student, examples))
    shutil.rmtree(students / "toy" / b)
    with pytest.raises(StudentError, match=rf"{b}: the student that reads for pack 'toy' is missing.*Or let {a} read again: python manage\.py rollback toy"):
        released_student(students, "toy")
    assert rollback(pack, students).reader == released_student(students, "toy") == a
    shutil.rmtree(students / "toy" / a)
    with pytest.raises(StudentError, match=r"Or release another student: python manage\.py release toy --student ID"):
        released_student(students, "toy")


def test_a_refusal_keeps_the_register(pack: Pack, students: Path, three: tuple[str, str, str], examples: list[Example]) -> None:
    """A student no better than the majority answer is refused in both states with figure and bound, and the register stays."""
    a, b, _ = three
    release(pack, students, a, perfect(pack, a, examples))
    before = (students / "toy" / "released.json").read_bytes()
    weak = majority(pack, b, examples)
    topic = weak.scores["samples"]["topic"]
    assert topic.score == topic.majority > 0
    for state in ("primary", "experimental"):
        with pytest.raises(GateError, match=rf"samples/topic: macro_f1 {topic.score:.4f}, must be above the majority answer's {topic.majority:.4f}"):
            release(pack, students, b, weak, state)  # type: ignore[arg-type]
        gate = json.loads((students / "toy" / b / "gate.json").read_text(encoding="utf-8"))
        assert (gate["passed"], gate["state"]) == (False, state) and gate["problems"]
    assert (students / "toy" / "released.json").read_bytes() == before


def test_what_holds_the_floor_alone_may_be_experimental(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A student that the full gate refuses and that holds the floor is refused as primary, with --experimental named, and released as experimental."""
    weak = blind(pack, student_id, examples)
    with pytest.raises(GateError, match=rf"(?s)samples/things: .*of the teacher's.*manage\.py release toy --student {student_id} --experimental"):
        release(pack, students, student_id, weak)
    register = release(pack, students, student_id, weak, "experimental")
    assert (register.primary, register.reader) == (None, student_id)


def test_a_first_student_that_is_refused_does_not_read(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """After a refused first release no student reads, and the error gives the next commands."""
    with pytest.raises(GateError):
        release(pack, students, student_id, majority(pack, student_id, examples))
    with pytest.raises(StudentError, match=r"no released student\. Run: python manage\.py finetune toy.*release toy --experimental"):
        released_student(students, "toy")


def test_the_packs_bounds_are_held(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """A student under a bound of [gate] minimum is refused with figure and bound; at the bound it passes."""
    made = blind(pack, student_id, examples)
    figure = made.scores["samples"]["things"].score
    assert 0 < figure < 1

    def bounded(minimum: float) -> Pack:
        return gated(pack, Gate(minimum={"things": minimum}))

    with pytest.raises(GateError, match=rf"samples/things: span_f1 {figure:.4f}, must be at least 0\.999"):
        release(bounded(0.999), students, student_id, made, "experimental")
    assert release(bounded(figure), students, student_id, made, "experimental").reader == student_id


@pytest.mark.parametrize("wrong", [{"student": "toy-another"}, {"split": "train"}], ids=["student", "split"])
@pytest.mark.parametrize("state", ["primary", "experimental"])
def test_the_evaluation_is_of_this_student_on_test(
    pack: Pack, students: Path, student_id: str, examples: list[Example], wrong: dict[str, str], state: str
) -> None:
    """The scores of another student, or on another split than test, release nothing."""
    with pytest.raises(GateError):
        release(pack, students, student_id, perfect(pack, student_id, examples).model_copy(update=wrong), state)  # type: ignore[arg-type]
    assert read_register(students, "toy").events == ()


DIES = """
import os, signal, sys
from pathlib import Path
from pipelines import release
from suites.discover import find_pack

packs, students = map(Path, sys.argv[1:])
replace = os.replace
os.replace = lambda draft, file: os.kill(os.getpid(), signal.SIGKILL) if file.name == "released.json" else replace(draft, file)
release.rollback(find_pack("toy", [packs]), students)
"""


def test_a_crash_leaves_the_old_register(pack: Pack, students: Path, three: tuple[str, str, str], examples: list[Example], toy_folder: Path) -> None:
    """A command killed between draft and register leaves the old register whole, and the next command is not held up."""
    a, b, _ = three
    for student in (a, b):
        release(pack, students, student, perfect(pack, student, examples))
    before = (students / "toy" / "released.json").read_bytes()
    killed = subprocess.run([sys.executable, "-c", DIES, str(toy_folder), str(students)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    assert (students / "toy" / "released.json.draft").exists()
    assert (students / "toy" / "released.json").read_bytes() == before
    assert rollback(pack, students).reader == a


def test_commands_at_once_lose_nothing(pack: Pack, students: Path, student_id: str, examples: list[Example]) -> None:
    """Of twelve releases at once each is in the register, once, and exactly one student is primary."""
    names = [another(students, student_id, seed) for seed in range(200, 212)]
    made = {name: perfect(pack, name, examples) for name in names}
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: release(pack, students, name, made[name]), names))
    register = read_register(students, "toy")
    assert sorted(e.student for e in register.events) == sorted(register.line) == sorted(names)
    assert list(register.states.values()) == [*["retired"] * 11, "primary"]


def test_an_unreadable_register_is_no_empty_one(students: Path) -> None:
    """A register that cannot be read, or of another form, is an error that says what to do: it never counts as empty."""
    for text in ("", "{}", '{"releases": []}', '{"events": [{"student": "toy-1", "state": "best", "at": 0}]}'):
        (students / "toy" / "released.json").write_text(text, encoding="utf-8")
        with pytest.raises(StudentError, match=r"released\.json: not a readable register\. Restore it"):
            read_register(students, "toy")


def test_the_states_in_the_file_decide_nothing() -> None:
    """The states follow from the events: what else stands in the file is for people."""
    register = Register(events=(Event(student="toy-1", state="primary", at=0.0),))
    edited = json.loads(register.model_dump_json()) | {"states": {"toy-1": "retired"}}
    assert Register.model_validate_json(json.dumps(edited)) == register


def test_an_unknown_student_is_guessed(students: Path, student_id: str) -> None:
    """An unknown id is a StudentError with the known ones; a pack without students gives the command."""
    assert student_ids(students, "toy") == [student_id]
    assert student_folder(students, "toy") == students / "toy" / student_id
    with pytest.raises(StudentError, match=rf"No student 'toy-000'\. Known: {student_id}"):
        student_folder(students, "toy", "toy-000")
    with pytest.raises(StudentError, match=r"has no student yet\. Run: python manage\.py finetune tay"):
        student_folder(students, "tay")
