"""A change of one job by hand: found, locked, changed and put into the audit, in one transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from suites.errors import UsageError
from workers.audit import record
from workers.follow import find_job
from workers.queue import TERMINAL, lock_job
from workers.settings import Settings
from workers.store import Store, unhurried


def change_job(settings: Settings, wanted: str, action: str, change: Callable[[Connection, int], int], *, running: bool = False) -> tuple[int, int]:
    """Makes the change to the job given by number or name; gives its id and how many documents were concerned.

    Raises UsageError where there is no such job or, if it must be `running`, where it has ended.
    """

    def step(connection: Connection) -> tuple[int, int]:
        unhurried(connection)
        job_id = find_job(connection, wanted)
        state = lock_job(connection, job_id)
        if running and state in TERMINAL:
            raise UsageError(f"Job {job_id} has ended already: {state}. Nothing to {action}.")
        n_documents = change(connection, job_id)
        record(connection, action, f"job {job_id}", {"n_documents": n_documents})
        return job_id, n_documents

    store = Store(settings.store_url)
    try:
        return store.write(step)
    finally:
        store.close()
