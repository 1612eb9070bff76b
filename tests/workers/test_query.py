"""What analysts may do: read the views, and nothing else."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert, text

from pipelines.predict import Reading
from pipelines.progress import silent
from suites.discover import Pack
from suites.errors import UsageError
from suites.types import LEADING, Finding
from workers.export import export, safe_cell
from workers.follow import find_job
from workers.migrate import migrate
from workers.query import read_only, reading
from workers.queue import claim
from workers.store import Store
from workers.submit import submit
from workers.tables import jobs
from workers.views import FINDING_COLUMNS

from .conftest import finish

FINDINGS = (
    Finding("topic", "one", 0.9, 0, 8),
    Finding("flags", "hot", 0.8, 0, 8),
    Finding("flags", "big", 0.7, 0, 8, unsure=True),
    Finding("things", "A", 0.6, 0, 3),
    Finding("things", "A", 0.5, 4, 8, unsure=True),
    Finding("codes", "CODE", 1.0, 0, 3, "rule", number=2.5, unit="kg"),
)


@pytest.fixture
def filled(store: Store, toy_pack: Pack, tmp_path: Path) -> str:
    """A store with one document that was read; gives its URL."""
    labels = {t.name: t.labels for t in toy_pack.manifest.task}
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "=1+1", "text": "CANARYXY"}) + "\n")
    submit(store, toy_pack, "toy-000000000000", [tmp_path / "a.jsonl"], chunk=10, ring=lambda job_id: None)
    legal = tuple(replace(f, label=labels[f.task][i % len(labels[f.task])]) for i, f in enumerate(FINDINGS))
    with store.begin() as connection:
        claims = claim(connection, "a", 10, 60.0)
        assert claims is not None
        finish(connection, claims, [(claims.held[0], Reading("1", legal))])
    return store.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def test_results_have_one_row_a_document_and_the_declared_columns(filled: str, toy_pack: Pack) -> None:
    """The view has the pack's columns in order after the leading ones, one row a document."""
    rows, more = read_only(filled, "SELECT * FROM toy_results", 10)
    assert len(rows) == 1 and not more
    assert list(rows[0]) == [*LEADING, *(c.name for c in toy_pack.manifest.column)]
    assert rows[0]["n_findings"] == len(FINDINGS)


@pytest.mark.parametrize(
    ("sql", "meant"),
    [("SELECT topik FROM toy_results", "topic"), ("SELECT r.n_finding FROM toy_results r", "n_findings"), ("SELECT 1 FROM toy_result", "toy_results")],
)
def test_a_misspelt_name_is_answered_with_the_one_meant(filled: str, sql: str, meant: str) -> None:
    """On both stores; where nothing is near, nothing is guessed, and the tables of texts are not named."""
    with pytest.raises(UsageError, match=rf"Did you mean {meant}\?"):
        read_only(filled, sql, 10)
    for unlike in ("SELECT zzzzzz FROM toy_results", "SELECT 1 FROM text"):
        with pytest.raises(UsageError) as refusal:
            read_only(filled, unlike, 10)
        assert "texts?" not in str(refusal.value) and "zzz?" not in str(refusal.value)


def test_what_a_human_should_look_at_is_shown(filled: str) -> None:
    """Unsure findings are counted in the results and marked in the findings, with 0 and 1 in stores of both kinds."""
    assert read_only(filled, "SELECT document FROM toy_results WHERE n_unsure = 2", 10)[0] == [{"document": "=1+1"}]
    rows, _ = read_only(filled, "SELECT score, unsure FROM toy_findings ORDER BY score", 10)
    assert [row["unsure"] for row in rows] == [1, 0, 1, 0, 0, 0]
    assert {type(row["unsure"]) for row in rows} == {int}


def test_views_hold_no_text(filled: str) -> None:
    """No column of either view shows the document's text."""
    for view in ("toy_results", "toy_findings"):
        rows, _ = read_only(filled, f"SELECT * FROM {view}", 100)
        assert rows and "CANARYXY" not in json.dumps(rows, default=str)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT text FROM texts",
        "SELECT * FROM texts",
        "SELECT t.text FROM documents d JOIN texts t ON t.document_id = d.id",
        "DELETE FROM findings",
        "UPDATE jobs SET state = 'COMPLETED'",
        "INSERT INTO students (id, pack, state, seen_at) VALUES ('a', 'b', 'c', 0)",
        "DROP TABLE findings",
        "CREATE TABLE mine (a int)",
        "WITH gone AS (DELETE FROM findings RETURNING 1) SELECT * FROM gone",
        "SELECT 1; DELETE FROM findings",
        "ROLLBACK; DELETE FROM findings",
        "COMMIT; DELETE FROM findings",
        "COMMIT; SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM findings",
        'SELECT * FROM U&"\\0074exts"',
        "SELECT query_to_xml('SELECT * FROM te' || 'xts', true, true, '')",
    ],
)
def test_query_only_reads(filled: str, sql: str) -> None:
    """What writes or looks at texts is refused, and nothing changes."""
    with pytest.raises(UsageError):
        read_only(filled, sql, 10)
    assert read_only(filled, "SELECT count(*) AS n FROM findings", 1)[0] == [{"n": len(FINDINGS)}]


@pytest.fixture
def filled_postgresql(postgres_url: str, toy_pack: Pack) -> str:
    """A PostgreSQL store with one text, long enough to lie in the toast, and the planner's samples of it; gives its URL."""
    store = Store(postgres_url)
    migrate(store, [toy_pack])
    long = "'CANARY' || (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 999) i)"
    with store.begin() as connection:
        connection.execute(text("INSERT INTO documents (pack, key, content_sha256, n_chars, meta, received_at) VALUES ('toy', 'a', 'b', 1, '{}', 0)"))
        connection.execute(text(f"INSERT INTO texts (document_id, text) SELECT id, {long} FROM documents"))
        connection.execute(text("CREATE VIEW side_door AS SELECT * FROM texts"))
        connection.execute(text("CREATE FUNCTION back_door() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM texts); END'"))
        connection.execute(text("ANALYZE texts"))
    store.close()
    return postgres_url


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT * FROM "texts"',
        "SELECT * FROM side_door",
        "SELECT back_door()",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM texts WHERE false)",
        "SELECT most_common_vals FROM pg_stats",
        "SELECT chunk_data FROM {toast}",
        "SELECT QUERY_TO_XML/**/('SELECT * FROM te' || 'xts', true, true, '')::text::int",
        "SELECT \"table_to_xml\"(oid, true, true, '') FROM pg_class",
        "SELECT 1 LIMIT length(database_to_xml(true, true, '')::text)",
        "SELECT * FROM ts_stat('SELECT to_tsvector(te' || 'xt) FROM te' || 'xts')",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT set_config('statement_timeout', '0', false)",
    ],
)
def test_postgresql_refuses_every_way_to_a_text(filled_postgresql: str, sql: str) -> None:
    """Whatever name or function leads to the texts, their long values or statistics of them, the query is refused and quotes none."""
    toast = read_only(filled_postgresql, "SELECT reltoastrelid::regclass::text AS name FROM pg_class WHERE relname = 'texts'", 1)[0][0]["name"]
    with pytest.raises(UsageError, match="Refused") as caught:
        read_only(filled_postgresql, sql.format(toast=toast), 10)
    assert caught.value.code == "read_only"
    assert "CANARY" not in caught.value.message


def test_a_word_like_the_tables_name_is_no_reading_of_it(filled: str) -> None:
    """`texts` in a literal or a column's name is asked for in peace: what counts is what the database reads."""
    assert read_only(filled, "SELECT 'texts' AS texts FROM toy_results", 10)[0] == [{"texts": "texts"}]


def test_sqlite_refuses_pragma_and_attach(tmp_path: Path, toy_pack: Pack) -> None:
    """SQLite's side doors are closed: other files and settings are out of reach."""
    store = Store(f"sqlite:///{tmp_path / 's.db'}")
    migrate(store, [toy_pack])
    for sql in (f"ATTACH '{tmp_path / 'other.db'}' AS o", "PRAGMA query_only=OFF", "SELECT load_extension('x')", "VACUUM INTO 'x.db'"):
        with pytest.raises(UsageError):
            read_only(store.url, sql, 10)


def test_a_percent_sign_is_sql(filled: str) -> None:
    """LIKE with % works as SQL has it."""
    assert read_only(filled, "SELECT document FROM toy_results WHERE document LIKE '=1%'", 10)[0] == [{"document": "=1+1"}]


def test_a_mistake_in_sql_is_told(filled: str) -> None:
    """A wrong column gives the database's own words, not a traceback."""
    with pytest.raises(UsageError, match="nonsense"):
        read_only(filled, "SELECT nonsense FROM toy_results", 10)


def test_a_slow_query_is_ended_and_a_slow_export_is_not(store: Store, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of time is the query's; an export of the same view goes on to its end."""
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) "
    others = ", ".join(f'NULL AS "{name}"' for name in list(FINDING_COLUMNS)[2:])
    count += f"SELECT 'a' AS document, CAST(count(*) AS text) AS student_id, {others} FROM n"
    with store.begin() as connection:
        connection.execute(text("DROP VIEW toy_findings"))
        connection.execute(text(f"CREATE VIEW toy_findings AS {count}"))
    url = store.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with pytest.raises(UsageError, match=r"more than 0\.05 s") as caught:
        read_only(url, "SELECT * FROM toy_findings", 10, limit_s=0.05)
    assert caught.value.code == "too_slow"
    monkeypatch.setattr("workers.export.reading", lambda url, limit_s=0.05: reading(url, limit_s))
    assert export(url, toy_pack, "findings", tmp_path / "out.jsonl", silent) == 1


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_export_writes_what_the_view_shows(filled: str, toy_pack: Pack, tmp_path: Path, suffix: str) -> None:
    """Each format holds every row of the view; CSV cells that a spreadsheet would run are made harmless."""
    file = tmp_path / f"out.{suffix}"
    assert export(filled, toy_pack, "findings", file, silent) == len(FINDINGS)
    if suffix == "csv":
        rows = list(csv.DictReader(file.open(encoding="utf-8", newline="")))
        assert rows[0]["document"] == "'=1+1"
    elif suffix == "jsonl":
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert rows[0]["document"] == "=1+1"
    else:
        rows = pq.read_table(file).to_pylist()
        assert {type(r["score"]) for r in rows} == {float}
    assert len(rows) == len(FINDINGS)
    assert sorted(float(r["score"]) for r in rows if int(r["unsure"])) == [0.5, 0.7]


def test_export_of_an_unknown_format_leaves_no_file(filled: str, toy_pack: Pack, tmp_path: Path) -> None:
    """A format that cannot be written is an error naming those that can."""
    with pytest.raises(UsageError, match="parquet"):
        export(filled, toy_pack, "results", tmp_path / "out.xlsx", silent)
    assert not list(tmp_path.glob("*out*"))


# what stands before a formula without being seen: spaces of several widths, controls, zero widths, marks of direction, a soft hyphen
UNSEEN = (
    "",
    " ",
    "\xa0",
    "\u3000",
    "\u2003",
    "\x00",
    "\x0b",
    "\x1f",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u2060",
    "\u202e",
    "\u2067",
    "\u200f",
    "\xad",
    " \u200b\x01 ",
)
# as a formula is written, in full width, small, raised; and what ends a cell or moves on from it
BEGINNINGS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "⁼", "₊", "\t", "\r", "\n")


@pytest.mark.parametrize("before", UNSEEN)
def test_formula_cells_are_quoted(before: str) -> None:
    """What a spreadsheet would run begins with an apostrophe, whatever stands before it unseen."""
    for beginning in BEGINNINGS:
        cell = f"{before}{beginning}1+1"
        assert safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["harmless = 1", "", "   ", "é=1", "１=1", "(=1)", '"=1"', "'=1", -499.0, -5, 0, None, 1e-7, True])
def test_other_cells_are_as_they_were(cell: object) -> None:
    """Texts that begin otherwise, and all numbers, are not touched."""
    assert safe_cell(cell) is cell


def test_a_job_is_found_by_its_number_then_by_its_name(store: Store) -> None:
    """A job named with digits alone is found by them, unless they are another job's number."""
    with store.begin() as connection:
        for name in ("2026", "1", "nightly"):
            connection.execute(insert(jobs).values(name=name, pack="toy", student_id="toy-0", state="OPEN", submitted_at=0.0))
        assert [find_job(connection, wanted) for wanted in ("2026", "1", "2", "nightly")] == [1, 1, 2, 3]
