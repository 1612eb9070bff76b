"""The log of what runs for long: one JSON object a line on stderr and nothing else, whoever writes it."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from workers.cli import main
from workers.settings import Settings
from workers.store import Store
from workers.tables import jobs

from .conftest import ROOT, write_documents

PATIENCE_S = 60.0


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def until(home: Settings, state: str) -> None:
    """Waits until the newest job is in the state."""
    store = Store(home.store_url)
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        with store.reading() as connection:
            if connection.execute(select(jobs.c.state).order_by(jobs.c.id.desc())).scalar() == state:
                store.close()
                return
        time.sleep(0.1)
    raise AssertionError(f"the job is not {state} after {PATIENCE_S:.0f} s")


def begun(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(ROOT / "manage.py"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines_of(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Stops the process; gives its stderr, each line an object."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out == ""
    found = [json.loads(line) for line in err.splitlines()]
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in found), err
    return found


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("up", "--processes", "1"), ("worker", "--poll", "--processes", "1")], ids=lambda v: v[0])
def test_workers_log_lines_of_json(home: Settings, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """Workers, with a broker or without, while a document kills one of them, and at their stop."""
    assert main(["migrate"]) == 0
    process = begun(*verb)
    assert main(["submit", "toy", str(write_documents(tmp_path / "d.jsonl", 20))]) == 0
    until(home, "COMPLETED")
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    if verb[0] == "worker":  # one of its processes dies and is replaced, which is told
        os.kill(int(children[-1]), signal.SIGKILL)
        time.sleep(2.0)
    found = lines_of(process)
    assert "Broker and 1 worker processes" in str(found) if verb[0] == "up" else "a worker process died" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("serve", "toy"), ("metrics", "--serve")], ids=lambda v: v[0])
def test_servers_log_lines_of_json(home: Settings, verb: tuple[str, ...]) -> None:
    """Servers, from their start to their stop, a request that is none among it."""
    assert main(["migrate"]) == 0
    port = free_port()
    process = begun(*verb, "--port", port)
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            with socket.create_connection(("127.0.0.1", int(port)), timeout=1) as connection:
                connection.sendall(b"no request\r\n\r\n")
                if connection.recv(100):
                    break
        except OSError:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
    assert f"127.0.0.1:{port}" in str(lines_of(process))


@pytest.mark.slow
def test_on_a_terminal_people_are_told(home: Settings) -> None:
    """Where stderr is a terminal, lines are for people."""
    assert main(["migrate"]) == 0
    ours, theirs = pty.openpty()
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "metrics", "--serve", "--port", port], stderr=theirs)
    os.close(theirs)
    told = os.read(ours, 1000).decode()
    process.terminate()
    process.wait(PATIENCE_S)
    os.close(ours)
    assert told.strip() == f"http://127.0.0.1:{port}/metrics"
