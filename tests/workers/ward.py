"""A pack of a ward, documents of it with findings as a student would give them, and stores that hold them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pipelines.predict import Reading
from suites.discover import Pack
from suites.export import ASSERTIONS, ExportPlan
from suites.types import Finding, Manifest
from workers.derived import Derived
from workers.keys import Keys
from workers.migrate import migrate
from workers.queue import claim, finish
from workers.store import Store
from workers.submit import submit
from workers.tables import documents

# id, text, findings and metadata of a document
Odd = tuple[str, str, Sequence[Finding], Mapping[str, Any]]

STUDENT = "ward-0123456789ab"
CANARY = "Quillonberry"


PACK_TOML = """
name = "ward"
version = "1.0"
title = "Ward"
description = "Notes of a ward."
column = [{ name = "specialty", task = "specialty", show = "label", description = "The specialty." }]
task = [
  { name = "specialty", kind = "choice", labels = ["heart", "lung"], question = "Which specialty?" },
  { name = "sentence_role", kind = "choice", scope = "sentence", labels = ["background", "outcome"], question = "Which role?" },
  { name = "mentions", kind = "spans", labels = ["PROBLEM", "DRUG"], question = "What is named?" },
  { name = "adverse_effects", kind = "spans", labels = ["ADVERSE_EFFECT"], question = "What did a drug do?" },
  { name = "assertion", kind = "choice", scope = "span", of = ["mentions", "adverse_effects"], labels = ASSERTIONS, question = "How is it meant?" },
  { name = "doses", kind = "spans", answered_by = "rule", labels = ["DOSE"], question = "How much?" },
  { name = "sections", kind = "spans", answered_by = "rule", extends = "to_next", labels = ["HISTORY", "FAMILY_HISTORY"], question = "Which section?" },
  { name = "causes", kind = "pairs", answered_by = "rule", labels = ["CAUSES"], of = ["mentions/DRUG", "adverse_effects"], question = "What did what?" },
  { name = "identity", kind = "spans", answered_by = "rule", labels = ["NAME"], question = "Who is it?" },
]
""".replace("ASSERTIONS", str(list(ASSERTIONS)))
SECTION = """
[export]
assertion = "assertion"
causes = "causes"
sections = "sections"
withheld = ["identity"]
patient_system = "urn:oid:1.2.3.4"
[export.fhir]
"mentions/PROBLEM" = "Condition"
"mentions/DRUG" = "MedicationStatement"
"adverse_effects/ADVERSE_EFFECT" = "AdverseEvent"
[export.omop]
concepts = { "mentions/PROBLEM" = 441840 }
sections = { FAMILY_HISTORY = 4167217 }
note_type = 32831
language = 4180186
"""


def ward_pack(folder: Path, section: str = SECTION) -> Pack:
    """The pack, as if it lay in the folder."""
    return Pack(Manifest.model_validate(tomllib.loads(PACK_TOML + section)), folder)


def ward_plan(pack: Pack) -> ExportPlan:
    plan = pack.manifest.export
    assert isinstance(plan, ExportPlan)
    return plan


class Note:
    """A text that is written piece by piece, with its findings."""

    def __init__(self) -> None:
        self.text = ""
        self.findings: list[Finding] = []

    def add(self, words: str, task: str = "", label: str = "", meant: str = "", **more: Any) -> tuple[int, int]:
        """Appends words; gives their range. With a task they are a finding, and with `meant` one that is asserted so."""
        start, end = len(self.text), len(self.text) + len(words)
        self.text += words
        if task:
            score, source = (1.0, "rule") if task in ("doses", "identity") else (0.93, "student")
            self.findings.append(replace(Finding(task, label, score, start, end, source), **more))  # type: ignore[arg-type]
        if meant:
            self.findings.append(Finding("assertion", meant, 0.71, start, end, unsure=meant == "uncertain"))
        return start, end


def note(number: int) -> Note:
    """A note with every kind of finding; `number` makes it another."""
    made = Note()
    first = made.add("HISTORY: ")
    made.add(f"{CANARY} no. {number}", "identity", "NAME")
    made.add(" has ")
    made.add("high pressure", "mentions", "PROBLEM", "affirmed", value="hypertension")
    for words, meant in (("fever", "negated"), ("clot", "uncertain"), ("gout", "historical"), ("stroke", "hypothetical"), ("asthma", "family")):
        made.add(", ")
        made.add(words, "mentions", "PROBLEM", meant)
    made.add(". On ")
    drug = made.add("amoxicillin", "mentions", "DRUG")
    made.add(" ")
    made.add("500 mg", "doses", "DOSE", number=500.0, unit="mg")
    made.add(" came ")
    effect = made.add("a rash\x0c", "adverse_effects", "ADVERSE_EFFECT", "affirmed", unsure=True)
    made.add(" and ")
    made.add("nausea", "adverse_effects", "ADVERSE_EFFECT", "negated")
    end_of_first = made.add(".\n")[1]
    made.add("FAMILY: ")
    made.add("cough", "mentions", "PROBLEM")
    made.add(".")
    length = len(made.text)
    made.findings += [
        Finding("specialty", ("heart", "lung")[number % 2], 0.8, 0, length),
        Finding("sentence_role", "background", 0.9, first[0], end_of_first),
        Finding("sections", "HISTORY", 1.0, first[0], end_of_first, "rule"),
        Finding("sections", "FAMILY_HISTORY", 1.0, end_of_first, length, "rule"),
        Finding("causes", "CAUSES", 1.0, *drug, "rule", other_start=effect[0], other_end=effect[1]),
    ]
    return made


# of one note: what is exported, as what
N_FINDINGS = len(note(0).findings)
RESOURCES = {"Condition": 5, "FamilyMemberHistory": 1, "MedicationStatement": 1, "AdverseEvent": 1}
# the hypothetical stroke, the nausea that was denied, the dose, two sections, specialty, sentence
N_OBSERVATIONS = 7
N_ASSERTIONS, N_PAIRS, N_WITHHELD = 8, 1, 1
N_TERMS = 7 + 1 + 2 + 1


def metadata(number: int) -> dict[str, object]:
    """Of every three notes two are of one patient, the third of nobody known; dates with time, without, and none."""
    who = {0: {"patient": f"P{number // 6}"}, 1: {"patient": f"P{number // 6}", "date": "2024-05-17"}, 2: {"patient": ""}}[number % 3]
    return who | ({"date": "2024-05-17T08:30:00+02:00"} if number % 3 == 0 else {})


def url_of(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def fill(
    store: Store, pack: Pack, folder: Path, n: int, *, keys: Keys | None = None, more: Sequence[tuple[str, str, Sequence[Finding], dict[str, object]]] = ()
) -> None:
    """Migrates the store and has `n` notes, and the further documents given, submitted and read."""
    migrate(store, [pack])
    notes = {f"note-{i}": (note(i).text, tuple(note(i).findings), metadata(i)) for i in range(n)}
    notes |= {key: (text, tuple(found), meta) for key, text, found, meta in more}
    file = folder / "notes.jsonl"
    file.write_text("".join(json.dumps({"id": key, "text": text, "meta": meta}) + "\n" for key, (text, _, meta) in notes.items()), encoding="utf-8")
    submit(store, pack, STUDENT, [file], chunk=100, ring=lambda job_id: None, **({} if keys is None else {"keys": keys}))
    by_number = keyed(store)
    while True:
        with store.begin() as connection:
            claims = claim(connection, "tester", 100, 60.0)
            if claims is None:
                return
            finish(connection, claims, [(held, Reading(str(held.document_id), notes[by_number[held.document_id]][1])) for held in claims.held], Derived(pack))


def keyed(store: Store) -> dict[int, str]:
    """The documents' ids as submitted, by number."""
    with store.reading() as connection:
        return {row.id: row.key for row in connection.execute(select(documents.c.id, documents.c.key))}
