"""Shows jobs, newest first: state, counts, and whether they add up.

Per job: seen = accepted + duplicate + rejected, and accepted = done + failed + cancelled + pending.

example: python manage.py status          all jobs
         python manage.py status 3        one job
         python manage.py status 3 --follow
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.errors import StudentError
from workers.arguments import positive
from workers.settings import Settings
from workers.show import progress_bar, table, words
from workers.verbs import Part


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", nargs="?", help="number or name of a job")
    parser.add_argument("--follow", action="store_true", help="show the progress of one job until it ends")
    parser.add_argument("--limit", type=positive, default=50, help="jobs at most, the newest (default 50)")


def run(options: Namespace, settings: Settings) -> object:
    from workers.follow import find_job, follow, job_rows
    from workers.store import Store

    store = Store(settings.store_url)
    job_id = None
    if options.job:
        with store.reading() as connection:
            job_id = find_job(connection, options.job)
    if job_id is not None and options.follow:
        with progress_bar(quiet=options.json) as on_progress:
            follow(store, job_id, on_progress)
    with store.reading() as connection:
        rows = job_rows(connection, job_id, options.limit + 1)  # one more tells whether there are more
    store.close()
    more, rows = len(rows) > options.limit, rows[: options.limit]
    if not options.json:
        told = any(row["message"] for row in rows)
        table([row if told else {k: v for k, v in row.items() if k != "message"} for row in rows])
    _tell_experimental(settings, {str(row["pack"]) for row in rows})
    if more:
        words(f"(the newest {options.limit} jobs; --limit shows more)")
    return Part(rows, more)


def _tell_experimental(settings: Settings, pack_names: set[str]) -> None:
    """A line for each pack of these that an experimental student reads for."""
    from pipelines.release import read_register

    for name in sorted(pack_names):
        try:
            register = read_register(settings.students_folder, name)
        except StudentError as error:  # the jobs are shown all the same
            words(error.message)
            continue
        if register.primary is None and register.reader is not None:
            words(f"{register.reader} reads for {name} and is experimental: it has not passed the full gate (python manage.py release {name}).")
