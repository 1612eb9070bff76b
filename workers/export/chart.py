"""A document's findings as they are exported: each with how it is meant, in which section it stands, and what is said to have caused it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suites.discover import Pack
from suites.export import ASSERTIONS, ExportPlan
from workers.export.asked import Asked
from workers.export.stored import Found, Stored

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding with what other tasks say about it. `becomes`: the resource of FHIR that it is by the plan and its assertion."""

    found: Found
    becomes: str
    assertion: Found | None = None
    section: str | None = None
    causes: tuple[Found, ...] = ()

    @property
    def meant(self) -> str | None:
        """How it is meant, by ConText's names; None where nobody asked."""
        return None if self.assertion is None else self.assertion.label

    @property
    def unsure(self) -> bool:
        """Whether a human should look, at the finding or at how it is meant."""
        return bool(self.found.unsure or (self.assertion is not None and self.assertion.unsure))


@dataclass(frozen=True, slots=True)
class Chart:
    """What is exported of one document; and how many findings are told within others, or withheld."""

    entries: tuple[Entry, ...]
    n_assertions: int
    n_pairs: int
    n_withheld: int


class Charter:
    """Makes charts of a pack's documents by the plan of its manifest, and of what was asked for."""

    def __init__(self, pack: Pack, plan: ExportPlan, asked: Asked) -> None:
        self._pack, self._plan = pack, plan
        private = getattr(pack.manifest, "deidentify", None)
        withheld = {*plan.withheld, *([private.task] if private is not None else [])}
        self._withheld = withheld - asked.also
        self._assertion = pack.tasks.get(plan.assertion or "")
        # what is named in a text stands in a section; answers about sentences and documents do not
        self._named = {task.name for task in pack.manifest.task if task.kind == "spans"} - {plan.sections}

    def chart(self, stored: Stored) -> Chart:
        shown = [found for found in stored.findings if found.task not in self._withheld]
        meant = self._meant(shown)
        told = {assertion.id for assertion in meant.values()}
        becomes = {f.id: resource_of(self._plan.fhir.get(f"{f.task}/{f.label}"), meant[f.id].label if f.id in meant else None) for f in shown}
        causes, paired = self._causes(shown, becomes)
        sections = _Sections(found for found in shown if found.task == self._plan.sections)
        entries = tuple(
            Entry(f, becomes[f.id], meant.get(f.id), sections.at(f) if f.task in self._named else None, causes.get(f.id, ()))
            for f in shown
            if f.id not in told and f.id not in paired
        )
        return Chart(entries, len(told), len(paired), len(stored.findings) - len(shown))

    def _meant(self, shown: Sequence[Found]) -> dict[int, Found]:
        """By finding the answer that says how it is meant. A range is asked once, whatever findings have it."""
        task = self._assertion
        if task is None:
            return {}
        answers = {(f.start, f.end): f for f in shown if f.task == task.name and f.label in ASSERTIONS}
        asked = (f for f in shown if f.task in task.of and (not task.of_labels or f.label in task.of_labels))
        return {f.id: answers[f.start, f.end] for f in asked if (f.start, f.end) in answers}

    def _causes(self, shown: Sequence[Found], becomes: Mapping[int, str]) -> tuple[dict[int, tuple[Found, ...]], set[int]]:
        """By adverse event the drugs that pairs say to have caused it; and the pairs that are told so."""
        pairs = [f for f in shown if f.task == self._plan.causes and f.is_pair]
        drugs, events = (_by_range(shown, becomes, resource) for resource in ("MedicationStatement", "AdverseEvent")) if pairs else ({}, {})
        causes: dict[int, tuple[Found, ...]] = defaultdict(tuple)
        told = set()
        for pair in pairs:
            drug, event = drugs.get((pair.start, pair.end)), events.get((pair.other_start, pair.other_end))
            if drug is not None and event is not None:
                causes[event.id] += (drug,)
                told.add(pair.id)
        return causes, told


def resource_of(resource: str | None, meant: str | None) -> str:
    """The resource that a finding is by the plan, given how it is meant. docs/clinical-export.md says why."""
    if resource is None:
        return "Observation"
    return _OTHERWISE.get((resource, meant), resource)


# where a finding is not what its label says
_OTHERWISE: dict[tuple[str, str | None], str] = {
    ("Condition", "hypothetical"): "Observation",
    ("Condition", "family"): "FamilyMemberHistory",
    ("AdverseEvent", "negated"): "Observation",
    ("AdverseEvent", "family"): "FamilyMemberHistory",
    ("MedicationStatement", "family"): "Observation",
}


def _by_range(shown: Iterable[Found], becomes: Mapping[int, str], resource: str) -> dict[Range, Found]:
    return {(found.start, found.end): found for found in shown if becomes[found.id] == resource}


class _Sections:
    """The sections of a document: which one a finding begins in."""

    def __init__(self, found: Iterable[Found]) -> None:
        self._sections = sorted(found, key=lambda f: f.start)
        self._starts = [section.start for section in self._sections]

    def at(self, found: Found) -> str | None:
        i = bisect_right(self._starts, found.start) - 1
        if i < 0 or found.start >= self._sections[i].end:
            return None
        return self._sections[i].label
