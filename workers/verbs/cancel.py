"""Gives up a job's waiting documents. What was read stays; what is being read is refused when it arrives.

Undo: submit the same paths again.

example: python manage.py cancel 3
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from suites.errors import UsageError
from workers.settings import Settings
from workers.show import words

if TYPE_CHECKING:
    from sqlalchemy import Connection


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", help="number or name of a job")


def run(options: Namespace, settings: Settings) -> object:
    from workers.audit import record
    from workers.follow import find_job
    from workers.queue import TERMINAL, cancel, lock_job
    from workers.store import Store

    def step(connection: Connection) -> tuple[int, int]:
        job_id = find_job(connection, options.job)
        state = lock_job(connection, job_id)
        if state in TERMINAL:
            raise UsageError(f"Job {job_id} has ended already: {state}. Nothing to cancel.")
        n_given_up = cancel(connection, job_id)
        record(connection, "cancel", f"job {job_id}", {"n_documents": n_given_up})
        return job_id, n_given_up

    store = Store(settings.store_url)
    job_id, n = store.write(step)
    store.close()
    words(f"Job {job_id} is cancelled; {n} documents were given up.")
    return {"job_id": job_id, "n_documents": n}
