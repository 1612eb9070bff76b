"""Proposes which unlabelled documents to label next: those that stand for most of what the student doubts and no sample stands for yet.

PATH is read as by `submit`. The suggestions come as JSON lines on stdout, the first one first: id, the task that is doubted most, how much, and the
share of all doubt that the document stands for. With --out the documents are written as samples with the student's own answers, to be corrected and
added to the pack's samples.jsonl: correct them, they are guesses. Name the tasks that you will label, where these are not all, with --task.

example: python manage.py suggest insurance letters/ -n 20 --task urgency --out to_label.jsonl
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from suites.discover import Pack, find_pack
from suites.errors import DataError, UsageError, unknown
from workers.arguments import positive
from workers.read_arguments import add_read_options, read_options
from workers.settings import Settings
from workers.show import n_of, progress_bar, words
from workers.threads import one_thread_each

if TYPE_CHECKING:
    from pipelines.predict import Predictor
    from suites.types import Document


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("path", type=Path, nargs="+")
    parser.add_argument("-n", type=positive, default=20, help="how many to suggest (default: 20)")
    parser.add_argument(
        "--task", action="append", default=[], metavar="NAME", help="of this task alone; may be repeated (default: all tasks of texts and sentences)"
    )
    parser.add_argument("--student", metavar="ID", help="default: the newest")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the documents as samples, with the student's answers to be corrected")
    add_read_options(parser)


def run(options: Namespace, settings: Settings) -> object:
    one_thread_each()
    from pipelines.release import student_folder
    from pipelines.student import load_student
    from pipelines.suggest import Reader, suggest
    from suites.samples import read_samples
    from suites.types import Document
    from workers.ingest import read_paths
    from workers.ingest.rows import Incoming
    from workers.students import predictor_of

    pack = find_pack(options.pack, settings.pack_folders)
    if options.out and options.out.exists():
        raise UsageError(f"{options.out} exists already. Name another file, or remove it.")
    samples = [e.document for e in read_samples(pack)]
    known = {d.text for d in samples}
    every = [row for _, found in read_paths(options.path, read_options(options, pack.manifest.text.max_chars)) for row in found]
    rows = [row for row in every if isinstance(row, Incoming)]
    for reject in [row for row in every if not isinstance(row, Incoming)]:
        words(f"rejected {reject.place}: {reject.code}: {reject.reason} {reject.remedy}")
    documents = list({row.text: Document(row.key, row.text, row.meta) for row in rows if row.text not in known}.values())
    if not documents:
        raise DataError(f"{', '.join(map(str, options.path))}: no document in it that is not among the samples already. Give others.", "no_data")
    student = load_student(student_folder(settings.students_folder, pack.name, options.student))
    reader = Reader(pack, student, n_threads=settings.n_processes, trusted=settings.packs.trust_hooks)
    for name in options.task:
        if name not in reader.tasks:
            raise UsageError(unknown("task of whole texts or sentences", name, reader.tasks))
    with progress_bar(quiet=options.json) as on_progress:
        impressions = reader.impressions([*documents, *samples], on_progress)
    chosen = suggest(impressions[: len(documents)], impressions[len(documents) :], options.n, options.task)
    lines = [{"id": documents[s.place].id, **{name: value for name, value in asdict(s).items() if name != "place"}} for s in chosen]
    if not options.json:
        sys.stdout.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if options.out:
        n = _write(options.out, pack, predictor_of(settings, pack, student, settings.n_processes), [documents[s.place] for s in chosen])
        words(f"{n_of(n, 'document')} in {options.out}: correct their findings, then add them to {pack.folder / 'samples.jsonl'}.")
    words(f"{len(chosen)} of {n_of(len(documents), 'document')} suggested by {student.id}; {len(every) - len(rows)} rejected.")
    return lines


def _write(file: Path, pack: Pack, predictor: Predictor, documents: Sequence[Document]) -> int:
    """Writes documents as samples with what the student finds in them; gives their number. One that cannot be read is named and left out."""
    annotated, n = {task.name for task in pack.annotated_tasks}, 0
    with file.open("w", encoding="utf-8") as out:
        for document, reading in zip(documents, predictor.predict(documents), strict=True):
            if reading.failed:
                words(f"{document.id}: left out, it could not be read ({reading.code}: {reading.reason})")
                continue
            n += 1
            found = [f for f in reading.findings if f.task in annotated]
            answers = [{"task": f.task, "label": f.label, "start": f.start, "end": f.end} for f in found]
            for answer, finding in zip(answers, found, strict=True):
                answer |= {"other_start": finding.other_start, "other_end": finding.other_end} if finding.other_end else {}
            out.write(json.dumps({"id": document.id, "text": document.text, "findings": answers}, ensure_ascii=False) + "\n")
    return n
