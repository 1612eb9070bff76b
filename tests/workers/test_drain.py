"""Draining: what a worker process does with claims, by hand: unusable packs, time that is up, texts that are large."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, select, text, update

from pipelines.predict import Reading
from suites.discover import Pack
from suites.errors import RunError
from suites.types import Document
from workers import queue, reader
from workers.drain import Drained, drain
from workers.queue import claim, counts, next_job
from workers.settings import Settings, StoreSettings, load_settings
from workers.store import Store
from workers.submit import submit
from workers.sweeper import sweep_once
from workers.tables import jobs, work
from workers.turns import Turns

from .conftest import TOY, write_documents

STUDENT, OTHER = "toy-000000000000", "toy-111111111111"


class Reader:
    """Reads everything and finds nothing."""

    cache = None
    pack = TOY

    def __init__(self, on_part: Callable[[], None] = lambda: None) -> None:
        self._on_part = on_part

    def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
        self._on_part()
        return (Reading(d.id) for d in documents)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("")
    return load_settings()


def sent(store: Store, pack: Pack, student: str, path: Path) -> int:
    return submit(store, pack, student, [path], chunk=50, ring=lambda job_id: None).job_id


def read(store: Store, settings: Settings, get: Callable[[str, str], Any], budget_s: float = 30.0) -> int:
    return drain(store, settings, budget_s=budget_s, get_predictor=get).n_read


def over(store: Store, settings: Settings) -> Settings:
    """The settings with this store."""
    return settings.model_copy(update={"store": StoreSettings(url=store.engine.url.render_as_string(hide_password=False))})


def message(store: Store, job_id: int) -> str | None:
    with store.reading() as connection:
        return connection.execute(select(jobs.c.message).where(jobs.c.id == job_id)).scalar_one()


def broken(pack: str, student: str) -> Reader:
    raise OSError("Input/output error")


def test_whatever_loading_raises_costs_no_document(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A student whose loading raises anything at all is passed over with the reason; its documents wait, unspent, and are read once it loads."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 5))
    for _ in range(6):  # more often than a poison document is tried
        assert read(store, settings, broken) == 0
    told = message(store, job)
    assert told is not None and "OSError" in told and "Input/output" not in told
    with store.begin() as connection:
        taken = claim(connection, "a", 10, 0.0)
        assert taken is not None and {c.attempts for c in taken.held} == {1}
        queue.give_back(connection, taken.held)
    assert read(store, settings, lambda pack, student: Reader()) == 5
    assert message(store, job) is None


def test_the_reason_goes_when_documents_are_read(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """Why a job waited is told until its first part is read, not until its end."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 40))
    read(store, settings, broken)
    assert read(store, settings, lambda pack, student: Reader(), budget_s=0.0) == 0
    stops = iter([False, True])
    drain(store, settings, budget_s=30, stop=lambda: next(stops, True), get_predictor=lambda pack, student: Reader())  # type: ignore[arg-type, return-value]
    with store.reading() as connection:
        left = counts(connection, job).pending
    assert 0 < left < 40
    assert message(store, job) is None


def test_the_bell_is_not_rung_for_what_cannot_be_read(
    store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wake-up passes the bell on for what can be read, never for documents of an unusable student; the sweep still rings for these."""
    bad = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 5))
    read(store, settings, broken)
    rung: list[int] = []
    monkeypatch.setattr("workers.drain.predictor", lambda settings, pack, student, n_threads: broken(pack, student))
    reader.Reader(over(store, settings), threading.Event(), rung.append).read(explained=True)
    assert rung == []
    sweep_once(store, settings, rung.append)
    assert rung == [bad]
    good = sent(store, toy_pack, OTHER, write_documents(tmp_path / "b.jsonl", 5))
    with store.reading() as connection:
        assert next_job(connection, explained=False) == good
        assert next_job(connection, explained=True) == bad


def test_time_is_looked_at_between_parts(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A drain whose time is up ends after the part in hand and gives the rest of its claim back, unspent."""
    import time

    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 90))
    slow = Reader(on_part=lambda: time.sleep(0.3))
    first = read(store, settings, lambda pack, student: slow, budget_s=0.2)
    assert 0 < first < 90
    with store.begin() as connection:
        assert counts(connection, job).pending == 90 - first
        taken = claim(connection, "a", 100, 60.0)
    assert taken is not None and len(taken.held) == 90 - first and {c.attempts for c in taken.held} == {1}


def test_a_finished_part_and_the_next_claim_share_a_commit(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A job of several claims takes one transaction a claim, and two for its begin and end: each waits for the disk once."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 300))
    parts: list[int] = []
    commits: list[object] = []
    event.listen(store.engine, "commit", commits.append)
    assert read(store, settings, lambda pack, student: Reader(on_part=lambda: parts.append(1))) == 300
    assert len(commits) == len(parts) + 2
    with store.reading() as connection:
        assert connection.execute(select(jobs.c.state).where(jobs.c.id == job)).scalar_one() == "COMPLETED"


def test_what_the_last_commit_claimed_is_given_back_at_a_stop(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A stop leaves nothing claimed, at whichever part it comes."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 200))
    for n_looks in range(6):
        looks = iter([False] * n_looks)
        drain(store, settings, budget_s=30, stop=lambda looks=looks: next(looks, True), get_predictor=lambda pack, student: Reader())  # type: ignore[misc, arg-type, return-value]
        with store.reading() as connection:
            assert set(connection.execute(select(work.c.state)).scalars()) <= {"ready"}


def test_claims_grow_small_towards_the_end(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """Of little that waits a drain takes a part only: other processes get theirs, and all end together."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 200))
    sizes: list[int] = []

    class Noting(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            sizes.append(len(documents))
            return super().predict(documents, on_batch)

    read(store, settings, lambda pack, student: Noting())
    assert sizes[0] == 50 and sizes == sorted(sizes, reverse=True) and sum(sizes) == 200
    assert min(sizes[:-1]) == queue.FEW


def test_the_watchdog_is_not_armed_at_every_batch(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arming starts a thread: a second's batches share one, and it waits for that second longer."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))
    armed: list[float] = []
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda timeout, exit: armed.append(timeout))

    class Batches(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            for document in documents:
                for _ in range(1000):
                    on_batch()
                yield Reading(document.id)

    monkeypatch.setattr("workers.drain.time.monotonic", iter(range_of_seconds(10_100, 0.001)).__next__)
    drain(store, settings, budget_s=1e9, get_predictor=lambda pack, student: Batches())  # type: ignore[arg-type, return-value]
    assert 9 <= len(armed) <= 12
    assert min(armed) >= settings.worker.stall_s + 1


def range_of_seconds(n: int, step: float) -> list[float]:
    return [i * step for i in range(n)]


@pytest.mark.parametrize(("bound", "held"), [(1, 1), (10_000, 10), (0, 1)])
def test_a_claim_is_bounded_by_its_text(store: Store, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int, held: int) -> None:
    """A claim takes documents up to a bound of characters, and one larger than the bound alone."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))
    monkeypatch.setattr(queue, "CLAIM_CHARS", bound)
    with store.begin() as connection:
        taken = claim(connection, "a", 100, 60.0)
    assert taken is not None and len(taken.held) == held


def test_two_submits_of_one_job_end_well(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A job that a retry, or a second submit, set running while the first submit still fills it is filled to its end."""
    path = write_documents(tmp_path / "a.jsonl", 30)

    def meanwhile(label: str, n_rows: int) -> None:
        with store.begin() as connection:
            connection.execute(update(jobs).values(state="COMPLETED", finished_at=1.0))

    job = submit(store, toy_pack, STUDENT, [path], chunk=10, ring=lambda job_id: None, on_rows=meanwhile).job_id
    with store.begin() as connection:
        assert counts(connection, job).pending == 30
        row = connection.execute(select(jobs.c.state, jobs.c.finished_at).where(jobs.c.id == job)).one()
    assert tuple(row) == ("RUNNING", None)


def test_a_retry_leaves_an_open_job_open(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A retry while a submit is in progress makes its failures work again and does not end the submit."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 3))

    class Failing(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            return (Reading(d.id, stage="rules", code="rules_failed", reason="rules raised KeyError") for d in documents)

    read(store, settings, lambda pack, student: Failing())
    with store.begin() as connection:
        connection.execute(update(jobs).values(state="OPEN"))
        assert queue.retry(connection, job) == 3
        assert connection.execute(select(jobs.c.state)).scalar_one() == "OPEN"


@pytest.mark.parametrize(("error", "exhausted"), [(OSError(24, "Too many open files"), False), (ImportError("no file left"), False), (MemoryError(), True)])
def test_what_the_machine_refuses_fails_no_document(
    store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path, error: Exception, exhausted: bool
) -> None:
    """Where files run out, what was read is kept and all else can be read at once; where memory does, all but the document in hand: it may be its doing."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))

    class Short(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            for document in documents:
                if int(document.id) % 10 == 4:
                    raise error
                yield Reading(document.id)

    def drained() -> Any:
        return drain(store, settings, budget_s=30, get_predictor=lambda pack, student: Short())  # type: ignore[arg-type, return-value]

    if exhausted:
        assert drained().exhausted
    else:
        with pytest.raises(RunError, match="machine refused"):
            drained()
    with store.begin() as connection:
        count = counts(connection, job)
        states = connection.execute(select(work.c.state, work.c.n_lost).order_by(work.c.id)).all()
    assert (count.failed, count.done, len(states)) == (0, 3, 7)
    assert [tuple(row) for row in states] == [("leased" if exhausted else "ready", 0)] + [("ready", 0)] * 6


def test_a_second_reading_is_refused_and_its_neighbours_are_read(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A document whose reading stands there already costs itself alone: its work ends, counted as refused, and the job comes to its end."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))
    with store.begin() as connection:
        values = "SELECT document_id, student_id, job_id, 1, 0, 0.0 FROM work ORDER BY id LIMIT 1"
        connection.execute(text(f"INSERT INTO readings (document_id, student_id, job_id, epoch, n_findings, read_at) {values}"))
        connection.execute(text("UPDATE work SET epoch = 5"))
    read(store, settings, lambda pack, student: Reader())
    with store.begin() as connection:
        count = counts(connection, job)
    assert (count.done, count.pending, count.refused, count.failed) == (10, 0, 1, 0)


def test_what_the_database_refuses_is_one_failure(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """A reading that the database takes from nobody is a failure with its code, and all others of the part are written."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))
    sqlite = ("CREATE TRIGGER never BEFORE INSERT ON readings WHEN new.document_id = 4 BEGIN SELECT RAISE(ABORT, 'never'); END",)
    postgresql = (
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never' USING ERRCODE = '23514'; END $$",
        "CREATE TRIGGER never BEFORE INSERT ON readings FOR EACH ROW WHEN (new.document_id = 4) EXECUTE FUNCTION never()",
    )
    with store.begin() as connection:
        for sql in sqlite if store.is_sqlite else postgresql:
            connection.execute(text(sql))
    read(store, settings, lambda pack, student: Reader())
    with store.begin() as connection:
        count = counts(connection, job)
        failed = connection.execute(text("SELECT document_id, stage, code FROM failures")).one()
    assert (count.done, count.pending, count.failed) == (9, 0, 1)
    assert tuple(failed) == (4, "store", "store_refused")


def test_a_process_that_reads_nothing_any_more_fails_no_document(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """Where even a harmless text cannot be read the process is at fault: it ends, one claim lapses, and nothing becomes a failure."""
    job = sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))

    class Broken(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            raise AttributeError("half of a module")

    drained = drain(store, settings, budget_s=30, get_predictor=lambda pack, student: Broken())  # type: ignore[arg-type, return-value]
    with store.begin() as connection:
        count = counts(connection, job)
        leased = connection.execute(text("SELECT count(*) FROM work WHERE state = 'leased'")).scalar_one()
    assert drained.exhausted
    assert (count.failed, count.done, count.pending, leased) == (0, 0, 10, 1)


def test_memory_is_let_go_before_documents_are_read_alone(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """What a document ate in company is free again when each is read by itself: the error's frames are gone by then."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))
    eaten: list[weakref.ref[Eaten]] = []

    class Hungry(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            if len(list(documents)) > 1:
                held = Eaten()
                eaten.append(weakref.ref(held))
                raise MemoryError
            assert eaten[-1]() is None
            return (Reading(d.id) for d in documents)

    assert read(store, settings, lambda pack, student: Hungry()) == 10
    assert eaten


class Eaten:
    """Stands for gigabytes."""


def test_a_process_that_is_refused_for_long_ends(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's refusal is borne for a while, as all may be refused; a process that meets nothing else for longer ends, to be replaced."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 10))
    clock = [100.0]
    monkeypatch.setattr(reader, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(reader, "_end", lambda: sys.exit(reader.EXIT_CODE))
    answers: list[Exception | Drained] = []

    def answer(*_: Any, **__: Any) -> Drained:
        if isinstance(given := answers.pop(0), Exception):
            raise given
        return given

    monkeypatch.setattr("workers.drain.drain", answer)
    refused = RunError("refused", "machine")
    reading = reader.Reader(over(store, settings), threading.Event(), lambda job_id: None)
    for at, given in ((0.0, refused), (59.0, refused), (59.5, Drained(1, 0, empty=False)), (70.0, refused), (129.0, refused)):
        clock[0], answers[:] = 100.0 + at, [given]
        with nullcontext() if isinstance(given, Drained) else pytest.raises(RunError):
            reading.read(explained=True)
    clock[0], answers[:] = 231.0, [refused]
    with pytest.raises(SystemExit) as ended:
        reading.read(explained=True)
    assert ended.value.code == reader.EXIT_CODE


def test_turns_share_the_time() -> None:
    """Lost documents that take a tenth of a second each have half of the time beside fresh claims that take five; each drain begins with either."""
    turns, now, had = Turns(), 0.0, {True: 0.0, False: 0.0}
    for _ in range(1000):
        is_lost = turns.lost_first(now)
        turns.begin(now, is_lost=is_lost)
        took = 0.1 if is_lost else 5.0
        now, had[is_lost] = now + took, had[is_lost] + took
    assert abs(had[True] - had[False]) <= 5.2
    assert {Turns().lost_first(0.0) for _ in range(100)} == {True, False}


def test_what_was_lost_does_not_wait_for_all_that_is_fresh(store: Store, settings: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """Forty lost documents, which are read one by one, are read while hundreds of fresh ones wait, and these do not wait for the last of them."""
    sent(store, toy_pack, STUDENT, write_documents(tmp_path / "a.jsonl", 440))
    with store.begin() as connection:
        lost = connection.execute(text("UPDATE work SET n_lost = 1 WHERE id % 11 = 0 RETURNING document_id")).scalars().all()
    order: list[int] = []

    class Slow(Reader):
        def predict(self, documents: Sequence[Document], on_batch: Callable[[], None] = lambda: None) -> Iterator[Reading]:
            for document in documents:
                time.sleep(0.002)
                order.append(int(document.id))
                yield Reading(document.id)

    assert read(store, settings, lambda pack, student: Slow(), budget_s=60) == 440
    places = [order.index(document_id) for document_id in lost]
    assert len(lost) == 40
    assert max(places) < 340
    assert max(places) > 90
