"""Jobs as the console shows them: counts that add up, speeds, what failed and what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from starlette.testclient import TestClient

from workers.console import pulse as pulse_module
from workers.console.pulse import Pulse
from workers.queue import claim, counts, retry
from workers.settings import Settings
from workers.store import Store
from workers.submit import submit
from workers.tables import jobs

from .conftest import bearer, pack_of, read_toys
from .seeded import seed

Served = Callable[[Settings], TestClient]


def seen(html: str) -> str:
    """A page as it is read."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_a_jobs_page_says_what_status_says(settings: Settings, served: Served, tmp_path: Path) -> None:
    """Both laws with all their terms, files, rejects by code with what to do, and that the counts add up."""
    number = read_toys(settings, tmp_path, 20, broken=3)
    client = served(settings)
    store = Store(settings.store_url)
    with store.reading() as connection:
        count = counts(connection, number)
    store.close()
    assert (count.seen, count.accepted, count.rejected, count.done) == (23, 20, 3, 20)
    html = seen(client.get(f"/jobs/{number}", headers=bearer()).text)
    assert "23 seen = 20 accepted + 0 duplicate + 3 rejected" in html
    assert "20 accepted = 20 done + 0 failed + 0 cancelled + 0 erased + 0 pending" in html
    assert "Counts add up" in html and f"findings {count.findings:,}" in html
    assert "no_text 3" in html and "toys.jsonl 23 20 0 3" in html
    listed = seen(client.get("/jobs", headers=bearer()).text)
    assert "nothing is being read" in listed and "completed with errors 100 % 20 / 20 0 3" in listed and "add up" in listed


def test_failures_stand_by_reason_with_what_to_do(settings: Settings, served: Served) -> None:
    """Stage, code, number and remedy; each failed document leads to its page; energy is summed, and per 1,000 documents."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        (*_, failed) = seed(connection, pack_of(settings), ["a job", "b", "c"])
        connection.execute(text("UPDATE failures SET stage = 'rules', code = 'rule_budget'"))
    store.close()
    page = served(settings).get("/jobs/1", headers=bearer()).text
    html = seen(page)
    assert "rules rule_budget 1 A rule of the pack took too long" in html and "python manage.py retry 1" in html
    assert f'href="/documents/{failed}"' in page
    assert "500.000 500.000 41,666.667 41,666.667" in html, "0.5 kWh and 0.5 kg over 12 documents"


def test_counts_that_do_not_add_up_are_told(settings: Settings, served: Served, tmp_path: Path) -> None:
    """On both pages, with the command that says more."""
    number = read_toys(settings, tmp_path, 3)
    store = Store(settings.store_url)
    with store.begin() as connection:
        connection.execute(text("UPDATE sources SET n_accepted = n_accepted + 1"))
    store.close()
    client = served(settings)
    assert "do not add up" in client.get("/jobs", headers=bearer()).text
    assert f"python manage.py verify {number}" in client.get(f"/jobs/{number}", headers=bearer()).text


def test_what_lives_is_asked_for_again(settings: Settings, served: Served, tmp_path: Path) -> None:
    """A running job's page names the part to be asked for; that part alone has what is new, and an ended job asks for nothing."""
    store = Store(settings.store_url)
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f'{{"id": "{i}", "text": "A dog was lovely."}}\n' for i in range(6)), encoding="utf-8")
    number = submit(store, pack_of(settings), "toy-1", [file], chunk=10, ring=lambda job: None).job_id
    client = served(settings)
    page = client.get(f"/jobs/{number}", headers=bearer()).text
    assert f'data-live="/jobs/{number}/live"' in page and "data-live" in client.get("/jobs", headers=bearer()).text
    part = client.get(f"/jobs/{number}/live", headers=bearer()).text
    assert "<html" not in part and "6 pending" in seen(part)
    with store.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = 'CANCELLED', n_cancelled = 6, finished_at = submitted_at + 1"))
        connection.execute(text("DELETE FROM work"))
    store.close()
    assert "6 cancelled" in seen(client.get(f"/jobs/{number}/live", headers=bearer()).text)
    assert "data-live" not in client.get(f"/jobs/{number}", headers=bearer()).text


def test_speeds_and_what_is_left(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now: between the counts of the last half minute. In all: since it was submitted. Left: what waits at that speed; a paused job has none."""
    store = Store(settings.store_url)
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f'{{"id": "{i}", "text": "A dog was lovely."}}\n' for i in range(100)), encoding="utf-8")
    submit(store, pack_of(settings), "toy-1", [file], chunk=100, ring=lambda job: None)
    clock = [1000.0]
    monkeypatch.setattr(pulse_module.time, "monotonic", lambda: clock[0])
    pulse = Pulse()

    def beat(after: float, n_read: int) -> pulse_module.Beat:
        clock[0] += after
        with store.begin() as connection:
            connection.execute(text("DELETE FROM work WHERE document_id <= :n"), {"n": n_read})
            connection.execute(text("DELETE FROM readings"))
            connection.execute(
                text(
                    "INSERT INTO readings (document_id, student_id, job_id, epoch, n_findings, read_at) "
                    "SELECT id, 'toy-1', 1, 1, 0, 0 FROM documents WHERE id <= :n"
                ),
                {"n": n_read},
            )
        with store.reading() as connection:
            return pulse.beats(connection, select(jobs))[0]

    assert beat(0, 10).per_s_now is None
    assert beat(1, 20).counts.done == 10, "counted again only after a while"
    second = beat(4, 30)
    assert (second.per_s_now, second.counts.pending, second.eta_s) == (4.0, 70, 17.5)
    assert beat(40, 40).per_s_now is None, "what was counted long ago says nothing of now"
    with store.begin() as connection:
        connection.execute(text("UPDATE jobs SET paused_at = 1"))
    paused = beat(5, 50)
    assert (paused.state, paused.eta_s) == ("PAUSED", None)
    assert paused.per_s is not None and paused.share == 0.5
    store.close()


def test_an_ended_job_is_counted_once(settings: Settings, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its counts are kept until something is done to it; a retry is such a thing."""
    number = read_toys(settings, tmp_path, 4)
    client = served(settings)
    n_counted: list[int] = []
    real = pulse_module.counts
    monkeypatch.setattr(pulse_module, "counts", lambda connection, job: n_counted.append(job) or real(connection, job))  # type: ignore[func-returns-value]
    for _ in range(3):
        client.get("/jobs", headers=bearer())
        client.get(f"/jobs/{number}", headers=bearer())
    assert n_counted == [number]
    store = Store(settings.store_url)
    with store.begin() as connection:
        where = "(SELECT min(document_id) FROM readings)"
        connection.execute(text(f"DELETE FROM findings WHERE document_id = {where}"))
        connection.execute(
            text(
                "INSERT INTO failures (job_id, document_id, student_id, stage, code, reason, attempts, failed_at) "
                f"SELECT job_id, document_id, student_id, 'rules', 'x', 'y', 1, 0 FROM readings WHERE document_id = {where}"
            )
        )
        connection.execute(text(f"DELETE FROM readings WHERE document_id = {where}"))
        assert retry(connection, number) == 1
    store.close()
    assert "1 pending" in seen(client.get(f"/jobs/{number}", headers=bearer()).text)


def test_older_jobs_are_a_page_away(on_sqlite: Settings, served: Served) -> None:
    """Twenty at once, the newest first."""
    store = Store(on_sqlite.store_url)
    with store.begin() as connection:
        for i in range(45):
            connection.execute(
                insert(jobs).values(name=f"j{i}", pack="toy", student_id="toy-0", state="COMPLETED", submitted_at=time.time(), finished_at=time.time())
            )
        assert claim(connection, "nobody", 1, 60.0) is None
    store.close()
    client, found, address = served(on_sqlite), [], "/jobs"
    while address:
        html = client.get(address, headers=bearer()).text
        found += re.findall(r'id="job-(\d+)"', html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        address = following[1] if following else ""
    assert [int(number) for number in found] == list(range(45, 0, -1))
