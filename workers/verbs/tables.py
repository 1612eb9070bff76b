"""Shows the data dictionary: each table and view, each column and what it holds.

example: python manage.py tables
         python manage.py tables --markdown > docs/data-dictionary.md
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.discover import discover
from workers.settings import Settings


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(options: Namespace, settings: Settings) -> object:
    from workers.dictionary import data_dictionary, markdown

    packs, _ = discover(settings.pack_folders)
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
