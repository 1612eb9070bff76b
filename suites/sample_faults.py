"""Everything that is wrong with the lines of a samples.jsonl: each problem with its line, its key, its value and a remedy."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from suites.discover import UNSTORABLE, Pack
from suites.errors import PackError
from suites.nearest import guess, shown
from suites.samples import read_sample
from suites.types import Example, Task

KEYS = ("id", "text", "findings", "tasks", "meta")
FINDING_KEYS = ("task", "label", "start", "end", "value", "number", "unit", "other_start", "other_end")
FORM_KINDS: dict[str, tuple[type, ...]] = {"number": (int, float), "unit": (str,), "value": (str,)}
ID_CHARS = 200  # as documents' ids have them (workers/ingest/rows.py)


def read_numbered(pack: Pack) -> tuple[list[tuple[int, Example]], list[str]]:
    """The samples that can be read, each with its line, and the problems of the others."""
    path = pack.folder / "samples.jsonl"
    examples: list[tuple[int, Example]] = []
    problems: list[str] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        found = [f"{path}:{number}: {fault}" for fault in _faults(line, pack)]
        if not found:
            try:
                examples.append((number, read_sample(line, f"{path}:{number}", pack)))
            except PackError as error:
                found = [error.message]
        problems += found
    return examples, problems


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PackError(f"{path}: not found. A pack ships gold-labelled samples: one JSON object a line, as docs/packs.md has them.") from None
    except UnicodeDecodeError as error:
        raise PackError(f"{path}: is not UTF-8 at byte {error.start}. Save it as UTF-8.") from None


def _faults(line: str, pack: Pack) -> Iterator[str]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:  # its message may quote the line
        yield f"not valid JSON at column {error.colno}. Write one object a line: {{id, text, findings: [{{task, label, start, end}}]}}."
        return
    except (ValueError, RecursionError):
        yield "not valid JSON. Write one object a line: {id, text, findings: [{task, label, start, end}]}."
        return
    if not isinstance(row, dict):
        yield f"is {type(row).__name__}, expected an object: {{id, text, findings: [{{task, label, start, end}}]}}."
        return
    yield from _misspelt(row, KEYS)
    yield from _bad_id(row.get("id"))
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        yield f"text: is {_kind(text)}, expected a string with words in it."
    elif found := UNSTORABLE.search(text):
        yield f"text: holds U+{ord(found[0]):04X} at character {found.start()}, which no store takes. Take it out."
    else:
        yield from _bad_findings(row.get("findings"), len(text), pack)
    yield from _bad_tasks(row.get("tasks", []), pack)


def _bad_id(value: object) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip():
        yield f"id: is {_kind(value)}, expected a string. Give each document an id of its own, in quotes."
    elif len(value) > ID_CHARS:
        yield f"id: has {len(value)} characters, expected {ID_CHARS} at most. Shorten it."
    elif found := UNSTORABLE.search(value):
        yield f"id: holds U+{ord(found[0]):04X} at character {found.start()}, which no store takes. Write it anew."


def _bad_findings(findings: object, n_chars: int, pack: Pack) -> Iterator[str]:
    if not isinstance(findings, list):
        yield f"findings: is {_kind(findings)}, expected a list of {{task, label, start, end}}. Write [] where nothing is found."
        return
    for number, finding in enumerate(findings):
        for fault in _bad_finding(finding, n_chars, pack):
            yield f"findings.{number}: {fault}"


def _bad_finding(finding: object, n_chars: int, pack: Pack) -> Iterator[str]:
    if not isinstance(finding, dict):
        yield f"is {_kind(finding)}, expected {{task, label, start, end}}."
        return
    yield from _misspelt(finding, FINDING_KEYS)
    for key, kinds in FORM_KINDS.items():
        if not isinstance(finding.get(key), (*kinds, type(None))) or isinstance(finding.get(key), bool):
            yield f"{key}: is {_kind(finding[key])}, expected {'a number' if key == 'number' else 'a text'}."
    if missing := [key for key in FINDING_KEYS[:4] if key not in finding]:
        yield f"lacks {', '.join(missing)}. Write {{task, label, start, end}}."
        return
    task = pack.tasks.get(finding["task"]) if isinstance(finding["task"], str) else None
    if task is None:
        yield f"task: {shown(finding['task'])} is no task of pack {pack.name!r}.{guess(finding['task'], pack.tasks)}"
    elif finding["label"] not in task.labels:
        yield f"label: {shown(finding['label'])} is no label of task {task.name!r}.{guess(finding['label'], task.labels)}"
    else:
        yield from _bad_ranges(finding, n_chars, task)


def _bad_ranges(finding: Mapping[str, object], n_chars: int, task: Task) -> Iterator[str]:
    for first, last in [("start", "end"), *([("other_start", "other_end")] if task.kind == "pairs" else [])]:
        start, end = finding.get(first), finding.get(last)
        if type(start) is not int or type(end) is not int:
            yield f"{first}, {last}: are {_kind(start)} and {_kind(end)}, expected whole numbers. Count code points from 0, end excluded."
        elif not 0 <= start < end <= n_chars:
            yield f"{first}, {last}: range {start}..{end} is empty or outside the text of {n_chars} characters. Count code points from 0, end excluded."


def _bad_tasks(tasks: object, pack: Pack) -> Iterator[str]:
    if not isinstance(tasks, list):
        yield f"tasks: is {_kind(tasks)}, expected a list of the tasks that the sample answers. Leave it out where it answers all."
        return
    for name in tasks:
        if not isinstance(name, str) or name not in pack.tasks:
            yield f"tasks: {shown(name)} is no task of pack {pack.name!r}.{guess(name, pack.tasks)}"


def _misspelt(row: Mapping[str, object], known: Iterable[str]) -> Iterator[str]:
    """The keys that are nearly one of the known ones: others are the author's own."""
    names = list(known)
    for key in row:
        close = [] if key in names else difflib.get_close_matches(key, [name for name in names if name not in row], n=1)
        if close:
            yield f"{key}: unknown key. Did you mean {close[0]!r}?"


def _kind(value: object) -> str:
    names = {type(None): "not there", bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return "empty" if isinstance(value, str) and not value.strip() else names.get(type(value), type(value).__name__)
