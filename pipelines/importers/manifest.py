"""pack.toml, samples.jsonl and card.md of a new pack, as text."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Sequence

from pipelines.importers.asks import Ask
from pipelines.importers.draft import Draft
from pipelines.importers.gold import Gold
from pipelines.importers.labelled import printable
from suites.check import CARD_HEADINGS
from suites.samples import SPLITS, split_of
from suites.types import LEADING

HEAD = """\
name = {name}
version = "0.1"
language = {language}
title = {title}
description = {description}
"""
GUIDE = {
    "Intended use": "Say here who uses the pack, on which documents, and what is decided by its findings.",
    "Out of scope": "Say here which documents it has not seen (other languages, layouts, departments) and what must not be decided by it alone.",
    "Known failures": "Say here what it gets wrong. `python manage.py evaluate {name}` shows the labels that it mixes up; read those documents first.",
    "Contact": "Say here who labelled the documents and who answers for the pack.",
}


def quoted(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def manifest_text(name: str, asks: Sequence[Ask], *, language: str = "en", source: str = "", data: str = "") -> str:
    """pack.toml with these tasks, a column or two for each, and the `[[data]]` given."""
    names = " and ".join(ask.name for ask in asks) if len(asks) < 3 else f"{', '.join(a.name for a in asks[:-1])} and {asks[-1].name}"
    head = HEAD.format(
        name=quoted(name),
        language=quoted(language),
        title=quoted(name.replace("_", " ").capitalize()),
        description=quoted(f"Reads {names} of each document{f'; made from {printable(source)}' if source else ''}."),
    )
    tasks = [_task(ask) for ask in asks]
    taken = set(LEADING)
    columns = [column for ask in asks for column in _columns(ask, taken)]
    return "\n".join([head, TASKS_ARE, *tasks, COLUMNS_ARE.format(name=name), *columns, *([data] if data else [])])


TASKS_ARE = "# one [[task]] a question. Write each question as you would ask a person; labels may be added at the end, never moved"
COLUMNS_ARE = "# one [[column]] of the view {name}_results each; show is label, score, labels, count or sum"


def _task(ask: Ask) -> str:
    lines = ["[[task]]", f"name = {quoted(ask.name)}", f"kind = {quoted(ask.kind)}"]
    if ask.kind != "spans":
        lines.append(f"scope = {quoted(ask.scope)}")
    if ask.of:
        lines.append(f"of = {quoted(ask.of)}")
    if ask.of_labels:
        lines.append(f"of_labels = {json.dumps(list(ask.of_labels))}")
    return "\n".join([*lines, f"question = {quoted(_question(ask))}", f"labels = {json.dumps(list(ask.labels))}", ""])


def _question(ask: Ask) -> str:
    thing = ask.name.replace("_", " ")
    labels = [label.replace("_", " ") for label in ask.labels]
    several = f"{', '.join(labels[:-1])} or {labels[-1]}" if len(labels) > 1 else labels[0]
    if len(labels) > 12:
        several = f"one of {len(labels)} labels"
    if ask.kind == "spans":
        return f"Which {thing} does the text name, and where: {several}?"
    of = f"one of the {ask.of.replace('_', ' ')}" if ask.of else f"the {ask.scope}"
    return f"Which {thing} does {of} have: {several}?"


def _columns(ask: Ask, taken: set[str]) -> list[str]:
    """The columns of one task: label and score, all labels, or a count."""
    thing = ask.name.replace("_", " ")
    if ask.kind == "spans":
        return [_column(f"n_{ask.name}", ask, "count", f"How many {thing} the text names.", taken)]
    if ask.kind == "tags" or ask.scope != "document":
        return [_column(ask.name, ask, "labels", f"All labels of {thing}, sorted, each once.", taken)]
    label = _column(ask.name, ask, "label", f"The {thing} with the highest score.", taken)
    return [label, _column(f"{ask.name}_score", ask, "score", f"The calibrated score of that {thing}, 0 to 1.", taken)]


def _column(name: str, ask: Ask, show: str, description: str, taken: set[str]) -> str:
    """One column under a name of its own: the views' own names are taken, and long names are cut."""
    candidate, number = name[:40], 1
    while candidate in taken:
        number += 1
        candidate = f"{name[:36]}_{number}"
    taken.add(candidate)
    parts = ["[[column]]", f"name = {quoted(candidate)}", f"task = {quoted(ask.name)}", f"show = {quoted(show)}"]
    return "\n".join([*parts, f"description = {quoted(description)}", ""])


def samples_text(samples: Sequence[Gold]) -> str:
    """samples.jsonl: one document a line."""
    n_tasks = len({task for gold in samples for task in gold.tasks})
    return "".join(json.dumps(sample_row(gold, n_tasks), ensure_ascii=False) + "\n" for gold in samples)


def sample_row(gold: Gold, n_tasks: int) -> dict[str, object]:
    """A document as samples.jsonl has it; its tasks are listed where it does not answer all of them."""
    findings = [{"task": a.task, "label": a.label, "start": a.start, "end": a.end} for a in sorted(gold.answers, key=lambda a: (a.task, a.start, a.label))]
    row: dict[str, object] = {"id": gold.id, "text": gold.text, "findings": findings}
    return row if len(gold.tasks) == n_tasks else row | {"tasks": sorted(gold.tasks)}


def card_text(name: str, data: str) -> str:
    """card.md with every heading: what is known under Data, elsewhere what to say there."""
    parts = [f"## {heading}\n\n{data if heading == 'Data' else GUIDE[heading].format(name=name)}\n" for heading in CARD_HEADINGS]
    return "\n".join(parts)


def data_text(draft: Draft, today: datetime.date) -> str:
    """What is known of the samples: where they come from, how many, with which labels and splits, what was left out."""
    order, seen = draft.order, draft.seen
    splits = {split: sum(split_of(str(gold.id)) == split for gold in draft.samples) for split in SPLITS}
    drawn = f", drawn so that labels are as even as can be (seed {order.seed})" if draft.n_rest else ""
    lines = [
        f"{len(draft.samples)} documents of {_safe(order.path.name)}, taken on {today.isoformat()}{drawn}: "
        f"{', '.join(f'{count} {split}' for split, count in splits.items())}. Of the {len(draft.usable) + seen.n_faults} rows looked at, "
        f"{seen.n_faults} could not be used and {draft.n_rest} more are usable.",
        "",
        "Say here how the documents were chosen, who labelled them by which rules, and under which licence they may be used.",
        "",
        "| task | label | samples with it |",
        "|---|---|---|",
    ]
    counts = Counter(label for gold in draft.samples for label in gold.labels)
    lines += [f"| {b.ask.name} | {label} | {counts[b.ask.name, label]} |" for b in draft.bounds for label in b.ask.labels]
    lines += [""] if seen.notes or any(b.renamed for b in draft.bounds) else []
    for bound in draft.bounds:
        if bound.renamed:
            lines.append(f"Labels of {bound.ask.name}, renamed: {', '.join(f'{_safe(raw)} is {label}' for raw, label in bound.renamed.items())}.")
    lines += [f"Note: {note} ({count})." for note, count in sorted(seen.notes.items())]
    return "\n".join(lines)


def _safe(raw: str) -> str:
    """A label of the data as Markdown shows it as it is."""
    return f"`{printable(raw).replace('`', chr(39))}`"
