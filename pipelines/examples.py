"""Real labelled data as examples: a pack's `[[data]]` sources read from the data root or a hub cache."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from suites.discover import Pack
from suites.errors import DataError
from suites.samples import Split, read_samples
from suites.types import DataSource, Document, Example, Finding, LabelMap, Task

Row = Mapping[str, object]
MAX_SHOWN = 60
# a field that is a key of each span
OF_SPANS = "spans."


def read_examples(pack: Pack, split: Split, *, data_root: Path | None = None, sources: Iterable[str] | None = None) -> list[Example]:
    """The examples of one split: the samples, then every `[[data]]` source: a `path` found under `data_root`, a `dataset` in the hub's cache.

    `sources` keeps the named ones (`samples` among them). Raises DataError for a named source
    that is not there, naming its place; without names, absent sources are passed over.
    """
    wanted = None if sources is None else set(sources)
    if wanted and (strange := wanted - {"samples"} - {d.name for d in pack.manifest.data}):
        raise DataError(f"Pack {pack.name!r} has no data source {sorted(strange)}. It has: samples, {', '.join(d.name for d in pack.manifest.data)}.")
    paths = [d.path for d in pack.manifest.data if d.path]
    if data_root is not None and paths and not any((data_root / path).is_dir() for path in paths):
        raise DataError(f"Data root {data_root}: holds none of this pack's sources ({', '.join(paths)}). Is --data-root or [data] root right?", "no_data")
    examples = read_samples(pack, split) if wanted is None or "samples" in wanted else []
    for source in pack.manifest.data:
        if wanted is None or source.name in wanted:
            examples += read_source(pack, source, split, data_root, required=wanted is not None)
    return examples


def read_source(pack: Pack, source: DataSource, split: Split, data_root: Path | None, *, required: bool = True) -> list[Example]:
    """The examples of one source and split. Raises DataError if it is required and absent."""
    folder = _folder(source, data_root)
    if required and (folder is None or not folder.is_dir()):
        place = f"{folder or source.path} not found. Set [data] root or --data-root" if source.path else f"dataset {source.dataset} is not in the hub's cache"
        raise DataError(f"Data source {source.name!r}: {place}.")
    rows = _file_rows(folder, split) if folder else None
    if rows is None:
        return []  # the source is absent, or has no such split
    if (key := source.group_by) is not None:
        groups: dict[str, list[tuple[str, Row]]] = {}
        for place, row in rows:
            groups.setdefault(str(row.get(key)), []).append((place, row))
        return [_grouped(source, name, group) for name, group in groups.items()]
    return [_single(pack, source, place, row) for place, row in rows]


def absent(pack: Pack, data_root: Path | None) -> set[str]:
    """The names of the pack's `[[data]]` sources that are not there."""
    folders = {source.name: _folder(source, data_root) for source in pack.manifest.data}
    return {name for name, folder in folders.items() if folder is None or not folder.is_dir()}


def _file_rows(folder: Path, split: Split) -> Iterator[tuple[str, Row]] | None:
    for name in (f"{split}.jsonl.gz", f"{split}.jsonl"):
        if (folder / name).exists():
            return _json_rows(folder / name)
    return None


def _json_rows(path: Path) -> Iterator[tuple[str, Row]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if not isinstance(row["text"], str) or not row["text"].strip():
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{path}:{number}: expected a JSON object with a non-empty string 'text'.") from None
            yield f"{path.name}:{number}", row


def _folder(source: DataSource, data_root: Path | None) -> Path | None:
    """Where a source's JSONL files lie: under the data root, or in the local cache of the Hugging Face hub."""
    if source.path is not None:
        return data_root / source.path if data_root is not None else None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(source.dataset), repo_type="dataset", local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _grouped(source: DataSource, name: str, group: list[tuple[str, Row]]) -> Example:
    """One document from rows that are its sentences, joined by one space."""
    order = source.order_by
    ordered = sorted(group, key=lambda r: _number(source, r[1].get(order), order, r[0])) if order is not None else group
    text, gold = "", []
    for place, row in ordered:
        text += " " if text else ""
        start = len(text)
        text += str(row["text"])
        for label_map in source.maps:
            gold += [Finding(label_map.task, label, 1.0, start, len(text)) for label in _labels(source, label_map, row, place)]
    document = Document(f"{source.name}/{name}", text)
    return Example(document, tuple(gold), frozenset(m.task for m in source.maps), source.name)


def _single(pack: Pack, source: DataSource, place: str, row: Row) -> Example:
    document = Document(f"{source.name}/{row.get('id', place)}", str(row["text"]))
    gold: list[Finding] = []
    answered: set[str] = set()
    for label_map in source.maps:
        task = pack.tasks[label_map.task]
        if task.name in answered and task.kind == "choice":
            continue
        found = _gold(source, label_map, task, row, place)
        if found or task.kind != "choice":
            answered.add(task.name)
        gold += found
    return Example(document, _without_overlap(gold, pack), frozenset(answered), source.name)


def _gold(source: DataSource, label_map: LabelMap, task: Task, row: Row, place: str) -> list[Finding]:
    """The gold findings that one map reads from one row."""
    spans = row.get("spans")
    if task.kind == "spans":
        found = []
        for span in spans if isinstance(spans, list) else []:
            if not isinstance(span, dict):
                raise DataError(f"{source.name} {place}: expected a span to be an object with start, end and label.")
            label = _mapped(source, label_map, str(span.get("label")), place)
            if label is not None:
                found.append(Finding(task.name, label, 1.0, *_range(source, span, row, place)))
        return found
    if task.scope == "span" and label_map.field.startswith(OF_SPANS):
        key = label_map.field.removeprefix(OF_SPANS)
        asked = [span for span in spans if isinstance(span, dict) and key in span] if isinstance(spans, list) else []
        answers = [(span, _mapped(source, label_map, str(span[key]), place)) for span in asked]
        return [Finding(task.name, label, 1.0, *_range(source, span, row, place)) for span, label in answers if label is not None]
    labels = _labels(source, label_map, row, place)
    if task.scope == "span":
        target = spans[0] if isinstance(spans, list) and spans else None
        if not isinstance(target, dict):
            raise DataError(f"{source.name} {place}: task {task.name!r} is asked of a span; the row has none.")
        return [Finding(task.name, label, 1.0, *_range(source, target, row, place)) for label in labels]
    return [Finding(task.name, label, 1.0, 0, len(str(row["text"]))) for label in labels]


def _range(source: DataSource, span: Mapping[str, object], row: Row, place: str) -> tuple[int, int]:
    """A span's range of the row's text."""
    start, end = (int(_number(source, span.get(side), f"spans.{side}", place)) for side in ("start", "end"))
    n_chars = len(str(row["text"]))
    if not 0 <= start < end <= n_chars:
        raise DataError(f"{source.name} {place}: span {start}..{end} lies outside the text of {n_chars} characters.")
    return start, end


def _number(source: DataSource, value: object, field: str, place: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{source.name} {place}: field {field!r} is not a number.")
    return number


def _labels(source: DataSource, label_map: LabelMap, row: Row, place: str) -> list[str]:
    value = row.get(label_map.field)
    values = value if isinstance(value, list) else [value]
    mapped = [_mapped(source, label_map, str(v), place) for v in values]
    return [label for label in mapped if label is not None]


def _mapped(source: DataSource, label_map: LabelMap, value: str, place: str) -> str | None:
    if value in label_map.labels:
        return label_map.labels[value]
    if value in label_map.ignore or "*" in label_map.ignore:
        return None
    # what is longer than labels are may be the text
    shown = repr(value) if len(value) <= MAX_SHOWN else f"of {len(value)} characters"
    field = f"label {shown} of field {label_map.field!r}"
    raise DataError(f"{source.name} {place}: {field} is not mapped onto task {label_map.task!r}. Add it to labels or ignore.")


def _without_overlap(gold: list[Finding], pack: Pack) -> tuple[Finding, ...]:
    """The findings, of overlapping spans of one task only the longest: BIO tags hold no overlap."""
    kept: list[Finding] = []
    for finding in sorted(set(gold), key=lambda f: (f.start - f.end, f.start, f.label)):
        spans = pack.tasks[finding.task].kind == "spans"
        if not spans or not any(k.task == finding.task and k.start < finding.end and finding.start < k.end for k in kept):
            kept.append(finding)
    ranges = {t.name: {(k.start, k.end) for k in kept if t.asks(k)} for t in pack.manifest.task if t.scope == "span"}
    asked = [f for f in kept if pack.tasks[f.task].scope != "span" or (f.start, f.end) in ranges[f.task] or _is_alone(pack, f, gold)]
    return tuple(sorted(asked, key=lambda f: (f.task, f.start, f.end, f.label)))


def _is_alone(pack: Pack, finding: Finding, gold: Sequence[Finding]) -> bool:
    """Whether the source does not annotate the spans that a finding's task is asked of: then its ranges are gold's."""
    return not any(pack.tasks[finding.task].asks(f) for f in gold)
