"""The tasks that a user asks for, `NAME:KIND[:SCOPE][:LABELS]`, and how they are written and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipelines.importers.names import RESERVED
from suites.errors import UsageError, unknown
from suites.types import Label, Name

KINDS = ("choice", "tags", "spans")
MAX_LABELS = 200
FORM = "NAME:KIND[:SCOPE]:LABEL,LABEL"
EXAMPLES = 'e.g. "topic:choice:document:billing,delivery", "parts:spans:MAKER,MODEL", "mood:choice:sentence:glad,sad", "state:choice:span(parts):new,used"'
_OF = re.compile(r"span\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Ask:
    """One task as it will stand in the manifest. Without labels they are taken from the data; `field` is where the data answers it."""

    name: str
    kind: str
    scope: str = "document"
    labels: tuple[str, ...] = ()
    of: str | None = None
    of_labels: tuple[str, ...] = ()
    field: str | None = None

    @property
    def what(self) -> str:
        """What is asked, in words: `a choice of the document`."""
        if self.kind == "spans":
            return "spans"
        return f"{'a choice' if self.kind == 'choice' else 'tags'} of {f'each span of {self.of}' if self.of else f'the {self.scope}'}"

    @property
    def written(self) -> str:
        """As --task takes it."""
        scope = f"span({self.of})" if self.of else self.scope
        middle = [] if self.kind == "spans" else [scope]
        return ":".join([self.name, self.kind, *middle, ",".join(self.labels)]).rstrip(":")


def parse_ask(written: str) -> Ask:
    """The task that --task asks for. Raises UsageError that says which part is wrong."""
    parts = [part.strip() for part in written.split(":")]
    if len(parts) < 2:
        raise UsageError(f"--task {written!r}: expected {FORM}, {EXAMPLES}.")
    name, kind, rest = parts[0], parts[1], parts[2:]
    _check(Name, name, f"--task {written!r}: {name!r} is no task name: expected a small letter, then small letters, digits and underscores, 40 at most.")
    if name in RESERVED:
        raise UsageError(f"--task {written!r}: {name!r} is a key of every row. Name the task otherwise, and say --field OTHER={name}.")
    if kind not in KINDS:
        raise UsageError(f"--task {written!r}: {unknown('kind', kind, KINDS)}")
    scope, of = "document", None
    if rest and (match := _OF.fullmatch(rest[0])):
        scope, of, rest = "span", match[1], rest[1:]
    elif rest and rest[0] in ("document", "sentence"):
        scope, rest = rest[0], rest[1:]
    if len(rest) > 1:
        raise UsageError(f"--task {written!r}: {rest[0]!r} is no scope: expected document, sentence or span(TASK). Form: {FORM}.")
    if scope != "document" and kind != "choice":
        raise UsageError(f"--task {written!r}: kind {kind!r} is asked of the document, expected no scope or document.")
    labels = tuple(label.strip() for label in rest[0].split(",") if label.strip()) if rest else ()
    _check_labels(written, kind, labels)
    return Ask(name, kind, scope, labels, of)


def _check_labels(written: str, kind: str, labels: Sequence[str]) -> None:
    for label in labels:
        _check(Label, label, f"--task {written!r}: {label!r} is no label: expected a letter A-Z or a-z, then letters, digits and underscores, 60 at most.")
    if len(set(labels)) != len(labels):
        raise UsageError(f"--task {written!r}: a label stands twice.")
    if kind == "choice" and len(labels) == 1:
        raise UsageError(f"--task {written!r}: a choice needs two labels or more, or none here: then they are taken from the data.")
    if len(labels) > MAX_LABELS:
        raise UsageError(f"--task {written!r}: has {len(labels)} labels, expected {MAX_LABELS} at most.")


def _check(kind: Any, value: str, message: str) -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        raise UsageError(message) from None


def placed(asks: Sequence[Ask], fields: Sequence[str]) -> list[Ask]:
    """The tasks with the fields of --field TASK=FIELD, spans tasks before those asked of them. Raises UsageError for what does not fit."""
    by_name = {ask.name: ask for ask in asks}
    if len(by_name) != len(asks):
        raise UsageError("--task: two tasks have the same name. Give each a name of its own.")
    for written in fields:
        name, _, field = written.partition("=")
        if not field or name not in by_name:
            raise UsageError(f"--field {written!r}: expected TASK=FIELD. {unknown('task', name, by_name)}")
        by_name[name] = replace(by_name[name], field=field)
    for ask in by_name.values():
        if ask.of and (ask.of not in by_name or by_name[ask.of].kind != "spans"):
            spans = [a.name for a in asks if a.kind == "spans"]
            raise UsageError(f"--task {ask.written!r}: {unknown('spans task', ask.of, spans)}")
    return sorted(by_name.values(), key=lambda ask: ask.scope == "span")
