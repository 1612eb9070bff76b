"""Tasks bound to the data: the field that answers each, and the contract's label for each of the data's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.importers.asks import MAX_LABELS, Ask
from pipelines.importers.brat import FLAG
from pipelines.importers.labelled import listed
from pipelines.importers.names import folded, legal_labels, renamed
from pipelines.importers.survey import Survey, Values
from suites.errors import DataError, UsageError

NOT_FLAGGED = "no"
_SEVERAL = re.compile(r"[|;]")


@dataclass(frozen=True, slots=True)
class Bound:
    """A task with all its labels, the field of the data that answers it, and the data's labels by the data's own name.

    `group`: of a task asked of spans, the group that its spans are in. `is_flag`: a span of which nothing is said is not flagged.
    `wanted`: of a field with more values than were counted, the labels asked for, without regard to case and signs.
    """

    ask: Ask
    field: str
    labels: dict[str, str]
    group: str | None = None
    is_flag: bool = False
    wanted: dict[str, str] = dataclasses.field(default_factory=dict)

    def label_of(self, raw: str) -> str | None:
        """The contract's label for one of the data's; None where the task has none for it."""
        label = self.labels.get(raw)
        return self.wanted.get(folded(raw)) if label is None and self.wanted else label

    @property
    def renamed(self) -> dict[str, str]:
        """The labels that are written otherwise than in the data."""
        return renamed(self.labels)


def pieces(values: Sequence[str]) -> tuple[str, ...]:
    """Several tags, which a cell may hold parted by | or ;."""
    return tuple(dict.fromkeys(part.strip() for value in values for part in _SEVERAL.split(value) if part.strip()))


def bind(asks: Sequence[Ask], seen: Survey, label_column: str | None = None) -> list[Bound]:
    """Each task with where the data answers it. Raises UsageError or DataError that names what the data has."""
    bounds: dict[str, Bound] = {}
    for ask in asks:
        bound = _of_span(ask, bounds[ask.of], seen) if ask.of else _of_text(ask, asks, seen, label_column)
        bounds[ask.name] = bound
    order = [ask.name for ask in asks]
    return [bounds[name] for name in order]


def _of_text(ask: Ask, asks: Sequence[Ask], seen: Survey, label_column: str | None) -> Bound:
    place, values = _place(ask, asks, seen, label_column)
    return _bound(ask, place, values)


def _place(ask: Ask, asks: Sequence[Ask], seen: Survey, label_column: str | None) -> tuple[str, Values]:
    """The field or group that answers a task: the one named by --field, of its own name, or the only one that can."""
    groups = {name: group.labels for name, group in seen.groups.items()}
    known = groups if ask.kind == "spans" else seen.fields | groups if ask.scope == "sentence" else seen.fields
    if ask.field is not None:
        if ask.field not in known:
            raise UsageError(f"task {ask.name!r}: the data has no {_noun(ask)} {ask.field!r}. It has: {listed(list(known)) or 'none'}.", "no_field")
        return ask.field, known[ask.field]
    if ask.name in known:
        return ask.name, known[ask.name]
    alike = [a for a in asks if (a.kind == "spans") == (ask.kind == "spans") and not a.of]
    only = [label_column] if label_column and ask.kind != "spans" else [n for n in known if known[n].counts] if ask.kind == "spans" else _called_label(seen)
    if len(only) == 1 and len(alike) == 1 and only[0] in known:
        return only[0], known[only[0]]
    what = f"task {ask.name!r}: no {_noun(ask)} of the data is plainly meant. It has: {listed(list(known)) or 'none'}."
    raise UsageError(f"{what} Say which: --field {ask.name}=NAME.", "no_field")


def _called_label(seen: Survey) -> list[str]:
    return [name for name in ("label", "labels", "category", "cats") if name in seen.fields]


def _noun(ask: Ask) -> str:
    return "group of spans" if ask.kind == "spans" else "field"


def _of_span(ask: Ask, parent: Bound, seen: Survey) -> Bound:
    answers = seen.groups[parent.field].answers
    place = ask.field or ask.name
    if place not in answers:
        has = f"The spans of {parent.field!r} say: {listed(list(answers)) or 'nothing beside their label'}."
        raise UsageError(f"task {ask.name!r}: no span says {place!r}. {has} Say which: --field {ask.name}=NAME.", "no_field")
    is_flag = set(answers[place].counts) == {FLAG} and set(ask.labels) in (set(), {FLAG, NOT_FLAGGED})
    if is_flag:
        labels = {FLAG: FLAG, NOT_FLAGGED: NOT_FLAGGED}
        return Bound(replace(ask, labels=(FLAG, NOT_FLAGGED)), place, labels, parent.field, is_flag=True)
    if ask.of_labels:
        ask = replace(ask, of_labels=tuple(parent.labels[label] for label in ask.of_labels if label in parent.labels))
    return replace(_bound(ask, place, answers[place]), group=parent.field)


def _bound(ask: Ask, place: str, values: Values) -> Bound:
    """The task with the labels it names, or with all that its field has."""
    found = pieces(tuple(values.counts)) if ask.kind == "tags" else tuple(values.counts)
    if values.is_wide and not ask.labels:
        raise DataError(f"task {ask.name!r}: {place!r} has more than {MAX_LABELS} labels, or longer ones than labels are. Name those you want in --task.")
    labels = legal_labels(found, ask.labels)
    if not ask.labels:
        if ask.kind == "choice" and len(labels) < 2:
            raise DataError(f"task {ask.name!r}: {place!r} has {len(labels)} label(s) in all rows, and a choice needs two or more.", "one_label")
        if len(labels) > MAX_LABELS:
            raise DataError(f"task {ask.name!r}: {place!r} has {len(labels)} labels, expected {MAX_LABELS} at most. Name those you want in --task.")
        ask = replace(ask, labels=tuple(sorted(labels.values())))
    return Bound(ask, place, labels, wanted={folded(label): label for label in ask.labels} if values.is_wide else {})
