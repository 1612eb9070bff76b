"""A view written to a file, streamed: Parquet, CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, select, table, text

from pipelines.progress import OnProgress
from suites.discover import Pack
from suites.errors import UsageError
from workers.dictionary import column_types
from workers.query import reading

CHUNK = 5000
# a cell that begins so is run as a formula by spreadsheets (CWE-1236); full-width forms too
FORMULA = tuple("=+-@\t\r\n＝＋－＠")


# name -> text, integer or number
Columns = Mapping[str, str]


class Writer(Protocol):
    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None: ...
    def close(self) -> None: ...


def export(url: str, pack: Pack, what: str, file: Path, on_progress: OnProgress) -> int:
    """Writes all rows of the pack's view `results` or `findings`; gives their number. The file appears whole or not at all."""
    view = f"{pack.name}_{what}"
    types = column_types(pack, view)
    draft = file.with_name(f".{file.name}.draft")
    with reading(url, limit_s=None) as connection:
        total = int(connection.execute(select(func.count()).select_from(table(view))).scalar_one())
        result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(text(f"SELECT * FROM {view} ORDER BY document"))
        columns = {name: types[name] for name in result.keys()}  # noqa: SIM118 (a result, not a dict)
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
def _writer(draft: Path, suffix: str, columns: Columns) -> Iterator[Writer]:
    makers: dict[str, Callable[[Path, Columns], Writer]] = {".csv": _Csv, ".jsonl": _Jsonl, ".parquet": _Parquet}
    if suffix not in makers:
        raise UsageError(f"Cannot write {suffix or 'a file without suffix'}. Expected .parquet, .csv or .jsonl.")
    writer = makers[suffix](draft, columns)
    try:
        yield writer
    finally:
        writer.close()


class _Csv:
    def __init__(self, file: Path, columns: Columns) -> None:
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
    def __init__(self, file: Path, columns: Columns) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._columns = columns

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.writelines(json.dumps(dict(zip(self._columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, file: Path, columns: Columns) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
        self._schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(file, self._schema)

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        arrays = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(self._schema)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()
