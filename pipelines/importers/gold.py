"""A labelled document as the gold of a pack's tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.importers.bind import NOT_FLAGGED, Bound, pieces
from pipelines.importers.labelled import Fault, Labelled, Span, bad_id, shown


@dataclass(frozen=True, slots=True)
class Answer:
    """One gold finding: task, label and range."""

    task: str
    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Gold:
    """A document with its answers. Tasks that are not in `tasks` are not annotated."""

    place: str
    text: str
    id: str | None
    answers: tuple[Answer, ...]
    tasks: frozenset[str]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> frozenset[tuple[str, str]]:
        """The labels that occur in it, each with its task."""
        return frozenset((answer.task, answer.label) for answer in self.answers)


class _Unusable(Exception):
    """Ends the reading of one row; carries its fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


def gold_of(row: Labelled, bounds: Sequence[Bound]) -> Gold | Fault:
    """The row's answers to all tasks it answers, or why it cannot be used."""
    if row.id is not None and (refusal := bad_id(row.place, row.id)):
        return refusal
    answers: list[Answer] = []
    tasks: set[str] = set()
    notes: list[str] = []
    try:
        for bound in bounds:
            found = _answers(row, bound, answers, notes)
            if found is not None:
                answers += found
                tasks.add(bound.ask.name)
    except _Unusable as unusable:
        return unusable.fault
    if not tasks:
        fields = ", ".join(sorted({repr(bound.field) for bound in bounds}))
        return Fault(row.place, f"The row answers no task: {fields} has no label there.", "Label it, or leave it out.")
    return Gold(row.place, row.text, row.id, tuple(answers), frozenset(tasks), tuple(notes))


def _answers(row: Labelled, bound: Bound, before: Sequence[Answer], notes: list[str]) -> list[Answer] | None:
    """The row's answers to one task; None where it does not answer it."""
    ask = bound.ask
    if ask.kind == "spans":
        spans = row.spans.get(bound.field)
        return None if spans is None else _found(row, bound, spans, notes)
    if ask.of is not None:
        return _of_spans(row, bound, before, notes)
    if ask.scope == "sentence" and bound.field in row.spans:
        return _sentences(row, bound, row.spans[bound.field])
    values = row.fields.get(bound.field)
    if values is None or (ask.kind == "choice" and not values):
        return None
    return _whole(row, bound, values)


def _whole(row: Labelled, bound: Bound, values: Sequence[str]) -> list[Answer]:
    """What holds for the whole text: one label of a choice, any number of tags."""
    ask = bound.ask
    wanted = pieces(values) if ask.kind == "tags" else values
    if ask.kind == "choice" and len(wanted) > 1:
        what = f"Field {bound.field!r} has {len(wanted)} labels, expected one: task {ask.name!r} is a choice."
        raise _Unusable(Fault(row.place, what, "Leave one, or ask for tags."))
    if ask.scope == "sentence":
        start = len(row.text) - len(row.text.lstrip())
        return [Answer(ask.name, _legal(row, bound, value), start, len(row.text.rstrip())) for value in wanted]
    return [Answer(ask.name, label, 0, len(row.text)) for label in dict.fromkeys(_legal(row, bound, value) for value in wanted)]


def _legal(row: Labelled, bound: Bound, value: str) -> str:
    if (label := bound.label_of(value)) is not None:
        return label
    what = f"Label {shown(value)} of field {bound.field!r} is none of task {bound.ask.name!r}: {', '.join(bound.ask.labels)}."
    raise _Unusable(Fault(row.place, what, "Add it to --task, or correct the row."))


def _sentences(row: Labelled, bound: Bound, spans: Sequence[Span]) -> list[Answer]:
    found = sorted((Answer(bound.ask.name, _legal(row, bound, s.label), *_trimmed(row.text, s)) for s in spans), key=lambda a: a.start)
    for left, right in itertools.pairwise(found):
        if left.end > right.start:
            what = f"Sentences {left.start}..{left.end} and {right.start}..{right.end} of {bound.field!r} overlap."
            raise _Unusable(Fault(row.place, what, "Give each sentence once."))
    return [answer for answer in found if answer.start < answer.end]


def _found(row: Labelled, bound: Bound, spans: Iterable[Span], notes: list[str]) -> list[Answer]:
    """The spans of the task's labels, without spaces at their ends; of overlapping ones the longest, for BIO tags hold no overlap."""
    found = []
    for span in spans:
        label = bound.label_of(span.label)
        start, end = _trimmed(row.text, span)
        if label is None:
            notes.append(f"spans labelled {shown(span.label)} are asked for by no task and were left out")
        elif start == end:
            notes.append("spans of spaces alone were left out")
        else:
            if (start, end) != (span.start, span.end):
                notes.append("spaces at the ends of spans were cut off")
            found.append(Answer(bound.ask.name, label, start, end))
    kept = _without_overlap(found)
    notes += ["of overlapping spans the longest was kept"] * (len(found) - len(kept))
    return kept


def _trimmed(text: str, span: Span) -> tuple[int, int]:
    """The range without white space at its ends."""
    covered = text[span.start : span.end]
    start = span.start + len(covered) - len(covered.lstrip())
    return start, max(start, span.end - (len(covered) - len(covered.rstrip())))


def _without_overlap(found: Sequence[Answer]) -> list[Answer]:
    """Of overlapping answers the longest, in the order of the text. The kept ones are looked up by place, for a text may have many."""
    taken: set[int] = set()
    kept = []
    for answer in sorted(found, key=lambda a: (a.start - a.end, a.start, a.label)):
        # the shorter of two that overlap has one of its ends inside the longer, or is all of it
        if answer.start not in taken and answer.end - 1 not in taken:
            taken.update(range(answer.start, answer.end))
            kept.append(answer)
    return sorted(kept, key=lambda a: a.start)


def _of_spans(row: Labelled, bound: Bound, before: Sequence[Answer], notes: list[str]) -> list[Answer] | None:
    """One answer for each span that the task is asked of; None where one has none: then the row does not answer the task."""
    ask = bound.ask
    if bound.group is None or bound.group not in row.spans:
        return None
    said = {(_trimmed(row.text, span)): span.answers.get(bound.field) for span in row.spans[bound.group]}
    found = []
    for parent in before:
        if parent.task != ask.of or (ask.of_labels and parent.label not in ask.of_labels):
            continue
        value = said.get((parent.start, parent.end)) or (NOT_FLAGGED if bound.is_flag else None)
        label = None if value is None else bound.label_of(value)
        if label is None:
            notes.append(f"task {ask.name!r}: a span without an answer of the task leaves its document out of the task")
            return None
        found.append(Answer(ask.name, label, parent.start, parent.end))
    return found
