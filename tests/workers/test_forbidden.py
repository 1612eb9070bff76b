"""What an analyst must not do, statement by statement: as a login of PostgreSQL, through `query` there, and through `query` on SQLite."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pysqlite3.dbapi2 as sqlite
import pytest
from sqlalchemy import text

from suites.discover import Pack
from suites.errors import UsageError
from tests.workers.conftest import manage
from tests.workers.test_roles import PASSWORD, forget, url_of
from workers.cli import main
from workers.migrate import migrate
from workers.query import read_only
from workers.roles import ROLES, apply, make_login
from workers.settings import Settings
from workers.store import Store
from workers.tables import metadata

CANARY = "CANARYXY"
# what a session can say to write at all; then its rights are what holds
WRITES = "SET TRANSACTION READ WRITE; "

# SQLSTATE: 42501 no right, 25006 read-only, 25001 read-only until the transaction's end, 0A000 not in this build, 42883 no such function, 42601 no such syntax
POSTGRESQL = [
    # the texts by name, as rows, in parts, through other tables and views
    ("42501", "SELECT text FROM texts"),
    ("42501", "SELECT * FROM public.texts"),
    ("42501", 'SELECT * FROM U&"\\0074exts"'),
    ("42501", "TABLE texts"),
    ("42501", "SELECT count(*) FROM texts"),
    ("42501", "SELECT texts FROM texts"),
    ("42501", "SELECT row_to_json(t) FROM texts t"),
    ("42501", "SELECT (t).text FROM (SELECT t FROM texts t) s"),
    ("42501", "SELECT NULL::texts FROM texts"),
    ("42501", "SELECT ctid FROM texts"),
    ("42501", "SELECT document_id FROM texts"),
    ("42501", "SELECT d.key, t.text FROM documents d JOIN texts t ON t.document_id = d.id"),
    ("42501", "SELECT document FROM toy_results WHERE EXISTS (SELECT 1 FROM texts)"),
    ("42501", "SELECT (SELECT text FROM texts LIMIT 1)::int"),
    ("42501", "WITH t AS (SELECT * FROM texts) SELECT * FROM t"),
    ("42501", "EXPLAIN ANALYZE SELECT text FROM texts"),
    ("42501", "PREPARE p AS SELECT text FROM texts; EXECUTE p"),
    ("42501", "BEGIN; DECLARE c CURSOR FOR SELECT text FROM texts"),
    ("42501", "DO 'BEGIN PERFORM text FROM texts; END'"),
    ("42501", "COPY texts TO STDOUT"),
    ("42501", "COPY (SELECT text FROM texts) TO STDOUT"),
    ("42501", "BEGIN; LOCK TABLE texts IN ACCESS SHARE MODE"),
    # the texts by functions, samples, raw storage, files and other sessions
    ("42501", "SELECT query_to_xml('SELECT * FROM texts', true, true, '')"),
    ("0A000", "SELECT table_to_xml('texts', true, true, '')"),
    ("0A000", "SELECT database_to_xml(true, true, '')"),
    ("42501", "SELECT * FROM ts_stat('SELECT to_tsvector(text) FROM texts')"),
    ("42501", "SELECT stavalues1 FROM pg_statistic"),
    ("42501", "SELECT chunk_data FROM {toast}"),
    ("42883", "SELECT dblink('dbname=postgres', 'SELECT text FROM texts')"),
    ("42883", "SELECT get_raw_page('texts', 0)"),
    ("42501", "SELECT pg_read_file('PG_VERSION')"),
    ("42501", "SELECT pg_read_binary_file('PG_VERSION')"),
    ("42501", "SELECT pg_ls_dir('base')"),
    ("42501", "SELECT pg_current_logfile()"),
    ("42501", "SELECT current_setting('data_directory')"),
    ("42501", "COPY (SELECT 1) TO '/tmp/stolen'"),
    ("42501", "COPY (SELECT 1) TO PROGRAM 'id'"),
    ("42501", "SELECT lo_import('/etc/passwd')"),
    ("42501", "SELECT pg_export_snapshot()"),
    ("42501", "SELECT pg_create_logical_replication_slot('a', 'test_decoding')"),
    # what holds no text and is none of an analyst's business
    ("42501", "SELECT meta FROM documents"),
    ("42501", "SELECT * FROM documents"),
    ("42501", "SELECT wrapped FROM data_keys"),
    ("42501", "SELECT * FROM audit"),
    ("42501", "SELECT * FROM tombstones"),
    ("42501", "SELECT rolpassword FROM pg_authid"),
    ("42501", "SELECT passwd FROM pg_shadow"),
    # other roles
    ("42501", "SET ROLE stillhouse_worker"),
    ("42501", "SET ROLE postgres"),
    ("42501", "SET SESSION AUTHORIZATION a_worker"),
    ("42501", "SELECT set_config('role', 'stillhouse_owner', false)"),
    ("42501", WRITES + "GRANT stillhouse_worker TO a_analyst"),
    ("42501", WRITES + "GRANT SELECT ON texts TO a_analyst"),
    ("42501", WRITES + "ALTER ROLE a_analyst SUPERUSER"),
    ("42501", WRITES + "ALTER ROLE a_worker PASSWORD 'x'"),
    ("42501", WRITES + "CREATE ROLE mine"),
    ("42501", WRITES + "REASSIGN OWNED BY stillhouse_owner TO a_analyst"),
    ("42501", WRITES + "DROP OWNED BY stillhouse_owner"),
    # writing, read-only and not
    ("25006", "DELETE FROM findings"),
    ("25006", "UPDATE jobs SET state = 'COMPLETED'"),
    ("25006", "WITH gone AS (DELETE FROM findings RETURNING 1) SELECT * FROM gone"),
    ("25006", "DO 'BEGIN DELETE FROM findings; END'"),
    ("42501", "SET default_transaction_read_only = off; COMMIT; DELETE FROM findings"),
    ("42501", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; COMMIT; DELETE FROM findings"),
    ("25001", "SELECT set_config('transaction_read_only', 'off', false); DELETE FROM findings"),
    *(("42501", f"{WRITES}DELETE FROM {table}") for table in metadata.tables),
    *(("42501", f"{WRITES}TRUNCATE {table} CASCADE") for table in metadata.tables),
    *(("42501", f"{WRITES}INSERT INTO {table} DEFAULT VALUES") for table in metadata.tables),
    ("42501", WRITES + "UPDATE documents SET key = 'x'"),
    ("42501", WRITES + "UPDATE texts SET text = 'x'"),
    ("42501", WRITES + "UPDATE audit SET actor = 'x'"),
    ("42501", WRITES + "SELECT 1 FROM jobs FOR UPDATE"),
    ("42501", WRITES + "COPY findings FROM PROGRAM 'id'"),
    ("42501", WRITES + "SELECT nextval('findings_id_seq')"),
    ("42501", WRITES + "SELECT setval('findings_id_seq', 1)"),
    ("42501", WRITES + "SELECT lo_create(0)"),
    ("42501", WRITES + "SELECT lo_from_bytea(0, 'a')"),
    ("42501", "BEGIN; LOCK TABLE jobs IN SHARE MODE"),
    # making and changing things
    ("42501", WRITES + "CREATE TABLE mine (a int)"),
    ("42501", WRITES + "CREATE TEMP TABLE mine (a int)"),
    ("42501", WRITES + "SELECT * INTO mine FROM jobs"),
    ("42501", WRITES + "CREATE VIEW mine AS SELECT 1"),
    ("42501", WRITES + "CREATE OR REPLACE VIEW toy_results AS SELECT text AS document FROM texts"),
    ("42501", WRITES + "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ("42501", WRITES + "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ("42501", WRITES + "CREATE SCHEMA mine"),
    ("42501", WRITES + "CREATE INDEX mine ON findings (label)"),
    ("42501", WRITES + "CREATE TRIGGER mine BEFORE INSERT ON findings EXECUTE FUNCTION refuse_audit_change()"),
    ("42501", WRITES + "CREATE RULE mine AS ON INSERT TO findings DO INSTEAD NOTHING"),
    ("42501", WRITES + "CREATE POLICY mine ON texts USING (true)"),
    ("42501", WRITES + "CREATE EXTENSION vector"),
    ("0A000", WRITES + "CREATE LANGUAGE plpython3u"),
    ("42501", WRITES + "CREATE PUBLICATION mine FOR ALL TABLES"),
    ("42501", WRITES + "ALTER TABLE findings ADD COLUMN mine int"),
    ("42501", WRITES + "ALTER VIEW toy_results RENAME TO mine"),
    ("42501", WRITES + "ALTER TABLE audit DISABLE TRIGGER ALL"),
    ("42501", WRITES + "DROP TABLE findings"),
    ("42501", WRITES + "DROP VIEW toy_results"),
    ("42501", WRITES + "COMMENT ON TABLE findings IS 'mine'"),
    ("42501", "ALTER SYSTEM SET work_mem = '1GB'"),
    # the server and other sessions
    ("42501", "SET session_replication_role = replica"),
    ("42501", "SET log_statement = 'none'"),
    ("42501", "LOAD 'auto_explain'"),
    ("42501", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'"),
    ("42501", "SELECT pg_reload_conf()"),
    ("42501", "SELECT pg_stat_reset()"),
    ("42501", "CHECKPOINT"),
    ("42501", "CLUSTER findings"),
    ("42501", "SELECT pg_advisory_lock(i) FROM generate_series(1, 100000) i"),
    ("42501", "SELECT pg_try_advisory_lock(1)"),
    ("42501", "SELECT pg_notify('wake', '1')"),
    ("42501", "SELECT pg_logical_emit_message(false, 'a', 'b')"),
]
# the server lets anybody say these: they give no text and change nothing
HARMLESS = [
    "SELECT * FROM pg_stats WHERE tablename IN ('texts', 'documents') AND most_common_vals::text LIKE '%CANARY%'",
    "SELECT * FROM pg_stats_ext",
    "SELECT query FROM pg_stat_activity WHERE query LIKE '%CANARY%' AND pid <> pg_backend_pid()",
    "NOTIFY wake",
    "ANALYZE texts",
    "VACUUM texts",
]
SQLITE = [
    # the texts by name, as rows, in parts, through other tables and views
    "SELECT text FROM texts",
    "SELECT * FROM TEXTS",
    'SELECT * FROM "texts"',
    "SELECT * FROM [texts]",
    "SELECT * FROM main.texts",
    "SELECT count(*) FROM texts",
    "SELECT rowid FROM texts",
    "SELECT document_id FROM texts NOT INDEXED",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM texts)",
    "SELECT d.key, t.text FROM documents d JOIN texts t ON t.document_id = d.id",
    "SELECT (SELECT text FROM texts)",
    "SELECT key FROM documents ORDER BY (SELECT text FROM texts)",
    "WITH t AS (SELECT * FROM texts) SELECT * FROM t",
    "SELECT * FROM documents NATURAL JOIN texts",
    "SELECT json_group_array(text) FROM texts",
    "SELECT group_concat(hex(text)) FROM texts",
    "SELECT document FROM toy_results UNION SELECT text FROM texts",
    "VALUES ((SELECT text FROM texts))",
    "EXPLAIN SELECT text FROM texts",
    "EXPLAIN QUERY PLAN SELECT text FROM texts",
    "SELECT wrapped FROM data_keys",
    # the file itself, other files, settings
    "SELECT * FROM sqlite_dbpage",
    "SELECT * FROM dbstat",
    "SELECT readfile('store.db')",
    "SELECT writefile('stolen', 'x')",
    "SELECT load_extension('mod_spatialite')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT edit('x')",
    "ATTACH 'stolen.db' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA table_info(texts)",
    "PRAGMA wal_checkpoint",
    "SELECT * FROM pragma_table_info('texts')",
    "SELECT * FROM pragma_database_list",
    "VACUUM",
    "VACUUM INTO 'stolen.db'",
    # writing
    "INSERT INTO findings DEFAULT VALUES",
    "REPLACE INTO jobs (id, name) VALUES (1, 'x')",
    "UPDATE jobs SET state = 'COMPLETED'",
    "UPDATE OR IGNORE audit SET actor = 'x'",
    "DELETE FROM findings",
    "DELETE FROM audit",
    "DROP TABLE findings",
    "DROP VIEW toy_results",
    "ALTER TABLE findings ADD COLUMN mine",
    "CREATE TABLE mine (a)",
    "CREATE TEMP TABLE mine AS SELECT * FROM jobs",
    "CREATE TEMP VIEW mine AS SELECT * FROM texts",
    "CREATE TEMP TRIGGER mine AFTER INSERT ON jobs BEGIN SELECT 1; END",
    "CREATE INDEX mine ON findings (label)",
    "CREATE VIRTUAL TABLE mine USING fts5(a)",
    "CREATE VIRTUAL TABLE temp.mine USING fts5vocab(main, texts, row)",
    "ANALYZE",
    "REINDEX",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "SAVEPOINT a",
    "SELECT 1; DELETE FROM findings",
    "",
]
# more memory or time than there is
BOMBS = [
    "SELECT zeroblob(999999999)",
    "SELECT hex(zeroblob(999999999))",
    "SELECT randomblob(999999999)",
    "SELECT printf('%.*c', 999999999, 'a')",
    "SELECT replace(hex(zeroblob(100000)), '0', hex(zeroblob(100000)))",
    "SELECT hex(zeroblob(10000000)) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n ORDER BY -i",
]
ALLOWED = [
    "SELECT * FROM toy_results",
    "SELECT * FROM toy_findings",
    "SELECT document FROM toy_results WHERE topic = 'animals' ORDER BY topic_score DESC",
    "SELECT topic, count(*) FROM toy_results GROUP BY topic",
    "SELECT name, state FROM jobs",
    "SELECT pack, key, n_chars FROM documents",
    "SELECT stage, code, count(*) FROM failures GROUP BY stage, code",
    "SELECT label, avg(score) FROM findings WHERE unsure GROUP BY label",
    "WITH busy AS (SELECT job_id, count(*) AS n FROM work GROUP BY job_id) SELECT j.name, n FROM busy JOIN jobs j ON j.id = busy.job_id",
    "SELECT d.key FROM documents d LEFT JOIN readings r ON r.document_id = d.id WHERE r.document_id IS NULL",
    "SELECT code, remedy FROM rejects",
    "VALUES (1), (2)",
]


def fill(store: Store, pack: Pack) -> None:
    """One document with a text long enough to lie apart, and a job."""
    migrate(store, [pack])
    with store.begin() as connection:
        connection.execute(
            text("INSERT INTO jobs (name, pack, student_id, state, submitted_at, n_cancelled, n_refused) VALUES ('a', 'toy', 's', 'OPEN', 0, 0, 0)")
        )
        document = {"meta": json.dumps({"ward": CANARY})}
        made = text("INSERT INTO documents (pack, key, content_sha256, n_chars, meta, received_at) VALUES ('toy', 'a', 'b', 1, :meta, 0) RETURNING id")
        number = connection.execute(made, document).scalar_one()
        body = f"{CANARY} " + " ".join(str(n) for n in range(5000))
        connection.execute(text("INSERT INTO texts (document_id, text) VALUES (:i, :t)"), {"i": number, "t": body})


@pytest.fixture(scope="module")
def served(postgres: str, toy_pack: Pack) -> Iterator[str]:
    """A filled PostgreSQL store with roles; gives the superuser's URL."""
    store = Store(postgres)
    with store.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    fill(store, toy_pack)
    with store.begin() as connection:
        apply(connection)
        for name in ROLES:
            make_login(connection, f"a_{name}", name, PASSWORD)
    with store.begin() as connection:
        connection.execute(text("ANALYZE"))
    yield postgres
    forget(store)
    store.close()


@pytest.fixture(scope="module")
def filed(toy_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled SQLite store; gives its file."""
    file = tmp_path_factory.mktemp("filed") / "store.db"
    store = Store(f"sqlite:///{file}")
    fill(store, toy_pack)
    store.close()
    return file


def state_of(url: str) -> list[object]:
    """All rows of all tables, all relations, roles and large objects of a PostgreSQL store."""
    tables = ", ".join(f"(SELECT coalesce(string_agg(t::text, '|' ORDER BY t::text), '') FROM {name} t)" for name in metadata.tables)
    with psycopg.connect(url) as connection:
        relations = connection.execute("SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1").fetchall()
        roles = connection.execute("SELECT rolname, rolsuper, rolcanlogin, rolconfig::text FROM pg_roles ORDER BY 1").fetchall()
        objects = connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchall()
        return [relations, roles, objects, connection.execute(f"SELECT {tables}").fetchall()]  # type: ignore[arg-type]


def toast_of(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'texts'").fetchone()
        assert row is not None
        return str(row[0])


def said(url: str, sql: str) -> list[object]:
    """All rows that a plain connection of the analyst's gets."""
    rows: list[object] = []
    with psycopg.connect(url_of(url, "a_analyst"), autocommit=True) as connection:
        cursor = connection.execute(sql)  # type: ignore[arg-type]
        while True:
            rows += cursor.fetchall() if cursor.description else []
            if not cursor.nextset():
                return rows


@pytest.mark.parametrize(("sqlstate", "sql"), POSTGRESQL, ids=[sql for _, sql in POSTGRESQL])
def test_postgresql_refuses_the_analyst(served: str, sqlstate: str, sql: str) -> None:
    """The server refuses the statement with its code, whatever the session set before; nothing changes, and the error quotes no text."""
    before = state_of(served)
    with pytest.raises(psycopg.Error) as caught:
        said(served, sql.format(toast=toast_of(served)) if "{toast}" in sql else sql)
    assert caught.value.sqlstate == sqlstate
    assert CANARY not in str(caught.value)
    assert state_of(served) == before


@pytest.mark.parametrize("sql", HARMLESS)
def test_what_anybody_may_say_gives_the_analyst_nothing(served: str, sql: str) -> None:
    """Statements that PostgreSQL takes from anybody give no row and change nothing."""
    before = state_of(served)
    assert said(served, sql) == []
    assert state_of(served) == before


@pytest.mark.parametrize("sql", [*(sql for _, sql in POSTGRESQL), *HARMLESS[3:]])
def test_query_refuses_on_postgresql(served: str, sql: str, home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`query` as the analyst ends with exit code 2, nothing changes, and no text comes out."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(served, "a_analyst"))
    before = state_of(served)
    assert main(["query", sql.format(toast=toast_of(served)) if "{toast}" in sql else sql]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and CANARY not in err
    assert state_of(served) == before


@pytest.mark.parametrize("sql", SQLITE)
def test_query_refuses_on_sqlite(filed: Path, sql: str, home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`query` ends with exit code 2; neither the store nor its folder changes, and no text comes out."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", f"sqlite:///{filed}")
    monkeypatch.chdir(filed.parent)
    before, files = rows_of(filed), {p.name for p in filed.parent.iterdir()}
    assert main(["query", sql]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and CANARY not in err
    assert rows_of(filed) == before
    assert {p.name for p in filed.parent.iterdir()} <= files | {"store.db-wal", "store.db-shm"}


@pytest.mark.parametrize("sql", BOMBS)
def test_sqlite_takes_no_more_than_its_time_and_memory(filed: Path, sql: str) -> None:
    """A statement that would take all memory or all time is ended as an error, and the process goes on with the memory that it had."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(UsageError) as caught:
        read_only(f"sqlite:///{filed}", sql, 1000, limit_s=1.0)
    assert caught.value.code in ("too_slow", "too_large")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def rows_of(file: Path) -> list[str]:
    connection = sqlite.connect(file)
    try:
        return [repr(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in ("sqlite_schema", *metadata.tables)]
    finally:
        connection.close()


@pytest.mark.parametrize("sql", ALLOWED)
def test_what_an_analyst_may_ask(
    served: str, filed: Path, sql: str, home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Views and tables without text answer on both stores: the same rows, through `query` and through a plain connection."""
    answers = []
    for url in (url_of(served, "a_analyst"), f"sqlite:///{filed}"):
        monkeypatch.setenv("STILLHOUSE_STORE__URL", url)
        assert main(["query", "--json", sql]) == 0
        answers.append([list(row.values()) for row in json.loads(capsys.readouterr().out)["data"]])
    assert answers[0] == answers[1]
    assert [list(row) for row in said(served, sql)] == answers[0]  # type: ignore[call-overload]


def test_a_function_that_never_comes_back_is_ended(filed: Path, home: Settings) -> None:
    """SQLite asks for the time between its steps alone; a step that does not end is ended with the process, as an error."""
    long = "SELECT instr(zeroblob(200000000), zeroblob(100000000) || x'01')"
    started = time.monotonic()
    done = manage("query", "--seconds", "1", "--json", long, home=home, check=False, STILLHOUSE_STORE__URL=f"sqlite:///{filed}")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "too_slow"
    assert time.monotonic() - started < 30


def test_a_huge_value_of_postgresql_is_refused(served: str, home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that PostgreSQL makes and that is larger than an answer may be ends as an error."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", url_of(served, "a_analyst"))
    assert main(["query", "--json", "SELECT repeat('x', 100000000)"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "too_large"
