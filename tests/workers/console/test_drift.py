"""Drift in the console: each figure is that of the verb, and what cannot be known is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import insert
from starlette.testclient import TestClient

from pipelines.reference import read_reference
from pipelines.release import released_student
from pipelines.tally import bucket_words
from workers.console.drift import BOUNDS
from workers.drift import drifts
from workers.settings import Settings
from workers.store import Store
from workers.tables import students
from workers.tallies import add_tallies, by_day

from .conftest import bearer, read_toys

Served = Callable[[Settings], TestClient]
DAYS = 20


def cells(html: str) -> dict[str, list[tuple[str, bool]]]:
    """The rows of the table: figures by measure, and whether each is framed."""
    table = html[html.index('<table class="heat"') : html.index("</table>")]
    rows = re.findall(r'<tr><th scope="row"><bdi>(.*?)</bdi></th>(.*?)</tr>', table, re.S)
    return {
        unescape(name): [
            (re.sub(r"<span.*?</span>|<[^>]+>", "", cell), "drifted" in classes) for classes, cell in re.findall(r'<td class="([^"]*)"[^>]*>(.*?)</td>', row)
        ]
        for name, row in rows
    }


@pytest.fixture
def read(settings: Settings, tmp_path: Path) -> tuple[Settings, str]:
    """Sixty notices that the student read today, and what is counted of them also counted of days before: of each second one as four times as long."""
    read_toys(settings, tmp_path, 60)
    student = released_student(settings.students_folder, "toy")
    store = Store(settings.store_url)
    with store.begin() as connection:
        (today, counted), *_ = by_day(connection, student).items()
        for i in range(1, DAYS):
            day = (date.fromisoformat(today) - timedelta(days=i)).isoformat()
            longer = 4 * (i % 2)
            counts = {(day, measure, str(int(bucket) + longer) if measure == "length" else bucket): n for (measure, bucket), n in counted.items()}
            add_tallies(connection, student, 0, counts)
    store.close()
    return settings, student


def test_the_table_says_what_the_verb_says(read: tuple[Settings, str], served: Served) -> None:
    """A measure a row, a day a column, each with its index; framed where it drifted; and what moved most is told."""
    settings, student = read
    reference = read_reference(settings.students_folder / "toy" / student)
    assert reference is not None
    store = Store(settings.store_url)
    with store.reading() as connection:
        counted = by_day(connection, student)
    store.close()
    found = list(drifts(reference.tally, counted))
    html = served(settings).get("/drift?pack=toy&days=30", headers=bearer()).text
    days = sorted({one.day for one in found})
    wanted = {
        measure: [(f"{one.psi:.2f}", one.drifted) for one in sorted(found, key=lambda o: o.day, reverse=True) if one.measure == measure]
        for measure in {o.measure for o in found}
    }
    assert cells(html) == wanted and len(days) == DAYS
    assert any(one.drifted for one in found) and not all(one.drifted for one in found)
    assert html.count('datetime="20') == DAYS
    moved = next(one for one in found if one.drifted and one.measure == "length")
    assert f"<bdi>{bucket_words('length', moved.moved)}</bdi>" in html
    assert len(cells(served(settings).get("/drift?pack=toy&days=7", headers=bearer()).text)["length"]) == 7


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_bound_is_chosen(read: tuple[Settings, str], served: Served) -> None:
    """A higher bound frames fewer; one that is not offered is refused."""
    settings, _ = read
    client = served(settings)
    n = [
        sum(framed for row in cells(client.get(f"/drift?pack=toy&days=30&bound={bound}", headers=bearer()).text).values() for _, framed in row)
        for bound in BOUNDS
    ]
    assert n == sorted(n, reverse=True) and n[0] > 0
    assert client.get("/drift?pack=toy&bound=7", headers=bearer()).status_code == 400
    assert client.get("/drift", headers=bearer()).headers["location"] == "/drift?pack=toy"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_cannot_be_known_is_said(settings: Settings, served: Served, tmp_path: Path) -> None:
    """Nobody read yet; too few documents; a student whose folder is elsewhere, has no reference, or one that cannot be read."""
    client = served(settings)

    def page(params: str = "") -> str:
        answer = client.get(f"/drift?pack=toy{params}", headers=bearer())
        assert answer.status_code == 200
        return answer.text

    assert "No student has read for this pack" in page()
    read_toys(settings, tmp_path, 5)
    assert "No day among its last 14 of which there are 30 documents" in page()
    store = Store(settings.store_url)
    with store.begin() as connection:
        connection.execute(insert(students).values(id="toy-elsewhere", pack="toy", state="retired", seen_at=0.0))
    store.close()
    assert "folder is not on this machine" in page("&student=toy-elsewhere")
    student = released_student(settings.students_folder, "toy")
    folder = settings.students_folder / "toy" / student
    real = folder.resolve()
    folder.unlink()
    folder.mkdir()
    for file in real.iterdir():
        if file.name != "reference.json":
            (folder / file.name).symlink_to(file)
    assert "made before students kept counts" in page()
    (folder / "reference.json").write_text("{", encoding="utf-8")
    assert "reference.json cannot be read" in page()


@pytest.mark.parametrize(
    ("measure", "bucket", "words"),
    [
        ("label:topic", "weather", "weather"),
        ("label:topic", "-", "none found"),
        ("label:topic", "a-b", "a-b"),
        ("score:topic", "19", "0.95 to 1.00"),
        ("score:topic", "3-5", "0.15 to 0.30"),
        ("length", "10-11", "32 to 64"),
        ("unknown", "0", "0 % unknown"),
        ("unknown", "2-20", "2 to 20 % unknown"),
        ("distance", "9", "distance 0.9 to 1.0"),
    ],
)
def test_buckets_have_words(measure: str, bucket: str, words: str) -> None:
    """As people say them."""
    assert bucket_words(measure, bucket) == words
