"""Passes a student through the gate; if it passes, new jobs of its pack are read by it.

The gate, for every task on the test split: 97 % of the teacher's score, above TF-IDF + linear,
calibration error at most 0.05; [gate] of the pack may say otherwise, and asks for 100 test answers of a
task to judge it by. A student is read in int8 where that loses at most 0.005, else in fp32; how fast
each is on this machine is measured here. Where that is not reached yet, --experimental
asks only for more than the majority answer and [gate] minimum: an experimental student reads while
the pack has no primary. A refused student changes nothing.

example: python manage.py release finance --data-root ../data
         python manage.py release finance --experimental
         python manage.py release finance --student finance-3fa9c2d81b07 --data-root ../data
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from suites.discover import Pack, find_pack
from workers.settings import Settings
from workers.show import progress_bar, words

if TYPE_CHECKING:
    from pipelines.evaluate import Evaluation
    from pipelines.progress import OnProgress
    from pipelines.student import Student


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--student", metavar="ID", help="default: the newest")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets: the gate looks at their test splits too (default: [data] root)")
    parser.add_argument("--experimental", action="store_true", help="ask for the floor alone; it reads while the pack has no primary")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.card import record, recorded
    from pipelines.engines import RECORD, measure
    from pipelines.gate import compressed_problems
    from pipelines.release import release, student_folder
    from pipelines.student import load_student
    from workers.audit import note
    from workers.energy import measured
    from workers.students import engine_of, engine_words

    pack = find_pack(options.pack, settings.pack_folders)
    student = load_student(student_folder(settings.students_folder, pack.name, options.student))
    state: Literal["primary", "experimental"] = "experimental" if options.experimental else "primary"
    with measured(settings, "release", pack.name, student.id) as taken, progress_bar(quiet=options.json) as on_progress:
        evaluation = _evaluated(pack, student, options, settings, taken.meter.watched(on_progress))
    kept = recorded(student)
    # `evaluate` writes more: it is not undone
    if kept is None or not (evaluation.scores.keys() <= kept.scores.keys() and evaluation.systems.keys() <= kept.systems.keys()):
        record(pack, student, evaluation)
    register = release(pack, settings.students_folder, student.id, evaluation, state)
    note(settings.store_url, "release", f"student {student.id}", {"pack": pack.name, "state": state})
    speeds = measure(student.folder, settings.runtime_folder / RECORD)
    words(f"{student.id} passed the gate as {state}. {register.reader} reads for {pack.name}.")
    words(engine_words(settings, student, speeds))
    for problem in compressed_problems(pack, evaluation, experimental=options.experimental):
        words(f"Not in {evaluation.compressed_as}: {problem}")
    scores = {source: {task: s.score for task, s in by_task.items()} for source, by_task in evaluation.scores.items()}
    return {
        "pack": pack.name,
        "student": student.id,
        "state": state,
        "reader": register.reader,
        "primary": register.primary,
        "scores": scores,
        "engine": engine_of(settings, student),
    }


def _evaluated(pack: Pack, student: Student, options: Namespace, settings: Settings, on_progress: OnProgress) -> Evaluation:
    """What the gate looks at: the floor at the student alone, the full gate at what it is compared with too."""
    data_root = options.data_root or settings.data_root
    if options.experimental:
        from pipelines.engines import compressed_engines
        from pipelines.evaluate import evaluate
        from pipelines.predict import make_predictor

        engine = compressed_engines(student.folder)[0]
        full, compressed = (
            make_predictor(pack, student, n_threads=settings.n_processes, engine=name, trusted=settings.packs.trust_hooks) for name in ("f32", engine)
        )
        return evaluate(full, student.id, data_root=data_root, compressed=(compressed, engine), on_progress=on_progress)
    from pipelines.compare import CompareOptions, compare

    asked = CompareOptions(data_root=data_root, report=False, speed=False, n_threads=settings.n_processes, trusted=settings.packs.trust_hooks)
    return compare(pack, student, settings.students_folder, asked, on_progress)
