"""JSON lines: one object per line with `text`, and optional `id` and `meta`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import BinaryIO, NoReturn

from workers.ingest.encoding import undecodable
from workers.ingest.files import Line, line_bytes, line_too_long, lines
from workers.ingest.options import ReadOptions
from workers.ingest.rows import Reject, Row, checked, kind_of, meta_of, names

_REMEDY = "Write one JSON object per line, as RFC 8259 has it."


class _NotStrict(Exception):
    """JSON that Python would take and the store would not: the message says what."""


def rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The rows of a file of JSON lines."""
    bound = line_bytes(options.max_chars)
    for line in lines(file, label, bound):
        place = f"{label}:{line.number}"
        if line.is_cut:
            yield line_too_long(place, line.n_bytes, bound)
        elif line.data.strip():
            yield _row(line, place, options)


def _row(line: Line, place: str, options: ReadOptions) -> Row:
    row = parsed(line, place, options)
    return row if isinstance(row, Reject) else document(row, place, options)


def document(row: dict[str, object], place: str, options: ReadOptions) -> Row:
    """The document of a row."""
    if "text" not in row:
        return Reject(place, "no_text", f"The row has no 'text'. Its keys: {names(row)}.", "Rename the key that holds the text to 'text'.")
    return checked(place, row.get("id"), row["text"], meta_of(row), options)


def parsed(line: Line, place: str, options: ReadOptions) -> dict[str, object] | Reject:
    """The object that a line holds."""
    try:
        row = _decoder().decode(line.data.rstrip(b"\r\n").decode("utf-8"))
    except UnicodeDecodeError as error:
        return undecodable(place, error, f"line {line.number}", options)
    except json.JSONDecodeError as error:  # its message may quote the line
        return Reject(place, "bad_json", f"Not valid JSON at line {line.number}, column {error.colno}.", _REMEDY)
    except _NotStrict as error:
        return Reject(place, "bad_json", f"Line {line.number} {error}.", _REMEDY)
    except RecursionError:
        return Reject(place, "bad_json", f"Line {line.number} is nested too deep.", _REMEDY)
    except ValueError:  # int() refuses more than 4,300 digits
        return Reject(place, "bad_json", f"Line {line.number} has an integer of too many digits.", "Write such numbers as strings.")
    if not isinstance(row, dict):
        return Reject(place, "bad_row", f"The line holds {kind_of(row)}, not an object.", "Write one object with 'text' per line.")
    return row


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _NotStrict(f"has a key twice: {names([twice])}")
    return row


def _constant(name: str) -> NoReturn:
    raise _NotStrict(f"has {name}, which is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotStrict("has a number that is too large")
    return number
