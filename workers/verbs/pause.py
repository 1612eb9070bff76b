"""Sets a job's documents aside: once it returns, nothing of the job is read or written until `resume`.

What is being read at the moment is refused when it arrives, and read again after `resume`.

Undo: resume.

example: python manage.py pause 3
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from workers.arguments import add_job
from workers.settings import Settings
from workers.show import n_of, words


def add_arguments(parser: ArgumentParser) -> None:
    add_job(parser)


def run(options: Namespace, settings: Settings) -> object:
    from workers.change import change_job
    from workers.queue import pause

    job_id, n = change_job(settings, options.job, "pause", pause, running=True)
    words(f"Job {job_id} is paused; {n_of(n, 'document')} left for: python manage.py resume {job_id}")
    return {"job_id": job_id, "n_documents": n}
