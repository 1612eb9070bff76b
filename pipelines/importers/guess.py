"""The tasks that a file's own labels suggest, with the reason in words; where that is not plain, the user is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipelines.importers.asks import MAX_LABELS, Ask
from pipelines.importers.brat import FLAG
from pipelines.importers.labelled import listed
from pipelines.importers.names import legal_name
from pipelines.importers.survey import Group, Survey, Values
from suites.errors import UsageError

# fields that say of themselves that they hold labels
_CALLED = ("label", "labels", "category", "cats")


def guess(seen: Survey, label_column: str | None = None) -> list[Ask]:
    """The tasks that the data suggests. Raises UsageError where it suggests none, or several that cannot all be meant."""
    asks = _of_groups(seen.groups)
    if label_column is not None:
        asks.append(_of_field(label_column, _named(seen, label_column)))
    else:
        asks += _of_fields(seen.fields, has_spans=bool(asks))
    if not asks:
        raise UsageError(
            f"No field looks like a label: one has 2 to {MAX_LABELS} values, each in two rows or more on average. "
            f"Fields: {listed(list(seen.fields)) or 'none'}. Name it with --label-column or --task.",
            "no_task",
        )
    twice = [ask.name for ask in asks if [a.name for a in asks].count(ask.name) > 1]
    if twice:
        raise UsageError(f"Several fields would be tasks of one name: {listed(sorted(set(twice)))}. Say what to ask with --task and --field.", "ambiguous")
    return asks


def reason(ask: Ask, labels: Iterable[str]) -> str:
    """Why a task was guessed, in one line."""
    names = list(labels)
    where = f"{ask.field!r} has {len(names)} {'label' if len(names) == 1 else 'labels'}"
    return f"task {ask.name!r}: {where}, so {ask.what}: {listed(names)}"


def _of_groups(groups: Mapping[str, Group]) -> list[Ask]:
    asks = []
    for name, group in groups.items():
        if not group.labels.counts or group.labels.is_wide:
            continue
        parent = Ask(legal_name(name), "spans", field=name)
        asks.append(parent)
        for answer, values in group.answers.items():
            asks += _of_answer(parent, group, answer, values)
    return asks


def _of_answer(parent: Ask, group: Group, name: str, values: Values) -> list[Ask]:
    """The task of what is said of spans: of the labels whose spans all have an answer; a flag of all that can have it."""
    answered = group.answered[name]
    if set(values.counts) == {FLAG}:
        labels = sorted(answered)
    else:
        labels = sorted(label for label, count in answered.items() if count == group.labels.counts[label])
        if values.is_wide or len(values.counts) < 2 or len(labels) < len(answered):
            return []  # said of some alone: no question that every span answers
    kept = () if len(labels) == len(group.labels.counts) else tuple(labels)
    return [Ask(legal_name(name), "choice", "span", of=parent.name, of_labels=kept, field=name)]


def _named(seen: Survey, name: str) -> Values:
    if name not in seen.fields:
        raise UsageError(f"--label-column {name!r}: no row has it. Fields: {listed(list(seen.fields)) or 'none'}.")
    if seen.fields[name].is_wide:
        raise UsageError(f"--label-column {name!r}: has more than {MAX_LABELS} values, or longer ones than labels are. Name another, or give --task.")
    return seen.fields[name]


def _of_fields(fields: Mapping[str, Values], *, has_spans: bool) -> list[Ask]:
    """The one field that looks like a label, if any: by its name, or because no other does."""
    likely = {name: values for name, values in fields.items() if _is_likely(values)}
    called = {name: fields[name] for name in _CALLED if name in likely or (name == "cats" and name in fields and not fields[name].is_wide)}
    chosen = called or ({} if has_spans else likely)
    if len(chosen) > 1:
        written = " or ".join(f"--task {_of_field(n, v).written}" for n, v in list(chosen.items())[:5])
        raise UsageError(
            f"Several fields could be the label: {listed(list(chosen))}. Say which: --label-column NAME, or one or more of: {written}", "ambiguous"
        )
    return [_of_field(name, values) for name, values in chosen.items()]


def _is_likely(values: Values) -> bool:
    return not values.is_wide and 2 <= len(values.counts) <= sum(values.counts.values()) / 2


def _of_field(name: str, values: Values) -> Ask:
    return Ask(legal_name(name), "tags" if values.n_several or len(values.counts) == 1 else "choice", field=name)
