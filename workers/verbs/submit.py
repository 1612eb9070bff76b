"""Stores documents and queues them for the pack's released student.

PATH may be JSONL, CSV, Parquet, .txt, .eml, .html, .pdf or FHIR's .ndjson, packed or in a .zip or .tar, or a folder of them. Rows that cannot be read are
rejected with place, code and remedy, and counted; the rest goes on. Repeating a submit is harmless:
what was stored counts as duplicate, and an interrupted one is resumed. While more documents wait
than [ingest] high_water it waits for the workers; it stops before the store's disk is full.

example: python manage.py submit finance inbox/ --wait
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from suites.discover import Pack, find_pack
from suites.errors import RunError
from suites.types import DEIDENTIFY_MODES
from workers.arguments import rate
from workers.read_arguments import add_read_options, read_options
from workers.settings import Settings
from workers.show import n_of, progress_bar, words

if TYPE_CHECKING:
    from workers.deidentify import Deidentifier
    from workers.store import Store


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("path", type=Path, nargs="+")
    parser.add_argument("--job", metavar="NAME", help="name of the job (default: made from pack, student and paths)")
    add_read_options(parser)
    parser.add_argument("--max-reject-rate", type=rate, metavar="SHARE", help="stop where more of a file's rows, or of all, are rejected; from 100 rows on")
    parser.add_argument("--allow-erased", action="store_true", help="take in again what a purge erased (default: rejected)")
    parser.add_argument("--deidentify", choices=("off", *DEIDENTIFY_MODES), help="store documents without their identifiers (default: [privacy] deidentify)")
    parser.add_argument("--wait", action="store_true", help="show the progress until the job ends; exit 1 if anything failed")


def _deidentifier(options: Namespace, settings: Settings, pack: Pack, student_id: str, store: Store) -> Deidentifier | None:
    """What takes the identifiers out of texts, where that is asked for: pseudonyms and shifts are the store's, the same in all its jobs."""
    mode = options.deidentify or (settings.privacy.deidentify if pack.manifest.deidentify else "off")
    if mode == "off":
        return None
    from workers.deidentify import Deidentifier, how
    from workers.keys import Keys
    from workers.students import predictor_of, usable_student

    with store.begin() as connection:
        secret = Keys.of(settings).make_index(connection)
    chosen = how(pack, mode, secret, settings.privacy.keep_meta)
    return Deidentifier(predictor_of(settings, pack, usable_student(settings, pack.name, student_id), settings.n_processes), chosen)


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.release import released_student
    from workers.bell import ring
    from workers.follow import follow
    from workers.keys import Keys
    from workers.migrate import require_newest
    from workers.pressure import Pressure
    from workers.store import Store
    from workers.submit import submit
    from workers.threads import one_thread_each

    one_thread_each()

    pack = find_pack(options.pack, settings.pack_folders)
    student_id = released_student(settings.students_folder, pack.name)
    store = Store(settings.store_url)
    require_newest(store)
    deidentifier = _deidentifier(options, settings, pack, student_id, store)
    rung: list[bool] = []

    def try_ring(job_id: int) -> bool:
        rung.append(ring(job_id))
        return rung[-1]

    with progress_bar(quiet=options.json) as on_progress:
        done = submit(
            store,
            pack,
            student_id,
            options.path,
            name=options.job,
            chunk=settings.ingest.chunk,
            on_rows=lambda label, n: on_progress("stored" if label else "stored; waiting for the workers, who are behind", n, 0),
            pressure=Pressure(settings.ingest.high_water, settings.ingest.reserve_mb),
            ring=try_ring,
            keys=Keys.of(settings),
            allow_erased=options.allow_erased,
            options=replace(read_options(options, pack.manifest.text.max_chars), on_pages=lambda label, n, total: on_progress("reading pages", n, total)),
            same_id=settings.ingest.same_id,
            max_reject_rate=options.max_reject_rate,
            deidentifier=deidentifier,
        )
    words(f"job {done.job_id} ({done.job}): {done.seen} seen = {done.accepted} accepted + {done.duplicate} duplicate + {done.rejected} rejected")
    for code, n in sorted(done.by_code.items()):
        words(f"  rejected {n}: {code} (python manage.py failures {done.job_id})")
    if done.failed_before:
        words(f"  {done.failed_before} of the duplicates failed before; `python manage.py retry JOB` reads them again (see status)")
    if done.waiting_elsewhere:
        words(f"  {done.waiting_elsewhere} of the duplicates wait already, in this or another job")
    if done.originals:
        words(
            f"  documents of {n_of(done.originals, 'id')} among these are stored as they came, with their identifiers: see which jobs brought them "
            f"(python manage.py status), and erase them: python manage.py purge --job JOB"
        )
    if not rung[-1]:
        words("No broker answers: the documents are stored and wait. Start workers with: python manage.py up (those of `worker --poll` find them)")
    data = asdict(done)
    if options.wait:
        with progress_bar(quiet=options.json) as on_progress:
            data["state"], count = follow(store, done.job_id, on_progress)
        data["counts"] = asdict(count)
        words(f"{data['state']}: {count.done} read, {count.failed} failed, {count.findings} findings")
        if data["state"] != "COMPLETED":
            raise RunError(f"Job {done.job_id} ended {data['state']}. See: python manage.py failures {done.job_id}", "job_" + str(data["state"]).lower(), data)
    store.close()
    return data
