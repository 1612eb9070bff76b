"""A console over stores of both kinds, with the toy pack's documents in them, read by real code or made of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipelines.release import released_student
from suites.discover import Pack, find_pack
from workers.console.app import app
from workers.console.desk import Desk
from workers.console.door import Hosts
from workers.console.tokens import Sessions, Token, Viewer
from workers.drain import drain
from workers.migrate import migrate
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.submit import submit

from ...conftest import toy_sample
from ..test_roles import roles_url  # noqa: F401 (a fixture)
from .browser import Driver, chromium, complaints, requests, strangers
from .process import Running

ANALYST, REVIEWER = "analyst-token-of-the-tests", "reviewer-token-of-the-tests"
REVIEWERS = {"anna": REVIEWER, "bela": f"{REVIEWER}-bela", "carl": f"{REVIEWER}-carl"}
COOKIE = "stillhouse_console_8610"
URL = "http://127.0.0.1:8610"


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a migrated store of each kind, with the toy pack and its student."""
    if request.param == "postgresql":
        monkeypatch.setenv("STILLHOUSE_STORE__URL", str(request.getfixturevalue("postgres_url")))
    return migrated(load_settings())


@pytest.fixture
def on_sqlite(home: Settings) -> Settings:
    """The same on SQLite alone, where the database makes no difference."""
    return migrated(home)


def migrated(settings: Settings) -> Settings:
    store = Store(settings.store_url)
    migrate(store, [pack_of(settings)])
    store.close()
    return settings


def pack_of(settings: Settings) -> Pack:
    return find_pack("toy", settings.pack_folders)


@pytest.fixture
def served() -> Iterator[Callable[[Settings], TestClient]]:
    """Opens a console over a store; whoever asks brings a token."""
    desks: list[Desk] = []

    def opened(settings: Settings) -> TestClient:
        desks.append(Desk.of(settings))
        tokens = [Token(Viewer(), ANALYST, True), *(Token(Viewer(name), token, True) for name, token in REVIEWERS.items())]
        return TestClient(app(desks[-1], Sessions(tokens), Hosts("127.0.0.1"), COOKIE), base_url=URL, follow_redirects=False)

    yield opened
    for desk in desks:
        desk.close()


def bearer(token: str = ANALYST) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def read_toys(settings: Settings, folder: Path, n: int = 40, *, name: str = "toys", broken: int = 0) -> int:
    """Submits toy notices and has them read by the released student, in this process; gives the job's number."""
    store = Store(settings.store_url)
    file = folder / f"{name}.jsonl"
    rows = [json.dumps({"id": s["id"], "text": s["text"], "meta": {"desk": "north"}}) for s in map(toy_sample, range(n))]
    file.write_text("\n".join([*rows, *(['{"id": "x"}'] * broken)]) + "\n", encoding="utf-8")
    student = released_student(settings.students_folder, "toy")
    job = submit(store, pack_of(settings), student, [file], chunk=100, name=name, ring=lambda number: None)
    drain(store, settings, budget_s=120)
    store.close()
    return job.job_id


@pytest.fixture(scope="module")
def chrome(running: Running) -> Iterator[Driver]:
    with chromium() as driver:
        driver.get(running.links["anna"])
        yield driver


@pytest.fixture
def browser(chrome: Driver, running: Running) -> Iterator[Driver]:
    """The browser, signed in as a reviewer; whatever a test does in it, no page may complain or ask another site for anything."""
    complaints(chrome)
    requests(chrome)
    yield chrome
    assert complaints(chrome) == []
    assert strangers(requests(chrome), running.url) == []
