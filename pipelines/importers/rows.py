"""Rows of JSON lines: `text`, an optional `id`, and any other key as a field or a group of spans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.importers.labelled import Columns, Fault, Item, Labelled, Span, bad_span, bad_text, listed, shown
from pipelines.importers.lines import text_lines

GIVEN = 0.5  # a number of a label, as spaCy's `cats` has them, says yes from here on
_OF_SPAN = frozenset({"start", "end", "label", "text", "id", "token_start", "token_end", "kb_id"})


def read_jsonl(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The rows of a file of JSON lines."""
    for number, line in text_lines(path, label, columns.encoding):
        place = f"{label}:{number}"
        if isinstance(line, Fault):
            yield line
        elif line.strip():
            yield _parsed(line, place, columns)


def _parsed(line: str, place: str, columns: Columns) -> Item:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:  # its message may quote the line
        return Fault(place, f"Not valid JSON at column {error.colno}.", "Write one JSON object a line.")
    except (ValueError, RecursionError):
        return Fault(place, "Not valid JSON.", "Write one JSON object a line.")
    return labelled_row(row, place, columns)


def labelled_row(row: object, place: str, columns: Columns) -> Item:
    """A row as a labelled document, or the first thing that is wrong with it."""
    if not isinstance(row, dict):
        return Fault(place, f"The row is {type(row).__name__}, expected an object.", 'Write {"text": "...", "label": "..."}.')
    text_key, id_key = columns.text or "text", columns.id or "id"
    if text_key not in row:
        return Fault(place, f"The row has no {text_key!r}. Its keys: {listed(list(row))}.", "Name the key that holds the text: --text-column.")
    if refusal := bad_text(place, row[text_key]):
        return refusal
    text = row[text_key]
    fields: dict[str, tuple[str, ...]] = {}
    spans: dict[str, tuple[Span, ...]] = {}
    for key, value in row.items():
        if key in (text_key, id_key):
            continue
        values = _values(value)
        if values is not None:
            fields[key] = values
        if isinstance(value, list) and (not value or _looks_like_spans(value)):
            found = _spans(place, text, key, value)
            if isinstance(found, Fault):
                return found
            spans[key] = found
    return Labelled(place, text, _id(row.get(id_key)), fields, spans)


def _id(value: object) -> str | None:
    """The id where it is one: a string or a whole number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _values(value: object) -> tuple[str, ...] | None:
    """What a field says of the whole text; None where it says nothing that could be a label."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str | int):
        return (str(value).strip(),) if str(value).strip() else ()
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(dict.fromkeys(v.strip() for v in value if v.strip()))
    if isinstance(value, dict) and value and all(isinstance(v, int | float) for v in value.values()):
        return tuple(name for name, number in value.items() if number >= GIVEN)
    return None


def _looks_like_spans(value: Sequence[object]) -> bool:
    """Whether a list is a group of spans: others, of boxes or of times, say nothing of the text."""
    return all(isinstance(v.get("start"), int) if isinstance(v, dict) else isinstance(v, list) and _is_triple(v) for v in value)


def _is_triple(entry: Sequence[object]) -> bool:
    return len(entry) == 3 and isinstance(entry[0], int) and isinstance(entry[2], str)


def _spans(place: str, text: str, key: str, value: Sequence[object]) -> tuple[Span, ...] | Fault:
    """The spans of one group: objects with start, end and label, or lists [start, end, label]."""
    found = []
    for number, entry in enumerate(value, start=1):
        raw: Mapping[str, object] = entry if isinstance(entry, dict) else dict(zip(("start", "end", "label"), _three(entry), strict=True))
        where = f"{place}: {key} {number}"
        name = raw.get("label")
        if not isinstance(name, str) or not name.strip():
            return Fault(where, f"The span's label is {shown(name)}, expected a name.", 'Write {"start": 0, "end": 5, "label": "NAME"}.')
        start, end = raw.get("start"), raw.get("end")
        if refusal := bad_span(where, text, start, end, raw.get("text")):
            return refusal
        assert isinstance(start, int)
        assert isinstance(end, int)
        answers = {k: v[0] for k, v in ((k, _values(v)) for k, v in raw.items() if k not in _OF_SPAN) if v is not None and len(v) == 1}
        found.append(Span(name.strip(), start, end, answers))
    return tuple(found)


def _three(entry: object) -> tuple[object, object, object]:
    assert isinstance(entry, list)
    return entry[0], entry[1], entry[2]
