"""Sets a job's documents aside: once it returns, nothing of the job is read or written until `resume`.

What is being read at the moment is refused when it arrives, and read again after `resume`.

Undo: resume.

example: python manage.py pause 3
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
    from workers.queue import TERMINAL, lock_job, pause
    from workers.store import Store

    def step(connection: Connection) -> tuple[int, int]:
        job_id = find_job(connection, options.job)
        state = lock_job(connection, job_id)
        if state in TERMINAL:
            raise UsageError(f"Job {job_id} has ended already: {state}. Nothing to pause.")
        n_aside = pause(connection, job_id)
        record(connection, "pause", f"job {job_id}", {"n_documents": n_aside})
        return job_id, n_aside

    store = Store(settings.store_url)
    job_id, n = store.write(step)
    store.close()
    words(f"Job {job_id} is paused; {n} documents wait for: python manage.py resume {job_id}")
    return {"job_id": job_id, "n_documents": n}
