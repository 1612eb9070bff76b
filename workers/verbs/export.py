"""Writes a pack's results or findings to a file: .parquet, .csv or .jsonl. No document text is in them.

CSV cells that a spreadsheet would run as a formula get an apostrophe in front.

example: python manage.py export finance results.parquet
         python manage.py export finance findings.csv --what findings
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.discover import find_pack
from workers.settings import Settings
from workers.show import progress_bar, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("file", type=Path)
    parser.add_argument("--what", choices=("results", "findings"), default="results")


def run(options: Namespace, settings: Settings) -> object:
    from workers.audit import record_alone
    from workers.export import export
    from workers.store import Store

    pack = find_pack(options.pack, settings.pack_folders)
    store = Store(settings.store_url)
    record_alone(store, "export", f"pack {pack.name}", {"what": options.what, "file": options.file.name[:200]})
    store.close()
    with progress_bar(quiet=options.json) as on_progress:
        n = export(settings.store_url, pack, options.what, options.file, on_progress)
    words(f"{n} rows in {options.file}")
    return {"file": str(options.file), "n_rows": n}
