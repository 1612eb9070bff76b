"""What a submit lets in: encodings, cut texts, ids that are stored already, and the share of rejects at which it stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from suites.discover import Pack
from suites.errors import RunError
from workers.ingest import ReadOptions
from workers.migrate import migrate
from workers.queue import counts
from workers.reject_rate import FEWEST_ROWS
from workers.settings import Settings
from workers.store import Store
from workers.submit import Submitted, submit
from workers.tables import documents, jobs, rejects, texts

from .conftest import manage, manage_json

STUDENT = "toy-000000000000"


def sent(store: Store, pack: Pack, path: Path, **options: object) -> Submitted:
    return submit(store, pack, STUDENT, [path], chunk=7, ring=lambda job_id: None, **options)  # type: ignore[arg-type]


def rows(path: Path, *pairs: tuple[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": id_, "text": text}) + "\n" for id_, text in pairs))
    return path


def test_an_id_with_another_text_is_refused_where_that_is_set(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """With same_id = "reject" the first text of an id is kept, another is a reject `conflict_id`, and the same one is a duplicate."""
    first = sent(store, toy_pack, rows(tmp_path / "a.jsonl", ("x", "one"), ("x", "two"), ("x", "one"), ("y", "one")), same_id="reject")
    assert (first.accepted, first.duplicate, first.by_code) == (2, 1, {"conflict_id": 1})
    later = sent(store, toy_pack, rows(tmp_path / "b.jsonl", ("x", "three"), ("y", "one"), ("z", "new")), same_id="reject")
    assert (later.accepted, later.duplicate, later.by_code) == (1, 1, {"conflict_id": 1})
    with store.begin() as connection:
        places = connection.execute(select(rejects.c.place).where(rejects.c.code == "conflict_id").order_by(rejects.c.id)).scalars().all()
        assert places == ["a.jsonl:2", "b.jsonl:1"]
        assert sorted(connection.execute(select(documents.c.key)).scalars()) == ["x", "y", "z"]
        assert counts(connection, first.job_id).conserved and counts(connection, later.job_id).conserved
        assert not connection.execute(select(rejects.c.reason).where(rejects.c.reason.contains("three"))).all()


def test_an_id_of_several_versions_takes_each_of_them(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """What was stored as versions stays known: with same_id = "reject" each of them is a duplicate and only a third is refused."""
    sent(store, toy_pack, rows(tmp_path / "a.jsonl", ("x", "one"), ("x", "two")))
    again = sent(store, toy_pack, rows(tmp_path / "b.jsonl", ("x", "two"), ("x", "one"), ("x", "three")), same_id="reject")
    assert (again.accepted, again.duplicate, again.by_code) == (0, 2, {"conflict_id": 1})


def test_too_many_rejects_end_a_submit(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Once more than the share is rejected the submit stops with the file's name; what was stored stays, and the job is open."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows(folder / "a.jsonl", *((f"d{n}", f"text {n}") for n in range(2 * FEWEST_ROWS)))
    (folder / "b.jsonl").write_text("no json\n" * 2 * FEWEST_ROWS)
    with pytest.raises(RunError, match=r"rows of b\.jsonl are rejected, more than --max-reject-rate 0\.9") as caught:
        sent(store, toy_pack, folder, max_reject_rate=0.9)
    assert caught.value.code == "too_many_rejects"
    with store.begin() as connection:
        assert len(connection.execute(select(texts.c.document_id)).all()) == 2 * FEWEST_ROWS
        assert connection.execute(select(jobs.c.state)).scalar_one() == "OPEN"
        n_rejected = len(connection.execute(select(rejects.c.id)).all())
        assert FEWEST_ROWS <= n_rejected < FEWEST_ROWS + 7
        assert counts(connection, 1).conserved
    # mended and submitted again, the same job goes on
    rows(folder / "b.jsonl", ("e", "mended"))
    done = sent(store, toy_pack, folder, max_reject_rate=0.9)
    assert (done.accepted, done.duplicate, done.rejected) == (1, 2 * FEWEST_ROWS, 0)


def test_rejects_of_many_files_count_together(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Files too small for a share of their own count in the job's; the share itself is allowed."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(FEWEST_ROWS):
        (folder / f"{number:03}.txt").write_text("x" if number % 2 else " ")
    assert sent(store, toy_pack, folder, max_reject_rate=0.5).rejected == FEWEST_ROWS // 2
    with pytest.raises(RunError, match="rows in all are rejected"):
        sent(store, toy_pack, folder, max_reject_rate=0.49)


def test_read_options_reach_the_readers(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Encoding and truncation hold for a submit, and the flag stands in the stored metadata."""
    (tmp_path / "a.txt").write_bytes("Grüße an alle".encode("cp1252"))
    assert sent(store, toy_pack, tmp_path / "a.txt", options=ReadOptions(5, "cp1252", truncate=True)).accepted == 1
    with store.begin() as connection:
        assert connection.execute(select(texts.c.text)).scalar_one() == "Grüße"
        assert connection.execute(select(documents.c.meta)).scalar_one() == {"truncated": True}


def test_options_of_the_command(home: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """`submit` takes --encoding and --truncate, an unknown encoding is a usage error, and same_id is a setting."""
    path = tmp_path / "a.txt"
    path.write_bytes("The red kettle – and it stands here.".encode("cp1252"))
    store = Store(home.store_url)
    migrate(store, [toy_pack])
    store.close()
    assert manage_json("submit", "toy", str(path), "--encoding", "cp1252", "--truncate", home=home)["accepted"] == 1
    path.write_bytes(b"Another kettle.")
    refused = manage_json("submit", "toy", str(path), "--max-reject-rate", "0.5", home=home, STILLHOUSE_INGEST__SAME_ID="reject")
    assert refused["by_code"] == {"conflict_id": 1}
    wrong = manage("submit", "toy", str(path), "--encoding", "klingon", home=home, check=False)
    assert wrong.returncode == 2 and "klingon" in wrong.stderr and "cp1252" in wrong.stderr
