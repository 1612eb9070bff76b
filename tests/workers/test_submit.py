"""Submitting: counted, repeatable, resumable."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from suites.discover import Pack
from suites.errors import RunError, UsageError
from workers.bulk import insert_rows
from workers.ingest import Incoming, Source
from workers.migrate import migrate
from workers.queue import cancel, counts
from workers.store import Store
from workers.submit import _WORK_COLUMNS, Submitted, _taken, submit
from workers.tables import documents, jobs, rejects, sources, texts, work

from .conftest import write_documents

STUDENT = "toy-000000000000"


def sent(store: Store, pack: Pack, *paths: Path, **options: object) -> Submitted:
    return submit(store, pack, STUDENT, list(paths), chunk=7, ring=lambda job_id: None, **options)  # type: ignore[arg-type]


def test_rows_seen_are_accepted_duplicate_or_rejected(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Every row is counted once; a bad one is kept with place, code and remedy, and the rest goes on."""
    path = write_documents(tmp_path / "a.jsonl", 20)
    path.write_text(path.read_text() + '{"id": "bad"}\nnot json\n{"id": "doc-1", "text": ""}\n' + path.read_text().splitlines()[0] + "\n")
    done = sent(store, toy_pack, path)
    assert (done.seen, done.accepted, done.duplicate, done.rejected) == (24, 20, 1, 3)
    assert done.by_code == {"no_text": 1, "bad_json": 1, "empty_text": 1}
    with store.begin() as connection:
        rows = connection.execute(select(rejects)).all()
        assert counts(connection, done.job_id).conserved
    assert [r.place for r in rows] == ["a.jsonl:21", "a.jsonl:22", "a.jsonl:23"]
    assert all(r.remedy for r in rows)


def test_a_repeated_submit_is_harmless(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """The same paths again give the same job, no new document and no new work."""
    path = write_documents(tmp_path / "a.jsonl", 20)
    first, second = sent(store, toy_pack, path), sent(store, toy_pack, path)
    assert (second.job_id, second.accepted, second.duplicate) == (first.job_id, 0, 20)
    with store.begin() as connection:
        assert connection.execute(select(func.count()).select_from(work)).scalar_one() == 20
        assert counts(connection, first.job_id).conserved


def test_an_interrupted_submit_resumes(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """After a stop between chunks, repeating the submit adds what was missing and nothing else."""
    path = write_documents(tmp_path / "a.jsonl", 20)

    def stop(label: str, n_rows: int) -> None:
        if n_rows >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sent(store, toy_pack, path, on_rows=stop)
    resumed = sent(store, toy_pack, path)
    assert (resumed.accepted, resumed.duplicate) == (6, 14)
    with store.begin() as connection:
        assert connection.execute(select(func.count()).select_from(texts)).scalar_one() == 20


def test_the_same_id_with_another_text_is_another_document(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A changed text under an old id is read too; nothing is overwritten."""
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "first"}\n{"id": "x", "text": "second"}\n')
    assert sent(store, toy_pack, tmp_path / "a.jsonl").accepted == 2
    with store.begin() as connection:
        assert connection.execute(select(func.count()).select_from(documents)).scalar_one() == 2


def test_another_student_reads_the_same_documents(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Documents are stored once; a new student gets work of its own for them."""
    path = write_documents(tmp_path / "a.jsonl", 5)
    sent(store, toy_pack, path)
    again = submit(store, toy_pack, "toy-111111111111", [path], chunk=7, ring=lambda job_id: None)
    assert again.accepted == 5
    with store.begin() as connection:
        assert connection.execute(select(func.count()).select_from(documents)).scalar_one() == 5


def test_a_job_name_of_another_pack_or_student_is_refused(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A job keeps its pack and student: the same name for others is an error that says so."""
    path = write_documents(tmp_path / "a.jsonl", 2)
    sent(store, toy_pack, path, name="mine")
    with pytest.raises(UsageError, match=STUDENT):
        submit(store, toy_pack, "toy-111111111111", [path], name="mine", chunk=7, ring=lambda job_id: None)


def test_a_cancel_ends_a_submit(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A job that is cancelled while it is being filled stays cancelled: nothing more becomes work."""
    path = write_documents(tmp_path / "a.jsonl", 20)

    def stop(label: str, n_rows: int) -> None:
        with store.begin() as connection:
            cancel(connection, connection.execute(select(jobs.c.id)).scalar_one())

    with pytest.raises(RunError, match="was cancelled"):
        sent(store, toy_pack, path, on_rows=stop)
    with store.begin() as connection:
        assert connection.execute(select(func.count()).select_from(work)).scalar_one() == 0
        assert connection.execute(select(jobs.c.state)).scalar_one() == "CANCELLED"


def test_many_small_files_share_transactions(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A chunk spans files: each is counted by itself, and the bell rings once a chunk, not once a file."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for i in range(20):
        (folder / f"n{i:02}.txt").write_text(f"Note number {i}." if i != 3 else " ")
    rings: list[int] = []
    done = submit(store, toy_pack, STUDENT, [folder], chunk=100, ring=rings.append)
    assert (done.seen, done.accepted, done.rejected, len(rings)) == (20, 19, 1, 2)
    with store.begin() as connection:
        rows = connection.execute(select(sources).order_by(sources.c.label)).all()
    assert [(r.n_seen, r.n_accepted, r.n_rejected) for r in rows] == [(1, 1, 0) if i != 3 else (1, 0, 1) for i in range(20)]
    assert all(r.finished_at for r in rows)


def test_files_of_one_name_are_kept_apart(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Files of one name in two folders are two sources with labels and keys of their own, and no path is stored beyond the label."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jsonl").write_text('{"text": "the same"}\n')
    done = sent(store, toy_pack, tmp_path / "one", tmp_path / "two")
    assert (done.accepted, done.duplicate) == (2, 0)
    with store.begin() as connection:
        rows = connection.execute(select(sources).order_by(sources.c.label)).all()
        keys = connection.execute(select(documents.c.key).order_by(documents.c.key)).scalars().all()
    assert [r.label for r in rows] == ["one/x.jsonl", "two/x.jsonl"]
    assert list(keys) == ["one/x.jsonl:1", "two/x.jsonl:1"]
    assert len({r.path_sha256 for r in rows}) == 2
    assert str(tmp_path) not in repr(rows)


def test_a_failed_duplicate_is_told(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Documents that failed before or wait elsewhere count as duplicates, and the answer says which."""
    path = write_documents(tmp_path / "a.jsonl", 5)
    sent(store, toy_pack, path)
    again = sent(store, toy_pack, path, name="another")
    assert (again.accepted, again.duplicate, again.waiting_elsewhere, again.failed_before) == (0, 5, 5, 0)


def test_an_empty_folder_is_an_error(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Nothing to submit is said, not passed over."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="Nothing to submit"):
        sent(store, toy_pack, tmp_path / "empty")


def test_metadata_is_stored_as_it_was_given(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Quotes, escapes, nested values, and large numbers in metadata come back as they were, and keys like SQL stay keys."""
    meta = {"a": 'quote " back\\slash \t ä \U0001f600 :rows %(x)s', "n": [1, 2**60, 0.1, None, True, {"deep": "er"}], "": ""}
    rows: list[dict[str, object]] = [{"id": "it's:rows", "text": "one", "meta": meta}, {"id": "plain", "text": "two"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert sent(store, toy_pack, tmp_path / "a.jsonl").accepted == 2
    with store.reading() as connection:
        stored = {row.key: row for row in connection.execute(select(documents))}
    assert stored["it's:rows"].meta == meta and stored["plain"].meta == {}
    assert all(row.received_at > 1e9 for row in stored.values())


def test_a_submit_holds_one_chunk(store: Store, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read as they are stored: never more than a chunk of them is in memory, however long the file."""
    seen = {"read": 0, "stored": 0, "most": 0}

    def rows() -> Iterator[Incoming]:
        for number in range(100):
            seen["read"] += 1
            seen["most"] = max(seen["most"], seen["read"] - seen["stored"])
            yield Incoming(f"a:{number}", f"doc-{number}", f"text {number}", {})

    monkeypatch.setattr("workers.submit.read_paths", lambda paths, max_chars: iter([(Source(tmp_path / "a", "a", 1), rows())]))
    sent(store, toy_pack, tmp_path / "a", on_rows=lambda label, n: seen.update(stored=n))
    assert seen["read"] == 100 and seen["most"] <= 7 + 1


def test_two_submits_at_once_make_work_of_a_document_once(toy_pack: Pack, postgres_url: str, tmp_path: Path) -> None:
    """Of two submits that bring the same stored documents for a new student, the second waits for the first and counts them as waiting.

    PostgreSQL alone: SQLite has one writer.
    """
    store, other, ids = Store(postgres_url), "toy-111111111111", range(1, 6)
    migrate(store, [toy_pack])
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 5)).job_id
    told: list[dict[int, str]] = []

    def second() -> None:
        with store.begin() as connection:
            told.append(_taken(connection, other, ids))

    later = threading.Thread(target=second)
    with store.begin() as connection:
        assert _taken(connection, other, ids) == {}
        insert_rows(connection, _WORK_COLUMNS, [(job, document_id, other, "ready", 0, 0, 0) for document_id in ids])
        later.start()
        time.sleep(0.4)
        assert not told
    later.join()
    store.close()
    assert told == [dict.fromkeys(ids, "work")]
