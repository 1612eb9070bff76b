"""The console as a process: the links that it prints, what it says in its log, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import time

import httpx
import pytest
from sqlalchemy import text

from workers.settings import Settings
from workers.store import Store

from ..conftest import manage
from .process import console, free_port


def test_links_open_it_and_the_log_names_no_document(on_sqlite: Settings) -> None:
    """Each link lets in whom it is for. Ids that are asked for are in no line; what fails is a line of JSON without them."""
    with console(on_sqlite, "--reviewer", "anna", "--reviewer", "ben") as running:
        assert set(running.links) == {"", "anna", "ben"} and len(set(running.links.values())) == 3
        for name, link in running.links.items():
            with httpx.Client(follow_redirects=True) as client:
                page = client.get(link)
                assert page.url.path == "/jobs" and "token" not in str(page.url)
                assert (f"Reviewer {name}" if name else "Analyst") in page.text
                client.get(f"{running.url}/documents?id=CANARY-7351")
                assert "server" not in page.headers
        store = Store(on_sqlite.store_url)
        with store.begin() as connection:
            connection.execute(text("ALTER TABLE jobs RENAME TO away"))
        store.close()
        token = running.links[""].partition("=")[2]
        failed = httpx.get(f"{running.url}/jobs?before=7351", headers={"Authorization": f"Bearer {token}"})
        assert failed.status_code == 503
        code, said = running.ended(signal.SIGTERM)
    lines = [json.loads(line) for line in said.splitlines()]
    assert code == 0 and [line["message"] for line in lines] == ["the store could not be read"]
    assert "CANARY" not in said and "7351" not in said and token not in said


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_softly(on_sqlite: Settings, signum: int) -> None:
    """Within seconds, exit code 0 and without a word, also while a browser holds a connection open."""
    with console(on_sqlite) as running, httpx.Client() as client:
        assert client.get(f"{running.url}/healthz").status_code == 200
        started = time.monotonic()
        assert running.ended(signum) == (0, "")
        assert time.monotonic() - started < 8


def test_tokens_of_the_settings_are_not_printed(on_sqlite: Settings) -> None:
    """They let in, and no line holds them."""
    fixed = {"STILLHOUSE_CONSOLE__TOKEN": "a-token-of-the-settings", "STILLHOUSE_CONSOLE__REVIEWERS": "anna=a-token-of-annas-own"}
    with console(on_sqlite, "--reviewer", "ben", **fixed) as running:
        for token, who in (("a-token-of-the-settings", "Analyst"), ("a-token-of-annas-own", "Reviewer anna")):
            assert who in httpx.get(f"{running.url}/keys", headers={"Authorization": f"Bearer {token}"}).text
        assert "token=" not in running.links[""] + running.links["anna"]
        assert not any(token in line for line in running.links.values() for token in ("a-token-of-the-settings", "a-token-of-annas-own"))


def test_a_taken_port_is_told(on_sqlite: Settings) -> None:
    """It ends at once, with the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = manage("console", "--port", str(taken.getsockname()[1]), home=on_sqlite, check=False)
    assert (done.returncode, "--port" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_what_it_cannot_start_with_is_told(home: Settings) -> None:
    """A store that was never made, a name that is none, tokens that are too short or the same."""
    port = str(free_port())
    done = manage("console", "--port", port, home=home, check=False)
    assert (done.returncode, "python manage.py migrate" in done.stderr) == (1, True)
    manage("migrate", home=home)
    assert manage("console", "--reviewer", "a b", home=home, check=False).returncode == 2
    for reviewers in ("anna=short", "anna", f"anna={'a' * 20},ben={'a' * 20}", f"an na={'a' * 20}"):
        done = manage("console", "--port", port, home=home, check=False, STILLHOUSE_CONSOLE__REVIEWERS=reviewers)
        assert (done.returncode, "console" in done.stderr, "aaaa" in done.stderr) == (2, True, False), done.stderr
    done = manage("console", "--port", port, home=home, check=False, STILLHOUSE_CONSOLE__QUERY_URL="sqlite:///x.db")
    assert (done.returncode, "query_url" in done.stderr) == (2, True)
