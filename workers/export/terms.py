"""Rows of the OMOP tables NOTE and NOTE_NLP. docs/clinical-export.md says what each field holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from suites.discover import Pack
from suites.export import ExportPlan
from workers.export.cdm54 import MODIFIERS_CHARS, NO_CONCEPT, TERM_CHARS, TITLE_CHARS, UTF_8
from workers.export.chart import Chart, Entry
from workers.export.metadata import day_of
from workers.export.stored import Stored

# note_text must not be empty, and the text was not to be told
WITHHELD = "(text not exported)"
EMPTY = "(empty)"

# term_exists, term_temporal and the modifier by the conventions of the fields (cdm54.py names the file): a negation, another
# subject, a condition or low certainty make the first false; history makes the second past
_MEANT = {
    "affirmed": ("Y", "Present", ""),
    "negated": ("N", "Present", "negated=true"),
    "uncertain": ("N", "Present", "uncertain=true"),
    "historical": ("Y", "Past", "history=true"),
    "hypothetical": ("N", "Present", "conditional=true"),
    "family": ("N", "Present", "subject=family"),
}
# a complete lack of modifiers makes term_exists true
_UNASKED = ("Y", "Present", "")

Cells = tuple[Any, ...]


class TermMaker:
    """Makes the rows of a pack's documents."""

    def __init__(self, pack: Pack, plan: ExportPlan) -> None:
        self._plan = plan
        self._terms = {task.name for task in pack.manifest.task if task.kind == "spans" and task.answered_by in ("student", "rule")} - {plan.sections}

    def note(self, stored: Stored, person: int) -> Cells:
        """A row of NOTE. Providers, visits and events are not known here."""
        day, time = day_of(stored, self._plan)
        received = _utc(stored.received_at)
        text = (stored.text or EMPTY) if stored.text is not None else WITHHELD
        omop = self._plan.omop
        when = (day or received.date(), None if time is None else time.replace(tzinfo=None))
        what = (omop.note_type, omop.note_class, stored.key[:TITLE_CHARS] or None, text, UTF_8, omop.language)
        return (stored.number, person, *when, *what, None, None, None, stored.pack, None, None)

    def terms(self, stored: Stored, chart: Chart) -> Iterator[Cells]:
        """Rows of NOTE_NLP: the document's findings that are ranges named in it, without sections."""
        for entry in chart.entries:
            if entry.found.task in self._terms:
                yield self._term(stored, entry)

    def _term(self, stored: Stored, entry: Entry) -> Cells:
        found = entry.found
        exists, temporal, modifier = _MEANT.get(entry.meant or "", _UNASKED)
        section = None if entry.section is None else self._plan.omop.sections.get(entry.section, NO_CONCEPT)
        concept = self._plan.omop.concepts.get(f"{found.task}/{found.label}", NO_CONCEPT)
        read = _utc(stored.read_at)
        where = (section, _snippet(stored.text, found.start, found.end), str(found.start), _words(stored.text, entry))
        told = (f"Stillhouse {stored.student_id}"[:TERM_CHARS], read.date(), read, exists, temporal, _modifiers(stored, entry, modifier))
        return (found.id, stored.number, *where, concept, NO_CONCEPT, *told)


def _words(text: str | None, entry: Entry) -> str:
    """What lexical_variant holds: the mention, where texts are told; else its normalised form or its label, for it must not be empty."""
    found = entry.found
    mention = "" if text is None else text[found.start : found.end].strip()
    return (mention or (found.value or "").strip() or found.label)[:TERM_CHARS]


def _snippet(text: str | None, start: int, end: int) -> str | None:
    """The mention with as much around it, on both sides alike, as the field holds."""
    if text is None:
        return None
    around = max(0, (TERM_CHARS - (end - start)) // 2)
    return text[max(0, start - around) : end + around][:TERM_CHARS] or None


def _modifiers(stored: Stored, entry: Entry, modifier: str) -> str:
    """What else is known, as `name=value; name=value`; whole parts, as many as the field holds."""
    found = entry.found
    parts = [
        modifier,
        f"finding={found.task}/{found.label}",
        f"score={found.score:.4g}",
        f"end={found.end}",
        f"source={found.source}",
        "unsure=true" if entry.unsure else "",
        f"page={found.page}" if found.page is not None else "",
        f"section={entry.section}" if entry.section is not None else "",
        f"number={found.number!r}" if found.number is not None else "",
        f"unit={_plain(found.unit)}" if found.unit else "",
        f"value={_plain(found.value)}" if found.value else "",
        f"student={stored.student_id}",
        *(f"caused_by={drug.id}" for drug in entry.causes),
    ]
    kept: list[str] = []
    n_chars = 0
    for part in filter(None, parts):
        n_chars += len(part) + len("; ")
        if n_chars > MODIFIERS_CHARS:
            break
        kept.append(part)
    return "; ".join(kept)


def _plain(value: str) -> str:
    """A value that ends no part of the list, and is short enough to leave room for others."""
    return value.replace(";", ",").replace("\n", " ")[:TERM_CHARS]


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)
