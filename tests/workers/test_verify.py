"""The laws of conservation, each broken by hand; back-pressure; and a SQLite file that is damaged or lies where it must not."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from suites.discover import Pack
from suites.errors import RunError, StoreError
from workers import integrity
from workers.integrity import require_sound
from workers.migrate import migrate
from workers.pressure import Pressure
from workers.queue import cancel, pause, resume
from workers.settings import Settings
from workers.store import Store
from workers.submit import submit
from workers.verify import check_ended, laws

from .conftest import manage, manage_json, write_documents
from .test_queue import STUDENT, end, lapse, swept, take

# what breaks each law, in SQL that any administrator could mistype
BREAKERS = {
    "sums": "UPDATE jobs SET n_cancelled = 1",
    "rows": "UPDATE sources SET n_seen = n_seen + 1",
    "rejects": "UPDATE sources SET n_seen = n_seen + 1, n_rejected = n_rejected + 1",
    "once": "INSERT INTO work (job_id, document_id, student_id, state, epoch, attempts, n_lost) "
    "SELECT job_id, document_id, student_id, 'ready', 0, 0, 0 FROM readings",
    "whole": "DELETE FROM findings WHERE document_id = (SELECT min(document_id) FROM findings)",
    "rows shown": "DELETE FROM toy_rows WHERE document_id = (SELECT min(document_id) FROM toy_rows)",
    "read": "DELETE FROM readings WHERE document_id = (SELECT min(document_id) FROM readings)",
    "texts": "DELETE FROM texts WHERE document_id = (SELECT max(document_id) FROM work)",
    "ended": "UPDATE jobs SET state = 'COMPLETED'",
    "claims": "UPDATE work SET state = 'leased'",
}


@pytest.fixture
def half_read(store: Store, toy_pack: Pack, tmp_path: Path) -> int:
    """A job of 10 documents, 4 of them read."""
    job = submit(store, toy_pack, STUDENT, [write_documents(tmp_path / "ten.jsonl", 10)], chunk=4, ring=lambda job_id: None).job_id
    claims = take(store, 4)
    assert claims is not None
    end(store, claims)
    return job


def broken(store: Store, job: int | None = None) -> set[str]:
    with store.reading() as connection:
        return {law.name for law in laws(connection, job) if not law.holds}


def test_laws_hold_of_a_store_at_work(store: Store, half_read: int) -> None:
    """Amid a job, with claims held, lapsed and swept, all laws hold."""
    assert broken(store) == broken(store, half_read) == set()
    take(store, 3)
    lapse(store)
    swept(store)
    assert broken(store) == set()


@pytest.mark.parametrize("law", BREAKERS)
def test_every_law_can_be_broken(store: Store, half_read: int, law: str) -> None:
    """A store that was tampered with breaks the law that says so."""
    with store.begin() as connection:
        if law == "read" and not store.is_sqlite:  # which PostgreSQL does not let happen
            connection.execute(text("ALTER TABLE findings DROP CONSTRAINT fk_findings_reading"))
        connection.execute(text(BREAKERS[law]))
    assert law in broken(store)


def test_a_job_that_breaks_a_law_is_not_green(store: Store, half_read: int) -> None:
    """What the check after every job finds is said in the job, which ends with errors."""
    with store.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = 'COMPLETED', n_cancelled = 5"))
    check_ended(store, [half_read])
    with store.reading() as connection:
        state, message = connection.execute(text("SELECT state, message FROM jobs")).one()
    assert state == "COMPLETED_WITH_ERRORS" and "sums" in message and "ended" in message


def test_verify_from_the_command_line(home: Settings, tmp_path: Path) -> None:
    """`verify` prints each law and ends with 0; once one is broken, with 1 and its name."""
    manage("migrate", home=home)
    job = manage_json("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 5)), home=home)["job_id"]
    assert all(law["holds"] for law in manage_json("verify", home=home)["laws"])
    store = Store(home.store_url)
    with store.begin() as connection:
        connection.execute(text("UPDATE sources SET n_accepted = 4"))
    store.close()
    for arguments in ((), (str(job),)):
        done = manage("verify", *arguments, home=home, check=False)
        assert done.returncode == 1 and "rows" in done.stderr


def test_pause_sets_aside_what_is_being_read(store: Store, half_read: int) -> None:
    """After a pause nothing of the job can be claimed, finished or retried into reading; after a resume all is read."""
    held = take(store, 2)
    assert held is not None
    with store.begin() as connection:
        assert pause(connection, half_read) == 6
    assert end(store, held) == 2
    assert take(store) is None
    assert swept(store) == 0
    with store.begin() as connection:
        assert resume(connection, half_read) == 6
    again = take(store)
    assert again is not None and len(again.held) == 6
    assert end(store, again) == 0
    assert broken(store) == set()


def test_what_is_submitted_to_a_paused_job_waits(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Documents that are added to a paused job wait with it; a cancel ends the pause."""
    for name, n in (("a", 3), ("b", 5)):
        job = submit(store, toy_pack, STUDENT, [write_documents(tmp_path / f"{name}.jsonl", n)], name="nightly", chunk=4, ring=lambda job_id: None).job_id
        with store.begin() as connection:
            pause(connection, job)
    assert take(store) is None
    with store.begin() as connection:
        assert cancel(connection, job) == 5
        assert connection.execute(text("SELECT paused_at FROM jobs")).scalar_one() is None


def test_submit_waits_for_the_workers(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Over the high-water mark submit stores nothing more until documents are read; then it goes on to the end."""
    path = write_documents(tmp_path / "many.jsonl", 40)
    waits: list[int] = []
    most: list[int] = []

    def on_rows(label: str | None, n_rows: int) -> None:
        (waits if label is None else most).append(n_rows)

    def read() -> None:
        while n_rows(store) < 40:
            with store.reading() as connection:
                most.append(connection.execute(text("SELECT count(*) FROM work")).scalar_one())
            if claims := take(store, 3):
                end(store, claims)
            time.sleep(0.05)

    reader = threading.Thread(target=read)
    reader.start()
    done = submit(store, toy_pack, STUDENT, [path], chunk=5, ring=lambda job_id: None, on_rows=on_rows, pressure=Pressure(high_water=10))
    reader.join()
    assert done.accepted == 40 and waits
    assert n_rows(store) == 40 and broken(store) == set()


def n_rows(store: Store) -> int:
    with store.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM readings")).scalar_one())


def test_submit_stops_before_the_disk_is_full(toy_pack: Pack, tmp_path: Path) -> None:
    """With less than the reserve left nothing more is stored, the error says what to do, and the same submit goes on once there is room."""
    store = Store(f"sqlite:///{tmp_path / 's.db'}")
    migrate(store, [toy_pack])
    path = write_documents(tmp_path / "a.jsonl", 10)
    with pytest.raises(RunError, match="reserve_mb"):
        submit(store, toy_pack, STUDENT, [path], chunk=4, ring=lambda job_id: None, pressure=Pressure(reserve_mb=1 << 40))
    assert submit(store, toy_pack, STUDENT, [path], chunk=4, ring=lambda job_id: None, pressure=Pressure(reserve_mb=1)).accepted == 10
    store.close()


def test_a_damaged_file_is_refused(toy_pack: Pack, tmp_path: Path) -> None:
    """Workers do not start on a SQLite file whose pages were overwritten, and say what to do."""
    path = tmp_path / "s.db"
    store = Store(f"sqlite:///{path}")
    migrate(store, [toy_pack])
    submit(store, toy_pack, STUDENT, [write_documents(tmp_path / "a.jsonl", 300)], chunk=100, ring=lambda job_id: None)
    require_sound(store)
    store.close()
    with path.open("r+b") as file:
        for page in range(8, 40):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(StoreError) as caught:
        require_sound(store)
    assert caught.value.code in ("store_damaged", "store_sqlite_corrupt")
    store.close()


def test_a_store_on_a_networks_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite on NFS is refused with the reason: its locks do not hold there."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(integrity, "MOUNTS", mounts)
    store = Store(f"sqlite:///{tmp_path / 's.db'}")
    with pytest.raises(StoreError, match="nfs4"):
        require_sound(store)
    store.close()
