"""Gives up a job's waiting documents. What was read stays; what is being read is refused when it arrives.

Undo: submit the same paths again.

example: python manage.py cancel 3
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.errors import UsageError
from workers.settings import Settings
from workers.show import words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", help="number or name of a job")


def run(options: Namespace, settings: Settings) -> object:
    from workers.follow import find_job, job_rows
    from workers.queue import TERMINAL, cancel
    from workers.store import Store

    store = Store(settings.store_url)
    with store.begin() as connection:
        job_id = find_job(connection, options.job)
        state = job_rows(connection, job_id)[0]["state"]
        if state in TERMINAL:
            raise UsageError(f"Job {job_id} has ended already: {state}. Nothing to cancel.")
        n = cancel(connection, job_id)
    store.close()
    words(f"Job {job_id} is cancelled; {n} documents were given up.")
    return {"job_id": job_id, "n_documents": n}
