"""Gives up a job's waiting documents. What was read stays; what is being read is refused when it arrives.

Undo: submit the same paths again.

example: python manage.py cancel 3
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
    from workers.queue import cancel

    job_id, n = change_job(settings, options.job, "cancel", cancel, running=True)
    words(f"Job {job_id} is cancelled; {n_of(n, 'document')} given up.")
    return {"job_id": job_id, "n_documents": n}
