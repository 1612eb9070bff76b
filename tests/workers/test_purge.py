"""Purging: what is erased is gone from every table and file, does not come back, is counted, and leaves a certificate."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from pipelines.predict import Reading
from suites.discover import Pack
from suites.types import Finding
from workers.cli import main
from workers.fleet import fleet
from workers.keys import Keys
from workers.purge import Scope, certificate, certificates, count, purge
from workers.queue import Claims, cancel, claim, counts, settle, sweep
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.submit import Submitted, submit
from workers.tables import audit, documents, erasures, failures, findings, jobs, readings, rejects, sources, texts, tombstones, work
from workers.tombstones import exclude, share
from workers.verify import laws

from .conftest import ROOT, finish, manage, manage_json, write_documents

STUDENT, OTHER = "toy-000000000000", "toy-111111111111"
CANARY = "Zanzibarquux"
ALL = (work, readings, failures, findings, texts, documents)


def sent(store: Store, pack: Pack, path: Path, student: str = STUDENT, **options: Any) -> Submitted:
    return submit(store, pack, student, [path], chunk=7, ring=lambda job_id: None, **options)


def take(store: Store, n: int = 100) -> Claims:
    with store.begin() as connection:
        claims = claim(connection, "a", n, 60.0)
    assert claims is not None
    return claims


def end(store: Store, claims: Claims, *, n_failed: int = 0) -> int:
    """Finishes a claim, its first `n_failed` documents as failures; gives how many the fence refused."""
    bad = [(c, Reading("x", (), "rules", "hook_failed", "reason")) for c in claims.held[:n_failed]]
    good = [(c, Reading("x", (Finding("topic", "animals", 0.9, 0, 5, value=CANARY),))) for c in claims.held[n_failed:]]
    with store.begin() as connection:
        return finish(connection, claims, [*bad, *good])


def rows(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return {t.name: int(connection.execute(select(func.count()).select_from(t)).scalar_one()) for t in ALL}


def numbers(store: Store, job_id: int) -> tuple[int, int, int, int, int]:
    """accepted, done + failed, cancelled, erased, pending of a job, which adds up as the whole store does."""
    with store.reading() as connection:
        broken = [law for law in laws(connection) if not law.holds]
        found = counts(connection, job_id)
    assert not broken and found.conserved, (broken, found)
    return found.accepted, found.done + found.failed, found.cancelled, found.erased, found.pending


NOTHING = {t.name: 0 for t in ALL}


def test_a_purged_job_leaves_nothing_but_its_counts(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Of a job that is being read everything goes: what was read, what failed, what waits, the names of its files; its sums hold."""
    path = write_documents(tmp_path / f"{CANARY}.jsonl", 30)
    with path.open("a", encoding="utf-8") as file:
        file.write("not json\n")
    other = sent(store, toy_pack, write_documents(tmp_path / "b.jsonl", 40), name="b")  # 30 of them are the same documents
    end(store, take(store), n_failed=2)
    job = sent(store, toy_pack, path, OTHER, name="a")
    end(store, take(store, 20), n_failed=3)
    made = purge(store, Keys(), Scope(job_id=job.job_id), chunk=4)
    assert made["erased"] == {"work": 10, "failures": 3 + 2, "readings": 17 + 18, "findings": 17 + 18, "reviews": 0, "texts": 20, "documents": 20}
    assert numbers(store, job.job_id) == (30, 0, 10, 20, 0)
    assert numbers(store, other.job_id) == (40, 20, 0, 20, 0)
    with store.reading() as connection:
        assert connection.execute(select(jobs.c.state).where(jobs.c.id == job.job_id)).scalar_one() == "CANCELLED"
        told = [
            *connection.execute(select(sources.c.label).where(sources.c.job_id == job.job_id)).scalars(),
            *connection.execute(select(rejects.c.place)).scalars(),
        ]
    assert set(told) == {"(erased)"}


def test_a_job_erases_what_was_cancelled_too(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Documents that a cancelled job brought and nobody read are found by the job that brought them."""
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 10))
    with store.begin() as connection:
        cancel(connection, job.job_id)
    purge(store, Keys(), Scope(job_id=job.job_id), chunk=3)
    assert rows(store) == NOTHING
    assert numbers(store, job.job_id) == (10, 0, 10, 0, 0)


def test_a_document_goes_in_all_its_versions_and_jobs(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """One id is erased whatever text it had and whichever job and student read it; others stay."""
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "one"}\n{"id": "y", "text": "two"}\n{"id": "x", "text": "three"}\n')
    first, second = sent(store, toy_pack, tmp_path / "a.jsonl"), sent(store, toy_pack, tmp_path / "a.jsonl", OTHER)
    end(store, take(store))
    made = purge(store, Keys(), Scope(pack="toy", key="x"))
    assert made["erased"]["documents"] == 2 and "x" not in json.dumps(made["scope"]["document"])
    assert numbers(store, first.job_id) == (3, 1, 0, 2, 0)
    assert numbers(store, second.job_id) == (3, 0, 0, 2, 1)
    assert rows(store) == {"work": 1, "readings": 1, "failures": 0, "findings": 1, "texts": 1, "documents": 1}


def test_what_is_old_goes_by_its_receipt(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """An age takes what was received longer ago, of one pack where one is named, and leaves the rest."""
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 10))
    with store.begin() as connection:
        connection.execute(update(documents).where(documents.c.id <= 6).values(received_at=documents.c.received_at - 91 * 86_400))
        connection.execute(update(documents).where(documents.c.id == 1).values(pack="another"))
        assert count(connection, Scope(days=90))["documents"] == 6
    assert purge(store, Keys(), Scope(days=90, pack="toy"), chunk=2)["erased"]["documents"] == 5
    assert purge(store, Keys(), Scope(days=90))["erased"]["documents"] == 1
    assert numbers(store, job.job_id) == (10, 0, 0, 6, 4)


def test_a_claim_in_flight_writes_nothing_after_a_purge(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Documents erased while a process reads them stay erased: the fence refuses its findings, and the sweep finds no claim."""
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 10))
    held = take(store)
    purge(store, Keys(), Scope(days=1), chunk=3)
    assert rows(store)["documents"] == 10  # they are of today
    purge(store, Keys(), Scope(pack="toy", key="doc-3"))
    assert end(store, held) == 1
    assert rows(store)["documents"] == 9 == rows(store)["readings"]
    purge(store, Keys(), Scope(job_id=job.job_id), chunk=3)
    assert end(store, held) == 10
    with store.begin() as connection:
        assert sweep(connection, 4) == 0
    assert rows(store) == NOTHING


@pytest.mark.parametrize("first", ["finish", "purge"])
def test_a_purge_and_a_finish_at_once_leave_nothing(store: Store, toy_pack: Pack, tmp_path: Path, first: str) -> None:
    """Whichever of two open transactions holds the rows first, nothing of the erased documents is left after both."""
    sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 10))
    held = take(store)
    done = [(c, Reading("x", (Finding("topic", "one", 0.9, 0, 5),))) for c in held.held]
    steps: dict[str, Callable[[], object]] = {
        "finish": lambda: store.write(lambda connection: finish(connection, held, done)),
        "purge": lambda: purge(store, Keys(), Scope(pack="toy", key="doc-4")),
    }
    other = threading.Thread(target=steps["purge" if first == "finish" else "finish"])
    with store.begin() as connection:
        if first == "finish":
            finish(connection, held, done)
        else:
            exclude(connection)
            connection.execute(work.delete().where(work.c.document_id.in_(select(documents.c.id).where(documents.c.key == "doc-4"))))
        other.start()
        other.join(0.3)
    other.join()
    steps[first]()
    steps["purge"]()
    with store.reading() as connection:
        assert connection.execute(select(documents.c.id).where(documents.c.key == "doc-4")).all() == []
    assert rows(store) == {"work": 0, "failures": 0} | dict.fromkeys(("readings", "findings", "texts", "documents"), 9)


def test_a_purge_waits_for_a_submit_and_a_submit_for_a_purge(store: Store) -> None:
    """On PostgreSQL a chunk of a submit and a chunk of a purge never overlap; two submits do. SQLite has one writer."""
    came: list[str] = []

    def other(mode: Callable[[Any], None], name: str) -> threading.Thread:
        def run() -> None:
            with store.begin() as connection:
                mode(connection)
                came.append(name)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(0.3)
        return thread

    with store.begin() as connection:
        share(connection)
        if not store.is_sqlite:
            other(share, "another submit")
            assert came == ["another submit"]
        waits = other(exclude, "purge")
        assert "purge" not in came
    waits.join()
    with store.begin() as connection:
        exclude(connection)
        waits = other(share, "submit")
        assert "submit" not in came
    waits.join()
    assert {"purge", "submit"} <= set(came)


def test_what_was_erased_is_not_taken_in_again(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A document erased with its job is rejected when it comes again, another text under its id is not; with --allow-erased it is taken in, for good."""
    path = write_documents(tmp_path / "a.jsonl", 10)
    first = sent(store, toy_pack, path, name="a")
    purge(store, Keys(), Scope(job_id=first.job_id))
    again = sent(store, toy_pack, path, name="b")
    assert (again.seen, again.accepted, again.duplicate, again.rejected, again.by_code) == (10, 0, 0, 10, {"erased": 10})
    assert rows(store) == NOTHING
    with store.begin() as connection:
        settle(connection)
        assert connection.execute(select(jobs.c.state).where(jobs.c.id == again.job_id)).scalar_one() == "COMPLETED_WITH_ERRORS"
        assert "--allow-erased" in connection.execute(select(rejects.c.remedy)).scalars().first()
    numbers(store, again.job_id)
    (tmp_path / "c.jsonl").write_text('{"id": "doc-1", "text": "Quite another text."}\n')
    assert sent(store, toy_pack, tmp_path / "c.jsonl", name="c").accepted == 1
    allowed = sent(store, toy_pack, path, name="a", allow_erased=True)
    assert (allowed.job_id, allowed.accepted) == (first.job_id, 10)
    assert sent(store, toy_pack, path, name="d").duplicate == 10
    assert numbers(store, first.job_id) == (20, 0, 10, 0, 10)


def test_a_document_named_to_be_erased_is_refused_under_any_text(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """An id that was named stays out whatever it holds, in its pack; the store keeps no trace of that id."""
    (tmp_path / "a.jsonl").write_text(f'{{"id": "{CANARY}", "text": "one"}}\n')
    sent(store, toy_pack, tmp_path / "a.jsonl")
    purge(store, Keys(), Scope(pack="toy", key=CANARY))
    (tmp_path / "b.jsonl").write_text(f'{{"id": "{CANARY}", "text": "two"}}\n{{"id": "z", "text": "two"}}\n')
    again = sent(store, toy_pack, tmp_path / "b.jsonl")
    assert (again.accepted, again.by_code) == (1, {"erased": 1})
    with store.reading() as connection:
        kept = [tuple(map(str, row)) for table in (*ALL, erasures, tombstones, audit) for row in connection.execute(select(table))]
    assert kept and not any(CANARY in cell for row in kept for cell in row)


KILLED = """
import os, signal, sys
from workers.keys import Keys
from workers.purge import Scope, purge
from workers.store import Store
purge(Store(sys.argv[1]), Keys(), Scope(job_id=1), chunk=4, on_progress=lambda what, done, total: os.kill(os.getpid(), signal.SIGKILL) if done >= 8 else None)
"""


def test_a_killed_purge_is_repeated_and_goes_on(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """After SIGKILL what is left waits, the sums hold, and the same purge ends with one certificate over all that both erased."""
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 20))
    end(store, take(store))
    url = store.engine.url.render_as_string(hide_password=False)
    killed = subprocess.run([sys.executable, "-c", KILLED, url], cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert rows(store)["documents"] == 12 and numbers(store, job.job_id) == (20, 12, 0, 8, 0)
    with store.reading() as connection:
        assert connection.execute(select(erasures.c.finished_at)).scalar_one() is None
    made = purge(store, Keys(), Scope(job_id=job.job_id))
    assert rows(store) == NOTHING and numbers(store, job.job_id) == (20, 0, 0, 20, 0)
    with store.reading() as connection:
        assert certificates(connection) == [made]
    assert made["erased"] == {"work": 0, "failures": 0, "readings": 20, "findings": 20, "reviews": 0, "texts": 20, "documents": 20}


def test_a_certificate_shows_that_it_was_changed(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Its hash is over all that it says and stands in the audit; a changed count shows."""
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 3))
    made = purge(store, Keys(), Scope(job_id=job.job_id))
    assert made["intact"] and made["remains"][0].startswith("copies of the store")
    with store.begin() as connection:
        assert made["sha256"] in connection.execute(select(audit.c.detail).where(audit.c.action == "purge").order_by(audit.c.id.desc())).scalars().first()
        connection.execute(update(erasures).values(erased='{"documents": 2}'))
        assert certificate(connection.execute(select(erasures)).one())["intact"] is False


def files(folder: Path) -> bytes:
    """All bytes of a SQLite store: the file, its log and its index of it."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("store.db*")))


def test_nothing_erased_is_left_in_sqlite_s_files(toy_pack: Pack, tmp_path: Path) -> None:
    """A planted word in texts, metadata and findings is in the raw files before a purge and in none of them after it, with other connections open."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    from workers.migrate import migrate

    migrate(store, [toy_pack])
    path = tmp_path / "a.jsonl"
    lines = [{"id": f"d{n}", "text": f"{CANARY} {n} " * (1 + n % 700), "meta": {"about": CANARY}} for n in range(0, 2100, 7)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    job = sent(store, toy_pack, path)
    sent(store, toy_pack, write_documents(tmp_path / "b.jsonl", 200))
    while (claims := take(store, 100)).job_id == job.job_id:
        end(store, claims)
    assert CANARY.encode() in files(tmp_path)
    other = Store(f"sqlite:///{tmp_path / 'store.db'}")
    with other.reading() as connection:
        connection.execute(select(func.count()).select_from(texts)).scalar_one()
    made = purge(store, Keys(), Scope(job_id=job.job_id))
    assert len(made["remains"]) == 3, made["remains"]  # copies, counts and freed blocks: the log was emptied and the file rebuilt
    assert CANARY.encode() not in files(tmp_path)
    with store.reading() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        assert connection.execute(select(func.count()).select_from(documents)).scalar_one() == 200
    other.close()
    store.close()


def test_a_certificate_says_what_could_not_be_cleaned(toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process reads an older state of a SQLite store its log stays; the certificate says so, and a repeated purge cleans it."""
    from workers.migrate import migrate

    monkeypatch.setattr("workers.store.BUSY_MS", 200)
    store, other = Store(f"sqlite:///{tmp_path / 'store.db'}"), Store(f"sqlite:///{tmp_path / 'store.db'}")
    migrate(store, [toy_pack])
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "x", "text": CANARY}) + "\n")
    job = sent(store, toy_pack, tmp_path / "a.jsonl").job_id
    with other.reading() as connection:
        connection.execute(select(texts)).all()
        made = purge(store, Keys(), Scope(job_id=job), vacuum=False)
        assert [told.partition(",")[0] for told in made["remains"][3:]] == ["free places inside the store's file", "the write-ahead log"]
    assert len(purge(store, Keys(), Scope(job_id=job))["remains"]) == 3
    assert CANARY.encode() not in files(tmp_path)
    other.close()
    store.close()


def test_a_purge_by_command(home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command counts, asks, erases, certifies and lists; it never erases where nobody can say yes."""
    manage("migrate", home=home)
    job = manage_json("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 12)), home=home)["job_id"]

    def say(*arguments: str) -> tuple[int, Any]:
        code = main(["purge", *arguments, "--json"])
        told = json.loads(capsys.readouterr().out)
        return code, told["data"] if told["ok"] else told["error"]["message"]

    assert say("--job", str(job), "--dry-run")[1]["found"]["documents"] == 12
    for given, named in (
        (("--job", str(job)), "--yes"),
        (("--job", "77", "--yes"), "No job"),
        (("--job", str(job), "--pack", "toy", "--yes"), "Leave --pack out"),
        (("--document", "doc-1", "--yes"), "--pack"),
        (("--older-than", "--yes"), "keep_days"),
        (("--older-than", "soon"), "90d"),
        ((), "required"),
    ):
        code, message = say(*given)
        assert code == 2 and named in message, message
    monkeypatch.setenv("STILLHOUSE_PRIVACY__KEEP_DAYS", "3")
    assert say("--older-than", "--yes")[1]["erased"] == {}
    code, message = say("--document", "doc-77", "--pack", "toy", "--yes")  # a slip in an id must not look like an erasure
    assert code == 2 and "nothing was erased" in message
    assert say("--document", "doc-1", "--pack", "toy", "--yes")[1]["erased"]["documents"] == 1
    made = say("--job", str(job), "--yes")[1]
    assert made["erased"]["documents"] == 11 and made["intact"]
    assert [c["certificate"] for c in say("--certificates")[1]] == [2, 1]
    assert main(["purge", "--certificates"]) == 0 and made["sha256"][:20] in capsys.readouterr().out
    (row,) = manage_json("status", str(job), home=home)
    assert (row["state"], row["erased"], row["cancelled"], row["adds_up"]) == ("CANCELLED", 1, 11, True)


@pytest.mark.slow
def test_workers_and_a_purge_at_once(home: Settings, tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While two workers read sealed documents their job is purged, and another is not: of the first nothing is left, the second is read to its end."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", store_url)
    monkeypatch.setenv("STILLHOUSE_PRIVACY__ENCRYPT", "true")
    monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY_FILE", str(tmp_path / "master.key"))
    manage("keys", "new", home=home)
    settings = load_settings()
    manage("migrate", home=settings)
    (tmp_path / "keep.jsonl").write_text("".join(json.dumps({"id": f"k{n}", "text": f"Kept number {n} near the zoo."}) + "\n" for n in range(60)))
    with fleet(settings, 2):
        job = manage_json("submit", "toy", str(write_documents(tmp_path / "a.jsonl", 900)), home=settings)["job_id"]
        made = manage_json("purge", "--job", str(job), "--yes", home=settings)
        kept = manage_json("submit", "toy", str(tmp_path / "keep.jsonl"), "--wait", home=settings)
    assert kept["state"] == "COMPLETED" and kept["counts"]["done"] == 60
    assert made["erased"]["documents"] == 900
    store = Store(store_url)
    accepted, ended, cancelled, erased, waiting = numbers(store, job)
    assert (accepted, ended, waiting, cancelled + erased) == (900, 0, 0, 900)
    assert rows(store)["documents"] == 60 == rows(store)["texts"] == rows(store)["readings"]
    store.close()
