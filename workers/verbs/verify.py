"""Checks the laws of conservation over the store, or over one job, and prints them.

No document is lost and none is read twice: what came in adds up with what came out, every reading is whole, and nothing
stands in two places. Workers ask the laws of each job when it ends; this asks them all, of SQLite's file as well, and of
the audit chain. Exit code 1 where a law does not hold.

example: python manage.py verify
         python manage.py verify 3        one job
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from suites.errors import RunError
from workers.settings import Settings
from workers.show import table, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", nargs="?", help="number or name of a job")


def run(options: Namespace, settings: Settings) -> object:
    from workers.follow import find_job
    from workers.migrate import require_newest
    from workers.store import Store
    from workers.verify import chain_law, file_laws, lapsed, laws

    store = Store(settings.store_url)
    require_newest(store)
    with store.reading() as connection:
        job_id = find_job(connection, options.job) if options.job else None
        found = laws(connection, job_id)
        if job_id is None:
            found += [*file_laws(connection), chain_law(connection)]
        n_lapsed = lapsed(connection, settings.worker.sweep_s)
    store.close()
    rows = [{**asdict(law), "holds": law.holds} for law in found]
    if not options.json:
        shown = [{"law": law.name, "says": law.words, "holds": "yes" if law.holds else f"NO: {law.n_broken} ({', '.join(law.broken)})"} for law in found]
        table(shown)
    if n_lapsed:
        words(f"{n_lapsed} documents are held by claims that lapsed: no worker sweeps. Start workers: python manage.py up")
    data = {"laws": rows, "n_lapsed": n_lapsed}
    if broken := [law.name for law in found if not law.holds]:
        raise RunError(f"Laws that do not hold: {', '.join(broken)}. Keep a copy of the store before anything else is done to it.", "not_conserved", data)
    words("All laws hold.")
    return data
