"""The protocol of the queue, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from pipelines.predict import Reading
from suites.discover import Pack
from suites.types import Finding
from workers.queue import Claims, cancel, claim, counts, give_back, lock_job, renew, retry, settle, sweep
from workers.store import Store
from workers.submit import submit
from workers.tables import failures, findings, jobs, readings, work

from .conftest import finish, write_documents

STUDENT = "toy-000000000000"


@pytest.fixture
def job(store: Store, toy_pack: Pack, tmp_path: Path) -> int:
    """A job of 10 documents."""
    paths = [write_documents(tmp_path / "ten.jsonl", 10)]
    return submit(store, toy_pack, STUDENT, paths, chunk=4, ring=lambda job_id: None).job_id


def take(store: Store, n: int = 100, owner: str = "a", lease_s: float = 60.0) -> Claims | None:
    with store.begin() as connection:
        return claim(connection, owner, n, lease_s)


def end(store: Store, claims: Claims, *, code: str = "") -> int:
    found = (Finding("topic", "one", 0.9, 0, 5),)
    done = [(c, Reading(str(c.document_id), (), "rules", code, "reason") if code else Reading(str(c.document_id), found)) for c in claims.held]
    with store.begin() as connection:
        return finish(connection, claims, done)


def lapse(store: Store) -> None:
    """Makes every lease lapse, on the database's clock."""
    with store.begin() as connection:
        connection.execute(update(work).where(work.c.state == "leased").values(lease_until=0.0))


def swept(store: Store, max_attempts: int = 4) -> int:
    with store.begin() as connection:
        return sweep(connection, max_attempts)


def n_rows(store: Store, table: object) -> int:
    with store.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_a_document_is_held_by_one_claim(store: Store, job: int) -> None:
    """Two claims never hold the same document, and a third gets nothing."""
    first, second = take(store, 6), take(store, 6, "b")
    assert first is not None and second is not None
    assert len(first.held) == 6 and len(second.held) == 4
    assert not {c.document_id for c in first.held} & {c.document_id for c in second.held}
    assert take(store) is None


def test_finishing_writes_findings_and_ends_the_work(store: Store, job: int) -> None:
    """Findings, readings and the end of the work rows come together, and the job completes."""
    claims = take(store)
    assert claims is not None and claims.job_id == job
    assert end(store, claims) == 0
    assert (n_rows(store, work), n_rows(store, readings), n_rows(store, findings)) == (0, 10, 10)
    with store.begin() as connection:
        assert settle(connection) == [job]
        assert connection.execute(select(jobs.c.state)).scalar_one() == "COMPLETED"
        assert counts(connection, job).conserved


def test_the_fence_refuses_a_lapsed_claim(store: Store, job: int) -> None:
    """A process that wakes after its claim lapsed writes nothing, and the refusals are counted."""
    zombie = take(store)
    assert zombie is not None
    lapse(store)
    assert swept(store) == 10
    while claims := take(store, owner="b"):
        assert end(store, claims) == 0
    assert end(store, zombie) == 10
    assert (n_rows(store, readings), n_rows(store, findings)) == (10, 10)
    with store.begin() as connection:
        assert counts(connection, job).refused == 10


def test_the_fence_holds_against_a_second_claim_in_progress(store: Store, job: int) -> None:
    """A lapsed claim is refused also while the next holder is still reading."""
    zombie = take(store)
    lapse(store)
    swept(store)
    fresh = take(store, owner="b")
    assert zombie is not None and fresh is not None
    assert end(store, zombie) == 10
    assert end(store, fresh) == 0
    assert n_rows(store, findings) == 1  # a lost document is claimed alone


def test_the_fence_sees_a_lapse_that_is_just_being_written(store: Store, job: int) -> None:
    """A process that finishes while the sweep takes its claim waits for the sweep's commit and is refused."""
    claims = take(store)
    assert claims is not None
    lapse(store)
    refused: list[int] = []
    late = threading.Thread(target=lambda: refused.append(end(store, claims)))
    with store.begin() as connection:
        assert sweep(connection, 4) == 10
        late.start()
        time.sleep(0.3)
        assert not refused
    late.join()
    assert refused == [10] and n_rows(store, readings) == 0


def test_a_submit_does_not_hold_up_those_that_write(store: Store, job: int) -> None:
    """While a submit, retry or cancel holds a job, its findings are written: on PostgreSQL; SQLite has one writer at a time."""
    if store.is_sqlite:
        pytest.skip("one writer at a time")
    claims = take(store)
    assert claims is not None
    with store.begin() as connection:
        lock_job(connection, job)
        assert end(store, claims) == 0
    assert n_rows(store, readings) == 10


def test_finishing_twice_changes_nothing(store: Store, job: int) -> None:
    """A commit whose answer was lost may be repeated: the second finds all done, by this very claim, and that is no refusal."""
    claims = take(store)
    assert claims is not None
    assert end(store, claims) == 0
    assert end(store, claims) == 0
    assert n_rows(store, findings) == 10


def test_a_lost_document_is_claimed_alone(store: Store, job: int) -> None:
    """After a claim lapsed, its documents come one by one: a poison document burns only itself."""
    take(store, 3)
    lapse(store)
    swept(store)
    alone = take(store, 100)
    assert alone is not None and len(alone.held) == 1 and alone.held[0].attempts == 2


def test_a_poison_document_becomes_a_failure_and_its_neighbours_succeed(store: Store, job: int) -> None:
    """A document that kills every process ends among the failures with its reason; the others are read."""
    first = take(store)
    assert first is not None
    poison = first.held[0].document_id
    lapse(store)
    swept(store)
    for _ in range(60):
        claims = take(store)
        if claims is None:
            break
        if poison in {c.document_id for c in claims.held}:
            assert len(claims.held) == 1
            lapse(store)
            swept(store)
        else:
            end(store, claims)
    with store.begin() as connection:
        settle(connection)
        count = counts(connection, job)
        failed = connection.execute(select(failures)).one()
        state = connection.execute(select(jobs.c.state)).scalar_one()
    assert (count.done, count.failed, count.pending, count.conserved) == (9, 1, 0, True)
    assert (failed.document_id, failed.stage, failed.code, failed.attempts) == (poison, "worker", "worker_lost", 4)
    assert state == "COMPLETED_WITH_ERRORS"


def test_a_renewed_lease_does_not_lapse(store: Store, job: int) -> None:
    """Renewal after progress keeps a claim beyond its first lease."""
    claims = take(store, lease_s=0.3)
    assert claims is not None
    with store.begin() as connection:
        renew(connection, claims.held, 60.0)
    time.sleep(0.4)
    assert swept(store) == 0


def test_a_lease_lapses_on_the_databases_clock(store: Store, job: int) -> None:
    """Without renewal a claim lapses by itself."""
    take(store, lease_s=0.2)
    assert swept(store) == 0
    time.sleep(0.3)
    assert swept(store) == 10


def test_a_claim_given_back_costs_no_attempt(store: Store, job: int) -> None:
    """Claims returned at a stop are ready at once, as if never made."""
    claims = take(store)
    assert claims is not None
    with store.begin() as connection:
        give_back(connection, claims.held)
    again = take(store)
    assert again is not None and len(again.held) == 10 and {c.attempts for c in again.held} == {1}


def test_cancel_meets_what_is_in_flight(store: Store, job: int) -> None:
    """After a cancel no result appears, not even of documents that were being read."""
    claims = take(store, 4)
    assert claims is not None
    with store.begin() as connection:
        assert cancel(connection, job) == 10
    assert end(store, claims) == 4
    with store.begin() as connection:
        count = counts(connection, job)
        assert connection.execute(select(jobs.c.state)).scalar_one() == "CANCELLED"
    assert (count.done, count.cancelled, count.conserved) == (0, 10, True)


def test_a_job_that_cannot_be_read_here_is_passed_over(store: Store, job: int, toy_pack: Pack, tmp_path: Path) -> None:
    """A claim without one job takes the next one's documents: an unusable student blocks nobody else."""
    other = submit(store, toy_pack, "toy-111111111111", [write_documents(tmp_path / "ten.jsonl", 10)], chunk=4, ring=lambda job_id: None).job_id
    with store.begin() as connection:
        claims = claim(connection, "a", 100, 60.0, without={job})
    assert claims is not None and claims.job_id == other


def test_a_mended_file_makes_the_job_green(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Rejects of an earlier reading no longer count once the mended file was submitted again; the counts still add up."""
    path = tmp_path / "a.jsonl"
    states = []
    for content in ('{"id": "a", "text": "one"}\nnot json\n', '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'):
        path.write_text(content)
        job_id = submit(store, toy_pack, STUDENT, [path], chunk=4, ring=lambda job_id: None).job_id
        claims = take(store)
        assert claims is not None
        end(store, claims)
        with store.begin() as connection:
            settle(connection)
            states.append(connection.execute(select(jobs.c.state)).scalar_one())
            assert counts(connection, job_id).conserved
    assert states == ["COMPLETED_WITH_ERRORS", "COMPLETED"]


@pytest.mark.parametrize("together", [True, False])
def test_rejects_of_a_file_of_the_same_name_stay_open(store: Store, toy_pack: Pack, tmp_path: Path, together: bool) -> None:
    """A good file does not hide the rejects of another folder's file of the same name, given at once or later; mending that file does."""
    days = [tmp_path / "day1", tmp_path / "day2"]
    for day, content in zip(days, ("not json\n", '{"id": "a", "text": "one"}\n'), strict=True):
        day.mkdir()
        (day / "x.jsonl").write_text(content)

    def state_after(*paths: Path) -> str:
        job_id = submit(store, toy_pack, STUDENT, list(paths), name="nightly", chunk=4, ring=lambda job_id: None).job_id
        if claims := take(store):
            end(store, claims)
        with store.begin() as connection:
            settle(connection)
            assert counts(connection, job_id).conserved
            return str(connection.execute(select(jobs.c.state)).scalar_one())

    assert [state_after(*given) for given in ([days] if together else [[day] for day in days])][-1] == "COMPLETED_WITH_ERRORS"
    (days[0] / "x.jsonl").write_text('{"id": "b", "text": "two"}\n')
    assert state_after(days[0]) == "COMPLETED"


def test_failures_can_be_retried(store: Store, job: int) -> None:
    """Failed documents become work again and end well; a job in which all failed says FAILED before."""
    claims = take(store)
    assert claims is not None
    end(store, claims, code="hook_failed")
    with store.begin() as connection:
        settle(connection)
        assert connection.execute(select(jobs.c.state)).scalar_one() == "FAILED"
        assert retry(connection, job) == 10
    claims = take(store)
    assert claims is not None
    end(store, claims)
    with store.begin() as connection:
        settle(connection)
        assert connection.execute(select(jobs.c.state)).scalar_one() == "COMPLETED"
        assert counts(connection, job).conserved


def test_the_same_finding_cannot_be_stored_twice(store: Store, job: int) -> None:
    """The store itself refuses a double: the unique key holds even without the fence."""
    from suites.errors import StoreError

    claims = take(store)
    assert claims is not None
    end(store, claims)
    columns = 'document_id, student_id, task, label, score, start, "end", source'
    for read_at in ("read_at", "read_at + 1"):  # another time, by which another month, makes it no other finding
        with pytest.raises(StoreError), store.begin() as connection:
            connection.execute(text(f"INSERT INTO findings ({columns}, read_at) SELECT {columns}, {read_at} FROM findings"))
