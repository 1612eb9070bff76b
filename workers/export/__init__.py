"""A view written to a file, streamed: Parquet, CSV or JSON lines."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select, table, text

from pipelines.progress import OnProgress
from suites.discover import Pack
from workers.dictionary import column_types
from workers.export.draft import drafted
from workers.export.writers import FORMULA, safe_cell, writing
from workers.query import reading

__all__ = ["FORMULA", "export", "safe_cell"]

CHUNK = 5000


def export(url: str, pack: Pack, what: str, file: Path, on_progress: OnProgress, kind: str | None = None) -> int:
    """Writes all rows of the pack's view `results` or `findings`; gives their number. The file appears whole or not at all.

    `kind` is .parquet, .csv or .jsonl: the file's suffix, where none is given.
    """
    view = f"{pack.name}_{what}"
    types = column_types(pack, view)
    with reading(url, limit_s=None) as connection:
        total = int(connection.execute(select(func.count()).select_from(table(view))).scalar_one())
        result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(text(f"SELECT * FROM {view} ORDER BY document"))
        columns = {name: types[name] for name in result.keys()}  # noqa: SIM118 (a result, not a dict)
        n = 0
        with drafted(file) as draft, writing(draft, kind or file.suffix.lower(), columns) as writer:
            while rows := result.fetchmany(CHUNK):
                writer.rows([tuple(row) for row in rows])
                n += len(rows)
                on_progress("export", n, total)
    return n
