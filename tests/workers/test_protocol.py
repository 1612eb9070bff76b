"""The protocol as a state machine: whatever is done in whatever order, nothing is lost and nothing comes twice. And the same with a part taken out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import event, text, update

from pipelines.predict import Reading
from suites.discover import Pack, find_pack
from suites.types import Finding
from workers import queue
from workers.derived import Derived
from workers.keys import Keys
from workers.migrate import migrate
from workers.purge import Scope, purge
from workers.queue import Claims, cancel, claim, give_back, pause, renew, resume, retry, settle, sweep
from workers.settings import load_settings
from workers.store import Store
from workers.submit import submit
from workers.tables import work
from workers.verify import laws

from .conftest import TOY, finish

STUDENT = "toy-000000000000"
ATTEMPTS = 3


class Protocol(RuleBasedStateMachine):
    """Two processes and whoever else there is, step by step, over one store. A claim may be finished by whoever still believes in it."""

    store: Store
    toy: Pack

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.inbox = Path(self.folder.name)
        self.held: list[Claims] = []
        self.jobs: list[int] = []
        self.n_files = 0
        self.closed: set[int] = set()  # cancelled, and not submitted again
        self.paused: set[int] = set()
        self.erased: set[str] = set()
        with self.store.begin() as connection:
            for table in (
                "effects",
                "toy_rows",
                "tallies",
                "findings",
                "readings",
                "failures",
                "work",
                "rejects",
                "sources",
                "texts",
                "documents",
                "tombstones",
                "erasures",
                "jobs",
            ):
                connection.execute(text(f"DELETE FROM {table}"))

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    # what users do

    @rule(n=st.integers(1, 6))
    def submits(self, n: int) -> None:
        self._submit(self._written(n))

    @precondition(lambda self: self.n_files)
    @rule(data=st.data())
    def submits_again(self, data: Any) -> None:
        """The same file, as after an interruption."""
        self._submit(self.inbox / f"{data.draw(st.integers(0, self.n_files - 1))}.jsonl")

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancels(self, data: Any) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        with self.store.begin() as connection:
            cancel(connection, job)
        self.closed.add(job)
        self.paused.discard(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def pauses(self, data: Any) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        with self.store.begin() as connection:
            pause(connection, job)
        self.paused.add(job)

    @precondition(lambda self: self.paused)
    @rule(data=st.data())
    def resumes(self, data: Any) -> None:
        job = data.draw(st.sampled_from(sorted(self.paused)))
        with self.store.begin() as connection:
            resume(connection, job)
        self.paused.discard(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def retries(self, data: Any) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        with self.store.begin() as connection:
            if retry(connection, job):
                self.closed.discard(job)

    @precondition(lambda self: self.n_files)
    @rule(data=st.data())
    def erases(self, data: Any) -> None:
        key = f"{data.draw(st.integers(0, self.n_files - 1))}-0"
        purge(self.store, Keys.of(load_settings()), Scope(pack="toy", key=key), vacuum=False)
        self.erased.add(key)

    # what processes do

    @rule(n=st.integers(1, 5), owner=st.sampled_from("ab"))
    def claims(self, n: int, owner: str) -> None:
        with self.store.begin() as connection:
            got = claim(connection, owner, n, 60.0)
        if got is not None:
            self.held.append(got)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), fails=st.booleans(), keeps=st.booleans())
    def finishes(self, data: Any, fails: bool, keeps: bool) -> None:
        """Any claim ever made, of however long ago; and once more, as after a commit whose answer was lost."""
        at = data.draw(st.integers(0, len(self.held) - 1))
        claims = self.held[at] if keeps else self.held.pop(at)
        found = (Finding("topic", "animals", 0.9, 0, 1),)
        done = [(c, Reading(str(c.document_id), (), "rules", "failed", "it failed") if fails else Reading(str(c.document_id), found)) for c in claims.held]
        with self.store.begin() as connection:
            self.finish(connection, claims, done)

    finish = staticmethod(finish)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renews(self, data: Any) -> None:
        with self.store.begin() as connection:
            renew(connection, data.draw(st.sampled_from(self.held)).held, 60.0)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def gives_back(self, data: Any) -> None:
        with self.store.begin() as connection:
            give_back(connection, self.held.pop(data.draw(st.integers(0, len(self.held) - 1))).held)

    @rule()
    def time_passes(self) -> None:
        """Every lease lapses."""
        with self.store.begin() as connection:
            connection.execute(update(work).where(work.c.state == "leased").values(lease_until=0.0))

    @rule()
    def sweeps(self) -> None:
        with self.store.begin() as connection:
            sweep(connection, ATTEMPTS)
            settle(connection)

    # what holds at every moment

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "folder"):
            return
        with self.store.reading() as connection:
            broken = [law for law in laws(connection) if not law.holds]
            twice = connection.execute(text("SELECT count(*) FROM (SELECT 1 FROM effects GROUP BY document_id, student_id HAVING count(*) > 1) t")).scalar_one()
            back = connection.execute(text("SELECT key FROM documents")).scalars().all()
            waiting = connection.execute(text("SELECT DISTINCT job_id FROM work WHERE state <> 'paused'")).scalars().all()
        assert not broken, broken
        assert not twice
        assert not self.erased & set(back)
        assert not self.paused & set(waiting)
        assert not self.closed & set(waiting)

    def _written(self, n: int) -> Path:
        path = self.inbox / f"{self.n_files}.jsonl"
        path.write_text("".join(json.dumps({"id": f"{self.n_files}-{i}", "text": f"text {self.n_files} {i}"}) + "\n" for i in range(n)))
        self.n_files += 1
        return path

    def _submit(self, path: Path) -> None:
        done = submit(self.store, self.toy, STUDENT, [path], name=path.name, chunk=4, ring=lambda job_id: None)
        self.jobs = sorted({*self.jobs, done.job_id})
        self.closed.discard(done.job_id)
        assert not self._nowhere(path)

    def _nowhere(self, path: Path) -> set[str]:
        """Documents of a file that was just submitted which neither wait, nor were read, nor failed, nor were erased."""
        keys = {json.loads(line)["id"] for line in path.read_text().splitlines()} - self.erased
        somewhere = " UNION ".join(f"SELECT document_id FROM {table}" for table in ("work", "readings", "failures"))
        with self.store.reading() as connection:
            return keys - set(connection.execute(text(f"SELECT key FROM documents WHERE id IN ({somewhere})")).scalars())


@pytest.fixture
def machine(tmp_path: Path, toy_folder: Path) -> type[Protocol]:
    """The machine over a SQLite store of its own, with a record of every reading that is written."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))  # nothing is unplugged here
    toy = find_pack("toy", [toy_folder])
    migrate(store, [toy])
    with store.begin() as connection:
        connection.execute(text("CREATE TABLE effects (document_id INTEGER, student_id TEXT)"))
        connection.execute(text("CREATE TRIGGER noted AFTER INSERT ON readings BEGIN INSERT INTO effects VALUES (new.document_id, new.student_id); END"))
    return type("ProtocolOfOne", (Protocol,), {"store": store, "toy": toy})


def tried(machine: type[Protocol], n: int) -> None:
    """Tries so many orders of 30 steps, the same ones each time; the first that fails is enough."""
    how = settings(max_examples=n, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    run_state_machine_as_test(machine, settings=how)


def test_no_order_of_steps_loses_or_doubles(machine: type[Protocol]) -> None:
    """Hundreds of orders of submits, claims, lapses, late finishes, cancels, pauses and purges: all laws hold after every step."""
    tried(machine, 100)


def test_without_the_fence_the_machine_finds_a_double(machine: type[Protocol], monkeypatch: pytest.MonkeyPatch) -> None:
    """Finishing by id alone, as other queues do, breaks a law, and the machine finds the steps that do it."""
    monkeypatch.setattr(machine, "finish", staticmethod(unfenced))
    with pytest.raises((AssertionError, ExceptionGroup)):
        tried(machine, 100)


def unfenced(connection: Any, claims: Claims, done: Any) -> None:
    """Writes what it was given, whoever holds the documents now."""
    from sqlalchemy import delete

    from workers.tables import findings, readings

    documents = [c.document_id for c, _ in done]
    connection.execute(delete(work).where(work.c.id.in_([c.work_id for c, _ in done])))
    for table in (readings, findings):
        connection.execute(delete(table).where(table.c.document_id.in_(documents)))
    queue.write_read(connection, claims, [(c, r, 0.0) for c, r in done if not r.failed], Derived(TOY))


def test_ids_of_work_are_never_given_twice(machine: type[Protocol], tmp_path: Path) -> None:
    """A late finish of a cancelled document meets the fence, also where another document's work came after it was gone."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text('{"id": "a", "text": "one"}\n')
    second.write_text('{"id": "b", "text": "two"}\n')
    store = machine.store

    def submitted(path: Path) -> int:
        return submit(store, machine.toy, STUDENT, [path], chunk=4, ring=lambda job_id: None).job_id

    job = submitted(first)
    with store.begin() as connection:
        late = claim(connection, "a", 1, 60.0)
    with store.begin() as connection:
        cancel(connection, job)
    submitted(second)
    with store.begin() as connection:
        fresh = claim(connection, "b", 1, 60.0)
    assert late is not None and fresh is not None
    with store.begin() as connection:
        assert finish(connection, late, [(late.held[0], Reading("a"))]) == 1
        assert finish(connection, fresh, [(fresh.held[0], Reading("b"))]) == 0
