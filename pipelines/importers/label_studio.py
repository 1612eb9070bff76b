"""Label Studio's JSON export: choices of the text, labels of ranges, choices of one range; each by the name of its control.

Of several annotations of a task the one marked as ground truth counts, else the first that is not cancelled. Offsets are
counted by the browser in units of UTF-16: where an export's offsets fit its words so and not as code points, they are converted.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.importers.labelled import Columns, Fault, Item, Labelled, Note, Span, bad_span, bad_text, listed, shown
from pipelines.importers.lines import whole_file
from pipelines.importers.rows import labelled_row
from suites.errors import DataError

MAX_BYTES = 512_000_000  # json takes about five times as much memory
_EXPORT = "Export from Label Studio as JSON (not JSON-MIN)."


def read_json(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The tasks of an export; or, where its objects have no annotations, rows as JSON lines have them."""
    try:
        content = json.loads(whole_file(path, label, MAX_BYTES).decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise DataError(f"{label}: is not valid JSON in UTF-8. {_EXPORT}", "bad_json") from None
    if not isinstance(content, list):
        raise DataError(f"{label}: is {type(content).__name__}, expected a list of objects. {_EXPORT}", "bad_json")
    controls = _controls(content)
    for number, entry in enumerate(content, start=1):
        place = f"{label}:{number}"
        if isinstance(entry, dict) and ("annotations" in entry or "completions" in entry):
            yield from _task(entry, place, columns, controls)
        else:
            yield labelled_row(entry, place, columns)


def _task(entry: Mapping[str, object], place: str, columns: Columns, controls: Sequence[str]) -> Iterator[Item]:
    annotation = _chosen(entry.get("annotations") or entry.get("completions"))
    if annotation is None:
        yield Fault(place, "The task has no annotation that is not cancelled.", "Annotate it, or leave it out of the export.")
        return
    text = _text(entry, place, columns)
    if isinstance(text, Fault):
        yield text
        return
    if refusal := bad_text(place, text):
        yield refusal
        return
    read = yield from _results(text, annotation.get("result"), place)
    if read is not None:
        id_ = entry.get("id")
        fields, found = read
        spans = {name: found.get(name, ()) for name in controls}
        yield Labelled(place, text, str(id_) if isinstance(id_, int | str) and not isinstance(id_, bool) else None, fields, spans)


def _controls(entries: Sequence[object]) -> list[str]:
    """The names of the controls that label ranges anywhere in the export: an annotated task without any such range has none."""
    names: dict[str, None] = {}
    for entry in entries:
        annotation = _chosen(entry.get("annotations") or entry.get("completions")) if isinstance(entry, dict) else None
        results = annotation.get("result") if annotation else None
        for result in results if isinstance(results, list) else []:
            if isinstance(result, dict) and result.get("type") == "labels":
                names[str(result.get("from_name"))] = None
    return list(names)


def _chosen(annotations: object) -> Mapping[str, object] | None:
    """The annotation that counts: ground truth, else the first that is not cancelled."""
    kept = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")] if isinstance(annotations, list) else []
    return next((a for a in kept if a.get("ground_truth")), kept[0] if kept else None)


def _text(entry: Mapping[str, object], place: str, columns: Columns) -> str | Fault:
    """The text of a task: the named key of its data, `text`, or the only string there."""
    data = entry.get("data")
    strings = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    key = columns.text or ("text" if "text" in strings or len(strings) != 1 else next(iter(strings)))
    if key not in strings:
        return Fault(place, f"The task's data has no text {key!r}. Its texts: {listed(list(strings)) or 'none'}.", "Name the key that holds it: --text-column.")
    return strings[key]


Read = tuple[dict[str, tuple[str, ...]], dict[str, tuple[Span, ...]]]


def _results(text: str, results: object, place: str) -> Generator[Note | Fault, None, Read | None]:
    """The fields and groups of one annotation; None where one result is faulty: its fault has been yielded then."""
    fields: dict[str, tuple[str, ...]] = {}
    groups: dict[str, dict[str, Span]] = {}
    said: dict[str, dict[str, str]] = {}
    for number, result in enumerate(results if isinstance(results, list) else [], start=1):
        where = f"{place}: result {number}"
        value = result.get("value") if isinstance(result, dict) else None
        kind, name = (str(result.get("type")), str(result.get("from_name"))) if isinstance(result, dict) else ("", "")
        if kind == "choices" and isinstance(value, dict) and (choices := _strings(value.get("choices"))) is not None:
            if "start" in value:
                said.setdefault(str(result.get("id")), {})[name] = choices[0] if choices else ""
            else:
                fields[name] = (*fields.get(name, ()), *choices)
        elif kind == "labels" and isinstance(value, dict) and (labels := _strings(value.get("labels"))):
            span = yield from _span(text, value, labels, where)
            if span is None:
                return None
            groups.setdefault(name, {})[str(result.get("id", number))] = span
        else:
            yield Note(f"results of type {shown(kind)} are left out")
    return fields, {name: tuple(Span(s.label, s.start, s.end, said.get(key, {})) for key, s in group.items()) for name, group in groups.items()}


def _span(text: str, value: Mapping[str, object], labels: Sequence[str], place: str) -> Generator[Note | Fault, None, Span | None]:
    start, end, covered = value.get("start"), value.get("end"), value.get("text")
    refusal = bad_span(place, text, start, end, covered)
    if refusal and isinstance(covered, str) and (turned := _from_utf16(text, start, end)) and text[slice(*turned)] == covered:
        yield Note("offsets in units of UTF-16 were turned into code points")
        start, end = turned
    elif refusal:
        yield refusal
        return None
    if len(labels) > 1:
        yield Note("of several labels of one range the first was taken")
    assert isinstance(start, int)
    assert isinstance(end, int)
    return Span(labels[0], start, end)


def _from_utf16(text: str, start: object, end: object) -> tuple[int, int] | None:
    """A range in units of UTF-16 as one in code points; None where it cuts a character or lies outside."""
    units = text.encode("utf-16-le")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(units) // 2:
        return None
    try:
        return len(units[: start * 2].decode("utf-16-le")), len(units[: end * 2].decode("utf-16-le"))
    except UnicodeDecodeError:
        return None


def _strings(value: object) -> tuple[str, ...] | None:
    return tuple(v.strip() for v in value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else None
