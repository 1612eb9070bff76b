"""What a reader yields: an incoming document or a reject. Neither a reason nor a remedy holds text."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workers.ingest.options import ReadOptions

ID_CHARS = 200  # less than the 255 of the store's `documents.key`, so that a later version may put something beside the id
NAME_CHARS, NAMES_SHOWN = 40, 10
TOO_LONG = "Split the document, give --truncate, or raise max_chars in the pack's [text]."
META_DEPTH = 64  # far above any real row, far below what SQLite (1,000) and Python's json (about 990) can read back

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNFIT_IN_ID = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME = re.compile(r"[^\W\d][\w.:/()\[\]#%+-]{0,99}(?: [\w.:/()\[\]#%+-]{1,99}){0,2}")
_KINDS = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array", dict: "an object"}


@dataclass(frozen=True, slots=True)
class Incoming:
    """One document that was read. `place` is `label:row` or the label; `key` its id, else the place."""

    place: str
    key: str
    text: str
    meta: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reject:
    """One row or file that was not read: where, a stable code, what is wrong, what to do."""

    place: str
    code: str
    reason: str
    remedy: str


Row = Incoming | Reject


def checked(place: str, key: object, text: object, meta: Mapping[str, object], options: ReadOptions) -> Row:
    """The document, its NUL characters replaced by U+FFFD and too long a text cut where that was asked for, or the first reason to reject it.

    `key` is the row's id as it was read: None or blank means that the place is the key.
    """
    id_ = place if key is None else str(key).strip() or place
    if refusal := _bad_id(place, key, id_) or _bad_text(place, text, options):
        return refusal
    try:
        kept = _plain_object({name: value for name, value in meta.items() if name != "text"}, 0)
    except ValueError as error:
        return Reject(place, "bad_meta", f"The metadata {error}.", "Give plain values: strings, numbers, booleans, shallow lists and objects.")
    assert isinstance(text, str)  # _bad_text has refused all else
    if len(text) > options.max_chars:
        text, kept = text[: options.max_chars], {**kept, "truncated": True}
    n_nul = text.count("\0")
    return Incoming(place, id_, _without_nul(text), {**kept, "nul_replaced": n_nul} if n_nul else kept)


def checked_key(row: Incoming) -> Row:
    """The document, or a reject where its key is none that can be stored."""
    return _bad_id(row.place, row.key, row.key) or row


def meta_of(row: Mapping[str, object]) -> Mapping[str, object]:
    """The row's `meta` where it is an object, else its scalar columns but `id` and `text`; absent values are left out."""
    meta = row.get("meta")
    if isinstance(meta, dict):
        return meta
    scalars = {name: _scalar(value) for name, value in row.items() if name not in ("id", "text")}
    return {name: value for name, value in scalars.items() if value is not None}


def table_row(cells: Iterable[str]) -> str:
    """A table's row as a line: `cell | cell`, empty cells kept but at its end, so that a column has its place."""
    return "".join(f" | {cell.replace('|', '/')}" if cell else " |" for cell in cells)[2:].strip().rstrip(" |")


def kind_of(value: object) -> str:
    """The name of a value's JSON type, with its article: `a number`."""
    return _KINDS.get(type(value), "another type")


def names(columns: Iterable[str], among: Iterable[str] = ()) -> str:
    """Column names for a reason: at most 10, each cut to 40 characters.

    Where one of them, or of the columns they are `among`, is no name (a file without a header has
    its first text there) none is shown.
    """
    known = list(columns)
    if not all(_NAME.fullmatch(name) for name in (*known, *among) if name):
        return f"{len(known)} that do not look like names and are not shown"
    more = f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
    return ", ".join(name[:NAME_CHARS] for name in known[:NAMES_SHOWN]) + more or "none"


def _bad_id(place: str, key: object, id_: str) -> Reject | None:
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        return Reject(place, "bad_id", f"The id is {kind_of(key)}, not a string or an integer.", "Give each row a string or an integer as id, or none.")
    if len(id_) > ID_CHARS:
        return Reject(place, "bad_id", f"The id has {len(id_)} characters > {ID_CHARS}.", "Give shorter ids; where a row has none, a shorter path.")
    if found := _UNFIT_IN_ID.search(id_):
        return Reject(place, "bad_id", f"The id has a control character or lone surrogate at character {found.start()}.", "Give ids of printable characters.")
    return None


def _bad_text(place: str, text: object, options: ReadOptions) -> Reject | None:
    if not isinstance(text, str):
        return Reject(place, "bad_text", f"The text is {kind_of(text)}, not a string.", "Give the text as a string.")
    if found := _SURROGATE.search(text):
        return Reject(place, "bad_surrogate", f"The text has a lone surrogate at character {found.start()}.", "Write the file again as valid UTF-8.")
    if not text[: options.max_chars if options.truncate else None].replace("\0", " ").strip():
        return Reject(place, "empty_text", f"The text has {len(text)} characters, none of them visible.", "Leave the row out, or give its text.")
    if len(text) > options.max_chars and not options.truncate:
        return Reject(place, "too_long", f"The text has {len(text)} characters > {options.max_chars}.", TOO_LONG)
    return None


def _plain_object(value: Mapping[str, object], depth: int) -> dict[str, object]:
    return {_plain_string(str(name)): _plain(item, depth + 1) for name, item in value.items()}


def _plain(value: object, depth: int) -> object:
    """The value as JSON can hold it. Raises ValueError saying why it cannot."""
    if depth > META_DEPTH:
        raise ValueError(f"is nested deeper than {META_DEPTH} levels")
    if isinstance(value, dict):
        return _plain_object(value, depth)
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return _plain_string(value) if isinstance(value, str) else _scalar(value)


def _plain_string(value: str) -> str:
    if _SURROGATE.search(value):
        raise ValueError("has a lone surrogate")
    return _without_nul(value)


def _scalar(value: object) -> str | int | float | bool | None:
    """A scalar as a plain value: dates in ISO form, decimals as strings, durations in seconds; None for all else."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # NaN is how data frames write "missing"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value if isinstance(value, str | int) else None


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")
