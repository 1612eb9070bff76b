"""The release gate: each bound by itself, with its figure, and the floor below it."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from pipelines.evaluate import Calibration, Evaluation, Scores
from pipelines.gate import compressed_problems, floor_problems, gate_problems
from pipelines.metrics import TaskScore
from suites.discover import Pack
from suites.types import Gate

TEACHER = 0.9


def task_score(score: float, n: int = 200, error: float | None = 0.02) -> TaskScore:
    return TaskScore(measure="macro_f1", score=score, majority=0.3, accuracy=None, n=n, labels={}, calibration_error=error)


def scores(pack: Pack, score: float, n: int = 200, error: float | None = 0.02) -> Scores:
    return {"samples": {name: task_score(score, n, error if task.answered_by == "student" else None) for name, task in pack.tasks.items()}}


def evaluation(pack: Pack, *, without: str = "", **changed: TaskScore) -> Evaluation:
    """Scores that pass every bound, but for the systems' scores of `mood` that are `changed`, and for one system left out."""
    systems = {"tfidf": scores(pack, 0.8), "teacher": scores(pack, TEACHER), "student": scores(pack, 0.89), "compressed": scores(pack, 0.888)}
    for task in pack.manifest.task:
        if task.answered_by == "rule":
            del systems["tfidf"]["samples"][task.name]
    for system, score in changed.items():
        systems[system]["samples"]["mood"] = score
    return Evaluation(student="toy-1", split="test", systems={system: s for system, s in systems.items() if system != without})


def with_gate(pack: Pack, **bounds: object) -> Pack:
    return replace(pack, manifest=pack.manifest.model_copy(update={"gate": Gate.model_validate(bounds)}))


def test_what_holds_every_bound_passes(toy_pack: Pack) -> None:
    """A student that holds all bounds has no problem, with the gate or the floor."""
    assert gate_problems(toy_pack, evaluation(toy_pack)) == floor_problems(toy_pack, evaluation(toy_pack)) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"student": task_score(0.855), "compressed": task_score(0.855)},
            "samples/mood: macro_f1 0.8550 is 95.00% of the teacher's 0.9000, must be at least 97.00% ([gate] kept)",
        ),
        ({"tfidf": task_score(0.89)}, "samples/mood: macro_f1 0.8900, must be above the TF-IDF baseline's 0.8900"),
        ({"student": task_score(0.89, error=0.062)}, "samples/mood: calibration error 0.0620, must be at most 0.0500 ([gate] calibration_error)"),
        ({"student": task_score(0.89, error=nan)}, "samples/mood: calibration error nan, must be at most 0.0500 ([gate] calibration_error)"),
        ({"student": task_score(0.89, error=None)}, "samples/mood: no answer has a score, so its calibration cannot be judged"),
        (
            {"student": task_score(0.89, n=99)},
            "mood: 99 test answers at most (samples), must be at least 100 of one source ([gate] min_answers): it cannot be judged",
        ),
    ],
    ids=["kept", "baseline", "calibration", "no number", "no scores", "too few"],
)
def test_each_bound_refuses_by_itself(toy_pack: Pack, changed: dict[str, TaskScore], problem: str) -> None:
    """One broken bound of one task is one problem: the task, its figure, and the bound. The floor does not ask for it."""
    made = evaluation(toy_pack, **changed)
    assert gate_problems(toy_pack, made) == [problem]
    assert floor_problems(toy_pack, made) == []


@pytest.mark.parametrize(
    ("changed", "bounds"),
    [
        ({"student": task_score(0.97 * TEACHER), "compressed": task_score(0.97 * TEACHER)}, {}),
        ({"student": task_score(0.89, error=0.05)}, {}),
        ({"student": task_score(0.89, n=100)}, {}),
        ({"student": task_score(0.5), "compressed": task_score(0.49), "tfidf": task_score(0.4)}, {"kept": 0.5}),
        ({"student": task_score(0.89, n=5, error=0.2)}, {"calibration_error": 0.2, "min_answers": 5}),
    ],
    ids=["kept", "calibration", "answers", "lower bounds", "wider bounds"],
)
def test_at_the_bound_a_student_passes(toy_pack: Pack, changed: dict[str, TaskScore], bounds: dict[str, object]) -> None:
    """A figure that equals its bound holds it, the gate's own or the pack's."""
    assert gate_problems(with_gate(toy_pack, **bounds), evaluation(toy_pack, **changed)) == []


@pytest.mark.parametrize(
    ("system", "problem"),
    [("teacher", "no teacher to compare with"), ("tfidf", "no TF-IDF baseline to compare with")],
)
def test_what_cannot_be_compared_is_refused(toy_pack: Pack, system: str, problem: str) -> None:
    """A system that was not scored is a problem: silence is no pass. The floor does without it."""
    made = evaluation(toy_pack, without=system)
    (found,) = gate_problems(toy_pack, made)
    assert found.startswith(problem)
    assert floor_problems(toy_pack, made) == []


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ("tfidf", "the TF-IDF baseline has no score: no train example annotates the task"),
        ("teacher", "the teacher has no score: it was not asked this task"),
    ],
)
def test_a_task_that_another_was_not_scored_on_is_refused(toy_pack: Pack, system: str, reason: str) -> None:
    """A task without the score of what it is compared with has no bound to hold, and the gate says so."""
    made = evaluation(toy_pack)
    del made.systems[system]["samples"]["mood"]
    assert gate_problems(toy_pack, made) == [f"samples/mood: {reason}"]


COMPRESSED_LOSS = "samples/mood: compressed macro_f1 0.8830 is 0.0070 below the student's 0.8900, must be at most 0.0050 ([gate] compressed_loss)"


@pytest.mark.parametrize(
    ("changed", "bounds", "problems"),
    [
        ({"compressed": task_score(0.883)}, {}, [COMPRESSED_LOSS]),
        ({"compressed": task_score(0.885)}, {}, []),
        ({"compressed": task_score(0.883)}, {"compressed_loss": 0.01}, []),
        ({"compressed": task_score(0.5), "student": task_score(0.89, n=99)}, {}, []),
    ],
    ids=["too much", "at the bound", "wider bound", "few answers"],
)
def test_what_compression_may_lose(toy_pack: Pack, changed: dict[str, TaskScore], bounds: dict[str, object], problems: list[str]) -> None:
    """A compressed form that loses too much where a task is judged is not read in; the student is none the worse for it."""
    pack, made = with_gate(toy_pack, **bounds), evaluation(toy_pack, **changed)
    assert compressed_problems(pack, made) == problems
    assert not any("compressed" in problem for problem in gate_problems(pack, made))


def test_a_compressed_form_that_was_not_scored_is_not_read_in(toy_pack: Pack) -> None:
    """Silence is no pass: without any score, or without one of a judged task."""
    assert compressed_problems(toy_pack, evaluation(toy_pack, without="compressed")) == ["the compressed student was not scored: evaluate anew"]
    made = evaluation(toy_pack)
    del made.systems["compressed"]["samples"]["mood"]
    assert compressed_problems(toy_pack, made) == ["samples/mood: the compressed student has no score: evaluate anew"]


def test_an_experimental_student_holds_the_floor_compressed(toy_pack: Pack) -> None:
    """On few answers no loss can be bounded: the compressed form must beat the majority answer, as the student itself."""
    assert compressed_problems(toy_pack, evaluation(toy_pack, compressed=task_score(0.5, n=9)), experimental=True) == []
    assert compressed_problems(toy_pack, evaluation(toy_pack, compressed=task_score(0.3, n=9)), experimental=True) == [
        "samples/mood: macro_f1 0.3000, must be above the majority answer's 0.3000"
    ]


def test_what_was_not_there_is_refused(toy_pack: Pack) -> None:
    """What the student was made from and was not scored is a problem of the gate, and none of the floor."""
    gap = "mails: the student learned from this source, and it is not there"
    made = evaluation(toy_pack).model_copy(update={"gaps": (gap,)})
    assert (gate_problems(toy_pack, made), floor_problems(toy_pack, made)) == ([gap], [])


def test_nothing_is_above_a_perfect_score(toy_pack: Pack) -> None:
    """Where gold has one label alone, majority and baseline are perfect too: a perfect student passes, another one does not."""
    perfect = task_score(1.0).model_copy(update={"majority": 1.0})
    made = evaluation(toy_pack, **dict.fromkeys(("student", "compressed", "teacher", "tfidf"), perfect))
    assert gate_problems(toy_pack, made) == []
    made.systems["student"]["samples"]["mood"] = perfect.model_copy(update={"score": 0.999})
    assert gate_problems(toy_pack, made) == [
        "samples/mood: macro_f1 0.9990, must be above the majority answer's 1.0000",
        "samples/mood: macro_f1 0.9990, must be above the TF-IDF baseline's 1.0000",
    ]


def test_chance_is_told_beside_the_error(toy_pack: Pack) -> None:
    """Where it is known, what chance alone would show stands beside a calibration error that is too large."""
    made = evaluation(toy_pack, student=task_score(0.89, error=0.08))
    made.calibration["samples"] = {"mood": Calibration(before=None, after=0.08, expected_by_chance=0.031, n=200, bins=())}
    assert gate_problems(toy_pack, made) == [
        "samples/mood: calibration error 0.0800 (0.0310 expected by chance), must be at most 0.0500 ([gate] calibration_error)"
    ]


def test_a_task_is_judged_on_every_source_with_enough_answers(toy_pack: Pack) -> None:
    """A source with few answers judges nothing, however bad; one with enough does, and its answers are enough for the task."""
    made = evaluation(toy_pack)
    for system, score in {"student": 0.5, "teacher": 0.9, "tfidf": 0.4, "compressed": 0.5}.items():
        made.systems[system]["small"] = {"mood": task_score(score, n=99, error=0.3)}
        made.systems[system]["large"] = {"mood": task_score(score, n=101)}
        made.systems[system]["samples"]["mood"] = task_score(score, n=3)
    assert gate_problems(toy_pack, made) == ["large/mood: macro_f1 0.5000 is 55.56% of the teacher's 0.9000, must be at least 97.00% ([gate] kept)"]


def test_rules_have_no_teacher(toy_pack: Pack) -> None:
    """A task that rules answer is held to the floor alone, however few its answers."""
    made = evaluation(toy_pack)
    for system in ("teacher", "student", "compressed"):
        made.systems[system]["samples"]["codes"] = task_score(0.9 if system == "teacher" else 0.5, n=3, error=None)
    assert gate_problems(toy_pack, made) == []
    made.systems["student"]["samples"]["codes"] = task_score(0.3, n=3)
    assert gate_problems(toy_pack, made) == ["samples/codes: macro_f1 0.3000, must be above the majority answer's 0.3000"]


@pytest.mark.parametrize("problems_of", [floor_problems, gate_problems])
def test_the_floor(toy_pack: Pack, problems_of: object) -> None:
    """Both ask for the test split, more than the majority answer, the pack's minimum on the samples, and every task annotated."""
    pack = with_gate(toy_pack, minimum={"topic": 0.95}, kept=0.0, min_answers=1)
    made = evaluation(pack, student=task_score(0.3), compressed=task_score(0.3), tfidf=task_score(0.1)).model_copy(update={"split": "dev"})
    for of_system in made.systems.values():
        of_system["samples"].pop("flags")
        of_system["more"] = {"topic": task_score(0.89)}
    made.systems["tfidf"]["more"] = {"topic": task_score(0.1)}
    assert problems_of(pack, made) == [  # type: ignore[operator]
        "the scores are of the split 'dev', must be of 'test'",
        "samples/topic: macro_f1 0.8900, must be at least 0.9500 ([gate] minimum)",
        "samples/mood: macro_f1 0.3000, must be above the majority answer's 0.3000",
        "flags: no test example annotates it, so it cannot be judged",
    ]


@pytest.mark.parametrize("bound", ["kept", "calibration_error", "compressed_loss"])
def test_bounds_are_shares(bound: str) -> None:
    """A bound outside 0 to 1 is refused with the manifest: 97 is not 97 %."""
    with pytest.raises(ValueError, match=bound):
        Gate.model_validate({bound: 97})
    with pytest.raises(ValueError, match="min_answers"):
        Gate(min_answers=0)
