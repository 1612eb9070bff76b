"""A backup of a SQLite store and its students, made while workers write; and its way back.

The store first, then the students: whatever the store refers to is there then. Each student is immutable and has its own sums.
The master key of sealed texts is not in it, nor are the settings.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import pysqlite3.dbapi2 as driver

from pipelines.sources import sha256
from suites.errors import DataError, StoreError, UsageError
from workers.export.draft import drafted_folder
from workers.settings import Settings
from workers.store import Store

STORE, STUDENTS, RECORD = "store.db", "students", "backup.json"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself. `made_at`: seconds since 1970; `schema`: the store's."""

    made_at: float
    schema: str
    store_bytes: int
    store_sha256: str
    students: tuple[str, ...]
    sealed: bool


def back_up(settings: Settings, folder: Path) -> Backup:
    """Writes store and students to a new folder, which appears whole or not at all. Raises UsageError on PostgreSQL."""
    file = _store_file(settings)
    if not file.exists():
        raise StoreError("There is no store yet. Run: python manage.py migrate", "store_schema")
    with drafted_folder(folder) as draft:
        schema, sealed = _copied(file, draft / STORE)
        if settings.students_folder.exists():
            shutil.copytree(settings.students_folder, draft / STUDENTS, ignore=shutil.ignore_patterns(".*"))
        students = tuple(sorted(str(path.parent.relative_to(draft / STUDENTS)) for path in (draft / STUDENTS).glob("*/*/SHA256SUMS")))
        made = Backup(time.time(), schema, (draft / STORE).stat().st_size, sha256(draft / STORE), students, sealed)
        (draft / RECORD).write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")
        for path in draft.rglob("*"):  # on the disk before it has its name
            _synced(path)
    return made


def restore(settings: Settings, folder: Path) -> tuple[Backup, list[str]]:
    """Puts a backup's store where the settings say, and those of its students that are missing there; gives what was left as it is.

    Raises UsageError where a store is there already: none is ever overwritten. Raises DataError where the backup is damaged.
    """
    try:
        said = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        backup = Backup(**said | {"students": tuple(said["students"])})
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(
            f"{folder} is no backup: it has no {RECORD} that can be read. Name a folder that `python manage.py backup` wrote.", "no_backup"
        ) from None
    file = _store_file(settings)
    if present := [str(path) for suffix in ("", "-wal") if (path := Path(f"{file}{suffix}")).exists()]:
        raise UsageError(f"{present[0]} is there: a store is never overwritten. Stop all workers, move it away, then restore.", "store_there")
    if not (folder / STORE).exists() or sha256(folder / STORE) != backup.store_sha256:
        raise DataError(f"{folder / STORE} is missing, or not as it was written. Take another backup.", "backup_damaged")
    kept = _students_back(folder / STUDENTS, settings.students_folder) if backup.students else []
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.draft")
    try:
        shutil.copyfile(folder / STORE, draft)
        _synced(draft)
        os.replace(draft, file)  # last: what is there is whole
    finally:
        draft.unlink(missing_ok=True)
    return backup, kept


def _store_file(settings: Settings) -> Path:
    store = Store(settings.store_url)
    store.close()
    if store.file is None:
        told = "PostgreSQL has its own tools: pg_dump --format=custom, and pg_restore (docs/operations.md). The students are plain folders."
        raise UsageError(f"This is for SQLite. {told}", "not_sqlite")
    return store.file


def _copied(file: Path, copy: Path) -> tuple[str, bool]:
    """Copies the store as it is at one moment, by SQLite's online backup in one step: it waits for no writer and no writer for it.

    Gives the schema, and whether texts are sealed. Raises StoreError where the copy is not sound.
    """
    try:
        with closing(driver.connect(f"file:{file}?mode=ro", uri=True)) as source, closing(driver.connect(str(copy))) as target:
            source.backup(target)
            sound = target.execute("PRAGMA quick_check").fetchone()[0]
            schema = str(target.execute("SELECT version_num FROM alembic_version").fetchone()[0])
            sealed = bool(target.execute("SELECT count(*) FROM data_keys WHERE master_id IS NOT NULL").fetchone()[0])
    except driver.Error as error:
        raise StoreError(f"The store could not be copied ({type(error).__name__}). Has it been migrated? python manage.py doctor", "backup_failed") from None
    if sound != "ok":
        raise StoreError("The store is damaged: its copy is not sound (PRAGMA quick_check). Restore an older backup.", "store_damaged")
    return schema, sealed


def _students_back(source: Path, target: Path) -> list[str]:
    """Copies what is not there: a student's id is made of its content, so one that is there is the same. Registers that are there are kept."""
    kept = []
    for path in sorted(source.glob("*/*")):
        place = target / path.relative_to(source)
        if place.exists():
            if path.is_file() and place.read_bytes() != path.read_bytes():
                kept.append(str(place))
        elif path.is_dir():
            shutil.copytree(path, place)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return kept


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
