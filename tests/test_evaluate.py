"""A student's evaluation beside all that it is compared with: the same examples, the right students, what was fitted and what was not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipelines import engines
from pipelines.attacks import ATTACKS
from pipelines.baselines import tfidf_scores
from pipelines.calibration_error import calibration_error
from pipelines.compare import CompareOptions, compare
from pipelines.evaluate import SYSTEMS, Evaluation, calibrations, evaluate, findings, majority_scores, mean_scores, raw, score_found
from pipelines.heads import Head
from pipelines.predict import make_predictor
from pipelines.speed import n_parameters, tokens_per_second
from pipelines.student import Student, load_student, seal
from suites.discover import Pack
from suites.errors import RunError, StudentError
from suites.samples import read_samples
from suites.types import DataSource, Example, LabelMap

QUICK = CompareOptions(speed=False, baseline=False)


@pytest.fixture(scope="module")
def examples(toy_pack: Pack) -> list[Example]:
    return read_samples(toy_pack, "test")


@pytest.fixture(scope="module")
def students(toy_student: tuple[Path, Student], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy student; one of another seed, with other heads; and one that the toy student taught."""
    folder = Path(shutil.copytree(toy_student[0], tmp_path_factory.mktemp("family") / "students"))
    remade(folder, toy_student[1], 2, {"seed": 2})
    remade(folder, toy_student[1], 3, {"seed": 3, "teachers": [toy_student[1].id], "recipe": "taught"})
    return folder


def remade(students: Path, student: Student, seed: int, birth: dict[str, object]) -> None:
    """A copy of a student with noise on its heads and another birth record, sealed under its own id."""
    draft = Path(shutil.copytree(student.folder, students / "toy" / f".making-{seed}"))
    arrays = load_file(draft / "heads.safetensors")
    rng = np.random.default_rng(seed)
    save_file(
        {name: a + rng.normal(0, 0.3, a.shape).astype(a.dtype) if name.endswith("weight") else a for name, a in arrays.items()}, draft / "heads.safetensors"
    )
    record = json.loads((draft / "student.json").read_text(encoding="utf-8")) | birth
    (draft / "student.json").write_text(json.dumps(record), encoding="utf-8")
    draft.rename(draft.parent / seal(draft, "toy"))


@pytest.fixture(scope="module")
def by_seed(students: Path) -> dict[int, Student]:
    """The students by their seed; that of seed 3 is taught."""
    loaded = [load_student(path.parent) for path in (students / "toy").glob("toy-*/SHA256SUMS")]
    return {student.birth.seed: student for student in loaded}


@pytest.fixture(scope="module")
def taught(toy_pack: Pack, students: Path, by_seed: dict[int, Student]) -> Evaluation:
    """All that can be compared with the taught student."""
    return compare(toy_pack, by_seed[3], students, CompareOptions(n_threads=1))


def test_every_system_is_scored_on_every_task(toy_pack: Pack, taught: Evaluation, by_seed: dict[int, Student]) -> None:
    """Of a taught student all six systems are there, in their order, each with an interval and labels; TF-IDF answers no rule's task."""
    assert tuple(taught.systems) == SYSTEMS
    for system, scores in taught.systems.items():
        wanted = {t.name for t in toy_pack.annotated_tasks} - ({"codes"} if system == "tfidf" else set())
        assert scores["samples"].keys() == wanted, system
        assert all(s.interval is not None and s.interval[0] <= s.score <= s.interval[1] for s in scores["samples"].values()), system
    assert taught.scores is taught.systems["student"]
    assert tuple(taught.attacked) == ("plain", *ATTACKS)
    assert taught.attacked["plain"]["samples"].score == taught.scores["samples"]["topic"].score
    assert set(taught.policy["samples"].outcomes) <= {"file", "look", "send"}
    assert taught.members == {"teacher": [by_seed[1].id, by_seed[2].id], "plain": [by_seed[2].id], "student": [by_seed[3].id]}


def test_each_system_is_the_student_it_says(toy_pack: Pack, taught: Evaluation, by_seed: dict[int, Student]) -> None:
    """Teacher, plain and student score what these very students score alone: the teacher is the one that taught, not its other seed."""
    for system, seed in (("teacher", 1), ("plain", 2), ("student", 3)):
        assert taught.systems[system] == evaluate(make_predictor(toy_pack, by_seed[seed]), "any").scores, system
    assert taught.systems["teacher"] != taught.systems["plain"] != taught.systems["student"]


def test_a_damaged_seed_is_left_out(toy_pack: Pack, students: Path, by_seed: dict[int, Student], tmp_path: Path) -> None:
    """Another seed that cannot be loaded stops no comparison; the student's own teacher does."""
    folder = Path(shutil.copytree(students, tmp_path / "students"))
    (folder / "toy" / by_seed[2].id / "heads.safetensors").write_bytes(b"")
    made = compare(toy_pack, by_seed[3], folder, QUICK)
    assert made.members == {"teacher": [by_seed[1].id], "student": [by_seed[3].id]}
    (folder / "toy" / by_seed[1].id / "heads.safetensors").write_bytes(b"")
    with pytest.raises(StudentError, match=by_seed[1].id):
        compare(toy_pack, by_seed[3], folder, QUICK)


def test_seeds_stand_side_by_side(taught: Evaluation, toy_pack: Pack, examples: list[Example], by_seed: dict[int, Student]) -> None:
    """Every member's score is kept in the members' order, the teacher's other seeds among them."""
    for system, ids in taught.members.items():
        for task, scores in taught.per_seed[system]["samples"].items():
            assert len(scores) == len(ids)
            assert scores[0] == taught.systems[system]["samples"][task].score
    other = score_found(toy_pack, examples, findings(make_predictor(toy_pack, by_seed[2]), examples))
    assert {task: scores[1] for task, scores in taught.per_seed["teacher"]["samples"].items()} == {t: s.score for t, s in other["samples"].items()}


def test_nothing_distilled_is_its_own_teacher(toy_pack: Pack, students: Path, by_seed: dict[int, Student]) -> None:
    """A student of all its source's layers is compared with itself, and is read once for it; its other seed is shown."""
    seen: list[str] = []
    made = compare(toy_pack, by_seed[1], students, QUICK, lambda what, done, total: seen.append(what) if done == total else None)
    assert made.systems["teacher"] == made.systems["student"]
    assert made.members == {"teacher": [by_seed[1].id], "student": [by_seed[1].id, by_seed[2].id]}
    assert "plain" not in made.systems and "tfidf" not in made.systems
    assert seen == [
        "raw heads (1 of 3)",
        f"{by_seed[1].id} (2 of 3)",
        f"{by_seed[2].id} (3 of 3)",
        "compressed, int8",
        *(f"disguised: {attack}" for attack in ATTACKS),
    ]


@pytest.mark.parametrize(("lost", "tried"), [((), ["int8"]), (("int8",), ["int8", "bf16"]), (("int8", "bf16"), ["int8", "bf16"])])
def test_a_student_that_loses_in_int8_is_tried_in_bf16(
    toy_pack: Pack, students: Path, by_seed: dict[int, Student], monkeypatch: pytest.MonkeyPatch, lost: tuple[str, ...], tried: list[str]
) -> None:
    """What is scored as compressed is the fastest engine that keeps the scores, or the last one."""
    monkeypatch.setattr(engines, "usable", lambda folder: ("int8", "bf16", "f32"))  # OpenVINO computes it everywhere, if slowly
    seen: list[str] = []
    monkeypatch.setattr("pipelines.compare.compressed_problems", lambda pack, evaluation: ["lost"] if seen[-1].removeprefix("compressed, ") in lost else [])
    made = compare(toy_pack, by_seed[1], students, replace(QUICK, report=False), lambda what, done, total: seen.append(what))
    assert [what for what in dict.fromkeys(seen) if what.startswith("compressed")] == [f"compressed, {engine}" for engine in tried]
    assert made.compressed_as == tried[-1]


def test_what_the_gate_needs_is_less(toy_pack: Pack, students: Path, by_seed: dict[int, Student], taught: Evaluation) -> None:
    """Without a report no other seed, no plain student and no raw head is read; what is left scores the same."""
    made = compare(toy_pack, by_seed[3], students, replace(QUICK, report=False))
    assert made.members == {"teacher": [by_seed[1].id], "student": [by_seed[3].id]}
    assert made.systems == {s: taught.systems[s] for s in ("majority", "teacher", "student", "compressed")}
    assert {c.before for c in made.calibration["samples"].values()} == {None}
    assert (made.speed, made.machine) == ({}, "")


def test_an_evaluation_survives_its_file(taught: Evaluation) -> None:
    """metrics.json read again is the evaluation that was written."""
    assert Evaluation.model_validate_json(taught.model_dump_json()) == taught


def test_calibration_is_of_the_students_answers(taught: Evaluation, toy_pack: Pack) -> None:
    """Every task of the student has its bins; their error is the one beside the scores, their numbers add up. Rules have none."""
    assert taught.calibration["samples"].keys() == {t.name for t in toy_pack.student_tasks}
    for task, calibration in taught.calibration["samples"].items():
        assert calibration.after == taught.scores["samples"][task].calibration_error == calibration_error(calibration.bins)
        assert sum(b.n for b in calibration.bins) == calibration.n > 0
        assert calibration.expected_by_chance > 0


def test_raw_is_what_nothing_was_fitted_to(toy_pack: Pack, examples: list[Example], by_seed: dict[int, Student]) -> None:
    """`before` is the error of the logits as they are: a wrong temperature moves `after` alone."""
    student = by_seed[1]
    cold = replace(student, heads=tuple(replace(h, temperature=0.2) for h in student.heads))

    def found(of: Student) -> object:
        return findings(make_predictor(toy_pack, of), examples)

    assert raw(cold).heads == tuple(Head(h.task, h.weight, h.bias, lexicon=h.lexicon, transitions=h.transitions, cues=h.cues) for h in student.heads)
    bare = replace(student, heads=tuple(replace(h, temperature=1.0) for h in student.heads))
    made = calibrations(toy_pack, examples, found(cold), found(raw(cold)))["samples"]  # type: ignore[arg-type]
    alone = calibrations(toy_pack, examples, found(bare))["samples"]  # type: ignore[arg-type]
    for task in ("topic", "state"):
        assert made[task].before == alone[task].after
        assert made[task].after != alone[task].after


def test_sizes_count_every_number(taught: Evaluation, by_seed: dict[int, Student]) -> None:
    """Parameters are the numbers of encoder and heads, lexicons included; compressing changes how they are stored, not how many they are."""
    student = by_seed[3]
    arrays = [*load_file(student.folder / "model.safetensors").values(), *load_file(student.folder / "heads.safetensors").values()]
    assert n_parameters(student.folder) == sum(a.size for a in arrays)
    assert taught.size == {"teacher": n_parameters(by_seed[1].folder), "student": n_parameters(student.folder), "compressed": n_parameters(student.folder)}


def test_speeds_are_measured_on_the_same_texts(taught: Evaluation, by_seed: dict[int, Student], examples: list[Example]) -> None:
    """Teacher, student and compressed have a speed, with the machine; three rounds follow one that warms up."""
    assert taught.speed.keys() == {"teacher", "student", "compressed"}
    assert min(taught.speed.values()) > 0 and taught.machine.endswith(", 1 thread")
    texts = [e.document.text for e in examples]
    seen: list[tuple[str, int, int]] = []
    speeds = tokens_per_second({"short": (by_seed[1], "f32")}, texts, on_progress=lambda *step: seen.append(step))
    assert speeds["short"] > 0
    assert seen == [("speed", n, 3) for n in range(4)]


def test_the_mean_over_tests(taught: Evaluation) -> None:
    """The mean is over the tests of the tasks asked for that every system has."""
    means, n_tests = mean_scores(taught, ["topic", "flags", "codes"])  # no TF-IDF answers codes
    assert n_tests == 2
    for system, mean in means.items():
        assert mean == pytest.approx((taught.systems[system]["samples"]["topic"].score + taught.systems[system]["samples"]["flags"].score) / 2)
    assert mean_scores(taught, ["codes"]) == ({}, 0)


def test_the_baseline_learns_from_train_alone(toy_pack: Pack, examples: list[Example]) -> None:
    """TF-IDF scores well where words say the answer, with scores of its own; a task that train does not annotate is left out."""
    train = read_samples(toy_pack, "train")
    scores = tfidf_scores(toy_pack, train, examples)["samples"]
    assert scores.keys() == {t.name for t in toy_pack.student_tasks}
    assert scores["mood"].score > scores["mood"].majority
    assert all(s.calibration_error is not None and 0 < s.calibration_error < 1 for s in scores.values())
    silent = [replace(e, tasks=e.tasks - {"flags"}, gold=tuple(f for f in e.gold if f.label != "sad")) for e in train]
    assert tfidf_scores(toy_pack, silent, examples)["samples"].keys() == {"topic", "things", "state"}
    assert tfidf_scores(toy_pack, [], examples) == {}


def test_the_majority_is_a_system(toy_pack: Pack, taught: Evaluation, examples: list[Example]) -> None:
    """The majority's scores are the bound that stands in every other system's scores."""
    assert taught.systems["majority"] == majority_scores(toy_pack, examples)
    for scores in taught.systems.values():
        assert {t: s.majority for t, s in scores["samples"].items()} == {t: taught.systems["majority"]["samples"][t].score for t in scores["samples"]}


def test_nothing_to_score_on_is_an_error(toy_pack: Pack, students: Path, by_seed: dict[int, Student]) -> None:
    """A comparison on no examples is a RunError that names pack and split, before anything is read."""
    with pytest.raises(RunError, match="'toy' has no dev examples"):
        compare(toy_pack, by_seed[1], students, replace(QUICK, split="dev", sources=()))


def test_what_the_student_was_made_from_is_asked_for(toy_pack: Pack, students: Path, by_seed: dict[int, Student], tmp_path: Path) -> None:
    """A source that is not there or left out, and a teacher that is gone beside one that is not, are gaps; what is there is none."""
    assert compare(toy_pack, by_seed[3], students, QUICK).gaps == ()
    mails = DataSource(name="mails", path="mails", licence="CC0", maps=(LabelMap(task="topic", field="label", labels={"a": "animals"}),))
    pack = replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"data": (mails,)}))
    folder = Path(shutil.copytree(students, tmp_path / "students"))
    remade(folder, by_seed[1], 4, {"seed": 4, "teachers": [by_seed[1].id, "toy-0123456789ab"], "data": ["mails", "samples"]})
    (student,) = (s for path in (folder / "toy").glob("toy-*/SHA256SUMS") if (s := load_student(path.parent)).birth.seed == 4)
    gone = "teacher toy-0123456789ab is gone: restore its folder, or fine-tune again"
    assert compare(pack, student, folder, QUICK).gaps == (
        "mails: the student learned from this source, and it is not there to be scored on: set [data] root or --data-root",
        gone,
    )
    (tmp_path / "data" / "mails").mkdir(parents=True)
    there = replace(QUICK, data_root=tmp_path / "data")
    assert compare(pack, student, folder, there).gaps == (gone,)
    assert compare(pack, student, folder, replace(there, sources=("samples",))).gaps == (
        "mails: the student learned from this source, and --source leaves it out",
        gone,
    )
