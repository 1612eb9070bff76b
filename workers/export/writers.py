"""Files that take rows as they come: Parquet, CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from suites.errors import UsageError

# a cell that begins so is run as a formula by spreadsheets (CWE-1236); full-width forms too
FORMULA = tuple("=+-@\t\r\n＝＋－＠")

# name -> text, integer, number, date or datetime
Columns = Mapping[str, str]


class Writer(Protocol):
    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None: ...
    def close(self) -> None: ...


@contextmanager
def writing(file: Path, kind: str, columns: Columns) -> Iterator[Writer]:
    """A writer of the kind, closed at the end. Raises UsageError where there is none of that kind."""
    if kind not in MAKERS:
        raise UsageError(f"Cannot write {kind or 'a file without suffix'}. Expected .parquet, .csv or .jsonl; of a clinical pack .ndjson, or --format omop.")
    writer = MAKERS[kind](file, columns)
    try:
        yield writer
    finally:
        writer.close()


class Csv:
    """For people: cells that a spreadsheet would run are made harmless."""

    def __init__(self, file: Path, columns: Columns) -> None:
        self._file = file.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
        self._csv.writerow(columns)

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._csv.writerows([safe_cell(v) for v in row] for row in rows)

    def close(self) -> None:
        self._file.close()


class ExactCsv:
    """For databases: what is in a cell is what was given, and nothing is in an empty one."""

    def __init__(self, file: Path, columns: Columns) -> None:
        self._file = file.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow(columns)

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._csv.writerows(rows)

    def close(self) -> None:
        self._file.close()


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs: an apostrophe before what looks like a formula."""
    if isinstance(value, str) and value.lstrip(" \u200b\u200c\u200d\ufeff").startswith(FORMULA):
        return "'" + value
    return value


class Jsonl:
    def __init__(self, file: Path, columns: Columns) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._columns = columns

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.writelines(json.dumps(dict(zip(self._columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class Parquet:
    def __init__(self, file: Path, columns: Columns) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32(), "datetime": pa.timestamp("us")}
        self._schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(file, self._schema)

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        arrays = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(self._schema)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


MAKERS: dict[str, Callable[[Path, Columns], Writer]] = {".csv": Csv, ".jsonl": Jsonl, ".parquet": Parquet}
