"""Exports of many findings: memory that does not grow with them, one order on both stores, and what a Parquet file says of itself."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text, update

from pipelines.progress import silent
from suites.errors import StoreError
from tests.bench.export import measured
from tests.bench.many_findings import STUDENT, fill, toy_pack
from tests.bench.process import aside
from workers.dictionary import described_columns
from workers.export import export
from workers.export.ordered import in_order
from workers.store import Store
from workers.tables import documents

from .ward import url_of

# what is held of many rows: a run that is sorted, or a portion of documents; of Parquet a group of rows too, and what it is compressed to.
# Sorted in SQLite's memory 200,000 rows take 30 MB. JSON lines go the way of CSV
GROWTH_MB = {"csv": 24, "label-studio": 12, "parquet": 75}
N = 200_000


@pytest.fixture
def empty(store_url: str) -> Store:
    return Store(store_url)


def test_memory_does_not_grow_with_the_rows(empty: Store, tmp_path: Path) -> None:
    """A process that exports 200,000 findings holds little more than one that exports 2,000, in each format."""
    peaks: dict[str, list[float]] = {form: [] for form in GROWTH_MB}
    for n in (2000, N):
        fill(empty, n)
        for form in GROWTH_MB:
            written, _, peak = aside(measured, url_of(empty), form, str(tmp_path))
            assert written == n
            peaks[form].append(peak)
    assert not {form: found for form, found in peaks.items() if found[1] > found[0] + GROWTH_MB[form]}, peaks
    empty.close()


def test_the_order_is_the_same_on_both_stores(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted by us in many runs on SQLite and by the server on PostgreSQL: the same bytes. Ids that two documents have lie together."""
    monkeypatch.setattr("workers.export.ordered.RUN", 70)
    monkeypatch.setattr("workers.export.ordered.BLOCK", 9)
    written = []
    for url in (f"sqlite:///{tmp_path / 'store.db'}", postgres_url):
        store = Store(url)
        fill(store, 1000)
        with store.begin() as connection:
            for number, key in ((3, "Ä"), (4, "a"), (5, "B"), (6, "ä"), (7, "a"), (8, "=1"), (9, "😀"), (10, "\uffee")):
                connection.execute(update(documents).where(documents.c.id == number).values(key=key))
        store.close()
        for what in ("findings", "results"):
            export(url, toy_pack(), what, tmp_path / f"{what}.jsonl", silent)
            written.append((tmp_path / f"{what}.jsonl").read_text(encoding="utf-8"))
    assert written[:2] == written[2:] and len(written[1].splitlines()) == 100
    rows = [json.loads(line) for line in written[0].splitlines()]
    keys = [(row["document"], row["task"], row["start"], row["end"], row["label"]) for row in rows]
    assert keys == sorted(keys) and len(keys) == 1000 and [k[0] for k in keys].count("a") == 20


def test_rows_come_in_order_from_any_number_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is lost or changed, at the edges of runs and blocks too, and the file leaves no name."""
    monkeypatch.setattr("workers.export.ordered.RUN", 10)
    monkeypatch.setattr("workers.export.ordered.BLOCK", 3)
    rng = random.Random(3)
    for n in (0, 1, 9, 10, 11, 99, 100, 101):
        rows = [(f"{rng.randint(0, 9)}", rng.randint(0, 5), rng.choice((None, -1.5, "ü")), i) for i in range(n)]
        assert list(in_order(rows, lambda row: row[:2], str(tmp_path))) == sorted(rows, key=lambda row: row[:2])
    assert not list(tmp_path.iterdir())


def test_a_parquet_file_says_what_it_is(empty: Store, tmp_path: Path) -> None:
    """Types as the data dictionary has them, a description a column, the pack and student in the schema, large groups of rows, compressed."""
    fill(empty, 5000)
    export(url_of(empty), toy_pack(), "findings", tmp_path / "f.parquet", silent)
    file = pq.ParquetFile(tmp_path / "f.parquet")
    schema, group = file.schema_arrow, file.metadata.row_group(0)
    kinds = {"text": "string", "integer": "int64", "number": "double"}
    assert {(f.name, str(f.type), f.metadata[b"description"].decode()) for f in schema} == {
        (c["name"], kinds[c["type"]], c["description"]) for c in described_columns(toy_pack(), "toy_findings")
    }
    about = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert (about["stillhouse.pack"], about["stillhouse.view"], json.loads(about["stillhouse.students"])) == ("toy", "toy_findings", [STUDENT])
    assert file.num_row_groups == 1 and group.num_rows == 5000
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" in columns["label"].encodings and "RLE_DICTIONARY" not in columns["score"].encodings
    empty.close()


def test_negative_numbers_stay_numbers(empty: Store, tmp_path: Path) -> None:
    """In CSV a number below 0 is no formula: it has neither an apostrophe nor quotation marks."""
    fill(empty, 1000)
    export(url_of(empty), toy_pack(), "findings", tmp_path / "f.csv", silent)
    lines = (tmp_path / "f.csv").read_text(encoding="utf-8")
    assert ",-499.0," in lines and "'-" not in lines
    rows = list(csv.DictReader(lines.splitlines()))
    assert min(float(row["number"]) for row in rows if row["number"]) == -499.0
    empty.close()


def test_a_view_of_another_version_of_the_pack_is_told(empty: Store, tmp_path: Path) -> None:
    """Where the view has other columns than the pack says, nothing is exported and `migrate` is named."""
    fill(empty, 10)
    with empty.begin() as connection:
        connection.execute(text("DROP VIEW toy_results"))
        connection.execute(text("CREATE VIEW toy_results AS SELECT key AS document FROM documents"))
    with pytest.raises(StoreError, match="migrate"):
        export(url_of(empty), toy_pack(), "results", tmp_path / "r.csv", silent)
    assert not (tmp_path / "r.csv").exists()
    empty.close()
