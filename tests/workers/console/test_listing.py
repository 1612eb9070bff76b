"""Lists of results and findings: what an address asks is what is shown, whatever the number of rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from workers.console import findings as findings_page
from workers.console import listing
from workers.query import read_only
from workers.settings import Settings
from workers.store import Store

from ..test_plans import explained
from .conftest import bearer, pack_of, read_toys
from .seeded import HOSTILE, STUDENT, seed, seed_many

Served = Callable[[Settings], TestClient]


def shown(html: str) -> list[list[str]]:
    """The cells of a page's first list, as they are read; none where it has no list."""
    _, begun, rest = html.partition("<table data-rows>")
    body = rest[rest.index("<tbody>") : rest.index("</tbody>")] if begun else ""
    return [
        [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr.*?</tr>", body, re.S)
    ]


def asked(client: TestClient, path: str, **params: Any) -> str:
    answer = client.get(f"{path}?{urlencode({'pack': 'toy'} | {name.replace('__', '.'): value for name, value in params.items()})}", headers=bearer())
    assert answer.status_code == 200, answer.text[:2000]
    return answer.text


def facet(html: str, name: str) -> dict[str, int]:
    """A facet's values and counts."""
    (section,) = re.findall(rf"<section><h2><bdi>{name}</bdi></h2>(.*?)</section>", html, re.S)
    found = re.findall(r'class="what">(.*?)</span><span class="num">([\d,]+)</span>', section, re.S)
    return {unescape(re.sub(r"<[^>]+>", "", value)).strip(): int(n.replace(",", "")) for value, n in found}


def statement(html: str) -> str:
    return unescape(re.findall(r'name="sql" value="([^"]*)"', html)[-1])


def test_results_are_those_of_the_view(settings: Settings, served: Served, tmp_path: Path) -> None:
    """Every row of real readings, in the view's values; filters, facets and order agree with SQL."""
    read_toys(settings, tmp_path)
    client = served(settings)
    rows, _ = read_only(settings.store_url, "SELECT * FROM toy_results ORDER BY document", 100)
    html = asked(client, "/results", sort="document", dir="asc")
    assert [row[0] for row in shown(html)] == [row["document"] for row in rows]
    topics = {row["topic"] for row in rows}
    assert facet(html, "topic") == {topic: sum(row["topic"] == topic for row in rows) for topic in topics}
    flags = facet(html, "flags")
    assert flags["urgent"] == sum("urgent" in (row["flags"] or "").split(", ") for row in rows)
    for topic in topics:
        narrowed = asked(client, "/results", is__topic=topic, sort="document", dir="asc")
        assert [row[0] for row in shown(narrowed)] == [row["document"] for row in rows if row["topic"] == topic]
        assert facet(narrowed, "topic") == facet(html, "topic"), "what is asked of a facet's own column does not narrow it"
        assert f"topic = {topic}" in narrowed
    urgent = asked(client, "/results", is__flags="urgent", sort="document", dir="asc")
    assert [row[0] for row in shown(urgent)] == [row["document"] for row in rows if "urgent" in (row["flags"] or "").split(", ")]
    middle = sorted(row["topic_score"] for row in rows)[20]
    ranged = asked(client, "/results", min__topic_score=middle, sort="topic_score")
    assert len(shown(ranged)) == sum(row["topic_score"] >= middle for row in rows)
    assert 'aria-sort="descending"' in ranged
    one = asked(client, "/results", q="toy-0007", columns="topic,n_chars")
    assert [(row[0], len(row)) for row in shown(one)] == [("toy-0007", 3)]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"is__topic": "animals", "sort": "n_findings", "dir": "asc"},
        {"is__flags": "draft", "min__topic_score": 0.2, "max__n_chars": 400},
        {"no__flags": 1},
        {"q": "TOY-000", "columns": "topic"},
        {"q": "100%_'"},
    ],
    ids=str,
)
def test_the_statement_gives_the_same_rows(settings: Settings, served: Served, tmp_path: Path, params: dict[str, Any]) -> None:
    """What `Ask in SQL` offers can be asked as it stands and finds the documents that the page shows."""
    read_toys(settings, tmp_path)
    html = asked(served(settings), "/results", **params)
    rows, _ = read_only(settings.store_url, statement(html), 100)
    assert [row["document"] for row in rows] == [row[0] for row in shown(html)]


def test_findings_are_those_of_the_store(settings: Settings, served: Served, tmp_path: Path) -> None:
    """Filters of task, label, score and doubt agree with SQL; a row leads to its document."""
    read_toys(settings, tmp_path)
    client = served(settings)
    rows, _ = read_only(settings.store_url, "SELECT * FROM toy_findings", 10_000)
    html = asked(client, "/findings")
    assert f"{len(rows):,} rows" in html
    assert facet(html, "task") == {task: sum(row["task"] == task for row in rows) for task in {row["task"] for row in rows}}
    mine = [row for row in rows if (row["task"], row["label"]) == ("things", "A") and row["score"] >= 0.5]
    narrowed = asked(client, "/findings", is__task="things", is__label="A", min__score=0.5)
    assert f"{len(mine)} row" in narrowed
    scores = [float(row[3]) for row in shown(narrowed)]
    assert scores == sorted(scores, reverse=True), "of one label the surest come first"
    codes = asked(client, "/findings", is__source="rule")
    assert f"{sum(row['source'] == 'rule' for row in rows)} row" in codes
    link = re.search(r'<th scope="row"><a href="(/documents/\d+\?student=[^"]+)"', narrowed)
    assert link and client.get(link[1], headers=bearer()).status_code == 200
    rerun, _ = read_only(settings.store_url, statement(narrowed), 100)
    assert len(rerun) == min(len(mine), listing.PAGE_ROWS)


def test_many_rows_are_counted_and_leafed_through_to_a_bound(settings: Settings, served: Served) -> None:
    """Of more than 10,000 rows the page says 10,000+; the last part says what to do, and no part lies behind it."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        seed_many(connection, pack_of(settings), 10_100)
    store.close()
    client = served(settings)
    html = asked(client, "/results")
    assert "10,000+ rows, 1 to 50" in html and "among the newest 10,000 rows" in html
    last = asked(client, "/results", page=200)
    assert "9,951 to 10,000" in last and 'rel="next"' not in last and "can be leafed through" in last
    assert client.get("/results?pack=toy&page=201", headers=bearer()).status_code == 400
    every = {row[0] for page in range(1, 6) for row in shown(asked(client, "/findings", is__task="topic", is__label="weather", page=page))}
    assert len(every) == 250, "no row stands in two parts"
    fewer = asked(client, "/results", q="doc-1009")
    assert "11 rows" in fewer
    assert "10,000+ rows" in asked(client, "/findings")


def test_keys_of_a_page_lead_on(on_sqlite: Settings, served: Served) -> None:
    """The parts of a list are linked in both directions, and what is asked stays."""
    store = Store(on_sqlite.store_url)
    with store.begin() as connection:
        seed_many(connection, pack_of(on_sqlite), 120)
    store.close()
    client = served(on_sqlite)
    second = asked(client, "/results", page=2, min__n_chars=10)
    previous, following = (unescape(re.search(rf'rel="{rel}" href="([^"]+)"', second)[1]) for rel in ("prev", "next"))  # type: ignore[index]
    assert "min.n_chars=10" in previous and "page" not in previous and following.endswith("page=3")
    third = client.get(following, headers=bearer()).text
    assert "101 to 120" in third and 'rel="next"' not in third


WRONG = [
    ("/results?pack=toyy", 404, "Did you mean 'toy'?"),
    ("/results?pack=toy&is.topik=x", 400, "Did you mean 'topic'?"),
    ("/results?pack=toy&sort=nothing", 400, "column to order by"),
    ("/results?pack=toy&min.topic_score=high", 400, "expected a number"),
    ("/results?pack=toy&min.topic_score=nan", 400, "expected a number"),
    ("/results?pack=toy&is.n_chars=x", 400, "expected a number"),
    ("/results?pack=toy&page=0", 400, "whole number"),
    ("/findings?pack=toy&student=toy-1", 404, "No student"),
    ("/findings?pack=toy&sort=valu", 400, "Did you mean 'value'?"),
    ("/jobs?before=x", 400, "whole number"),
    ("/charts?pack=toy&days=7", 400, "No days"),
]


@pytest.mark.parametrize(("path", "status", "says"), WRONG)
def test_an_address_that_asks_nonsense_is_told(on_sqlite: Settings, served: Served, path: str, status: int, says: str) -> None:
    """The page says what was expected."""
    store = Store(on_sqlite.store_url)
    with store.begin() as connection:
        seed_many(connection, pack_of(on_sqlite), 3)
    store.close()
    answer = served(on_sqlite).get(path, headers=bearer())
    assert (answer.status_code, says in unescape(answer.text)) == (status, True)


def test_a_search_is_letter_by_letter(settings: Settings, served: Served) -> None:
    """Signs of LIKE, quotes and other scripts in what is searched for stand for themselves."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        seed(connection, pack_of(settings))
    store.close()
    client = served(settings)
    for string in HOSTILE:
        found = asked(client, "/results", q=string[:40], columns="topic")
        assert len(shown(found)) == sum(string[:40].lower() in other[:200].lower() for other in HOSTILE), string
        assert "500 ids" not in found
    assert len(shown(asked(client, "/results", q="%"))) == sum("%" in string for string in HOSTILE)
    assert "No rows" in asked(client, "/results", q="_%_%")


def test_a_page_that_takes_too_long_is_ended(settings: Settings, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so and what to do; the next page is answered."""
    monkeypatch.setattr("workers.console.asking.PAGE_S", 0.05)
    client = served(settings)
    desk = client.app._app._app._app.state.desk  # type: ignore[attr-defined]
    from suites.errors import StoreError

    slow = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n"
    with pytest.raises(StoreError, match="Narrow it") as raised, desk.asking.reading() as connection:
        connection.execute(text(slow))
    assert raised.value.code == "too_slow"
    assert client.get("/jobs", headers=bearer()).status_code == 200


def test_pages_read_by_a_connection_that_cannot_write_or_see_texts(settings: Settings, served: Served) -> None:
    """On SQLite the texts are denied to it, on both it cannot write."""
    from suites.errors import StoreError

    client = served(settings)
    desk = client.app._app._app._app.state.desk  # type: ignore[attr-defined]
    refused = ["UPDATE jobs SET name = 'x'", "DELETE FROM jobs", "CREATE TABLE x (i INTEGER)"] + (["SELECT * FROM texts"] if desk.store.is_sqlite else [])
    for sql in refused:
        with pytest.raises(StoreError), desk.asking.reading() as connection:
            connection.execute(text(sql))
    assert STUDENT not in client.get("/jobs", headers=bearer()).text


def test_what_is_unsure_is_found_by_its_index(settings: Settings) -> None:
    """Rows and their count come from the index of unsure findings alone, on both databases."""
    store, pack = Store(settings.store_url), pack_of(settings)
    with store.begin() as connection:
        seed_many(connection, pack, 5000)
    source = findings_page.source_of(pack, STUDENT, by_score=True)
    wanted = listing.Asked("/findings", {"pack": "toy"}, equal={"task": "topic", "unsure": "1"}, sort="score", descending=False)
    with store.reading() as connection, explained(store, connection) as plans:
        found = listing.part(connection, source, wanted, ["document", "score"])
    store.close()
    assert found.n == 200 and [row["score"] for row in found.rows] == [0.5] * 50
    rows, counted = (plan for statement, plan in plans.items() if "findings" in statement and ("ORDER BY findings.score" in statement or "count(" in statement))
    for plan in (rows, counted):
        assert re.search(r"ix_findings_unsure|student_id_task_score_idx", plan), plan
