"""Lets the primary student before the present one read again; the present one is retired.

Each rollback goes one step further back in the line of primaries: after releases of A, B and C the
first rollback brings B, the second A. `release PACK --student ID` brings a later one back. New jobs
are read by the student that came back, and the views show its findings again; nothing is deleted.
Jobs made for the retired student are still read by it, unless they are cancelled.

example: python manage.py rollback finance
         python manage.py students list finance      which students there are, and their states
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from suites.discover import Pack, find_pack
from suites.errors import StoreError
from workers.settings import Settings
from workers.show import words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.release import read_register, rollback
    from workers.audit import note

    pack = find_pack(options.pack, settings.pack_folders)
    retired = read_register(settings.students_folder, pack.name).primary
    register = rollback(pack, settings.students_folder)
    primary = register.primary
    assert primary is not None
    assert retired is not None  # rollback refused otherwise
    note(settings.store_url, "rollback", f"student {primary}", {"pack": pack.name, "retired": retired})
    words(f"{primary} reads for {pack.name} again; {retired} is retired.")
    waiting = _show(settings, pack, primary, retired)
    for job_id in waiting:
        words(f"Job {job_id} is still read by {retired}. To have {primary} read it: python manage.py cancel {job_id}, then submit its files again.")
    return {"pack": pack.name, "primary": primary, "retired": retired, "waiting_jobs": list(waiting)}


def _show(settings: Settings, pack: Pack, primary: str, retired: str) -> Sequence[int]:
    """The jobs that the retired student still reads, after the store's views were turned to the primary."""
    from workers.migrate import require_newest
    from workers.store import Store
    from workers.students import jobs_waiting_for, shown_again

    store = Store(settings.store_url)
    try:
        require_newest(store)
        with store.begin() as connection:
            if shown_again(connection, pack, primary):
                words(f"The views show the findings of {primary}.")
            return jobs_waiting_for(connection, retired)
    except StoreError as error:
        words(f"The views change with the next submit: {error.message}")
        return []
    finally:
        store.close()
