"""Following a job: its state is looked at often, what is left of it counted as rarely as counting is dear."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from suites.discover import Pack
from workers import follow as following
from workers.queue import pending
from workers.store import Store
from workers.submit import submit
from workers.tables import jobs

from .conftest import write_documents


def test_a_dear_count_is_not_made_at_every_look(store: Store, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where counting takes long, a follow counts at its begin and end and looks at the state alone in between; the end shows the last count."""
    job = submit(store, toy_pack, "toy-000000000000", [write_documents(tmp_path / "a.jsonl", 10)], chunk=50, ring=lambda job_id: None).job_id
    looks: list[int] = []
    counted: list[int] = []

    def dear(connection: Connection, job_id: int) -> int:
        time.sleep(1.0)
        counted.append(pending(connection, job_id))
        return counted[-1]

    def end_after_ten() -> None:
        looks.append(1)
        if len(looks) == 10:
            with store.begin() as connection:
                connection.execute(update(jobs).values(state="COMPLETED"))

    shown: list[tuple[int, int]] = []
    monkeypatch.setattr(following, "pending", dear)
    monkeypatch.setattr(following, "POLL_S", 0.01)
    state, count = following.follow(store, job, lambda what, done, total: shown.append((done, total)), end_after_ten)
    assert (state, count.pending) == ("COMPLETED", 10)
    assert (len(looks), len(counted)) == (10, 2)
    assert shown == [(0, 10)] * 11
