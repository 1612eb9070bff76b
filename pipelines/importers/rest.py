"""The usable documents that are no samples, written as a `[[data]]` source: train, dev and test in JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pipelines.importers.bind import Bound
from pipelines.importers.draft import Draft, golds
from pipelines.importers.gold import Gold
from pipelines.importers.survey import STEP
from pipelines.progress import OnProgress, silent
from suites.samples import SPLITS, Split, split_of

SOURCE = "own"  # its name in the manifest


def carried(bounds: Sequence[Bound]) -> list[Bound]:
    """The tasks that a source's rows can answer: those of the document."""
    return [bound for bound in bounds if bound.ask.scope == "document"]


def rest_manifest(name: str, bounds: Sequence[Bound]) -> str:
    """The `[[data]]` of the manifest, which says what the rows' fields mean."""
    parts = [f'[[data]]\nname = "{SOURCE}"\npath = "{name}"\nlicence = "see card.md"\n']
    for bound in carried(bounds):
        ask = bound.ask
        is_spans = ask.kind == "spans"
        labels = ", ".join(f"{json.dumps(f'{ask.name}/{label}' if is_spans else label)} = {json.dumps(label)}" for label in ask.labels)
        field = "spans" if is_spans else ask.name
        # spans of other tasks stand in the same field; an empty string is a choice that the row does not answer
        ignored = "*" if is_spans else ""
        parts.append(f'[[data.maps]]\ntask = "{ask.name}"\nfield = "{field}"\nlabels = {{ {labels} }}\nignore = ["{ignored}"]\n')
    return "\n".join(parts)


def write_rest(draft: Draft, folder: Path, on_progress: OnProgress = silent) -> dict[Split, int]:
    """Writes the documents that are no samples, each into the split of its id; gives how many each split has."""
    bounds = carried(draft.bounds)
    folder.mkdir(parents=True)
    counts = dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        files = {split: stack.enter_context((folder / f"{split}.jsonl").open("w", encoding="utf-8")) for split in SPLITS}
        for number, gold in golds(draft.order, draft.bounds):
            # a source cannot say that tags or spans were not annotated: such a row is left out
            if number not in draft.usable or number in draft.taken or any(b.ask.kind != "choice" and b.ask.name not in gold.tasks for b in bounds):
                continue
            id_ = gold.id or f"{draft.order.name}-{number + 1:07}"
            split = split_of(id_)
            files[split].write(json.dumps(_row(gold, id_, bounds), ensure_ascii=False) + "\n")
            counts[split] += 1
            if number % STEP == 0:
                on_progress("writing the rest", number, draft.seen.n_rows)
    return counts


def _row(gold: Gold, id_: str, bounds: Sequence[Bound]) -> dict[str, object]:
    row: dict[str, object] = {"id": id_, "text": gold.text}
    spans = []
    for bound in bounds:
        answers = [a for a in gold.answers if a.task == bound.ask.name]
        if bound.ask.kind == "spans":
            spans += [{"start": a.start, "end": a.end, "label": f"{a.task}/{a.label}"} for a in answers]
        elif bound.ask.kind == "tags":
            row[bound.ask.name] = [a.label for a in answers]
        else:
            row[bound.ask.name] = answers[0].label if answers else ""
    return row | ({"spans": spans} if any(b.ask.kind == "spans" for b in bounds) else {})
