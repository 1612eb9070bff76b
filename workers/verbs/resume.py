"""Lets a paused job's documents be read again. A job that is not paused is left as it is.

example: python manage.py resume 3
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from workers.arguments import add_job
from workers.settings import Settings
from workers.show import n_of, words


def add_arguments(parser: ArgumentParser) -> None:
    add_job(parser)


def run(options: Namespace, settings: Settings) -> object:
    from workers.bell import ring
    from workers.change import change_job
    from workers.queue import resume

    job_id, n = change_job(settings, options.job, "resume", resume)
    if n and not ring(job_id):
        words("No broker answers: the documents wait. Start workers with: python manage.py up")
    words(f"Job {job_id}: {n_of(n, 'document')} to be read again." if n else f"Job {job_id} has nothing set aside.")
    return {"job_id": job_id, "n_documents": n}
