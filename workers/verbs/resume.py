"""Lets a paused job's documents be read again. A job that is not paused is left as it is.

example: python manage.py resume 3
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from workers.settings import Settings
from workers.show import words

if TYPE_CHECKING:
    from sqlalchemy import Connection


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", help="number or name of a job")


def run(options: Namespace, settings: Settings) -> object:
    from workers.audit import record
    from workers.bell import ring
    from workers.follow import find_job
    from workers.queue import resume
    from workers.store import Store

    def step(connection: Connection) -> tuple[int, int]:
        job_id = find_job(connection, options.job)
        n_ready = resume(connection, job_id)
        record(connection, "resume", f"job {job_id}", {"n_documents": n_ready})
        return job_id, n_ready

    store = Store(settings.store_url)
    job_id, n = store.write(step)
    store.close()
    if n and not ring(job_id):
        words("No broker answers: the documents wait. Start workers with: python manage.py up")
    words(f"Job {job_id}: {n} documents are read again." if n else f"Job {job_id} has nothing set aside.")
    return {"job_id": job_id, "n_documents": n}
