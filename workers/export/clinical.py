"""Clinical exports of a pack's findings: Bundles of FHIR R4 as NDJSON, and the tables NOTE and NOTE_NLP of OMOP CDM 5.4."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.progress import OnProgress
from suites.discover import Pack
from suites.errors import UsageError, unknown
from suites.export import ExportPlan
from workers.export.asked import Asked
from workers.export.cdm54 import NOTE, NOTE_NLP, Field
from workers.export.chart import Chart, Charter
from workers.export.draft import drafted, drafted_folder
from workers.export.fhir import BundleMaker
from workers.export.metadata import day_of, patient_of
from workers.export.persons import Persons
from workers.export.stored import Stored, access, count, primaries, stored_documents
from workers.export.terms import TermMaker
from workers.export.writers import Column, ExactCsv, Parquet, Writer
from workers.keys import Keys

# rows that a table holds before they are written, and characters of theirs
ROWS = 5000
ROWS_CHARS = 2_000_000

Files = Literal["csv", "parquet"]


@dataclass
class Written:
    """What an export wrote, and what it left out, counted. `resources` by type; `unopened` texts by the code that says why; `has_words` of the texts."""

    n_documents: int = 0
    n_findings: int = 0
    n_rows: int = 0
    resources: Counter[str] = field(default_factory=Counter)
    n_assertions: int = 0
    n_pairs: int = 0
    n_withheld: int = 0
    n_without_patient: int = 0
    n_without_date: int = 0
    unopened: Counter[str] = field(default_factory=Counter)
    has_words: bool = False

    def count(self, stored: Stored, chart: Chart, plan: ExportPlan) -> None:
        self.n_documents += 1
        self.n_findings += len(stored.findings)
        self.n_assertions += chart.n_assertions
        self.n_pairs += chart.n_pairs
        self.n_withheld += chart.n_withheld
        self.n_without_patient += patient_of(stored, plan) is None
        self.n_without_date += day_of(stored, plan)[0] is None
        if stored.unopened is not None:
            self.unopened[stored.unopened] += 1

    def told(self, form: str, file: Path) -> list[str]:
        """The counts in words, a line each."""
        made = f"{self.n_documents} Bundles of {_listed(self.resources)}" if form == "fhir" else f"{self.n_documents} notes and {self.n_rows} terms"
        lines = [f"{made} in {file}, from {self.n_findings} findings"]
        if self.n_assertions or self.n_pairs:
            lines.append(f"{self.n_assertions} assertions and {self.n_pairs} pairs are told with the findings that they are about")
        if self.n_findings and not self.has_words:
            lines.append("terms are told by their normal form or label, not by their words: --with-text writes these, and the texts")
        if self.n_withheld:
            lines.append(f"{self.n_withheld} findings of withheld tasks are left out")
        if self.n_without_patient:
            lines.append(f"{self.n_without_patient} documents name no patient in metadata that may be read (--with-patient opens sealed ones)")
        if self.n_without_date and form == "omop":
            lines.append(f"{self.n_without_date} notes are dated by their receipt: their metadata tell no date")
        if self.unopened:
            lines.append(f"{self.unopened.total()} texts could not be opened and are left out: {_listed(self.unopened)}")
        return lines


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counted.items())) or "nothing"


def plan_of(pack: Pack, asked: Asked) -> ExportPlan:
    """The pack's plan of clinical exports. Raises UsageError where it has none, or no task that was asked for."""
    plan = pack.manifest.export
    if plan is None:
        raise UsageError(f"Pack {pack.name!r} has no clinical export: its pack.toml has no section [export]. See docs/clinical-export.md.", "no_export_plan")
    for task in sorted(asked.also):
        if task not in pack.tasks:
            raise UsageError(f"--also: {unknown('task', task, pack.tasks)}")
    return plan


def export_fhir(url: str, pack: Pack, plan: ExportPlan, file: Path, asked: Asked, keys: Keys, on_progress: OnProgress) -> Written:
    """Writes a Bundle a document, a line each. The file appears whole or not at all."""
    written, maker = Written(has_words=asked.text), BundleMaker(pack, plan)
    with drafted(file) as draft, _documents(url, pack, plan, asked, keys, on_progress, written) as found, draft.open("w", encoding="utf-8") as lines:
        for stored, chart in found:
            bundle = maker.bundle(stored, chart)
            lines.write(json.dumps(bundle, ensure_ascii=False, separators=(",", ":")) + "\n")
            written.resources.update(entry["resource"]["resourceType"] for entry in bundle["entry"])
            written.n_rows += 1
    return written


def export_omop(url: str, pack: Pack, plan: ExportPlan, folder: Path, asked: Asked, keys: Keys, on_progress: OnProgress, files: Files = "csv") -> Written:
    """Writes note, note_nlp, and beside them note_map and person_map, which lead back. The folder appears whole or not at all."""
    written, maker = Written(has_words=asked.text), TermMaker(pack, plan)
    with drafted_folder(folder) as draft, ExitStack() as stack:
        note, note_nlp = (_opened(stack, draft, files, name, _columns(fields)) for name, fields in (("note", NOTE), ("note_nlp", NOTE_NLP)))
        note_map = _opened(stack, draft, files, "note_map", [Column("note_id", "integer"), Column("document", "text"), Column("student_id", "text")])
        person_map = _opened(stack, draft, files, "person_map", [Column("person_id", "integer"), Column("patient", "text")])
        persons = Persons(draft / ".persons")
        stack.callback(persons.close)
        for stored, chart in stack.enter_context(_documents(url, pack, plan, asked, keys, on_progress, written)):
            note.add(maker.note(stored, persons.number(patient_of(stored, plan), stored.number)))
            note_map.add((stored.number, stored.key, stored.student_id))
            for term in maker.terms(stored, chart):
                note_nlp.add(term)
                written.n_rows += 1
        for person in persons.rows():
            person_map.add(person)
    return written


@contextmanager
def _documents(
    url: str, pack: Pack, plan: ExportPlan, asked: Asked, keys: Keys, on_progress: OnProgress, written: Written
) -> Iterator[Iterator[tuple[Stored, Chart]]]:
    """The documents with their charts, counted as they come."""
    charter = Charter(pack, plan, asked)
    with access(url, asked) as connection:
        students = primaries(connection, pack)
        total = count(connection, students)

        def counted() -> Iterator[tuple[Stored, Chart]]:
            for stored in stored_documents(connection, students, asked, keys):
                chart = charter.chart(stored)
                written.count(stored, chart, plan)
                yield stored, chart
                on_progress("export", written.n_documents, total)

        yield counted()


class _Table:
    """A file of rows, written many at once."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._rows: list[tuple[Any, ...]] = []
        self._n_chars = 0

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        self._n_chars += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(self._rows) >= ROWS or self._n_chars > ROWS_CHARS:
            self.flush()

    def flush(self) -> None:
        self._writer.rows(self._rows)
        self._rows, self._n_chars = [], 0


def _columns(fields: tuple[Field, ...]) -> list[Column]:
    return [Column(one.name, one.kind) for one in fields]


def _opened(stack: ExitStack, folder: Path, files: Files, name: str, columns: Sequence[Column]) -> _Table:
    makers: dict[Files, Callable[[Path, Sequence[Column]], Writer]] = {"csv": ExactCsv, "parquet": Parquet}
    writer = makers[files](folder / f"{name}.{files}", columns)
    stack.callback(writer.close)
    table = _Table(writer)
    stack.push(lambda kind, error, trace: table.flush() if kind is None else None)  # after an error the draft goes
    return table
