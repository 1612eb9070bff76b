"""Writes a copy of the store without texts to one SQLite file, for tools of the analysts' own.

It holds what the role of analysts may read: results, findings, jobs, failures, counts by day; no texts, keys, metadata or audit. Whoever opens it
may ask whatever they like. It is of one moment: make it anew as often as you need. From a PostgreSQL store too, by an analyst's login.

example: python manage.py copy analysts.db
         python manage.py tables --datasette analysts.db > metadata.json      descriptions and worked queries for Datasette (docs/analysts.md)
         datasette serve -i analysts.db --metadata metadata.json
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.discover import discover
from suites.errors import UsageError
from workers.settings import Settings
from workers.show import progress_bar, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a SQLite file; one that is there is replaced once the copy is whole")


def run(options: Namespace, settings: Settings) -> object:
    from workers.audit import record_alone
    from workers.copy_store import copy_store
    from workers.store import Store

    store = Store(settings.store_url)
    if store.file is not None and store.file.resolve() == options.file.resolve():
        raise UsageError(f"{options.file} is the store itself. Name another file.", "is_store")
    packs, _ = discover(settings.pack_folders)
    record_alone(store, "export", "store", {"what": "copy", "file": options.file.name[:200]})
    store.close()
    with progress_bar(quiet=options.json) as on_progress:
        counts = copy_store(settings.store_url, packs.values(), options.file, on_progress)
    words(f"{sum(counts.values())} rows of {len(counts)} tables in {options.file}, without texts, keys and metadata")
    return {"file": str(options.file), "rows": counts}
