"""Passes a student through the gate; if it passes, new jobs of its pack are read by it.

The gate: on the test split every task must beat the majority answer, and reach [gate] minimum of
the pack where one is given. A refused student changes nothing.

example: python manage.py release finance
         python manage.py release finance --student finance-3fa9c2d81b07
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.discover import find_pack
from workers.settings import Settings
from workers.show import progress_bar, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--student", metavar="ID", help="default: the newest")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.card import write_card
    from pipelines.evaluate import evaluate
    from pipelines.predict import make_predictor
    from pipelines.release import release, student_folder
    from pipelines.student import load_student

    pack = find_pack(options.pack, settings.pack_folders)
    student = load_student(student_folder(settings.students_folder, pack.name, options.student))
    predictor = make_predictor(pack, student, n_threads=settings.n_processes, precision=settings.inference.precision, trusted=settings.packs.trust_hooks)
    with progress_bar(quiet=options.json) as on_progress:
        evaluation = evaluate(predictor, student.id, sources=["samples"], on_progress=on_progress)
    if not (student.folder / "metrics.json").exists():
        (student.folder / "metrics.json").write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
        write_card(pack, student, evaluation)
    register = release(pack, settings.students_folder, student.id, evaluation)
    words(f"{student.id} passed the gate and reads for {pack.name}.")
    return {"pack": pack.name, "primary": register.primary, "scores": {t: s.score for t, s in evaluation.scores["samples"].items()}}
