"""Scores a student on held-out examples, task by task, beside all that it has to be compared with.

Systems, each where it is there: the majority answer, TF-IDF + linear trained on the same train
split, the student's teachers, the same student without a teacher, the student, and the student
compressed to bf16. Scores have 95 % intervals; other seeds are read too. On the whole test split it
writes metrics.json, and the tables, the reliability diagram and the frontier of size, speed and
quality into the student's README.md. It never trains on what it scores on.

example: python manage.py evaluate finance
         python manage.py evaluate finance --data-root ../data
         python manage.py evaluate finance --split dev --no-baseline --no-speed    (quick, while choosing)
"""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from suites.discover import find_pack
from workers.settings import Settings
from workers.show import command, progress_bar, table, words

if TYPE_CHECKING:
    from pipelines.evaluate import Evaluation

# with fewer students that differ by their seed alone, a difference may be luck
SEEDS = 3


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--student", metavar="ID", help="default: the newest")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets (default: [data] root)")
    parser.add_argument("--source", action="append", metavar="NAME", help="score on this source alone, `samples` or a [[data]] name; may be repeated")
    parser.add_argument("--baseline", action=BooleanOptionalAction, default=True, help="train TF-IDF + linear on the same train split beside it")
    parser.add_argument("--speed", action=BooleanOptionalAction, default=True, help="measure tokens a second: leave it out on a busy machine")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.card import record
    from pipelines.compare import CompareOptions, compare
    from pipelines.gate import gate_problems
    from pipelines.release import student_folder
    from pipelines.student import load_student
    from workers.energy import measured

    pack = find_pack(options.pack, settings.pack_folders)
    student = load_student(student_folder(settings.students_folder, pack.name, options.student))
    chosen = CompareOptions(
        split=options.split,
        data_root=options.data_root or settings.data_root,
        sources=tuple(options.source) if options.source else None,
        baseline=options.baseline,
        speed=options.speed,
        n_threads=settings.n_processes,
        trusted=settings.packs.trust_hooks,
    )
    with measured(settings, "evaluate", pack.name, student.id) as taken, progress_bar(quiet=options.json) as on_progress:
        evaluation = compare(pack, student, settings.students_folder, chosen, taken.meter.watched(on_progress))
    problems = gate_problems(pack, evaluation)
    if not options.json:
        table(list(_rows(evaluation)), title=f"{student.id} on {options.split}")
    if evaluation.members.get("teacher") == evaluation.members["student"]:
        words("This student has all layers and word pieces, so it is its own teacher: `teacher` and `student` are one.")
    for line in _further(evaluation):
        words(line)
    if options.split == "test" and options.baseline and not options.source:
        record(pack, student, evaluation)
        words(f"More in {student.folder / 'README.md'}.")
    else:
        words("Not kept: the student's card holds what the whole test split says, with the baseline.")
    if (n_seeds := len(evaluation.members["student"])) < SEEDS:
        words(f"Of {n_seeds} seed{'s' * (n_seeds > 1)}; `finetune --seeds {SEEDS}`, with all else as before, would show how much is luck.")
    if student.birth.teachers and "plain" not in evaluation.systems:
        learned = [part for source in student.birth.data for part in ("--source", source)]  # of other sources it would not be the same student
        plain = command("finetune", pack.name, "--size", "small", "--encoder", "none", *learned, data_root=options.data_root)
        again = command("evaluate", pack.name, "--student", student.id, data_root=options.data_root)
        words(f"What the teacher brought would show beside a student of the same layers, word pieces and sources without one:\n  {plain}\n  {again}")
    release = command("release", pack.name, "--student", student.id, data_root=options.data_root)
    words("\n  ".join(["The gate would refuse it as primary:", *problems]) if problems else f"The gate would take it as primary: {release}")
    return {"evaluation": evaluation.model_dump(), "gate": problems}


def _rows(evaluation: Evaluation) -> Iterator[dict[str, object]]:
    """A row a system, its task named in the first."""
    for source, by_task in evaluation.scores.items():
        for task, ours in by_task.items():
            named = {"source": source, "task": task, "measure": ours.measure, "n": ours.n}
            for system, scores in evaluation.systems.items():
                if (score := scores.get(source, {}).get(task)) is None:
                    continue
                yield {
                    **named,
                    "system": system,
                    "score": f"{score.score:.3f}",
                    "95 % interval": "{:.3f} to {:.3f}".format(*score.interval) if score.interval else "",
                    "over seeds": _over_seeds(evaluation.per_seed.get(system, {}).get(source, {}).get(task, [])),
                    "calibration error": "" if score.calibration_error is None else f"{score.calibration_error:.3f}",
                }
                named = dict.fromkeys(named, "")


def _further(evaluation: Evaluation) -> Iterator[str]:
    """What was measured beside the scores, a line each."""
    for source, by_task in evaluation.forms.items():
        for task, by_form in by_task.items():
            told = ", ".join(f"{form} F1 {score.f1:.3f} of {score.n_gold}" for form, score in by_form.items())
            yield f"{source}/{task}, place and form right: {told}"
    for source, policy in evaluation.policy.items():
        others = ", ".join(f"all {outcome} {cost:.0f}" for outcome, cost in policy.constant_per_1000.items())
        ranked = ", ".join(f"{share:.2f} at {k}" for k, share in policy.precision_at.items())
        precision = f"precision {ranked or 'not told'}, {policy.base_rate:.2f} of all"
        yield f"{source}: the policy costs {policy.cost_per_1000:.0f} per 1,000 documents ({others}); {precision}"
    for source in evaluation.attacked.get("plain", {}):
        told = ", ".join(f"{attack} {by_source[source].score:.3f}" for attack, by_source in evaluation.attacked.items() if source in by_source)
        yield f"{source}: in disguise {told}"


def _over_seeds(scores: list[float]) -> str:
    return f"{sum(scores) / len(scores):.3f} of {len(scores)}" if len(scores) > 1 else ""
