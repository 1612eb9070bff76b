"""Scores a student on held-out examples, task by task, beside the majority answer and, if asked, TF-IDF + linear.

Writes metrics.json and the scores into the student's README.md.

example: python manage.py evaluate finance
         python manage.py evaluate finance --data-root ../data --baseline
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.discover import find_pack
from workers.settings import Settings
from workers.show import progress_bar, table, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--student", metavar="ID", help="default: the newest")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets (default: [data] root)")
    parser.add_argument("--source", action="append", metavar="NAME", help="score on this source alone; may be repeated")
    parser.add_argument("--baseline", action="store_true", help="train TF-IDF + logistic regression on the same train split beside it")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.card import write_card
    from pipelines.evaluate import Scores, evaluate
    from pipelines.examples import read_examples
    from pipelines.predict import make_predictor
    from pipelines.release import student_folder
    from pipelines.student import load_student

    pack = find_pack(options.pack, settings.pack_folders)
    student = load_student(student_folder(settings.students_folder, pack.name, options.student))
    predictor = make_predictor(pack, student, n_threads=settings.n_processes, precision=settings.inference.precision, trusted=settings.packs.trust_hooks)
    data_root = options.data_root or settings.data_root
    with progress_bar(quiet=options.json) as on_progress:
        evaluation = evaluate(predictor, student.id, options.split, data_root=data_root, sources=options.source, on_progress=on_progress)
    linear: Scores = {}
    if options.baseline:
        from pipelines.baselines import tfidf_scores

        words("training TF-IDF + logistic regression on the same data")
        train, test = (read_examples(pack, split, data_root=data_root, sources=options.source) for split in ("train", options.split))
        linear = tfidf_scores(pack, train, test)
    (student.folder / "metrics.json").write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_card(pack, student, evaluation)
    rows = [
        {
            "source": source,
            "task": task,
            "measure": s.measure,
            "student": round(s.score, 4),
            **({"tfidf": round(linear[source][task].score, 4) if task in linear.get(source, {}) else None} if linear else {}),
            "majority": round(s.majority, 4),
            "accuracy": None if s.accuracy is None else round(s.accuracy, 4),
            "n": s.n,
        }
        for source, by_task in evaluation.scores.items()
        for task, s in by_task.items()
    ]
    if not options.json:
        table(rows, title=f"{student.id} on {options.split}")
    baseline = {source: {task: s.model_dump() for task, s in by_task.items()} for source, by_task in linear.items()}
    return {"evaluation": evaluation.model_dump(), "baseline": baseline}
