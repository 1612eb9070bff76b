"""Asks the store in SQL, read-only. The texts of documents cannot be read this way.

A statement that takes longer than --seconds, or more memory than a gigabyte, is ended.

example: python manage.py query "select verdict, count(*) from finance_results group by verdict"
         python manage.py query - < question.sql
         python manage.py tables        what there is to ask
"""

from __future__ import annotations

import json
import os
import sys
import threading
from argparse import ArgumentParser, Namespace

from workers.arguments import positive
from workers.settings import Settings
from workers.show import table, words
from workers.verbs import Part

# SQLite looks at the clock between its steps, and a step can be one function over a large text: then the process ends
GRACE_S = 2.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("sql", help="one statement that reads; - takes it from stdin")
    parser.add_argument("--limit", type=positive, default=1000, help="rows at most (default 1000)")
    parser.add_argument("--seconds", type=positive, default=60, help="time at most (default 60)")


def run(options: Namespace, settings: Settings) -> object:
    from workers.query import read_only

    sql = sys.stdin.read() if options.sql == "-" else options.sql
    watchdog = threading.Timer(options.seconds + GRACE_S, _end, [options])
    watchdog.daemon = True
    watchdog.start()
    try:
        rows, more = read_only(settings.store_url, sql, options.limit, limit_s=options.seconds)
    finally:
        watchdog.cancel()
    if not options.json:
        table(rows)
    if more:
        words(f"(the first {options.limit} rows; --limit shows more, `export` writes all)")
    return Part(rows, more)


def _end(options: Namespace) -> None:
    """Ends the process as an error would: nothing else can end a function of SQLite's that does not come back."""
    message = f"The query took more than {options.seconds} s and was ended. Ask for less, or `export` and ask there."
    if options.json:
        print(json.dumps({"ok": False, "command": "query", "error": {"code": "too_slow", "message": message}}), flush=True)
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(2)
