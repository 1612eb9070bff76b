"""What a column shows of a document's findings: the same in Python and where a table of rows is made anew in SQL."""

from __future__ import annotations

import random
from dataclasses import replace

from sqlalchemy import create_engine, text

from pipelines.columns import row
from suites.discover import Pack
from suites.types import Column, Finding
from workers.rows import fill_sql, rows_table

SHOWN = ("label", "score", "number", "value", "labels", "count", "sum")
TABLES = (
    "CREATE TABLE documents (id INT, pack TEXT, key TEXT, n_chars INT)",
    "CREATE TABLE jobs (id INT, name TEXT)",
    "CREATE TABLE readings (document_id INT, student_id TEXT, job_id INT, read_at FLOAT, n_findings INT)",
    'CREATE TABLE findings (document_id INT, student_id TEXT, task TEXT, label TEXT, score FLOAT, start INT, "end" INT, value TEXT, number FLOAT, unsure INT)',
)


def drawn(rng: random.Random) -> list[Finding]:
    """Findings of which many tie in their score, value and place."""
    return [
        Finding(
            "things",
            rng.choice("AB"),
            rng.choice([0.5, 1.0]),
            start := rng.randrange(3),
            start + 1,
            value=rng.choice([None, "2019", "2021"]),
            number=rng.choice([None, 1.0, 2.5]),
        )
        for _ in range(rng.randrange(6))
    ]


def test_a_row_is_what_sql_makes_of_the_findings(toy_pack: Pack) -> None:
    """For hundreds of drawn documents, ties and gaps among them, each kind of column is the same in Python and in SQL."""
    asked = [(show, only) for show in SHOWN for only in (None, "A")]
    columns = [Column(name=f"{show}_{(only or 'all').lower()}", task="things", show=show, only=only, description="As it says.") for show, only in asked]
    pack = replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"column": tuple(columns)}))
    engine, rng = create_engine("sqlite://"), random.Random(4)
    documents = [list({(f.label, f.start): f for f in drawn(rng)}.values()) for _ in range(300)]
    with engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(table))
        connection.execute(text("INSERT INTO jobs VALUES (1, 'j')"))
        for i, findings in enumerate(documents):
            connection.execute(text("INSERT INTO documents VALUES (:i, 'toy', 'd', 9)"), {"i": i})
            connection.execute(text("INSERT INTO readings VALUES (:i, 's', 1, 0, :n)"), {"i": i, "n": len(findings)})
            for f in findings:
                values = {"i": i, "l": f.label, "s": f.score, "a": f.start, "e": f.end, "v": f.value, "n": f.number}
                connection.execute(text("INSERT INTO findings VALUES (:i, 's', 'things', :l, :s, :a, :e, :v, :n, 0)"), values)
        names = [c.name for c in rows_table(pack).columns]
        shown = {row[0]: dict(zip(names, row, strict=True)) for row in connection.exec_driver_sql(fill_sql(pack, "sqlite"))}
    for i, findings in enumerate(documents):
        assert row(pack, findings) == {c.name: shown[i][c.name] for c in columns}, findings
