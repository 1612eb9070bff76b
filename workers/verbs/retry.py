"""Makes a job's failed documents wait again, after their cause was mended.

example: python manage.py retry 3
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
    from workers.queue import retry

    job_id, n = change_job(settings, options.job, "retry", retry)
    if n:
        ring(job_id)
    words(f"{n_of(n, 'document')} to be read again." if n else "The job has no failed documents.")
    return {"job_id": job_id, "n_documents": n}
