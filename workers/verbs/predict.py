"""Reads documents at once, without store or broker: one JSON object a document on stdout.

PATH may be JSONL, CSV, Parquet, .txt, .eml, .html, .pdf or FHIR's .ndjson, packed or in a .zip or .tar, or a folder of them.

example: python manage.py predict finance mails.jsonl > findings.jsonl
         python manage.py predict finance letter.txt --with-text
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from suites.discover import find_pack
from suites.errors import RunError
from workers.read_arguments import add_read_options, read_options
from workers.settings import Settings
from workers.show import n_of, progress_bar, words
from workers.threads import one_thread_each


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("path", type=Path, nargs="+")
    parser.add_argument("--student", metavar="ID", help="default: the released one")
    add_read_options(parser)
    parser.add_argument("--with-text", action="store_true", help="add the found characters to each finding (they are the document's text)")


def run(options: Namespace, settings: Settings) -> object:
    one_thread_each()
    from pipelines.release import released_student
    from suites.types import Document
    from workers.ingest import read_paths
    from workers.ingest.rows import Incoming, Reject
    from workers.students import engine_of, predictor_of, usable_student

    pack = find_pack(options.pack, settings.pack_folders)
    how = read_options(options, pack.manifest.text.max_chars)
    student_id = options.student or released_student(settings.students_folder, pack.name)
    student = usable_student(settings, pack.name, student_id)
    predictor = predictor_of(settings, pack, student, settings.n_processes)
    rejects: list[Reject] = []

    def incoming() -> Iterator[Incoming]:
        for _, rows in read_paths(options.path, how):
            for row in rows:
                if isinstance(row, Incoming):
                    yield row
                else:
                    rejects.append(row)

    found: list[dict[str, object]] = []
    n_read = n_failed = 0
    started = time.monotonic()
    waiting: deque[Incoming] = deque()  # rows on their way through the predictor, which reads ahead

    def documents() -> Iterator[Document]:
        for row in incoming():
            waiting.append(row)
            yield Document(row.key, row.text, row.meta)

    with progress_bar(quiet=options.json) as on_progress:
        for reading in predictor.predict(documents()):
            row = waiting.popleft()
            n_failed += reading.failed
            n_read += 1
            line = _line(row.key, row.text if options.with_text else None, reading)
            found.append(line) if options.json else sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            on_progress("read", n_read, 0)
    seconds = time.monotonic() - started
    for reject in rejects[:20]:
        words(f"rejected {reject.place}: {reject.code}: {reject.reason} {reject.remedy}")
    n_cached = predictor.cache.hits if predictor.cache else 0
    again = f"; {n_cached} had the text of one before" if n_cached else ""
    counts = f"{n_of(n_read - n_failed, 'document')} read, {len(rejects)} rejected, {n_failed} failed"
    words(f"{counts}, {seconds:.1f} s, student {student.id} in {engine_of(settings, student)}{again}.")
    data = {"student": student.id, "seconds": round(seconds, 3), "n_cached": n_cached, "documents": found, "rejects": [asdict(r) for r in rejects]}
    if rejects or n_failed:
        raise RunError(f"{len(rejects)} rows rejected and {n_failed} documents failed; the rest was read.", "some_failed", data)
    return data


def _line(key: str, text: str | None, reading: object) -> dict[str, object]:
    from pipelines.predict import Reading

    assert isinstance(reading, Reading)
    if reading.failed:
        return {"id": key, "failure": {"stage": reading.stage, "code": reading.code, "reason": reading.reason}}
    findings = []
    for finding in reading.findings:
        shown = {name: value for name, value in asdict(finding).items() if value is not None}
        findings.append(shown | ({"text": text[finding.start : finding.end]} if text is not None else {}))
    return {"id": key, "findings": findings}
