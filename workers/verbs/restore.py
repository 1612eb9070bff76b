"""Brings a backup of a SQLite store back to where the settings say, with those of its students that are missing there.

A store that is there is never overwritten: stop all workers and move it away first. Work that was in hand when the backup was made is read again.

example: python manage.py restore /backups/2026-11-30
         python manage.py verify
         python manage.py up
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from workers.settings import Settings
from workers.show import command, n_of, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a folder that `backup` wrote")


def run(options: Namespace, settings: Settings) -> object:
    from workers.backup import restore
    from workers.migrate import newest

    backup, kept = restore(settings, options.folder)
    words(f"the store of schema {backup.schema} is back, and {n_of(len(backup.students), 'student')}")
    for place in kept:
        words(f"{place} is there and differs from the backup's: it was left as it is")
    words(f"next: {command('verify') if backup.schema == newest() else command('migrate')}")
    return {"folder": str(options.folder), "kept": kept, **asdict(backup)}
