"""Shows what could not be read: failed documents, and rows that never became documents.

example: python manage.py failures        of all jobs
         python manage.py failures 3      of one job
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from workers.arguments import positive
from workers.settings import Settings
from workers.show import table, words
from workers.verbs import Part


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", nargs="?", help="number or name of a job")
    parser.add_argument("--limit", type=positive, default=100, help="rows of each kind (default 100)")


def run(options: Namespace, settings: Settings) -> object:
    from workers.follow import failure_rows, find_job, reject_rows
    from workers.store import Store

    store = Store(settings.store_url)
    with store.reading() as connection:
        job_id = find_job(connection, options.job) if options.job else None
        # one more than asked for tells whether there are more
        failed = failure_rows(connection, job_id, options.limit + 1)
        rejected = reject_rows(connection, job_id, options.limit + 1)
    store.close()
    more = max(len(failed), len(rejected)) > options.limit
    failed, rejected = failed[: options.limit], rejected[: options.limit]
    if not options.json:
        words("documents that failed (python manage.py retry JOB reads them again):")
        table(failed)
        words("rows that were rejected (mend the file and submit it again):")
        table(rejected)
    if more:
        words(f"(the first {options.limit} of each kind; --limit shows more)")
    return Part({"failures": failed, "rejects": rejected}, more)
