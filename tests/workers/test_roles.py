"""The roles of a PostgreSQL store: the main job runs with them, and what a role is not given it cannot do."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import make_url, text

from pipelines.predict import Reading
from pipelines.release import released_student
from suites.discover import Pack, find_pack
from suites.errors import StoreError, UsageError
from suites.types import Document
from tests.workers.conftest import TOY, write_documents
from workers.audit import record_alone
from workers.cli import main
from workers.drain import drain
from workers.flips import count_documents
from workers.keys import Keys
from workers.migrate import migrate
from workers.query import read_only
from workers.queue import pause, resume, retry
from workers.reviews import begin, decide
from workers.roles import GROUPS, ROLES, apply, differences, make_login, plan
from workers.seal import new_key
from workers.settings import Settings, load_settings
from workers.store import Store, writable
from workers.submit import submit
from workers.sweeper import sweep_once
from workers.tables import metadata
from workers.views import refresh_views

from .reviewed import PACK, STUDENT, fill, key, topic

PASSWORD = "correct-horse-battery"


def url_of(url: str, login: str) -> str:
    """The same database for another login."""
    return make_url(url).set(username=login, password=PASSWORD).render_as_string(hide_password=False)


def logins() -> list[str]:
    return [f"a_{name}" for name in ROLES]


def forget(store: Store) -> None:
    """Takes roles and logins out of the server, which other tests share."""
    with store.begin() as connection:
        present = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
        for name in [n for n in (*logins(), "an_admin", *GROUPS) if n in present]:
            connection.exec_driver_sql(f"DROP OWNED BY {name} CASCADE")
        for name in [n for n in (*logins(), "an_admin", *GROUPS) if n in present]:
            connection.exec_driver_sql(f"DROP ROLE {name}")


@pytest.fixture
def roles_url(postgres_url: str, toy_pack: Pack) -> Iterator[str]:
    """A migrated PostgreSQL store with all roles, and a login `a_ROLE` of each; gives the superuser's URL."""
    store = Store(postgres_url)
    migrate(store, [toy_pack])
    with store.begin() as connection:
        apply(connection)
        for name in ROLES:
            make_login(connection, f"a_{name}", name, PASSWORD)
    yield postgres_url
    forget(store)
    store.close()


def test_the_roles_are_as_planned_and_making_them_again_changes_nothing(roles_url: str) -> None:
    """After `apply` nothing differs, and a second run leaves it so."""
    store = Store(roles_url)
    with store.begin() as connection:
        assert differences(connection) == []
        again = plan(connection)
        assert not [s for s in again if s.startswith("CREATE ROLE")]
        apply(connection)
        assert differences(connection) == []
    store.close()


def test_every_table_is_decided_on() -> None:
    """Each table of the store is named by a role, or is the owner's alone; and no role but three touches the texts themselves."""
    named = {table for role in ROLES.values() for table in role.tables}
    assert set(metadata.tables) <= named and named - set(metadata.tables) == {"alembic_version"}
    assert {name for name, role in ROLES.items() if "SELECT" in role.tables.get("texts", "").replace("SELECT (", "")} == {"worker", "reviewer"}


def sent(url: str, pack: Pack, home: Settings, path: Path) -> int:
    """Submits a file as ingest; gives the job."""
    store = Store(url_of(url, "a_ingest"))
    done = submit(store, pack, released_student(home.students_folder, pack.name), [path], chunk=2, ring=lambda job_id: None, keys=Keys.of(home))
    store.close()
    return done.job_id


def asked(url: str, login: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The data of a command run with --json as a login."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(url, login))
    assert main([*arguments, "--json"]) == 0, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)["data"]


@pytest.mark.parametrize("encrypt", [False, True], ids=["in clear", "sealed"])
def test_the_main_job_runs_with_roles(
    roles_url: str, home: Settings, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], encrypt: bool
) -> None:
    """Documents are submitted as ingest, read as worker, asked for and exported as analyst, erased as eraser: each login does its part, and is in the audit."""
    if encrypt:
        monkeypatch.setenv("STILLHOUSE_PRIVACY__ENCRYPT", "true")
        monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY", base64.b64encode(new_key()).decode())
        home = load_settings()
    file = write_documents(tmp_path / "a.jsonl", 5)
    with file.open("a", encoding="utf-8") as more:
        more.write("not json\n")
    job = sent(roles_url, toy_pack, home, file)
    worker = Store(url_of(roles_url, "a_worker"))
    assert drain(worker, home, budget_s=30.0).n_read == 5
    sweep_once(worker, home, lambda job_id: None)
    worker.close()
    assert asked(roles_url, "a_ingest", monkeypatch, capfd, "status")[0]["state"] == "COMPLETED_WITH_ERRORS"
    query = "SELECT (SELECT count(*) FROM toy_results) AS n, (SELECT count(*) FROM rejects) AS r, (SELECT max(n_chars) FROM documents) > 0 AS c"
    assert asked(roles_url, "a_analyst", monkeypatch, capfd, "query", query) == [{"n": 5, "r": 1, "c": True}]
    assert asked(roles_url, "a_analyst", monkeypatch, capfd, "export", "toy", str(tmp_path / "out.jsonl"))["n_rows"] == 5
    erased = asked(roles_url, "a_eraser", monkeypatch, capfd, "purge", "--job", str(job), "--yes")
    assert (erased["erased"]["documents"], erased["erased"]["texts"], len(erased["keys_destroyed"])) == (5, 5, int(encrypt))
    assert asked(roles_url, "a_analyst", monkeypatch, capfd, "query", "SELECT count(*) AS n FROM toy_results") == [{"n": 0}]
    acts = asked(roles_url, "a_ingest", monkeypatch, capfd, "audit", "list")
    actors = {act["action"]: act["actor"].partition(" as ")[2] for act in acts}
    assert {name: actors[name] for name in ("submit", "export", "purge")} == {"submit": "a_ingest", "export": "a_analyst", "purge": "a_eraser"}
    assert asked(roles_url, "a_ingest", monkeypatch, capfd, "audit", "verify")["n_rows"] == len(acts)


class Broken:
    """Fails on everything."""

    cache = None
    pack = TOY

    def predict(self, documents: Sequence[Document], on_batch: Callable[[], None]) -> Iterator[Reading]:
        return (Reading(d.id, stage="rules", code="bad", reason="a test") for d in documents)


def test_jobs_are_followed_and_changed_as_ingest(
    roles_url: str, home: Settings, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What sets a job aside, repeats it, gives it up and checks it needs no more than the ingest role."""
    job = sent(roles_url, toy_pack, home, write_documents(tmp_path / "a.jsonl", 3))
    ingest, worker = Store(url_of(roles_url, "a_ingest")), Store(url_of(roles_url, "a_worker"))
    with ingest.begin() as connection:
        assert (pause(connection, job), resume(connection, job)) == (3, 3)
    drain(worker, home, budget_s=30.0, get_predictor=lambda pack, student: cast(Any, Broken()))
    assert len(asked(roles_url, "a_ingest", monkeypatch, capfd, "failures", str(job))["failures"]) == 3
    with ingest.begin() as connection:
        assert retry(connection, job) == 3
    assert asked(roles_url, "a_ingest", monkeypatch, capfd, "cancel", str(job))["n_documents"] == 3
    asked(roles_url, "a_ingest", monkeypatch, capfd, "verify")
    ingest.close()
    worker.close()


def test_a_reviewer_reads_texts_and_nothing_else(roles_url: str, home: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """What `students diff` needs is given: documents with their texts, and an act in the audit; a write is refused."""
    job = sent(roles_url, toy_pack, home, write_documents(tmp_path / "a.jsonl", 3))
    reviewer = Store(url_of(roles_url, "a_reviewer"))
    assert count_documents(reviewer, toy_pack, job) == 3
    record_alone(reviewer, "diff", "pack toy", {"n_documents": 3})
    with pytest.raises(StoreError, match="42501"), reviewer.begin() as connection:
        connection.execute(text("SET TRANSACTION READ WRITE"))
        connection.execute(text("UPDATE texts SET text = ''"))
    reviewer.close()


def test_a_reviewer_reviews_and_an_analyst_looks_on(roles_url: str, home: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A reviewer's login, whose sessions only read, opens texts, decides, takes back and exports, each in the audit; an analyst's sees what waits and how
    far it has come, and neither opens a text nor decides."""
    owner = Store(roles_url)
    fill(owner, [[topic("weather", 0.5)], [topic("animals", 0.6)]])
    monkeypatch.setattr("sys.stdin", io.StringIO("aurc1"))
    assert asked(roles_url, "a_reviewer", monkeypatch, capfd, "review", "next", "toy", "--reviewer", "anna")["verdicts"] == {"reject": 1, "correct": 1}
    made = asked(roles_url, "a_reviewer", monkeypatch, capfd, "review", "export", "toy", str(home.home / "gold.jsonl"), "--held-back", "0")
    assert made["n_train"] == 1
    acts = asked(roles_url, "a_ingest", monkeypatch, capfd, "audit", "list")
    assert {act["action"] for act in acts if act["actor"].endswith("a_reviewer")} == {"review", "view", "export"}
    assert len(asked(roles_url, "a_analyst", monkeypatch, capfd, "review", "list", "toy")) == 2
    assert asked(roles_url, "a_analyst", monkeypatch, capfd, "review", "progress", "toy")["tasks"][0]["judged"] == 2
    for refused in (["next", "toy", "--reviewer", "mallory"], ["export", "toy", str(home.home / "stolen.jsonl")]):
        monkeypatch.setattr("sys.stdin", io.StringIO("a"))
        assert main(["review", *refused]) == 1
        assert "Document 1" not in "".join(capfd.readouterr())
    analyst = Store(url_of(roles_url, "a_analyst"))
    with pytest.raises(StoreError, match="role reviewer"), analyst.begin() as connection:
        begin(connection, PACK, STUDENT, "mallory")
    with pytest.raises(StoreError, match="42501"), analyst.begin() as connection:
        writable(connection)
        decide(connection, PACK, key(1, topic("weather", 0.5)), "mallory", "accept")
    analyst.close()
    with owner.begin() as connection:
        assert set(connection.execute(text("SELECT DISTINCT reviewer FROM reviews")).scalars()) == {"anna"}
    owner.close()


def test_a_new_pack_is_readable_once_the_owner_migrates(roles_url: str, home: Settings) -> None:
    """A view made later is the owner's and the analyst reads it; ingest, which may not make it, is told who may."""
    with Store(roles_url).begin() as connection:
        connection.execute(text("UPDATE views SET sha256 = 'old' WHERE name = 'toy_results'"))
    ingest, owner = Store(url_of(roles_url, "a_ingest")), Store(url_of(roles_url, "a_owner"))
    pack = find_pack("toy", home.pack_folders)
    with pytest.raises(StoreError, match=r"toy_results.*migrate"), ingest.begin() as connection:
        refresh_views(connection, [pack])
    migrate(owner, [pack])
    with owner.begin() as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == "stillhouse_owner"
        assert differences(connection) == []
    ingest.close()
    owner.close()
    assert read_only(url_of(roles_url, "a_analyst"), "SELECT count(*) AS n FROM toy_results", 1)[0] == [{"n": 0}]


def test_texts_are_read_by_worker_and_reviewer_alone(roles_url: str) -> None:
    """Of all logins but the owner's only these two may read the texts; of the others the server says that they may not."""
    may = {}
    for name in ROLES:
        with psycopg.connect(url_of(roles_url, f"a_{name}")) as connection:
            try:
                connection.execute("SELECT text FROM texts").fetchall()
                may[name] = True
            except psycopg.errors.InsufficientPrivilege:
                may[name] = False
    assert may == {"owner": True, "ingest": False, "worker": True, "analyst": False, "reviewer": True, "eraser": False}


@pytest.mark.parametrize(
    "spoilt",
    [
        "GRANT SELECT ON texts TO stillhouse_analyst",
        "GRANT SELECT (meta) ON documents TO a_analyst",
        "GRANT SELECT ON jobs TO PUBLIC",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "GRANT TEMPORARY ON DATABASE postgres TO a_analyst",
        "REVOKE INSERT ON texts FROM stillhouse_ingest",
        "ALTER TABLE texts OWNER TO a_worker",
        "ALTER ROLE stillhouse_worker LOGIN",
        "ALTER ROLE stillhouse_analyst CREATEROLE",
        "GRANT pg_read_all_data TO stillhouse_analyst",
        "GRANT pg_read_server_files TO a_analyst",
        "GRANT stillhouse_worker TO a_analyst",
        "ALTER ROLE a_analyst BYPASSRLS",
        "ALTER ROLE a_analyst SET default_transaction_read_only = off",
        "ALTER ROLE a_analyst CONNECTION LIMIT -1",
        "GRANT EXECUTE ON FUNCTION record_audit(text, text, text, text) TO PUBLIC",
    ],
)
def test_check_finds_what_was_changed(roles_url: str, spoilt: str) -> None:
    """A right, a role or a setting that is not as planned is a difference."""
    store = Store(roles_url)
    with store.engine.connect() as connection:
        connection.exec_driver_sql(spoilt)
        assert differences(connection)
        connection.rollback()
        assert not differences(connection)
    store.close()


def test_the_verb_makes_and_checks_roles(
    postgres_url: str, toy_pack: Pack, home: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`roles --sql` prints what `--apply` runs, `--check` exits 1 before and 0 after, and a login's password goes to the server as a SCRAM verifier."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", postgres_url)
    monkeypatch.setenv("STILLHOUSE_LOGIN_PASSWORD", PASSWORD)
    store = Store(postgres_url)
    migrate(store, [toy_pack])
    try:
        assert main(["roles", "--check", "--json"]) == 1
        assert json.loads(capfd.readouterr().out)["error"]["code"] == "roles_differ"
        assert main(["roles", "--sql"]) == 0
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(capfd.readouterr().out)  # type: ignore[call-overload]
        assert main(["roles", "--check"]) == 0
        assert main(["roles", "--apply"]) == 0
        assert main(["roles", "--login", "a_analyst=analyst"]) == 0
        assert main(["roles", "--check"]) == 0
        with store.begin() as connection:
            assert connection.execute(text("SELECT rolpassword FROM pg_authid WHERE rolname = 'a_analyst'")).scalar_one().startswith("SCRAM-SHA-256$")
        monkeypatch.setenv("STILLHOUSE_LOGIN_PASSWORD", "short")
        assert main(["roles", "--login", "a_analyst=analyst"]) == 2 and "at least 12" in capfd.readouterr().err
        assert main(["roles", "--login", "a_analyst"]) == 2
    finally:
        forget(store)
        store.close()


def test_a_role_that_may_create_roles_and_owns_the_store_is_enough(postgres_url: str, toy_pack: Pack) -> None:
    """No superuser is needed to make the roles; what only one can revoke is left out of the plan, and the rest is as planned."""
    root = Store(postgres_url)
    admin = Store(url_of(postgres_url, "an_admin"))
    try:
        with root.begin() as connection:
            connection.exec_driver_sql("CREATE ROLE an_admin LOGIN CREATEROLE")
            connection.exec_driver_sql("GRANT CREATE ON DATABASE postgres TO an_admin")
            connection.exec_driver_sql("ALTER DATABASE postgres OWNER TO an_admin")
            connection.exec_driver_sql("ALTER SCHEMA public OWNER TO an_admin")
        migrate(admin, [toy_pack])
        with admin.begin() as connection:
            apply(connection)
            make_login(connection, "a_analyst", "analyst", PASSWORD)
        with admin.begin() as connection:
            apply(connection)
            assert differences(connection) == []
    finally:
        admin.close()
        with root.begin() as connection:
            connection.exec_driver_sql("ALTER DATABASE postgres OWNER TO postgres")
            connection.exec_driver_sql("ALTER SCHEMA public OWNER TO postgres")
        forget(root)
        root.close()


def test_sqlite_has_no_roles_and_says_so(home: Settings, toy_pack: Pack, capfd: pytest.CaptureFixture[str]) -> None:
    """On SQLite the verb ends with what holds there instead."""
    migrate(Store(home.store_url), [toy_pack])
    assert main(["roles", "--apply"]) == 2
    assert "SQLite has no roles" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "role"), [("alice", "boss"), ("stillhouse_worker", "worker"), ("pg_alice", "worker"), ('a"; DROP', "worker"), ("postgres", "worker")]
)
def test_a_bad_login_is_told(roles_url: str, name: str, role: str) -> None:
    """A role that is none, a group, a reserved or a quoted name, and a superuser are refused."""
    store = Store(roles_url)
    with pytest.raises(UsageError), store.begin() as connection:
        make_login(connection, name, role, PASSWORD)
    store.close()
