"""The release gate: the bounds a student must hold, and the figure of each that it does not."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.evaluate import Evaluation
from pipelines.metrics import TaskScore
from suites.discover import Pack

# differences of the arithmetic alone: a figure that equals its bound holds it
ROUNDING = 1e-9
# systems that were scored, but not on what the student is judged on
SILENT = {
    "teacher": "the teacher has no score: it was not asked this task",
    "tfidf": "the TF-IDF baseline has no score: no train example annotates the task",
}


def floor_problems(pack: Pack, evaluation: Evaluation) -> list[str]:
    """Why the student may not even read as experimental: each a source and task, its figure and the bound.

    On the test split every task must be annotated, beat the majority answer, and on the samples
    reach [gate] minimum where one is given.
    """
    problems = [] if evaluation.split == "test" else [f"the scores are of the split {evaluation.split!r}, must be of 'test'"]
    for source, by_task in evaluation.scores.items():
        for name, score in by_task.items():
            if not _above(score.score, score.majority):
                problems.append(f"{_figure(source, name, score)}, must be above the majority answer's {score.majority:.4f}")
            minimum = pack.manifest.gate.minimum.get(name)
            if source == "samples" and minimum is not None and score.score < minimum:
                problems.append(f"{_figure(source, name, score)}, must be at least {minimum:.4f} ([gate] minimum)")
    answered = {name for by_task in evaluation.scores.values() for name in by_task}
    problems += [f"{task.name}: no test example annotates it, so it cannot be judged" for task in pack.annotated_tasks if task.name not in answered]
    return problems


def gate_problems(pack: Pack, evaluation: Evaluation) -> list[str]:
    """Why the student may not be the primary: the floor's problems, and each bound of [gate] that a task of the student breaks.

    A task is judged on every source that has [gate] min_answers answers of it, and must be judged on one. What the
    student was made from and was not there to be scored is a problem too.
    Tasks that rules answer have no teacher to lose to: the floor judges them.
    """
    problems = [*floor_problems(pack, evaluation), *evaluation.gaps, *_missing_systems(evaluation)]
    for task in pack.student_tasks:
        scores = {source: by_task[task.name] for source, by_task in evaluation.scores.items() if task.name in by_task}
        judged = [source for source, score in scores.items() if score.n >= pack.manifest.gate.min_answers]
        if scores and not judged:
            problems.append(_too_few(pack, task.name, scores))
        for source in judged:
            problems += _broken_bounds(pack, evaluation, source, task.name)
    return problems


def compressed_problems(pack: Pack, evaluation: Evaluation, *, experimental: bool = False) -> list[str]:
    """Why the student may not be read in its compressed form: it is then read in fp32. The bound is [gate] compressed_loss wherever a task is judged.

    An experimental student, which is judged on few answers, must hold the floor in that form too.
    """
    if "compressed" not in evaluation.systems:
        return ["the compressed student was not scored: evaluate anew"]
    if experimental:
        return floor_problems(pack, evaluation.model_copy(update={"systems": {"student": evaluation.systems["compressed"]}}))
    problems: list[str] = []
    for task in pack.student_tasks:
        for source, by_task in evaluation.scores.items():
            if task.name in by_task and by_task[task.name].n >= pack.manifest.gate.min_answers:
                problems += _compressed_problem(pack, evaluation, source, task.name)
    return problems


def _compressed_problem(pack: Pack, evaluation: Evaluation, source: str, task: str) -> Iterator[str]:
    ours, compressed = evaluation.scores[source][task], evaluation.systems["compressed"].get(source, {}).get(task)
    bound = pack.manifest.gate.compressed_loss
    if compressed is None:
        yield f"{source}/{task}: the compressed student has no score: evaluate anew"
    elif not ours.score - compressed.score <= bound + ROUNDING:
        lost = f"compressed {compressed.measure} {compressed.score:.4f} is {ours.score - compressed.score:.4f} below the student's {ours.score:.4f}"
        yield f"{source}/{task}: {lost}, must be at most {bound:.4f} ([gate] compressed_loss)"


def _missing_systems(evaluation: Evaluation) -> list[str]:
    reasons = {
        "teacher": "no teacher to compare with: fine-tune with a teacher, or restore the folder of the one that taught it",
        "tfidf": "no TF-IDF baseline to compare with: it needs train examples of the same sources",
    }
    return [reason for system, reason in reasons.items() if system not in evaluation.systems]


def _too_few(pack: Pack, task: str, scores: dict[str, TaskScore]) -> str:
    most, source = max((score.n, source) for source, score in scores.items())
    bound = pack.manifest.gate.min_answers
    return f"{task}: {most} test answers at most ({source}), must be at least {bound} of one source ([gate] min_answers): it cannot be judged"


def _broken_bounds(pack: Pack, evaluation: Evaluation, source: str, task: str) -> Iterator[str]:
    """What one source says against one task."""
    gate, ours = pack.manifest.gate, evaluation.scores[source][task]
    figure = _figure(source, task, ours)
    theirs = {system: scores[source][task] for system, scores in evaluation.systems.items() if task in scores.get(source, {})}
    for system, reason in SILENT.items():
        if system in evaluation.systems and system not in theirs:
            yield f"{source}/{task}: {reason}"
    if (teacher := theirs.get("teacher")) and ours.score < gate.kept * teacher.score - ROUNDING:
        share = ours.score / teacher.score
        yield f"{figure} is {share:.2%} of the teacher's {teacher.score:.4f}, must be at least {gate.kept:.2%} ([gate] kept)"
    if (linear := theirs.get("tfidf")) and not _above(ours.score, linear.score):
        yield f"{figure}, must be above the TF-IDF baseline's {linear.score:.4f}"
    yield from _calibration_problem(pack, evaluation, source, task)


def _calibration_problem(pack: Pack, evaluation: Evaluation, source: str, task: str) -> Iterator[str]:
    bound, error = pack.manifest.gate.calibration_error, evaluation.scores[source][task].calibration_error
    if error is None:
        yield f"{source}/{task}: no answer has a score, so its calibration cannot be judged"
    elif not error <= bound + ROUNDING:  # what is no number is no pass
        known = evaluation.calibration.get(source, {}).get(task)
        chance = f" ({known.expected_by_chance:.4f} expected by chance)" if known else ""
        yield f"{source}/{task}: calibration error {error:.4f}{chance}, must be at most {bound:.4f} ([gate] calibration_error)"


def _above(score: float, other: float) -> bool:
    """Whether a score beats another one. Nothing beats a perfect one, which gold of one label alone gives away: equal holds then."""
    return score > other or score >= 1.0 - ROUNDING


def _figure(source: str, task: str, score: TaskScore) -> str:
    return f"{source}/{task}: {score.measure} {score.score:.4f}"
