"""Parquet: a string column `text`, an optional `id`, scalars of the other columns as metadata. pyarrow is loaded on first use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from workers.ingest.files import AS_UTF8, Refused
from workers.ingest.options import ReadOptions
from workers.ingest.rows import Reject, Row, checked, meta_of, names

BATCH_ROWS = 16  # small: a dictionary can unfold one stored text into as many copies as a batch has rows
BATCH_BYTES = 64 << 20


def rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The rows of a Parquet file, decoded in small batches."""
    bound = max(BATCH_BYTES, BATCH_ROWS * _row_bytes(options.max_chars))
    number = 0
    try:
        table = _opened(file)
        columns = _columns(table.schema_arrow, label)
        for group in range(table.num_row_groups):
            if len(columns) == len(table.schema_arrow.names):
                _check_declared(table.metadata.row_group(group), label, options.max_chars)
            for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
                _check_decoded(batch.nbytes, number, label, bound)
                for at in range(batch.num_rows):
                    number += 1
                    yield _row(batch, at, f"{label}:{number}", options)
    except Refused:
        raise
    except Exception as error:  # pyarrow answers damaged bytes with many types, whose messages may quote them
        yield _bad_parquet(label, number, error)


def _row_bytes(max_chars: int) -> int:
    """The bytes of the longest row that can be accepted: 4 to a character, 64 KiB for the other columns."""
    return max_chars * 4 + 65_536


def _opened(file: BinaryIO) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(file, pre_buffer=False, memory_map=False, arrow_extensions_enabled=False)


def _columns(schema: Any, label: str) -> list[str]:
    """The columns to decode. Raises Refused where `text` or `id` is missing, doubled or of another type."""
    import pyarrow.types as types

    if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
        raise Refused(Reject(label, "bad_header", f"Columns that stand twice: {names(twice)}.", "Give each column a name of its own."))
    if "text" not in schema.names:
        remedy = "Rename the column that holds the text to 'text'."
        raise Refused(Reject(label, "no_text", f"The file has no column 'text'. Its columns: {names(schema.names)}.", remedy))
    allowed = [field for field in schema if not _is_extension(field)]
    plain = {field.name: field.type for field in allowed}
    if not _is_string(plain.get("text")):
        raise Refused(_bad_type(label, "text", "a string"))
    if "id" in schema.names and not ("id" in plain and (_is_string(plain["id"]) or types.is_integer(plain["id"]))):
        raise Refused(_bad_type(label, "id", "a string or an integer"))
    return [field.name for field in allowed if field.name in ("text", "id") or _is_meta(field)]


def _is_extension(field: Any) -> bool:
    """Whether a type of someone's own code is meant (CVE-2023-47248); unless registered it shows in the metadata alone."""
    import pyarrow

    return isinstance(field.type, pyarrow.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {})


def _is_string(type_: Any) -> bool:
    import pyarrow.types as types

    return type_ is not None and bool(types.is_string(type_) or types.is_large_string(type_))


def _is_meta(field: Any) -> bool:
    import pyarrow.types as types

    if field.name == "meta" and types.is_struct(field.type):
        return True
    type_ = field.type.value_type if types.is_dictionary(field.type) else field.type
    return _is_string(type_) or bool(types.is_primitive(type_) or types.is_decimal(type_))


def _check_declared(group: Any, label: str, max_chars: int) -> None:
    """Raises Refused where the footer itself says that the average row is over the bound: nothing is decoded.

    Of all columns together: `group.column` ends the process where a damaged footer's statistics do not fit (pyarrow 26.0.1).
    """
    n_bytes = group.total_byte_size
    if n_bytes > max(BATCH_BYTES, group.num_rows * _row_bytes(max_chars)):
        raise Refused(_too_large(label, f"A row group of {group.num_rows} rows declares {n_bytes} bytes"))


def _check_decoded(n_bytes: int, n_before: int, label: str, bound: int) -> None:
    if n_bytes > bound:
        raise Refused(_too_large(label, f"The rows from {n_before + 1} on have {n_bytes} bytes in a batch > {bound}"))


def _row(batch: Any, at: int, place: str, options: ReadOptions) -> Row:
    try:
        row = {name: _value(batch.column(n)[at]) for n, name in enumerate(batch.schema.names)}
    except UnicodeDecodeError as error:
        return Reject(place, "bad_encoding", f"Byte {error.start} of a string in this row is not UTF-8.", AS_UTF8)
    return checked(place, row.get("id"), row["text"], meta_of(row), options)


def _value(scalar: Any) -> object:
    import pyarrow

    try:
        value: object = scalar.as_py()
    except UnicodeDecodeError:
        raise
    except Exception:  # nanoseconds, years after 9999 and unknown time zones fit no Python type
        try:
            value = scalar.cast(pyarrow.string()).as_py()
        except pyarrow.ArrowException:
            value = None
    return value


def _bad_type(label: str, column: str, wanted: str) -> Reject:
    return Reject(label, "bad_column_type", f"The column '{column}' is not {wanted}.", f"Write '{column}' as {wanted}, not nested or encoded.")


def _too_large(label: str, what: str) -> Reject:
    return Reject(label, "batch_too_large", f"{what}; the file is not read further.", "Split its documents, or raise max_chars in the pack's [text].")


def _bad_parquet(label: str, n_read: int, error: Exception) -> Reject:
    reason = f"It cannot be read as Parquet after {n_read} rows ({type(error).__name__}): damaged, cut off or encrypted."
    return Reject(label, "bad_parquet", reason, "Write it again from its source, without encryption.")
