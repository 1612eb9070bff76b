"""The main job with a real broker and real worker processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from workers.fleet import fleet
from workers.settings import Settings, load_settings
from workers.store import Store

from .conftest import ROOT, manage, manage_json, write_documents

Found = dict[str, list[tuple[Any, ...]]]


def stored_findings(url: str) -> Found:
    """The findings in a store, by document, in order."""
    store = Store(url)
    with store.reading() as connection:
        rows = connection.execute(
            text(
                'SELECT d.key, f.task, f.label, f.score, f.start, f."end", f.source, f.number, f.unit FROM findings f JOIN documents d ON d.id = f.document_id'
            )
        ).all()
    store.close()
    found: Found = {}
    for key, *rest in rows:
        found.setdefault(key, []).append(tuple(rest))
    return {key: sorted(values, key=repr) for key, values in found.items()}


def predicted_findings(home: Settings, path: Path) -> Found:
    """The findings of `predict`, without store or broker."""
    fields = ("task", "label", "score", "start", "end", "source", "number", "unit")
    lines = manage_json("predict", "toy", str(path), home=home)["documents"]
    return {line["id"]: sorted((tuple(f.get(n) for n in fields) for f in line["findings"]), key=repr) for line in lines}


def no_doubles(url: str) -> None:
    """Asserts that no document was read twice and no finding stands twice."""
    store = Store(url)
    with store.reading() as connection:
        for sql in (
            "SELECT count(*) FROM (SELECT document_id, student_id FROM readings GROUP BY 1, 2 HAVING count(*) > 1) t",
            'SELECT count(*) FROM (SELECT 1 FROM findings GROUP BY document_id, student_id, task, label, start, "end" HAVING count(*) > 1) t',
            "SELECT count(*) FROM readings r WHERE n_findings <> "
            "(SELECT count(*) FROM findings f WHERE f.document_id = r.document_id AND f.student_id = r.student_id)",
        ):
            assert connection.execute(text(sql)).scalar_one() == 0, sql
    store.close()


def test_queued_equals_eager_on_both_stores(home: Settings, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers over SQLite, two over PostgreSQL, and `predict` without a queue give identical findings."""
    path = write_documents(tmp_path / "docs.jsonl", 150)
    expected = predicted_findings(home, path)
    for url in (home.store_url, postgres_url):
        monkeypatch.setenv("STILLHOUSE_STORE__URL", url)
        settings = load_settings()
        manage("migrate", home=settings)
        with fleet(settings, 2):
            data = manage_json("submit", "toy", str(path), "--wait", home=settings)
        assert data["state"] == "COMPLETED" and data["counts"]["done"] == 150
        assert stored_findings(url) == expected
        no_doubles(url)


@pytest.mark.parametrize("whole", [False, True], ids=["child", "worker"])
def test_a_killed_worker_loses_and_doubles_nothing(home: Settings, tmp_path: Path, whole: bool) -> None:
    """SIGKILL to a process that holds documents: the job completes, every document once, the held ones by another claim.

    A killed child is replaced; a killed worker by a new one.
    """
    path = write_documents(tmp_path / "docs.jsonl", 1200)
    manage("migrate", home=home)
    with fleet(home, 2) as running:
        worker = running.worker
        job = manage_json("submit", "toy", str(path), home=home)["job_id"]
        wait_for(home, job, 100)
        victim = holder(home)
        if whole:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        else:
            os.kill(victim, signal.SIGKILL)
        assert manage_json("status", str(job), home=home)[0]["pending"] > 0
        if whole:
            with fleet(home, 2):
                (row,) = manage_json("status", str(job), "--follow", home=home)
        else:
            (row,) = manage_json("status", str(job), "--follow", home=home)
    assert (row["state"], row["done"], row["failed"], row["adds_up"]) == ("COMPLETED", 1200, 0, True)
    no_doubles(home.store_url)
    # a first claim has epoch 1, a given-back one 2; the sweep of a lapsed claim raises it once more
    store = Store(home.store_url)
    with store.reading() as connection:
        assert connection.execute(text("SELECT max(epoch) FROM readings")).scalar_one() >= 3
    store.close()


def holder(home: Settings) -> int:
    """The process that holds the most documents, looked for until there is one."""
    store = Store(home.store_url)
    rows: Sequence[Any] = ()
    while not rows:
        with store.reading() as connection:
            rows = connection.execute(text("SELECT owner FROM work WHERE state = 'leased' GROUP BY owner ORDER BY count(*) DESC")).all()
    store.close()
    return int(rows[0].owner.rpartition(":")[2])


def wait_for(home: Settings, job: int, n_done: int) -> None:
    """Waits until so many documents of a job are read."""
    store = Store(home.store_url)
    for _ in range(600):
        with store.reading() as connection:
            done = connection.execute(text("SELECT count(*) FROM readings WHERE job_id = :j"), {"j": job}).scalar_one()
        if done >= n_done:
            break
        time.sleep(0.05)
    store.close()
    assert done >= n_done


def test_ctrl_c_stops_all_that_up_started(home: Settings) -> None:
    """Under nohup a hang-up ends nothing. After SIGINT to `up` neither the broker nor a worker process is left, and its socket is gone."""
    manage("migrate", home=home)
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml")}
    command = [sys.executable, str(ROOT / "manage.py"), "up"]
    # a shell that starts the tests in the background has them ignore SIGINT, and what they start; a terminal does not.
    # Hanging up is ignored, as nohup has it
    heard = {signal.SIGINT: signal.SIG_DFL, signal.SIGHUP: signal.SIG_IGN}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: [signal.signal(*pair) for pair in heard.items()])
    assert process.stderr is not None
    assert "Ctrl-C stops them" in process.stderr.readline()
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2
    process.send_signal(signal.SIGHUP)
    time.sleep(3)
    assert process.poll() is None, "hung up on, though nohup was meant to hold it"
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive
    assert not (home.runtime_folder / "broker" / "broker.sock").exists()


def test_sigterm_ends_a_job_in_the_middle_softly(home: Settings, tmp_path: Path) -> None:
    """SIGTERM to a worker that reads: it ends within 20 s, exit code 0, and what it held is ready again with no attempt lost."""
    path = write_documents(tmp_path / "docs.jsonl", 3000, words=400)
    manage("migrate", home=home)
    with fleet(home, 2) as running:
        job = manage_json("submit", "toy", str(path), home=home)["job_id"]
        wait_for(home, job, 100)
        started = time.monotonic()
        running.worker.terminate()
        assert running.worker.wait(timeout=30) == 0
        assert time.monotonic() - started < 20
    store = Store(home.store_url)
    with store.reading() as connection:
        left = connection.execute(text("SELECT state, attempts, n_lost, count(*) FROM work GROUP BY 1, 2, 3")).all()
    store.close()
    assert [tuple(row)[:3] for row in left] == [("ready", 0, 0)]


def test_a_document_longer_than_a_lease_is_read(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One very long document is read whole although it takes longer than the watchdog and the lease allow without progress."""
    monkeypatch.setenv("STILLHOUSE_WORKER__LEASE_S", "4.0")
    monkeypatch.setenv("STILLHOUSE_WORKER__STALL_S", "6.0")
    monkeypatch.setenv("STILLHOUSE_WORKER__SWEEP_S", "0.2")
    settings = load_settings()
    words = " ".join(f"word{i} of a long tale." for i in range(33_000))
    (tmp_path / "long.txt").write_text(words)
    manage("migrate", home=settings)
    with fleet(settings, 1):
        data = manage_json("submit", "toy", str(tmp_path / "long.txt"), "--wait", home=settings)
    assert (data["state"], data["counts"]["done"], data["counts"]["refused"]) == ("COMPLETED", 1, 0)


CANARIES = ("ZEBRAQUARTZ", "Überkanari", "kanari@secret.example")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Documents with planted words: good ones, ones that break a rule of each reader, and one that a hook fails on."""
    rows = [
        json.dumps({"id": f"c{i}", "text": f"A kettle {word} stands here. Number {i}.", "meta": {"origin": "desk"}}) for i, word in enumerate(CANARIES * 10)
    ]
    rows.append('{"id": "broken", "text": "ZEBRAQUARTZ')
    rows += [json.dumps({"id": "n", "body": "ZEBRAQUARTZ"}), json.dumps({"id": "s", "text": "ZEBRAQUARTZ \ud800"})]
    path = tmp_path / "canary.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_no_text_in_logs_broker_or_errors(home: Settings, canary: Path, tmp_path: Path) -> None:
    """Words planted in documents are found in no log, no broker message, no reject, no view and no text-free table."""
    manage("migrate", home=home)
    log = tmp_path / "worker.log"
    with fleet(home, 2), log.open("w") as errors:
        from workers.broker import socket_path

        watcher = subprocess.Popen([sys.executable, "-c", MONITOR, str(socket_path(home))], stdout=errors, stderr=errors)
        time.sleep(1.0)
        done = manage("submit", "toy", str(canary), "--wait", "--json", home=home, check=False)
        time.sleep(0.5)
        watcher.terminate()
        watcher.wait()
    assert json.loads(done.stdout)["error"]["code"] == "job_completed_with_errors"
    watched = log.read_text(encoding="utf-8", errors="replace")
    assert "stillhouse.wake" in watched, "the watcher saw no message: the test would prove nothing"
    places = {"broker": watched, "submit": done.stdout + done.stderr}
    for verb in (["failures"], ["status"], ["query", "SELECT * FROM toy_results"], ["query", "SELECT * FROM toy_findings"]):
        shown = manage(*verb, "--json", home=home)
        places[" ".join(verb)] = shown.stdout + shown.stderr
    store = Store(home.store_url)
    with store.reading() as connection:
        tables = [t for (t,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'texts'"))]
        for table in tables:
            places[table] = repr(connection.execute(text(f"SELECT * FROM {table}")).all())
    store.close()
    found = {place: word for place, shown in places.items() for word in CANARIES if word in shown}
    assert not found


# watches every command that reaches the broker, with its arguments
MONITOR = """
import redis, sys
with redis.Redis(unix_socket_path=sys.argv[1]) as client, client.monitor() as monitor:
    for command in monitor.listen():
        print(command['command'], flush=True)
"""


def test_messages_carry_ids_only(home: Settings, canary: Path) -> None:
    """A wake-up's body is one number; its headers hold no arguments."""
    import base64

    import redis

    from workers.broker import EmbeddedBroker, socket_path

    manage("migrate", home=home)
    with EmbeddedBroker(home):
        manage("submit", "toy", str(canary), home=home)
        with redis.Redis(unix_socket_path=str(socket_path(home))) as client:
            messages = [json.loads(m) for m in client.lrange("stillhouse:stillhouse.wake", 0, -1)]
    assert messages
    for message in messages:
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        assert len(args) == 1 and isinstance(args[0], int) and kwargs == {}
        assert message["headers"]["argsrepr"] == "-" and message["headers"]["kwargsrepr"] == "-"


def test_what_waited_for_a_worker_is_read_at_once(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that were submitted before any worker ran do not wait for the sweep that comes later."""
    monkeypatch.setenv("STILLHOUSE_WORKER__SWEEP_S", "600")
    settings = load_settings()
    manage("migrate", home=settings)
    job = manage_json("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 3)), home=settings)["job_id"]
    with fleet(settings, 1):
        wait_for(settings, job, 3)


def test_a_broker_that_is_not_there_is_known_at_once(home: Settings) -> None:
    """Asking whether the embedded broker runs does not try again and again: every start asks it."""
    from workers.broker import is_running

    started, computed = time.monotonic(), time.process_time()
    assert not is_running(home)
    assert time.monotonic() - started - (time.process_time() - computed) < 0.5


def test_workers_never_import_torch(home: Settings, tmp_path: Path) -> None:
    """A process that reads from the queue has loaded neither torch, transformers nor scikit-learn."""
    manage("migrate", home=home)
    manage("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 3)), home=home)
    code = (
        "import sys\nfrom workers.tasks import app\nfrom workers.settings import load_settings\n"
        "from workers.store import Store\nfrom workers.drain import drain\n"
        "s = load_settings()\nassert drain(Store(s.store_url), s, budget_s=30).n_read == 3\n"
        "bad = {'torch', 'transformers', 'sklearn'} & set(sys.modules)\nassert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert done.returncode == 0, done.stderr


def test_cancel_and_retry_from_the_command_line(home: Settings, tmp_path: Path) -> None:
    """A cancelled job ends CANCELLED; submitting its paths again reads the documents after all."""
    path = write_documents(tmp_path / "a.jsonl", 30)
    manage("migrate", home=home)
    job = manage_json("submit", "toy", str(path), home=home)["job_id"]
    assert manage_json("cancel", str(job), home=home)["n_documents"] == 30
    assert manage_json("status", str(job), home=home)[0]["state"] == "CANCELLED"
    assert manage("cancel", str(job), home=home, check=False).returncode == 2
    assert manage_json("retry", str(job), home=home)["n_documents"] == 0
    with fleet(home, 1):
        again = manage_json("submit", "toy", str(path), "--wait", home=home)
    assert (again["job_id"], again["state"], again["counts"]["done"]) == (job, "COMPLETED", 30)


def test_every_input_format_reaches_the_rows(home: Settings, tmp_path: Path) -> None:
    """JSONL, CSV, Parquet and a folder of .txt and .eml become result rows of one job."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    write_documents(inbox / "a.jsonl", 2)
    (inbox / "b.csv").write_text('id,text,desk\nb1,"A kettle, red.",north\nb2,"Two\nlines",south\n')
    pq.write_table(pa.table({"id": ["p1"], "text": ["A parquet kettle."]}), inbox / "c.parquet")
    (inbox / "d.txt").write_text("A text kettle.")
    (inbox / "e.eml").write_text("From: a@b.example\nSubject: Kettle\nContent-Type: text/plain\n\nA mail kettle.\n")
    (inbox / "f.pdf").write_bytes(b"%PDF-1.4")
    manage("migrate", home=home)
    with fleet(home, 1):
        done = manage("submit", "toy", str(inbox), "--wait", home=home, check=False)
    assert done.returncode == 1, "a rejected file must not end green"
    rows = manage_json("query", "SELECT document FROM toy_results", home=home)
    assert Counter(re.sub(r".*/", "", r["document"]) for r in rows) == Counter(["doc-0", "doc-1", "b1", "b2", "p1", "d.txt", "e.eml"])
    (job,) = manage_json("status", home=home)
    assert (job["seen"], job["rejected"], job["state"], job["adds_up"]) == (8, 1, "COMPLETED_WITH_ERRORS", True)


def test_a_damaged_student_gives_its_claim_back(home: Settings, tmp_path: Path) -> None:
    """A student whose file changed is refused, `status` says why, and its documents wait for a mended one."""
    from workers.drain import drain
    from workers.students import predictor

    manage("migrate", home=home)
    manage("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 3)), home=home)
    link = next((home.students_folder / "toy").glob("toy-*"))
    real = link.resolve()
    link.unlink()
    link.mkdir()
    for file in real.iterdir():
        (link / file.name).write_bytes(file.read_bytes())
    (link / "heads.safetensors").write_bytes(b"x" * 100)
    predictor.cache_clear()
    store = Store(home.store_url)
    assert drain(store, home, budget_s=10).n_read == 0
    (job,) = manage_json("status", home=home)
    assert (job["pending"], job["failed"]) == (3, 0) and "heads.safetensors" in job["message"]
    (link / "heads.safetensors").write_bytes((real / "heads.safetensors").read_bytes())
    assert drain(store, home, budget_s=10).n_read == 3
    store.close()
