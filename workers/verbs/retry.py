"""Makes a job's failed documents wait again, after their cause was mended.

example: python manage.py retry 3
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
    from workers.queue import retry
    from workers.store import Store

    def step(connection: Connection) -> tuple[int, int]:
        job_id = find_job(connection, options.job)
        n_again = retry(connection, job_id)
        record(connection, "retry", f"job {job_id}", {"n_documents": n_again})
        return job_id, n_again

    store = Store(settings.store_url)
    job_id, n = store.write(step)
    if n:
        ring(job_id)
    store.close()
    words(f"{n} documents wait again." if n else "The job has no failed documents.")
    return {"job_id": job_id, "n_documents": n}
