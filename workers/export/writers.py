"""Files that take rows as they come: Parquet, CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from unicodedata import category, normalize

from suites.errors import UsageError

# a cell that begins so is run as a formula by spreadsheets (CWE-1236), and so is one that begins as they write it: full width, small
FORMULA = frozenset("=+-@")
BREAKS = frozenset("\t\r\n")
# rows of a Parquet file that lie together, and what they may take of memory before they are written: columns compress in large groups
GROUP = 100_000
GROUP_BYTES = 32_000_000


class Column(NamedTuple):
    """A column: `kind` is text, integer, number, date or datetime; `description` what it holds."""

    name: str
    kind: str
    description: str = ""


class Writer(Protocol):
    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None: ...
    def close(self) -> None: ...


@contextmanager
def writing(file: Path, kind: str, columns: Sequence[Column], about: Mapping[str, str]) -> Iterator[Writer]:
    """A writer of the kind, closed at the end. `about`: what a Parquet file says of itself. Raises UsageError where there is none of that kind."""
    if kind not in MAKERS:
        others = "of --format label-studio .json; of a clinical pack .ndjson, or --format omop"
        raise UsageError(f"Cannot write {kind or 'a file without suffix'}. Expected .parquet, .csv or .jsonl; {others}.")
    writer = Parquet(file, columns, about) if kind == ".parquet" else MAKERS[kind](file, columns)
    try:
        yield writer
    finally:
        writer.close()


class Csv:
    """For people: cells that a spreadsheet would run are made harmless."""

    def __init__(self, file: Path, columns: Sequence[Column]) -> None:
        self._file = file.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
        self._csv.writerow([column.name for column in columns])

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._csv.writerows([safe_cell(v) for v in row] for row in rows)

    def close(self) -> None:
        self._file.close()


class ExactCsv:
    """For databases: what is in a cell is what was given, and nothing is in an empty one."""

    def __init__(self, file: Path, columns: Sequence[Column]) -> None:
        self._file = file.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow([column.name for column in columns])

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._csv.writerows(rows)

    def close(self) -> None:
        self._file.close()


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs: an apostrophe before what looks like a formula. Numbers stay numbers, negative ones too."""
    return "'" + value if isinstance(value, str) and runs_as_formula(value) else value


def runs_as_formula(value: str) -> bool:
    """Whether a cell begins as a formula does, or with a tab or an end of line, after whatever is not seen: spaces, controls, marks of direction."""
    for character in value:
        if character.isalnum():
            return False
        if character in BREAKS:
            return True
        if not (character.isspace() or category(character) in ("Cc", "Cf")):
            return normalize("NFKC", character)[0] in FORMULA
    return False


class Jsonl:
    def __init__(self, file: Path, columns: Sequence[Column]) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._names = [column.name for column in columns]

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.writelines(json.dumps(dict(zip(self._names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class Parquet:
    """For programs: types, descriptions of the columns, and what the file is. Rows are gathered, as Arrow holds them, to groups of a sensible size."""

    def __init__(self, file: Path, columns: Sequence[Column], about: Mapping[str, str] = {}) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32(), "datetime": pa.timestamp("us")}
        fields = [pa.field(c.name, kinds[c.kind], metadata={"description": c.description} if c.description else None) for c in columns]
        self._schema = pa.schema(fields, {f"stillhouse.{name}": value for name, value in about.items()} or None)
        # texts repeat: labels, tasks, a document's id on each of its rows; where they do not, the writer falls back to plain
        repeated = [c.name for c in columns if c.kind == "text"]
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd", use_dictionary=repeated)
        self._held: list[Any] = []
        self._n_held = self._n_bytes = 0

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        arrays = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(self._schema)]
        self._held.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._n_held += len(rows)
        self._n_bytes += self._held[-1].nbytes
        if self._n_held >= GROUP or self._n_bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_batches(self._held, self._schema), row_group_size=self._n_held or None)
        self._held, self._n_held, self._n_bytes = [], 0, 0

    def close(self) -> None:
        if self._held:
            self._flush()
        self._writer.close()


MAKERS: dict[str, Callable[[Path, Sequence[Column]], Writer]] = {".csv": Csv, ".jsonl": Jsonl, ".parquet": Parquet}
