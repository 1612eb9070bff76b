"""The SQL box: whatever is asked in it, the console goes on, and no text comes out."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.testclient import TestClient

from workers.console import sql_child
from workers.console.app import app
from workers.console.desk import Desk
from workers.console.door import Hosts
from workers.console.sql_child import Child
from workers.console.tokens import Sessions, Token, Viewer
from workers.settings import Settings, load_settings

from ..conftest import manage
from .conftest import ANALYST, COOKIE, URL, bearer, read_toys

Served = Callable[[Settings], TestClient]
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def asked(client: TestClient, sql: str, **form: str) -> str:
    answer = client.post("/sql", data={"sql": sql} | form, headers=bearer())
    assert answer.status_code == 200
    return unescape(answer.text)


def test_an_answer_is_that_of_query(settings: Settings, served: Served, tmp_path: Path) -> None:
    """The same rows in the same order, with their number, whether there are more, and the time it took."""
    read_toys(settings, tmp_path, 60)
    client = served(settings)
    sql = "SELECT document, topic, topic_score FROM toy_results ORDER BY document"
    rows = json.loads(manage("query", sql, "--json", home=settings).stdout)["data"]
    html = asked(client, sql)
    assert "60 rows · " in html and [html.index(row["document"]) for row in rows] == sorted(html.index(row["document"]) for row in rows)
    assert all(f"{row['topic_score']:.12g}" in html for row in rows)
    assert "50 rows, and there are more" in asked(client, sql, limit="50")
    assert "0 rows" in asked(client, "SELECT 1 AS a WHERE 1 = 0")
    null = asked(client, "SELECT NULL AS a, '<b>' AS b, 12345678 AS c")
    assert "12345678" in null and "<b>" in null and "<td><b>" not in null


def test_a_draft_is_not_asked(settings: Settings, served: Served) -> None:
    """What a list or a table offers is put into the box, to be changed; `Ask` asks it."""
    html = asked(served(settings), "SELECT broken from", draft="1")
    assert ">SELECT broken from</textarea>" in html and 'id="answer"' not in html and "notice bad" not in html


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT * FROM texts", "never the tables texts and data_keys"),
        ("SELECT wrapped FROM data_keys", "never the tables texts and data_keys"),
        ("DELETE FROM jobs", "Refused"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT topik FROM toy_results", "Did you mean topic?"),
        ("-- nothing", ""),
    ],
)
def test_what_may_not_be_asked_is_told_in_words(on_sqlite: Settings, served: Served, sql: str, says: str) -> None:
    """The error of `query`, as it is."""
    html = asked(served(on_sqlite), sql)
    assert "notice bad" in html and says in html


def test_texts_cannot_be_read_on_postgresql(home: Settings, served: Served, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither by name nor through a function."""
    from .conftest import migrated

    monkeypatch.setenv("STILLHOUSE_STORE__URL", postgres_url)
    settings = migrated(load_settings())
    read_toys(settings, tmp_path, 2)
    client = served(settings)
    for sql in ("SELECT * FROM texts", "SELECT query_to_xml('select * from texts', true, true, '')", "SELECT t FROM (SELECT * FROM texts) AS t"):
        html = asked(client, sql)
        assert "notice bad" in html and "Refused" in html and "storm" not in html


@pytest.mark.anyio
async def test_a_statement_without_end_hinders_nobody(on_sqlite: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended in time; meanwhile pages are answered, a third statement is asked to wait, and its words cannot be read from the process's arguments."""
    monkeypatch.setattr(sql_child, "STATEMENT_S", 4)
    desk = Desk.of(on_sqlite)
    made = app(desk, Sessions([Token(Viewer(), ANALYST, True)]), Hosts("127.0.0.1"), COOKIE)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url=URL, headers=bearer()) as client:
        started = time.monotonic()
        asking = [asyncio.create_task(client.post("/sql", data={"sql": f"{ENDLESS} -- {i}"}, timeout=60)) for i in range(2)]
        await asyncio.sleep(1.5)
        assert (await asyncio.wait_for(client.get("/jobs"), 5)).status_code == 200
        busy = await client.post("/sql", data={"sql": "SELECT 1"})
        assert (busy.status_code, "are being answered" in busy.text) == (400, True)
        arguments = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        assert any("query -" in one for one in arguments) and not any("RECURSIVE" in one for one in arguments)
        answers = await asyncio.gather(*asking)
        assert time.monotonic() - started < 30
        assert all("was ended" in unescape(answer.text) for answer in answers)
        assert "1 row" in (await client.post("/sql", data={"sql": "SELECT 1 AS a"}, timeout=60)).text
    desk.close()
    assert not [child for child in psutil.Process().children(recursive=True) if "query" in child.cmdline()]


@pytest.mark.anyio
async def test_an_answer_that_is_too_large_is_not_taken(on_sqlite: Settings) -> None:
    """Neither many large rows nor one that asks for more memory than a statement gets; the child is gone afterwards."""
    child = Child(on_sqlite)
    for sql in (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT i, hex(zeroblob(100000)) AS x FROM n",
        "SELECT zeroblob(999999999) AS x",
    ):
        answer = await child.asked(sql, 1000)
        assert answer.error and not answer.rows, sql
    assert not [one for one in psutil.Process().children(recursive=True) if "query" in one.cmdline()]


@pytest.mark.anyio
async def test_a_child_that_does_not_end_is_ended(on_sqlite: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever runs in its place: after a while it is killed, and the page says so."""
    endless = tmp_path / "manage.py"
    endless.write_text("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n", encoding="utf-8")
    monkeypatch.setattr(sql_child, "MANAGE", endless)
    monkeypatch.setattr(sql_child, "STATEMENT_S", 1)
    monkeypatch.setattr(sql_child, "GRACE_S", 0.5)
    answer = await Child(on_sqlite).asked("SELECT 1", 10)
    assert answer.code == "too_large" and answer.seconds < 10
    assert not [one for one in psutil.Process().children(recursive=True) if str(endless) in one.cmdline()]


def test_the_child_has_no_secret(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment holds neither tokens nor the master key; where an analyst's login is set, the store by that alone."""
    secrets = {
        "STILLHOUSE_CONSOLE__TOKEN": "a" * 20,
        "STILLHOUSE_CONSOLE__REVIEWERS": "anna=" + "b" * 20,
        "STILLHOUSE_PRIVACY__KEY": "c" * 44,
        "STILLHOUSE_SCORE__TOKEN": "d" * 20,
        "STILLHOUSE_STORE__URL": "postgresql://owner:e@host/db",
        "STILLHOUSE_CONSOLE__QUERY_URL": "postgresql://analyst:f@host/db",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    given = Child(load_settings())._environment()
    assert given["STILLHOUSE_STORE__URL"] == "postgresql://analyst:f@host/db"
    assert not {secrets[name] for name in secrets if name != "STILLHOUSE_CONSOLE__QUERY_URL"} & set(given.values())
    assert given["STILLHOUSE_SETTINGS"] == os.environ["STILLHOUSE_SETTINGS"]


def test_query_takes_a_statement_from_stdin(home: Settings) -> None:
    """`query -` reads it, so that it stands in no list of processes."""
    import subprocess
    import sys

    from ..conftest import ROOT

    manage("migrate", home=home)
    command = [sys.executable, str(ROOT / "manage.py"), "query", "-", "--json"]
    done = subprocess.run(command, input="SELECT count(*) AS n FROM jobs", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["data"] == [{"n": 0}]
