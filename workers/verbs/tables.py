"""Shows the data dictionary: each table and view, each column and what it holds.

example: python manage.py tables
         python manage.py tables --markdown > docs/data-dictionary.md
         python manage.py tables --datasette analysts.db > metadata.json      for Datasette 0.65 (docs/analysts.md)
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from suites.discover import Pack, discover
from suites.errors import UsageError
from workers.settings import Settings


def add_arguments(parser: ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as Markdown")
    form.add_argument("--datasette", type=Path, nargs="?", const=Path(), metavar="FILE", help="metadata of a copy of the store, or of the store, as JSON")


def run(options: Namespace, settings: Settings) -> object:
    from workers.dictionary import data_dictionary, markdown

    packs, _ = discover(settings.pack_folders)
    if options.datasette is not None:
        return _datasette(options, settings, packs)
    found = data_dictionary(packs.values())
    if options.markdown and not options.json:
        print(markdown(found))
    elif not options.json:
        for entry in found:
            print(f"{entry['name']} ({entry['kind']}): {entry['description']}")
            for column in entry["columns"]:
                print(f"  {column['name']:<18} {column['type']:<12} {column['description']}")
            print()
    return found


def _datasette(options: Namespace, settings: Settings, packs: Mapping[str, Pack]) -> object:
    from workers.datasette import datasette_metadata
    from workers.show import words
    from workers.store import Store

    file = options.datasette if options.datasette.name else Store(settings.store_url).file
    if file is None:
        raise UsageError("The store is no SQLite file. Make a copy for Datasette: python manage.py copy FILE; then name it: tables --datasette FILE")
    found = datasette_metadata(packs.values(), file)
    if any(not database.get("allow_sql", True) for database in found["databases"].values()):
        words("This file holds texts. Serve it without -i, for Datasette gives immutable files away whole; or serve a copy: python manage.py copy FILE")
    if not options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    return found
