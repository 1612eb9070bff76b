"""What a file of labelled data holds: its fields and groups with their labels, counted, and the rows that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines.importers.asks import MAX_LABELS
from pipelines.importers.labelled import MAX_SHOWN, Fault, Item, Labelled, Note, Span
from pipelines.progress import OnProgress, silent

MAX_ROWS = 1_000_000  # of one file: what is kept of each, a few bytes, stays in memory
MAX_FAULTS = 1_000  # kept to be shown; all are counted
MAX_FIELDS = 500
STEP = 1_000  # rows between two words on how far it is: shorter files take no time


@dataclass(slots=True)
class Values:
    """The values of one field or answer. `is_wide`: more than MAX_LABELS of them, or longer than labels are; counting has ended then."""

    counts: Counter[str] = field(default_factory=Counter)
    n_given: int = 0
    n_several: int = 0
    is_wide: bool = False

    def add(self, values: Iterable[str]) -> None:
        """Counts what one row says."""
        n_values = 0
        for value in values:
            n_values += 1
            self.is_wide = self.is_wide or len(value) > MAX_SHOWN
            if not self.is_wide:
                self.counts[value] += 1
        self.is_wide = self.is_wide or len(self.counts) > MAX_LABELS
        self.n_given += n_values > 0
        self.n_several += n_values > 1


@dataclass(slots=True)
class Group:
    """The spans of one group: their labels, and what is said of them beside, with the labels of those of which it is said."""

    labels: Values = field(default_factory=Values)
    answers: dict[str, Values] = field(default_factory=dict)
    answered: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, spans: Iterable[Span]) -> None:
        """Counts the spans of one row."""
        for span in spans:
            self.labels.add([span.label])
            for name, value in span.answers.items():
                if name in self.answers or len(self.answers) < MAX_FIELDS:
                    self.answers.setdefault(name, Values()).add([value])
                    self.answered.setdefault(name, Counter())[span.label] += 1


@dataclass(slots=True)
class Survey:
    """What was seen in a file, row by row."""

    n_rows: int = 0
    n_faults: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Values] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def blame(self, fault: Fault) -> None:
        """Counts a row that cannot be used."""
        self.n_faults += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)

    def see(self, row: Labelled) -> None:
        """Counts what a usable row says."""
        self.n_rows += 1
        for name, values in row.fields.items():
            if name in self.fields or len(self.fields) < MAX_FIELDS:
                self.fields.setdefault(name, Values()).add(values)
        for name, spans in row.spans.items():
            if name in self.groups or len(self.groups) < MAX_FIELDS:
                self.groups.setdefault(name, Group()).add(spans)


def survey(items: Iterable[Item], on_progress: OnProgress = silent) -> Survey:
    """What is in the items, the first MAX_ROWS of them."""
    seen = Survey()
    for number, item in enumerate(items, start=1):
        if seen.n_rows + seen.n_faults >= MAX_ROWS:
            seen.notes[f"rows behind the first {MAX_ROWS:,} were not looked at"] += 1
            break
        if isinstance(item, Labelled):
            seen.see(item)
        elif isinstance(item, Note):
            seen.notes[item.what] += 1
        else:
            seen.blame(item)
        if number % STEP == 0:
            on_progress("looking through", number, 0)
    return seen
