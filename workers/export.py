"""A view written to a file, streamed: Parquet, CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, select, table, text

from pipelines.progress import OnProgress
from suites.errors import UsageError
from workers.query import reading

CHUNK = 5000
# a cell that begins so is run as a formula by spreadsheets (CWE-1236); full-width forms too
FORMULA = tuple("=+-@\t\r\n＝＋－＠")


class Writer(Protocol):
    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None: ...
    def close(self) -> None: ...


def export(url: str, view: str, file: Path, on_progress: OnProgress) -> int:
    """Writes all rows of a view; gives their number. The file appears whole or not at all."""
    draft = file.with_name(f".{file.name}.draft")
    with reading(url) as connection:
        total = int(connection.execute(select(func.count()).select_from(table(view))).scalar_one())
        result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(text(f"SELECT * FROM {view} ORDER BY document"))
        columns = list(result.keys())
        n = 0
        with _drafted(draft, file), _writer(draft, file.suffix.lower(), columns) as writer:
            while rows := result.fetchmany(CHUNK):
                writer.rows([tuple(row) for row in rows])
                n += len(rows)
                on_progress("export", n, total)
    return n


@contextmanager
def _drafted(draft: Path, file: Path) -> Iterator[None]:
    try:
        yield
        os.replace(draft, file)
    except FileNotFoundError:
        raise UsageError(f"{file.parent} does not exist. Make the folder first.") from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _writer(draft: Path, suffix: str, columns: Sequence[str]) -> Iterator[Writer]:
    makers: dict[str, Callable[[Path, Sequence[str]], Writer]] = {".csv": _Csv, ".jsonl": _Jsonl, ".parquet": _Parquet}
    if suffix not in makers:
        raise UsageError(f"Cannot write {suffix or 'a file without suffix'}. Expected .parquet, .csv or .jsonl.")
    writer = makers[suffix](draft, columns)
    try:
        yield writer
    finally:
        writer.close()


class _Csv:
    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        self._file = file.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
        self._csv.writerow(columns)

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._csv.writerows([safe_cell(v) for v in row] for row in rows)

    def close(self) -> None:
        self._file.close()


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs: an apostrophe before what looks like a formula."""
    if isinstance(value, str) and value.lstrip(" \u200b\u200c\u200d\ufeff").startswith(FORMULA):
        return "'" + value
    return value


class _Jsonl:
    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._columns = columns

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.writelines(json.dumps(dict(zip(self._columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Types are taken from the first rows; a column that is empty there is text."""

    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        self._file, self._columns = file, columns
        self._writer: Any = None

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        values = {name: [row[i] for row in rows] for i, name in enumerate(self._columns)}
        if self._writer is None:
            schema = pa.schema([(name, _arrow_type(v)) for name, v in values.items()])
            self._writer = pq.ParquetWriter(self._file, schema)
        self._writer.write_table(pa.table(values, schema=self._writer.schema))

    def close(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:  # no rows: an empty file with the columns
            pq.write_table(pa.table({name: pa.array([], pa.string()) for name in self._columns}), self._file)
        else:
            self._writer.close()


def _arrow_type(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None}
    if kinds and kinds <= {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()
