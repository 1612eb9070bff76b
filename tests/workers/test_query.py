"""What analysts may do: read the views, and nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.predict import Reading
from pipelines.progress import silent
from suites.discover import Pack
from suites.errors import UsageError
from suites.types import Finding
from workers.export import export, safe_cell
from workers.query import read_only
from workers.queue import claim, finish
from workers.store import Store
from workers.submit import submit

FINDINGS = (
    Finding("topic", "one", 0.9, 0, 8),
    Finding("flags", "hot", 0.8, 0, 8),
    Finding("flags", "big", 0.7, 0, 8),
    Finding("things", "A", 0.6, 0, 3),
    Finding("things", "A", 0.5, 4, 8),
    Finding("codes", "CODE", 1.0, 0, 3, "rule", number=2.5, unit="kg"),
)


@pytest.fixture
def filled(store: Store, toy_pack: Pack, tmp_path: Path) -> str:
    """A store with one document that was read; gives its URL."""
    labels = {t.name: t.labels for t in toy_pack.manifest.task}
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "=1+1", "text": "CANARYXY"}) + "\n")
    submit(store, toy_pack, "toy-000000000000", [tmp_path / "a.jsonl"], chunk=10, ring=lambda job_id: None)
    legal = tuple(
        Finding(f.task, labels[f.task][i % len(labels[f.task])], f.score, f.start, f.end, f.source, None, f.number, f.unit) for i, f in enumerate(FINDINGS)
    )
    with store.begin() as connection:
        claims = claim(connection, "a", 10, 60.0)
        assert claims is not None
        finish(connection, claims, [(claims.held[0], Reading("1", legal))])
    return store.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def test_results_have_one_row_a_document_and_the_declared_columns(filled: str, toy_pack: Pack) -> None:
    """The view has the pack's columns in order after the leading ones, one row a document."""
    rows, more = read_only(filled, "SELECT * FROM toy_results", 10)
    assert len(rows) == 1 and not more
    assert list(rows[0])[6:] == [c.name for c in toy_pack.manifest.column]
    assert rows[0]["n_findings"] == len(FINDINGS)


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
    ],
)
def test_query_only_reads(filled: str, sql: str) -> None:
    """What writes or looks at texts is refused, and nothing changes."""
    with pytest.raises(UsageError):
        read_only(filled, sql, 10)
    assert read_only(filled, "SELECT count(*) AS n FROM findings", 1)[0] == [{"n": len(FINDINGS)}]


def test_sqlite_refuses_pragma_and_attach(tmp_path: Path, toy_pack: Pack) -> None:
    """SQLite's side doors are closed: other files and settings are out of reach."""
    from workers.migrate import migrate

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


def test_export_of_an_unknown_format_leaves_no_file(filled: str, toy_pack: Pack, tmp_path: Path) -> None:
    """A format that cannot be written is an error naming those that can."""
    with pytest.raises(UsageError, match="parquet"):
        export(filled, toy_pack, "results", tmp_path / "out.xlsx", silent)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1", " =1", "\u200b=1", "＝1"])
def test_formula_cells_are_quoted(cell: str) -> None:
    """What a spreadsheet would run begins with an apostrophe."""
    assert safe_cell(cell) == "'" + cell
    assert safe_cell("harmless = 1") == "harmless = 1"
