"""Writes a backup of a SQLite store and its students to a new folder, while workers go on.

It is of one moment of the store. The master key of sealed texts is not in it: keep that elsewhere, or the backup is worth nothing. PostgreSQL has
its own tools (docs/operations.md). `restore` brings it back.

example: python manage.py backup /backups/2026-11-30
         python manage.py restore /backups/2026-11-30
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from workers.settings import Settings
from workers.show import n_of, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a new folder")


def run(options: Namespace, settings: Settings) -> object:
    from workers.audit import note
    from workers.backup import back_up

    note(settings.store_url, "export", "store", {"what": "backup", "file": options.folder.name[:200]})
    made = back_up(settings, options.folder)
    words(f"store of schema {made.schema}, {made.store_bytes / 1e6:.1f} MB, and {n_of(len(made.students), 'student')} in {options.folder}")
    if made.sealed:
        words("its texts are sealed: without the master key, which is not in the backup, they cannot be read")
    return {"folder": str(options.folder), **asdict(made)}
