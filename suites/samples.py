"""A pack's shipped samples as examples, and the split of a document by the hash of its id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from suites.discover import Pack
from suites.errors import PackError
from suites.types import Document, Example, Finding

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def split_of(document_id: str) -> Split:
    """The split of a document: 70 % train, 15 % dev, 15 % test, by SHA-256 of its id, so it never moves."""
    share = int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:4], "big") / 2**32
    return "train" if share < 0.70 else "dev" if share < 0.85 else "test"


def read_samples(pack: Pack, split: Split | None = None) -> list[Example]:
    """The pack's samples, all or of one split. Raises PackError naming the line."""
    path = pack.folder / "samples.jsonl"
    examples = list(_examples(path, pack))
    return [e for e in examples if split is None or split_of(e.document.id) == split]


def _examples(path: Path, pack: Pack) -> Iterator[Example]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise PackError(f"{path}: not found. A pack ships gold-labelled samples.") from None
    except UnicodeDecodeError as error:
        raise PackError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield read_sample(line, f"{path}:{number}", pack)


def read_sample(line: str, place: str, pack: Pack) -> Example:
    """The example on one line of samples.jsonl. Raises PackError naming the place."""
    try:
        row = json.loads(line)
        document = Document(row["id"], row["text"], row.get("meta", {}))
        gold = tuple(_finding(f) for f in row["findings"])
        tasks = frozenset(row.get("tasks", (t.name for t in pack.annotated_tasks)))
        _check_kinds(document, gold)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PackError(f"{place}: wants {{id, text, findings: [{{task, label, start, end}}]}}: {type(error).__name__}.") from None
    for finding in gold:
        task = pack.tasks.get(finding.task)
        if task is None or finding.label not in task.labels:
            raise PackError(f"{place}: {finding.task!r}/{finding.label!r} is no task and label of pack {pack.name!r}.")
        others = [(finding.other_start, finding.other_end)] if task.kind == "pairs" else []
        for start, end in [(finding.start, finding.end), *others]:
            if not 0 <= start < end <= len(document.text):
                raise PackError(f"{place}: range {start}..{end} lies outside the text of {len(document.text)} characters.")
    return Example(document, gold, tasks)


def _check_kinds(document: Document, gold: Iterable[Finding]) -> None:
    """Raises ValueError where a part is of another kind than it must be."""
    places = [place for f in gold for place in (f.start, f.end, f.other_start, f.other_end)]
    names = [name for f in gold for name in (f.task, f.label)]
    if not all(isinstance(word, str) for word in (document.id, document.text, *names)) or not all(type(place) is int for place in places):
        raise ValueError
    document.id.encode()


def _finding(row: Mapping[str, Any]) -> Finding:
    """A gold finding; where the sample says its normalised form, or the second range of a pair, with these."""
    further = {name: row[name] for name in ("value", "number", "unit", "other_start", "other_end") if name in row}
    return Finding(row["task"], row["label"], 1.0, row["start"], row["end"], **further)
