"""A view written to a file, streamed: Parquet, CSV or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import inf
from pathlib import Path

from sqlalchemy import Connection, func, select, table, text

from pipelines.progress import OnProgress
from suites.discover import Pack
from suites.errors import StoreError
from workers.dictionary import described_columns
from workers.export.draft import drafted
from workers.export.ordered import Row, in_order
from workers.export.stored import primaries
from workers.export.writers import Column, runs_as_formula, safe_cell, writing
from workers.query import reading

__all__ = ["export", "require_columns", "runs_as_formula", "safe_cell"]

CHUNK = 5000
# what rows are ordered by before all else; then by the other columns, from the left: two documents may have one id
ORDERS = {
    "results": ("document", "read_at", "student_id", "n_chars", "n_findings"),
    "findings": ("document", "task", "start", "end", "label", "other_start", "other_end"),
}


def export(url: str, pack: Pack, what: str, file: Path, on_progress: OnProgress, kind: str | None = None) -> int:
    """Writes all rows of the pack's view `results` or `findings`, in order; gives their number. The file appears whole or not at all.

    `kind` is .parquet, .csv or .jsonl: the file's suffix, where none is given. The memory that it takes does not grow with the rows.
    """
    view = f"{pack.name}_{what}"
    columns = [Column(c["name"], c["type"], c["description"]) for c in described_columns(pack, view)]
    with reading(url, limit_s=None) as connection:
        require_columns(connection, view, [column.name for column in columns])
        total = int(connection.execute(select(func.count()).select_from(table(view))).scalar_one())
        about = {"pack": pack.name, "pack_version": pack.manifest.version, "view": view, "students": json.dumps(primaries(connection, pack))}
        n = 0
        with drafted(file) as draft, writing(draft, kind or file.suffix.lower(), columns, about) as writer:
            rows = _ordered(connection, view, columns, ORDERS[what], draft.parent)
            while chunk := list(islice(rows, CHUNK)):
                writer.rows(chunk)
                n += len(chunk)
                on_progress("export", n, total)
    return n


def require_columns(connection: Connection, name: str, wanted: Sequence[str]) -> None:
    """Raises StoreError where a view or table of rows is not that of the pack as it is now: types and descriptions would be guesses."""
    there = list(connection.execute(text(f"SELECT * FROM {name} LIMIT 0")).keys())
    if there != list(wanted):
        raise StoreError(f"{name} was made from another version of the pack. As the store's owner run: python manage.py migrate", "store_views")


def _ordered(connection: Connection, view: str, columns: Sequence[Column], order: Sequence[str], folder: Path) -> Iterator[Row]:
    """The view's rows in order. PostgreSQL sorts on its disk; SQLite as it is built here (TEMP_STORE=3) would in memory, so there we do it."""
    by = sorted(range(len(columns)), key=lambda i: order.index(columns[i].name) if columns[i].name in order else len(order))
    sql = f"SELECT * FROM {view}"
    if connection.dialect.name == "sqlite":
        yield from in_order(_streamed(connection, sql), _key([(i, "" if columns[i].kind == "text" else -inf) for i in by]), str(folder))
        return
    # as Python compares, whatever the database's language
    clauses = ", ".join(f'"{columns[i].name}"' + (' COLLATE "C"' if columns[i].kind == "text" else "") + " NULLS FIRST" for i in by)
    yield from _streamed(connection, f"{sql} ORDER BY {clauses}")


def _key(by: Sequence[tuple[int, str | float]]) -> Callable[[Row], Row]:
    """What a row is compared by: cells by their places, each with what stands in place of NULL."""
    return lambda row: tuple([least if row[i] is None else row[i] for i, least in by])


def _streamed(connection: Connection, sql: str) -> Iterator[Row]:
    result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(text(sql))
    while rows := result.fetchmany(CHUNK):
        yield from map(tuple, rows)
