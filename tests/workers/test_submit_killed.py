"""A submit that is killed at any moment, and repeated, stores each document exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from sqlalchemy import create_engine, text

from suites.discover import Pack
from workers.migrate import migrate
from workers.queue import counts
from workers.settings import Settings
from workers.store import Store

from .conftest import ROOT, manage_json, write_documents

N_DOCUMENTS = 3_000
N_KILLS = int(os.environ.get("STILLHOUSE_TEST_KILLS", "3"))  # hundreds of them for a long run
SEED = 20261126


def started(home: Settings, path: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml"), "STILLHOUSE_INGEST__CHUNK": "50"}
    command = [sys.executable, str(ROOT / "manage.py"), "submit", "toy", str(path)]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_submit_is_repeated_without_loss_or_double(home: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """After SIGKILLs at random moments of storing, one more submit leaves every document, text and work row exactly once."""
    path = write_documents(tmp_path / "a.jsonl", N_DOCUMENTS)
    with path.open("a", encoding="utf-8") as file:
        file.write("no json\n")
    store = Store(home.store_url)
    migrate(store, [toy_pack])
    store.close()
    engine = create_engine(home.store_url)

    def number(of: str) -> int:
        with engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {of}")).scalar_one())

    random = Random(SEED)
    moments = []
    for kill in range(N_KILLS):
        before = number("documents")
        # spread over the file: the next kill falls later, so that each meets a store that the one before left behind
        goal = before + random.randrange(1, 2 * (N_DOCUMENTS - before) // (N_KILLS - kill + 1) + 2)
        process = started(home, path)
        until = time.monotonic() + 60
        while process.poll() is None and number("documents") < goal and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(random.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        moments.append((process.wait(), number("documents")))
        assert number("documents") == number("texts") == number("work"), "a document, its text and its work are stored together"
    assert [code for code, _ in moments].count(-signal.SIGKILL) >= N_KILLS // 2, f"the submits ended before they were killed: {moments}"
    assert any(0 < stored < N_DOCUMENTS for _, stored in moments), f"no kill fell into the storing: {moments}"

    done = manage_json("submit", "toy", str(path), home=home)
    assert (done["seen"], done["rejected"]) == (N_DOCUMENTS + 1, 1)
    assert done["accepted"] + done["duplicate"] == N_DOCUMENTS
    with engine.connect() as connection:
        for what in ("SELECT key FROM documents", "SELECT document_id FROM work"):
            found = connection.execute(text(what)).scalars().all()
            assert len(found) == len(set(found)) == N_DOCUMENTS
        assert connection.execute(text("SELECT count(*) FROM texts t JOIN documents d ON d.id = t.document_id")).scalar_one() == N_DOCUMENTS
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    engine.dispose()
    store = Store(home.store_url)
    with store.begin() as connection:
        count = counts(connection, done["job_id"])
    store.close()
    assert count.conserved, count
