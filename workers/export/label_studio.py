"""Findings as Label Studio's predictions: a task a document, in a JSON list, with what draws it (`labelling`) beside it.

Format: labelstud.io/guide/predictions and labelstud.io/guide/task_format. Offsets are code points, as they are stored: so Label Studio's editor counts
since October 2021 (HumanSignal/label-studio pull request 1559; its test `NER - Emoji - Text` says so), though it is written in JavaScript.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from pipelines.progress import OnProgress
from suites.discover import Pack
from suites.types import Task
from workers.export.asked import Asked
from workers.export.draft import drafted
from workers.export.labelling import TEXT, is_region, labelling_config
from workers.export.stored import Found, Stored, access, count, primaries, stored_documents
from workers.keys import Keys

Json = dict[str, Any]
Range = tuple[int, int]


@dataclass
class Predicted:
    """What an export wrote. `unbound`: pairs whose ranges no finding has, which Label Studio cannot show; `unopened` texts by the code that says why."""

    n_documents: int = 0
    n_findings: int = 0
    n_unbound: int = 0
    unopened: Counter[str] = field(default_factory=Counter)

    def told(self, file: Path, *, with_text: bool) -> list[str]:
        """The counts in words, a line each."""
        lines = [f"{self.n_documents} tasks with {self.n_findings} findings in {file}, the labelling configuration in {file.with_suffix('.xml').name}"]
        if not with_text:
            lines.append("without texts: give each task its `text` by its `document` before Label Studio reads it, or export --with-text")
        if self.n_unbound:
            lines.append(f"{self.n_unbound} pairs are left out: no finding has their ranges")
        if self.unopened:
            told = ", ".join(f"{n} {code}" for code, n in sorted(self.unopened.items()))
            lines.append(f"{self.unopened.total()} texts could not be opened and are left out: {told}")
        return lines


def export_label_studio(url: str, pack: Pack, file: Path, asked: Asked, keys: Keys, on_progress: OnProgress) -> Predicted:
    """Writes a task a document, and the labelling configuration to the same name with .xml. The file appears whole or not at all."""
    written, maker = Predicted(), TaskMaker(pack)
    with drafted(file) as draft, access(url, asked) as connection:
        students = primaries(connection, pack)
        total = count(connection, students)
        with draft.open("w", encoding="utf-8") as lines:
            lines.write("[")
            for stored in stored_documents(connection, students, asked, keys):
                lines.write((",\n" if written.n_documents else "\n") + json.dumps(maker.task(stored), ensure_ascii=False, separators=(",", ":")))
                written.n_documents += 1
                written.n_findings += len(stored.findings)
                if stored.unopened is not None:
                    written.unopened[stored.unopened] += 1
                on_progress("export", written.n_documents, total)
            lines.write("\n]\n")
        written.n_unbound = maker.n_unbound
        file.with_suffix(".xml").write_text(labelling_config(pack), encoding="utf-8")
    return written


class TaskMaker:
    """Makes the tasks of a pack's documents, each with one prediction: what the student and the rules found."""

    def __init__(self, pack: Pack) -> None:
        self._tasks: Mapping[str, Task] = pack.tasks
        self.n_unbound = 0

    def task(self, stored: Stored) -> Json:
        """The task of one document. Its prediction's score is that of the least sure finding: what is in doubt can be sorted to the front."""
        scores = [found.score for found in stored.findings if found.source == "student"]
        prediction = {"model_version": stored.student_id, "result": list(self._results(stored))} | ({"score": min(scores)} if scores else {})
        data = {"document": stored.key, "n_unsure": sum(found.unsure for found in stored.findings)}
        return {"data": data | ({} if stored.text is None else {"text": stored.text}), "predictions": [prediction]}

    def _results(self, stored: Stored) -> Iterator[Json]:
        """Regions first, then what is said of them: a result may name a region that stands before it."""
        by_kind: dict[str, list[tuple[Found, Task]]] = defaultdict(list)
        for found in stored.findings:
            if (task := self._tasks.get(found.task)) is not None:  # else a task that the pack has no more
                by_kind[_kind(task)].append((found, task))
        regions = _Regions([found for found, _ in by_kind["region"]])
        for found, _ in by_kind["region"]:
            yield _region(found, "labels", _id(found), stored.text)
        for found, task in by_kind["of a region"]:
            yield from (_region(found, "choices", _id(one), stored.text) for one in regions.asked(found, task) or [found])
        for found, task in by_kind["pair"]:
            yield from self._relation(found, task, regions)
        for _, answers in groupby(by_kind["of the document"], key=lambda pair: pair[0].task):
            yield _choices([found for found, _ in answers])

    def _relation(self, found: Found, task: Task, regions: _Regions) -> Iterator[Json]:
        first = regions.named((found.start, found.end), task.of[0])
        second = regions.named((found.other_start, found.other_end), task.of[1])
        if first is None or second is None:
            self.n_unbound += 1
            return
        yield {"type": "relation", "from_id": _id(first), "to_id": _id(second), "direction": "right", "labels": [found.label]}


class _Regions:
    """The findings of a document that are regions, by their range."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._by_range: dict[Range, list[Found]] = defaultdict(list)
        for one in found:
            self._by_range[one.start, one.end].append(one)

    def asked(self, answer: Found, task: Task) -> list[Found]:
        """The regions of the answer's range that the task is asked of: a range is asked once, whatever findings have it."""
        of_range = self._by_range.get((answer.start, answer.end), ())
        return [one for one in of_range if one.task in task.of and (not task.of_labels or one.label in task.of_labels)]

    def named(self, place: Range, reference: str) -> Found | None:
        """The region of this range that a reference like `mentions/DRUG` names."""
        return next((one for one in self._by_range.get(place, ()) if reference in (one.task, f"{one.task}/{one.label}")), None)


def _kind(task: Task) -> str:
    if is_region(task):
        return "region"
    if task.kind == "pairs":
        return "pair"
    return "of a region" if task.scope == "span" else "of the document"


def _id(found: Found) -> str:
    """Ids are those of no other result, so a finding's number is its region's."""
    return f"finding-{found.id}"


def _region(found: Found, kind: str, region_id: str, text: str | None) -> Json:
    """A labelled range, or a choice of one: then it has the id of the region that it is about."""
    words = {} if text is None else {"text": text[found.start : found.end]}
    value = {"start": found.start, "end": found.end, **words, kind: [found.label]}
    told = _told(found)
    return _result(found, kind, region_id, value) | ({"meta": {"text": told}} if told else {})


def _choices(answers: Sequence[Found]) -> Json:
    """An answer about the document, of tags all labels at once; its score is that of the least sure."""
    least = min(answers, key=lambda found: found.score)
    return _result(least, "choices", _id(answers[0]), {"choices": [found.label for found in answers]})


def _result(found: Found, kind: str, result_id: str, value: Json) -> Json:
    return {"id": result_id, "from_name": found.task, "to_name": TEXT, "type": kind, "value": value, "score": found.score}


def _told(found: Found) -> list[str]:
    """What a reviewer reads beside a region: its normal form, its number with the unit, and whether it is in doubt."""
    number = None if found.number is None else f"{found.number:.12g} {found.unit or ''}".strip()
    return [words for words in (found.value, number, "unsure" if found.unsure else None, "rule" if found.source == "rule" else None) if words]
