"""What operators watch: figures that Prometheus' own parser reads, right on both stores, and health that tells a dead fleet from an idle one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, insert, select, text, update

from pipelines.predict import Reading
from suites.discover import Pack
from workers.cli import main
from workers.derived import Derived
from workers.health import Check, health
from workers.metrics import exposition
from workers.migrate import newest
from workers.queue import cancel, claim, explain, finish, pause, sweep
from workers.settings import Settings
from workers.store import Store
from workers.submit import submit
from workers.tables import documents, energy, failures, jobs, now_s, work

from .conftest import ROOT, write_documents
from .test_export_clinical import roles  # noqa: F401
from .test_roles import url_of as login_url
from .ward import CANARY, STUDENT, fill, note, url_of, ward_pack

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return ward_pack(tmp_path)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def scraped(url: str) -> Samples:
    """By name and labels the values, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(exposition(url).decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"stillhouse_{name}", tuple(sorted(labels.items()))))


def more(store: Store, pack: Pack, folder: Path, n: int, first: int = 100) -> int:
    """A job of `n` further notes that wait; gives its number."""
    file = folder / f"more-{first}.jsonl"
    file.write_text("".join(json.dumps({"id": f"note-{i}", "text": note(i).text}) + "\n" for i in range(first, first + n)), encoding="utf-8")
    return submit(store, pack, STUDENT, [file], chunk=100, ring=lambda job_id: None).job_id


def test_each_figure_is_what_the_store_holds(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Documents read, waiting, held, lapsed, failed and cancelled, jobs by state, energy, schema and size: counted by hand and scraped alike."""
    fill(store, pack, tmp_path, 6)
    waiting, gone, aside = more(store, pack, tmp_path, 5), more(store, pack, tmp_path, 2, 200), more(store, pack, tmp_path, 3, 300)
    with store.begin() as connection:
        cancel(connection, gone)
        pause(connection, aside)
        held = claim(connection, "tester", 2, 60.0)
        assert held is not None
        lapsed = connection.execute(select(work.c.id).where(work.c.state == "leased").limit(1)).scalar_one()
        connection.execute(update(work).where(work.c.id == lapsed).values(lease_until=now_s() - 1))
        document = connection.execute(select(documents.c.id).order_by(documents.c.id).limit(1)).scalar_one()
        failed = {"job_id": 1, "document_id": document, "student_id": "other", "stage": "rules", "code": "rule_budget", "reason": "r", "attempts": 1}
        connection.execute(insert(failures).values(**failed, failed_at=now_s()))
        connection.execute(update(jobs).where(jobs.c.id == 1).values(n_refused=4))
        connection.execute(insert(energy), [_energy(kind="job", energy_consumed=0.5), _energy(kind="run", energy_consumed=2.0)])
    found = scraped(url_of(store))
    assert value(found, "store_up") == 1 and value(found, "schema_info", version=newest(), wanted=newest()) == 1
    assert value(found, "documents_read", pack="ward", student=STUDENT) == 6 == value(found, "documents_read_last_minute", pack="ward")
    states = {state: value(found, "documents_pending", pack="ward", state=state) for state in ("ready", "leased", "paused")}
    assert states == {"ready": 3, "leased": 2, "paused": 3}
    assert value(found, "leases", state="live") == 1 == value(found, "leases", state="lapsed")
    assert value(found, "job_pending", job=str(waiting), pack="ward") == 5 and value(found, "job_pending", job=str(aside), pack="ward") == 3
    assert value(found, "documents_cancelled_total", pack="ward") == 2 and value(found, "writes_refused_total", pack="ward") == 4
    assert value(found, "documents_failed", pack="ward", stage="rules", code="rule_budget") == 1
    by_state = {state: value(found, "jobs", pack="ward", state=state) for state in ("COMPLETED", "RUNNING", "CANCELLED", "PAUSED")}
    assert sum(n or 0 for n in by_state.values()) == 4 and by_state["CANCELLED"] == 1 == by_state["PAUSED"]
    assert value(found, "energy_joules_total", pack="ward", kind="job") == 0.5 * 3.6e6 and value(found, "emissions_grams_total", pack="ward", kind="run") == 100
    assert (value(found, "store_bytes") or 0) > 50_000
    oldest, last = value(found, "oldest_waiting_seconds"), value(found, "last_read_timestamp_seconds", pack="ward")
    assert oldest is not None and 0 <= oldest < 60 and last is not None and abs(last - time.time()) < 60


def _energy(**given: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("name", "owner", "country_iso_code", "tracking_mode", "method", "cpu_model"), "x")
    zeros = dict.fromkeys(("n_documents", "duration", "cpu_seconds", "cpu_energy", "gpu_energy", "ram_energy", "cpu_power", "started_at"), 0.0)
    return texts | zeros | {"pack": "ward", "emissions": 0.1, "n_documents": 0} | given


def test_no_id_and_no_word_of_a_document_is_in_it(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Labels are packs, students, states, codes and numbers of jobs; a job's name, which may be a file's, is not there."""
    fill(store, pack, tmp_path, 3)
    more(store, pack, tmp_path, 2)
    told = exposition(url_of(store)).decode()
    with store.reading() as connection:
        secret = [*connection.execute(select(documents.c.key)).scalars(), *connection.execute(select(jobs.c.name)).scalars()]
    assert not [name for name in (*secret, CANARY) if name in told]
    assert {name for _, labels in scraped(url_of(store)) for name, _ in labels} <= {
        "pack",
        "student",
        "state",
        "stage",
        "code",
        "job",
        "kind",
        "version",
        "wanted",
    }


def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    """Without a store `store_up` is 0 and nothing else is claimed; no file is made."""
    for url in (f"sqlite:///{tmp_path / 'none.db'}", "postgresql://nobody@127.0.0.1:9/none"):
        assert {name for name, _ in scraped(url)} == {"stillhouse_store_up", "stillhouse_scrape_seconds"}
        assert value(scraped(url), "store_up") == 0
        assert list(health(url)) == ["store"] and not health(url)["store"].ok
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("roles")
def test_an_analyst_may_scrape(postgres_url: str) -> None:
    """All is asked by what analysts may read."""
    found = scraped(login_url(postgres_url, "a_analyst"))
    assert value(found, "store_up") == 1 and value(found, "documents_read_last_minute", pack="ward") == 3
    assert all(check.ok for check in health(login_url(postgres_url, "a_analyst")).values())


def test_no_question_walks_the_documents(tmp_path: Path) -> None:
    """On SQLite no statement of a scrape or of health scans documents, texts, readings or findings, nor rows but by an index that holds all."""
    from tests.bench.many_findings import fill as fill_many

    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    fill_many(store, 200)
    statements: list[tuple[str, Any]] = []
    import workers.query as query

    made = query._sqlite_reader

    def watched(url: str, limit_s: float | None) -> Any:
        engine = made(url, limit_s)
        event.listen(engine, "before_cursor_execute", lambda c, cursor, sql, parameters, context, many: statements.append((sql, parameters)))
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "_sqlite_reader", watched)
        exposition(url_of(store))
        health(url_of(store))
    assert len(statements) > 15
    with store.reading() as connection:
        for sql, parameters in statements:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
            scans = [step for step in plan if re.match(r"SCAN (documents|texts|readings|findings|toy_rows)\b", step)]
            assert not [step for step in scans if "COVERING INDEX" not in step], (sql, plan)
    store.close()


# --- health


def test_an_idle_fleet_is_well(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Where nothing waits nobody has to read; nor where all that waits is set aside or waits for a student."""
    fill(store, pack, tmp_path, 1)
    assert all(check.ok for check in health(url_of(store)).values())
    asleep(store)
    aside, without_student = more(store, pack, tmp_path, 1), more(store, pack, tmp_path, 1, 200)
    with store.begin() as connection:
        pause(connection, aside)
        explain(connection, without_student, "the student cannot be used")
    asleep(store)
    assert health(url_of(store))["workers"] == Check(True, "nothing waits for a worker")


def asleep(store: Store, seconds: float = 1000.0) -> None:
    """Moves all that happened into the past."""
    with store.begin() as connection:
        connection.execute(update(documents).values(received_at=documents.c.received_at - seconds))
        connection.execute(update(jobs).values(submitted_at=jobs.c.submitted_at - seconds))
        connection.execute(text("UPDATE ward_rows SET read_at = '2026-01-01 00:00:00'"))


def test_a_dead_fleet_is_not_well(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Documents that have waited for longer than a lease while nobody holds or reads any are told of; once one is claimed, or read, all is well."""
    fill(store, pack, tmp_path, 1)
    more(store, pack, tmp_path, 3)
    assert health(url_of(store))["workers"].ok  # they came just now
    asleep(store)
    found = health(url_of(store))["workers"]
    assert not found.ok and re.search(r"waited for 10\d\d s, none is held, the last was read \d+ s ago", found.words)
    with store.begin() as connection:
        held = claim(connection, "tester", 1, 60.0)
        assert held is not None
    assert health(url_of(store))["workers"] == Check(True, "1 documents are held by workers")
    with store.begin() as connection:
        finish(connection, held, [(held.held[0], Reading("x"))], Derived(pack))
    assert health(url_of(store))["workers"].ok
    with store.begin() as connection:  # a claim that lapsed is no sign of life
        assert claim(connection, "tester", 1, 60.0)
        connection.execute(update(work).where(work.c.state == "leased").values(lease_until=now_s() - 1))
    asleep(store)
    assert not health(url_of(store))["workers"].ok
    with store.begin() as connection:
        assert sweep(connection, 4) == 1
    assert not health(url_of(store))["workers"].ok


def test_another_schema_is_not_well(store: Store, pack: Pack, tmp_path: Path) -> None:
    """The schema is named, and the command that brings it up."""
    fill(store, pack, tmp_path, 1)
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    found = health(url_of(store))
    assert not found["schema"].ok and "migrate" in found["schema"].words and "workers" not in found


# --- the command


@pytest.fixture
def served(home: Settings, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a running `metrics --serve` over a migrated store, and its process."""
    assert main(["migrate"]) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "manage.py"), "metrics", "--serve", "--port", str(port)]
    env = {**os.environ, "STILLHOUSE_METRICS__TOKEN": "a token of sixteen"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            httpx.get(f"{url}/healthz")
            break
        except httpx.ConnectError:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
    yield url, process
    process.terminate()
    process.wait(20)


def test_it_is_served(home: Settings, tmp_path: Path, served: tuple[str, subprocess.Popen[str]]) -> None:
    """/metrics is what Prometheus reads, /healthz 200 or 503 with reasons in JSON, and both want the token; SIGTERM ends it with 0."""
    url, process = served
    headers = {"authorization": "Bearer a token of sixteen"}
    assert httpx.get(f"{url}/metrics").status_code == 401
    answer = httpx.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=")
    assert "stillhouse_store_up" in {family.name for family in text_string_to_metric_families(answer.text)}
    well = httpx.get(f"{url}/healthz", headers=headers)
    assert (well.status_code, well.json()["status"], set(well.json()["checks"])) == (200, "ok", {"store", "schema", "workers"})
    assert main(["submit", "toy", str(write_documents(tmp_path / "d.jsonl", 3))]) == 0
    store = Store(home.store_url)
    with store.begin() as connection:
        connection.execute(update(documents).values(received_at=1.0))
        connection.execute(update(jobs).values(submitted_at=1.0))
    store.close()
    failing = httpx.get(f"{url}/healthz", headers=headers)
    assert failing.status_code == 503 and failing.json()["status"] == "failing" and "waited" in failing.json()["checks"]["workers"]["words"]
    assert httpx.get(f"{url}/else", headers=headers).status_code == 404
    process.terminate()
    assert process.wait(20) == 0
    assert [json.loads(line)["message"] for line in process.stderr or () if line.strip()] == [f"{url}/metrics"]


def test_it_is_printed(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """`metrics` prints what /metrics would answer, `--health` ends with 1 where something is not well; beyond this machine a token is wanted."""
    assert main(["metrics", "--health", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"]["code"] == "not_well" and not answer["data"]["store"]["ok"]
    assert main(["migrate"]) == 0 and main(["metrics", "--health"]) == 0
    capsys.readouterr()
    assert main(["metrics"]) == 0
    assert "stillhouse_jobs" in {family.name for family in text_string_to_metric_families(capsys.readouterr().out)}
    assert main(["metrics", "--serve", "--host", "0.0.0.0"]) == 2
    assert "STILLHOUSE_METRICS__TOKEN" in capsys.readouterr().err
