"""Charts and students: the figures drawn are those of the store, and the table beside each says the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from starlette.testclient import TestClient

from workers.console import agreement, plot
from workers.settings import Settings
from workers.store import Store
from workers.tables import students, tallies

from .conftest import bearer, pack_of, read_toys
from .seeded import DAY, OTHER, STUDENT, seed

Served = Callable[[Settings], TestClient]


def fill(settings: Settings, rows: list[tuple[str, str, str, int, int]]) -> None:
    """Counts of the seeded student: day, measure, bucket, slot, n."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        connection.execute(insert(students).values(id=STUDENT, pack="toy", state="primary", seen_at=0.0))
        for day, measure, bucket, slot, n in rows:
            connection.execute(insert(tallies).values(student_id=STUDENT, day=day, measure=measure, bucket=bucket, slot=slot, n=n))
    store.close()


def test_counts_of_all_slots_add_up(settings: Settings, served: Served) -> None:
    """Documents, labels and scores by day, over whatever processes counted them; days before the span are left out."""
    rows = [(DAY, "documents", "", 0, 3), (DAY, "documents", "", 1, 4), (DAY, "label:topic", "animals", 0, 2), (DAY, "label:topic", "animals", 1, 4)]
    rows += [(DAY, "label:topic", "weather", 0, 1), (DAY, "score:topic", "19", 0, 7), ("2026-08-01", "documents", "", 0, 99), (DAY, "length", "9", 0, 7)]
    fill(settings, rows)
    html = served(settings).get("/charts?pack=toy", headers=bearer()).text
    read = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))
    assert f"{DAY}: 7 documents" in read and "99" not in read.split("Sign out")[1]
    assert f"{DAY}: animals 6 of 7 (86 %)" in read and f"{DAY}: weather 1 of 7 (14 %)" in read
    assert "0.95 to 1.00: 7 findings" in read and "23 to 32: 7 documents" in read
    assert f"day animals weather {DAY} 6 1" in read, "the table says what the chart says"
    assert html.count('<svg viewBox="0 0 1000 100"') == html.count("As a table") == 4
    year = served(settings).get("/charts?pack=toy&days=365", headers=bearer()).text
    assert "99 documents" in year and "Documents read, by week" in year


def test_shares_fill_a_column_and_colours_end() -> None:
    """The parts of a day stand on one another and fill it; of many labels the rarest are drawn together, and the table has each."""
    counts = {f"l{i:02}": 20 - i for i in range(12)}
    chart = plot.shares("x", "x", "", {"one": counts, "two": {}, "three": {"l00": 1}})
    day = [bar for bar in chart.bars if bar.words.startswith("one")]
    assert sum(bar.height for bar in day) == pytest.approx(plot.HEIGHT)
    tops = sorted((bar.y, bar.height) for bar in day)
    assert all(a[0] + a[1] == pytest.approx(b[0]) for a, b in pairwise(tops)) and tops[0][0] == pytest.approx(0)
    assert [*chart.legend] == [*(f"l{i:02}" for i in range(plot.SERIES)), plot.OTHERS]
    assert {bar.series for bar in day} == set(range(1, plot.SERIES + 2))
    assert len(chart.head) == 13 and [row[0] for row in chart.rows] == ["one", "three"]


def test_eight_labels_need_no_others() -> None:
    """One label more than colours of their own is drawn as itself, not as `all others`."""
    chart = plot.shares("x", "x", "", {"one": {f"l{i}": 1 for i in range(plot.SERIES + 1)}})
    assert plot.OTHERS not in chart.legend and len(chart.legend) == plot.SERIES + 1


def test_two_students_are_compared_as_diff_does(settings: Settings, served: Served) -> None:
    """Places, equal ones and flips by task; a flip leads to the document with both side by side."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        seed(connection, pack_of(settings), ["one", "two", "three"])
        connection.execute(text("UPDATE findings SET label = 'weather' WHERE student_id = :s AND task = 'topic' AND document_id = 1"), {"s": OTHER})
        connection.execute(text("DELETE FROM findings WHERE student_id = :s AND task = 'codes' AND document_id <= 2"), {"s": OTHER})
    store.close()
    client = served(settings)
    html = client.get(f"/students/compare?a={STUDENT}&b={OTHER}", headers=bearer()).text
    read = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))
    assert "3 documents that both read" in read
    assert "topic 66.7 % 3 1 animals → weather 1" in read and "codes 33.3 % 3 2 CODE → – 2" in read
    assert f'<a href="/documents/1?student={STUDENT}&amp;beside={OTHER}">' in html
    only = client.get(f"/students/compare?a={STUDENT}&b={OTHER}&task=codes", headers=bearer()).text
    flips = only[only.index('id="flips"') :]
    assert flips.count("/documents/") == 2 and "weather" not in flips
    refused = [(f"a={STUDENT}&b={STUDENT}", 400), (f"a={STUDENT}&b=nobody", 404), (f"a={STUDENT}&b={OTHER}&task=nothing", 400)]
    assert [client.get(f"/students/compare?{query}", headers=bearer()).status_code for query, _ in refused] == [status for _, status in refused]


def test_comparing_is_bounded(settings: Settings, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many documents, findings and flips and no more: the newest."""
    monkeypatch.setattr(agreement, "DOCUMENTS", 2)
    monkeypatch.setattr(agreement, "SHOWN", 1)
    store = Store(settings.store_url)
    with store.begin() as connection:
        seed(connection, pack_of(settings), ["one", "two", "three"])
        connection.execute(text("UPDATE findings SET label = 'weather' WHERE student_id = :s AND task = 'topic'"), {"s": OTHER})
    store.close()
    with served(settings).app._app._app._app.state.desk.asking.reading() as connection:  # type: ignore[attr-defined]
        comparison, flips = agreement.compared(connection, pack_of(settings), STUDENT, OTHER)
    assert (comparison.n_documents, len(flips), flips[0].document) == (2, 1, "three")
    assert comparison.labels["topic"] == Counter({("animals", "weather"): 2})


def test_students_are_those_of_register_and_store(settings: Settings, served: Served, tmp_path: Path) -> None:
    """State, who reads, and what lies in the store; one whose folder is elsewhere is listed too, and a broken register told."""
    read_toys(settings, tmp_path, 5)
    store = Store(settings.store_url)
    with store.begin() as connection:
        connection.execute(insert(students).values(id="toy-away", pack="toy", state="retired", seen_at=0.0))
        n = connection.execute(text("SELECT count(*) FROM findings WHERE task <> 'topic_sentences'")).scalar_one()
    store.close()
    client = served(settings)
    read = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", client.get("/students", headers=bearer()).text)))
    assert re.search(rf"toy-[0-9a-f]{{12}} primary reads 5 {n} ", read) and "toy-away its folder is not here retired" in read
    register = settings.students_folder / "toy" / "released.json"
    register.unlink()
    register.write_text("{", encoding="utf-8")
    broken = client.get("/students", headers=bearer())
    assert broken.status_code == 200 and "not a readable register" in broken.text and "toy-away" in broken.text


def test_the_dictionary_is_that_of_tables(on_sqlite: Settings, served: Served) -> None:
    """Each view and table with all its columns; those that hold texts offer no question."""
    from workers.dictionary import data_dictionary

    html = served(on_sqlite).get("/tables", headers=bearer()).text
    for entry in data_dictionary([]):
        section = html[html.index(f'id="{entry["name"]}"') :].partition("</section>")[0]
        assert all(f"<code>{column['name']}</code>" in section for column in entry["columns"])
        assert ('name="sql"' in section) == (entry["name"] not in ("texts", "data_keys"))
    assert "toy_results" in html
