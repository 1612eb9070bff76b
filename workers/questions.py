"""Worked queries of the data dictionary: of each table and view what people ask it, in both databases' SQL.

They are run as they stand by tests, on both stores, and timed at a million documents (tests/bench/analysts.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from suites.discover import Pack
from suites.types import Column

_UTC = {"sqlite": "datetime({}, 'unixepoch')", "postgresql": "to_timestamp({}) AT TIME ZONE 'UTC'"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a table or view, in words and in SQL by dialect."""

    of: str
    words: str
    sqlite: str
    postgresql: str

    def sql(self, dialect: str) -> str:
        return self.sqlite if dialect == "sqlite" else self.postgresql


def _same(of: str, words: str, sql: str) -> Question:
    return Question(of, words, sql, sql)


def _timed(of: str, words: str, sql: str) -> Question:
    """Of a query with {times} written as `utc(column)`."""
    made = {}
    for dialect, form in _UTC.items():
        said = sql
        while "utc(" in said:
            before, _, rest = said.partition("utc(")
            column, _, after = rest.partition(")")
            said = f"{before}{form.format(column)}{after}"
        made[dialect] = said
    return Question(of, words, **made)


TABLES = (
    _timed(
        "jobs",
        "The newest jobs and how long they took",
        "SELECT name, pack, state, utc(submitted_at) AS submitted, "
        "round(CAST(finished_at - submitted_at AS numeric), 1) AS seconds FROM jobs ORDER BY id DESC LIMIT 20",
    ),
    _same("students", "Which student each pack's views show", "SELECT pack, id, state FROM students ORDER BY pack, state"),
    _same("failures", "What went wrong, and how often", "SELECT stage, code, count(*) AS n FROM failures GROUP BY stage, code ORDER BY n DESC"),
    _timed(
        "failures",
        "The newest failures of a job",
        "SELECT document_id, stage, code, reason, utc(failed_at) AS failed FROM failures WHERE job_id = 1 ORDER BY id DESC LIMIT 20",
    ),
    _same(
        "energy",
        "Energy per 1,000 documents, by student and engine",
        "SELECT student_id, engine, sum(n_documents) AS documents, 1000 * sum(energy_consumed) / sum(n_documents) * 1000 AS wh_per_1000, "
        "1000 * sum(emissions) / sum(n_documents) * 1000 AS gco2e_per_1000 "
        "FROM energy WHERE kind = 'job' GROUP BY student_id, engine HAVING sum(n_documents) > 0",
    ),
    _same(
        "reviews", "What reviewers made of findings, by task", "SELECT task, verdict, count(*) AS n FROM reviews GROUP BY task, verdict ORDER BY task, n DESC"
    ),
    _same(
        "reviews",
        "The labels that are corrected most, and into what",
        "SELECT task, label, new_label, count(*) AS n FROM reviews WHERE verdict = 'correct' GROUP BY task, label, new_label ORDER BY n DESC LIMIT 20",
    ),
    _same(
        "tallies",
        "Labels by day, without reading a single finding",
        "SELECT day, bucket AS label, sum(n) AS n FROM tallies WHERE measure = 'label:verdict' GROUP BY day, bucket ORDER BY day, n DESC",
    ),
    _timed(
        "audit",
        "Who looked at, exported or erased what",
        "SELECT utc(at) AS at, actor, action, subject, detail FROM audit WHERE action IN ('view', 'export', 'purge') ORDER BY id DESC LIMIT 20",
    ),
    _timed(
        "documents",
        "A document by its id, in all its versions",
        "SELECT id, n_chars, utc(received_at) AS received FROM documents WHERE pack = 'finance' AND key = 'doc-000123'",
    ),
    _timed(
        "readings",
        "Which students have read a document, and when",
        "SELECT student_id, n_findings, n_tokens, n_unknown, distance, utc(read_at) AS at FROM readings WHERE document_id = 123",
    ),
    _same(
        "findings",
        "All that was found in a document, by every student",
        'SELECT student_id, task, label, score, start, "end", source FROM findings WHERE document_id = 123 ORDER BY start, task',
    ),
    _same(
        "sources",
        "The files of a job, and whether their rows add up",
        "SELECT label, n_seen, n_accepted, n_duplicate, n_rejected FROM sources WHERE job_id = 1 ORDER BY id LIMIT 20",
    ),
    _same("rejects", "Why rows never became documents", "SELECT code, count(*) AS n, min(remedy) AS remedy FROM rejects GROUP BY code ORDER BY n DESC"),
    _same("work", "What still waits, by job", "SELECT job_id, state, count(*) AS n FROM work GROUP BY job_id, state ORDER BY job_id"),
    _timed("erasures", "The certificates of purges", "SELECT id, scope, erased, utc(finished_at) AS finished FROM erasures ORDER BY id DESC"),
)


def questions(packs: dict[str, Pack]) -> Iterator[Question]:
    """All worked queries: those of each pack's views and rows, then those of the tables."""
    for pack in packs.values():
        yield from _of_pack(pack)
    yield from TABLES


def _of_pack(pack: Pack) -> Iterator[Question]:
    indexed = [c for c in pack.manifest.column if c.index]
    for column in indexed[:2]:
        yield _of_column(pack, column)
    yield _same(f"{pack.name}_results", "A document by its id", f"SELECT * FROM {pack.name}_results WHERE document = 'doc-000123'")
    yield _same(
        f"{pack.name}_results", "What was read last", f"SELECT document, read_at, n_findings, n_unsure FROM {pack.name}_results ORDER BY read_at DESC LIMIT 20"
    )
    task = pack.student_tasks[0].name
    primary = f"(SELECT id FROM students WHERE pack = '{pack.name}' AND state = 'primary')"
    # not of the view: its join costs a look at each document
    counted = f"FROM findings WHERE student_id = {primary} AND task = '{task}' GROUP BY label ORDER BY n DESC"
    yield Question(
        "findings",
        f"How often each label of {task} is given, and how sure the student is of it",
        f"SELECT label, count(*) AS n, round(avg(score), 3) AS mean_score {counted}",
        f"SELECT label, count(*) AS n, round(avg(score)::numeric, 3) AS mean_score {counted}",
    )
    yield _same(f"{pack.name}_findings", "All that was found in a document", f"SELECT * FROM {pack.name}_findings WHERE document = 'doc-000123'")
    yield _same(
        f"{pack.name}_findings",
        f"Where a human should look first at {task}",
        f"SELECT document, label, score FROM {pack.name}_findings WHERE task = '{task}' AND unsure = 1 ORDER BY score LIMIT 20",
    )
    if indexed:
        name = indexed[0].name
        yield _same(
            f"{pack.name}_rows",
            "Where two students differ",
            f"SELECT a.document_id, a.{name} AS ours, b.{name} AS theirs FROM {pack.name}_rows a JOIN {pack.name}_rows b ON b.document_id = a.document_id "
            f"AND b.student_id = '{pack.name}-b' WHERE a.student_id = '{pack.name}-a' AND a.{name} <> b.{name} LIMIT 20",
        )


def _of_column(pack: Pack, column: Column) -> Question:
    view = f"{pack.name}_results"
    if column.show in ("label", "labels", "value"):
        sql = f"SELECT {column.name}, count(*) AS documents FROM {view} GROUP BY {column.name} ORDER BY documents DESC LIMIT 20"
        return _same(view, f"How many documents have each {column.name}", sql)
    sql = f"SELECT document, {column.name} FROM {view} WHERE {column.name} IS NOT NULL ORDER BY {column.name} DESC LIMIT 20"
    return _same(view, f"The documents of the highest {column.name}", sql)
