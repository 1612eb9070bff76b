"""Workers without a broker, and with one that is away: the store alone decides what is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from workers.fleet import fleet, start_worker, stop_worker
from workers.settings import Settings, load_settings

from .conftest import ROOT, manage, manage_json, write_documents

STOPS_WITHIN_S = 20.0


@pytest.fixture
def alone(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A migrated home without a broker."""
    monkeypatch.setenv("STILLHOUSE_BROKER__URL", "none")
    monkeypatch.setenv("STILLHOUSE_WORKER__POLL_S", "0.3")
    settings = load_settings()
    manage("migrate", home=settings)
    return settings


@contextmanager
def working(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """One worker for the time of the block."""
    worker = start_worker(settings, 2)
    try:
        yield worker
    finally:
        stop_worker(worker)


def ended(settings: Settings, job: int) -> dict[str, Any]:
    (row,) = manage_json("status", str(job), "--follow", home=settings)
    return dict(row)


def test_workers_read_without_a_broker(alone: Settings, tmp_path: Path) -> None:
    """Without a broker documents are read that waited before the workers started, and those that come later; all laws hold."""
    early, late = write_documents(tmp_path / "early.jsonl", 150), write_documents(tmp_path / "late.jsonl", 300)
    job = manage_json("submit", "toy", str(early), home=alone)["job_id"]
    with working(alone):
        assert (ended(alone, job)["state"], ended(alone, job)["done"]) == ("COMPLETED", 150)
        data = manage_json("submit", "toy", str(late), "--job", "late", "--wait", home=alone)
        assert (data["state"], data["counts"]["done"]) == ("COMPLETED", 150)
    assert "All laws hold" in manage("verify", home=alone).stderr


def test_killed_processes_without_a_broker_are_replaced(alone: Settings, tmp_path: Path) -> None:
    """SIGKILL to every process that reads: others take their place, and every document is read once."""
    path = write_documents(tmp_path / "docs.jsonl", 1200)
    with working(alone) as worker:
        job = manage_json("submit", "toy", str(path), home=alone)["job_id"]
        for child in readers(worker.pid):
            child.send_signal(signal.SIGKILL)
        row = ended(alone, job)
    assert (row["state"], row["done"], row["adds_up"]) == ("COMPLETED", 1200, True)
    assert manage("verify", home=alone).returncode == 0


def test_a_worker_whose_pool_is_beyond_repair_is_started_anew(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL to all that Celery's worker started, its pool's helper included: the pool cannot mend itself, the worker ends, and `up` starts another."""
    monkeypatch.setattr("workers.fleet.SHORT_S", 0.0)
    manage("migrate", home=home)
    path = write_documents(tmp_path / "docs.jsonl", 1200)
    with fleet(home, 2) as running:
        job = manage_json("submit", "toy", str(path), home=home)["job_id"]
        first = running.worker
        while len(readers(first.pid)) < 2:
            time.sleep(0.1)
        for child in psutil.Process(first.pid).children():
            child.send_signal(signal.SIGKILL)
        assert first.wait(timeout=60) != 0
        running.check()
        assert running.worker.pid != first.pid
        row = ended(home, job)
    assert (row["state"], row["done"], row["adds_up"]) == ("COMPLETED", 1200, True)


def test_up_that_is_killed_leaves_nothing_running(home: Settings, tmp_path: Path) -> None:
    """SIGKILL to `up`: its worker stops in order and its broker ends, so that the next `up` is alone with its own."""
    manage("migrate", home=home)
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml")}
    up = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "up"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job = manage_json("submit", "toy", str(write_documents(tmp_path / "docs.jsonl", 20)), home=home)["job_id"]
    assert ended(home, job)["done"] == 20
    started = psutil.Process(up.pid).children(recursive=True)
    assert len(started) >= 4  # broker, worker, two that read
    up.kill()
    up.wait()
    _, alive = psutil.wait_procs(started, timeout=STOPS_WITHIN_S)
    assert not alive


def readers(pid: int) -> list[psutil.Process]:
    """The processes of a worker's pool."""
    return [child for child in psutil.Process(pid).children() if "semaphore_tracker" not in " ".join(child.cmdline())]


def test_a_worker_stops_in_time_and_gives_back(alone: Settings, tmp_path: Path) -> None:
    """SIGTERM amid thousands of documents: exit code 0 within 20 s, and nothing is held any more."""
    path = write_documents(tmp_path / "docs.jsonl", 20_000)  # more than are read while a busy machine runs `status`
    job = manage_json("submit", "toy", str(path), home=alone)["job_id"]
    with working(alone) as worker:
        while not manage_json("status", str(job), home=alone)[0]["done"]:
            time.sleep(0.05)
        started = time.monotonic()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(timeout=STOPS_WITHIN_S) == 0
        assert time.monotonic() - started < STOPS_WITHIN_S
    (row,) = manage_json("status", str(job), home=alone)
    assert row["pending"] > 0 and row["adds_up"]
    (held,) = manage_json("query", "select count(*) as n from work where state = 'leased'", home=alone)
    assert held["n"] == 0


def test_a_worker_without_its_processes_ends() -> None:
    """A parent whose processes have been missing for half a minute ends, with a code that says so; one whose processes are there goes on."""
    code = (
        "from workers.watch import Watch\nclock = iter((0.0, 10.0, 31.0))\n"
        "Watch(0).look()\nwatch = Watch(1, lambda: next(clock))\nwatch.look()\nprint('patient', flush=True)\nwatch.look()\nprint('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.split()) == (70, ["patient"])
