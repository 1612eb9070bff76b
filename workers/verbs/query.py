"""Asks the store in SQL, read-only. The texts of documents cannot be read this way.

example: python manage.py query "select verdict, count(*) from finance_results group by verdict"
         python manage.py tables        what there is to ask
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from workers.arguments import positive
from workers.settings import Settings
from workers.show import table, words
from workers.verbs import Part


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("sql", help="one statement that reads")
    parser.add_argument("--limit", type=positive, default=1000, help="rows at most (default 1000)")


def run(options: Namespace, settings: Settings) -> object:
    from workers.query import read_only

    rows, more = read_only(settings.store_url, options.sql, options.limit)
    if not options.json:
        table(rows)
    if more:
        words(f"(the first {options.limit} rows; --limit shows more, `export` writes all)")
    return Part(rows, more)
