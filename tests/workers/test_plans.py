"""How the databases find what the queue asks for: by an index, however many documents wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from pipelines.predict import Reading
from workers.queue import claim, counts, next_job, pending, renew, settle, sweep
from workers.store import Store
from workers.submit import _known, _taken

from .conftest import finish

STUDENT = "toy-000000000000"
N = 20_000  # so many that going through all of them is the worse plan
LARGE = ("work", "documents", "texts", "readings", "findings")

FILL = (
    "INSERT INTO jobs (id, name, pack, student_id, state, submitted_at, n_cancelled, n_refused) SELECT n, n, 'toy', :student, "
    "CASE WHEN n < 10 THEN 'COMPLETED' ELSE 'RUNNING' END, 0, 0, 0 FROM numbers WHERE n <= 10",
    "INSERT INTO documents (id, pack, key, content_sha256, n_chars, meta, received_at) SELECT n, 'toy', 'doc-' || n, n, 20, '{}', 0 FROM numbers",
    "INSERT INTO texts (document_id, text) SELECT n, 'a text of some words' FROM numbers",
    "INSERT INTO readings (document_id, student_id, job_id, epoch, n_findings, read_at) SELECT n, :student, 1 + n % 9, 1, 1, 0 FROM numbers WHERE n <= :half",
    'INSERT INTO findings (document_id, student_id, task, label, score, start, "end", source) '
    "SELECT n, :student, 'topic', 'one', 1, 0, 1, 'rule' FROM numbers WHERE n <= :half",
    "INSERT INTO work (job_id, document_id, student_id, state, epoch, attempts, n_lost) SELECT 10, n, :student, 'ready', 0, 0, 0 FROM numbers WHERE n > :half",
)


@pytest.fixture
def filled(store: Store) -> Store:
    """A store where half of the documents are read and half wait for one job."""
    kind = "" if store.is_sqlite else "::varchar"
    with store.begin() as connection:
        for sql in FILL:
            typed = re.sub(r"(, n, 'toy', :student|'toy', 'doc-' \|\| n, n)", lambda m: m[0].replace(", n", f", n{kind}"), sql)
            head, _, rest = typed.partition("SELECT")
            numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :n)"
            connection.execute(text(f"{head} {numbers} SELECT {rest}"), {"n": N, "half": N // 2, "student": STUDENT})
    with store.begin() as connection:
        connection.execute(text("ANALYZE"))
    return store


@contextmanager
def explained(store: Store, connection: Connection) -> Iterator[dict[str, str]]:
    """The plan of each statement that runs meanwhile."""
    plans: dict[str, str] = {}

    def explain(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        if many or not statement.startswith(("SELECT", "UPDATE", "DELETE")):
            return
        raw = connection.connection.cursor()
        raw.execute(("EXPLAIN QUERY PLAN " if store.is_sqlite else "EXPLAIN ") + statement, parameters)
        plans[statement] = "\n".join(str(row[-1]) for row in raw.fetchall())

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def claims_and_finishes(connection: Connection) -> None:
    claims = claim(connection, "a", 50, 60.0, share=4)
    assert claims is not None and len(claims.held) == 50
    renew(connection, claims.held, 60.0)
    finish(connection, claims, [(held, Reading("x")) for held in claims.held])


def looks_for_work(connection: Connection) -> None:
    assert next_job(connection, explained=True) == next_job(connection, explained=False) == 10


def sweeps(connection: Connection) -> None:
    assert sweep(connection, 4) == 0
    assert settle(connection) == []


def counts_a_small_job(connection: Connection) -> None:
    assert counts(connection, 10).pending > 0
    assert pending(connection, 9) == 0


def submits_what_is_known(connection: Connection) -> None:
    known = _known(connection, "toy", [(f"doc-{n}", str(n)) for n in range(1, 51)])
    assert len(known) == 50
    assert len(_taken(connection, STUDENT, known.values())) == 50


@pytest.mark.parametrize("does", [claims_and_finishes, looks_for_work, sweeps, counts_a_small_job, submits_what_is_known])
def test_nothing_goes_through_all_that_waits(filled: Store, does: Callable[[Connection], None]) -> None:
    """Claiming, finishing, looking for work, sweeping, counting and submitting read no large table from end to end."""
    with filled.begin() as connection, explained(filled, connection) as plans:
        does(connection)
    assert plans
    for statement, plan in plans.items():
        whole = re.findall(rf"(?:Seq Scan on|^SCAN) ({'|'.join(LARGE)})\b(?! USING)", plan, re.MULTILINE)
        # what waits of a job is counted by its index: that one statement alone may be long
        assert not whole or "count" in statement, f"{statement}\n{plan}"


def test_the_oldest_are_found_in_order_of_an_index(filled: Store) -> None:
    """No claim sorts what waits: on both stores the rows come in the order of an index, but for the few whose claim lapsed."""
    with filled.begin() as connection, explained(filled, connection) as plans:
        claims_and_finishes(connection)
        looks_for_work(connection)
    for statement, plan in plans.items():
        if "n_lost >" not in statement and "FROM jobs" not in statement and "texts" not in statement:
            assert "Sort" not in plan and "TEMP B-TREE" not in plan, f"{statement}\n{plan}"
