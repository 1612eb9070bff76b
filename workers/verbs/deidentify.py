"""Writes documents without what tells who they are about: one JSON object a document on stdout, with id, text and metadata.

--mode mask   every character of an identifier becomes *, so that all places stay
       label  its label stands there: [NAME]
       hash   a pseudonym stands there, the same for the same name: [NAME-3f9a1c2b4d]
       shift  dates move back by the same days for all documents of a patient (metadata `patient`, else the document's id)

Ages over 89 become 90+. Of the metadata patient and encounter become pseudonyms, those that [privacy] keep_meta names stay, the rest is left out.
Ids stay: give others if yours tell who is meant. It misses some identifiers: the pack's card says how many were missed on what.

To store documents without their identifiers: [privacy] deidentify in settings.toml, or submit --deidentify MODE.

example: python manage.py deidentify clinical notes/ --mode label > safe.jsonl
         python manage.py deidentify clinical notes.jsonl --mode shift --key-file study.key > safe.jsonl
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from suites.discover import find_pack
from suites.errors import RunError
from suites.types import DEIDENTIFY_MODES
from workers.read_arguments import add_read_options, read_options
from workers.settings import Settings
from workers.show import n_of, progress_bar, words
from workers.threads import one_thread_each


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("path", type=Path, nargs="+")
    parser.add_argument("--mode", choices=DEIDENTIFY_MODES, default="label", help="what stands in place of an identifier (default: label)")
    parser.add_argument("--key-file", type=Path, help="secret that pseudonyms and shifts depend on: with it another run makes the same (default: a new one)")
    parser.add_argument("--student", metavar="ID", help="default: the released one")
    add_read_options(parser)


def run(options: Namespace, settings: Settings) -> object:
    one_thread_each()
    from pipelines.release import released_student
    from workers.deidentify import Deidentifier, how, secret_of
    from workers.ingest import read_paths
    from workers.ingest.rows import Incoming, Reject
    from workers.students import predictor_of, usable_student

    pack = find_pack(options.pack, settings.pack_folders)
    secret = secret_of(options.key_file) if options.key_file else os.urandom(32)
    chosen = how(pack, options.mode, secret, settings.privacy.keep_meta)
    student_id = options.student or released_student(settings.students_folder, pack.name)
    predictor = predictor_of(settings, pack, usable_student(settings, pack.name, student_id), settings.n_processes)
    rejects: list[Reject] = []

    def incoming() -> Iterator[Incoming]:
        for _, rows in read_paths(options.path, read_options(options, pack.manifest.text.max_chars)):
            for row in rows:
                if isinstance(row, Incoming):
                    yield row
                else:
                    rejects.append(row)

    made: list[dict[str, object]] = []
    n = 0
    with progress_bar(quiet=options.json) as on_progress:
        for row in Deidentifier(predictor, chosen).rows(incoming()):
            if isinstance(row, Reject):
                rejects.append(row)
                continue
            n += 1
            line: dict[str, object] = {"id": row.key, "text": row.text, "meta": dict(row.meta)}
            made.append(line) if options.json else sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            on_progress("de-identified", n, 0)
    for reject in rejects[:20]:
        words(f"rejected {reject.place}: {reject.code}: {reject.reason} {reject.remedy}")
    again = "" if options.key_file or options.mode in ("mask", "label") else " Its secret is gone: another run makes other pseudonyms and shifts (--key-file)."
    words(f"{n_of(n, 'document')} de-identified ({options.mode}) by {student_id}, {len(rejects)} rejected.{again}")
    data = {"student": student_id, "mode": options.mode, "documents": made, "rejects": [asdict(r) for r in rejects]}
    if rejects:
        raise RunError(f"{len(rejects)} rows were rejected; the rest was de-identified.", "some_failed", data)
    return data
