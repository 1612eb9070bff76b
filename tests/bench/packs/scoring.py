"""How well findings of any system agree with gold: yes-or-no answers, labelled ranges exactly or by overlap, and covered characters.

Everything is counted per document, so that documents can be drawn anew: intervals are percentiles over 1,000 resamples
of them, as those of `pipelines.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

N_RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
# the entry of a table of scores that is about all labels together
ALL = "all"


class Span(NamedTuple):
    """A labelled range, in code points, end excluded."""

    start: int
    end: int
    label: str


Spans = Sequence[Span]


class Counts(NamedTuple):
    """What one document comes to: answers that are right, that gold has, and that were found."""

    right: int
    gold: int
    found: int


Measure = Callable[[Spans, Spans], Counts]


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1, 0..1, of so many answers of gold and so many found; `interval` is F1's, at 95 %."""

    precision: float
    recall: float
    f1: float
    n_gold: int
    n_found: int
    interval: tuple[float, float] | None = None


def score(counts: Sequence[Counts], n_resamples: int = N_RESAMPLES) -> Score:
    """The score of documents; 0 where there is nothing to judge."""
    table = np.array(counts, np.float64).reshape(-1, 3)
    right, gold, found = table.sum(axis=0)
    return Score(_ratio(right, found), _ratio(right, gold), _ratio(2 * right, gold + found), int(gold), int(found), _interval(table, n_resamples))


def score_labels(gold: Sequence[Spans], found: Sequence[Spans], measure: Measure, n_resamples: int = N_RESAMPLES) -> dict[str, Score]:
    """The score of each label that gold has, and under `all` of all labels together, those that gold lacks among them.

    `gold[i]` and `found[i]` are document i's ranges. A range is right under its own label alone.
    """
    labels = sorted({span.label for spans in [*gold, *found] for span in spans})
    counts = {label: [measure(_of(label, g), _of(label, f)) for g, f in zip(gold, found, strict=True)] for label in labels}
    together = [Counts(*map(sum, zip(*documents, strict=True))) for documents in zip(*counts.values(), strict=True)]
    table = {label: score(counts[label], n_resamples) for label in labels}
    return {ALL: score(together, n_resamples)} | {label: s for label, s in table.items() if s.n_gold}


def flags(gold: bool, found: bool) -> Counts:
    """A document's counts for a question answered by yes or no, of which yes is looked for."""
    return Counts(gold and found, gold, found)


def exact(gold: Spans, found: Spans) -> Counts:
    """A document's counts where a range is right if gold has the very same."""
    wanted, given = set(gold), set(found)
    return Counts(len(wanted & given), len(wanted), len(given))


def overlapping(gold: Spans, found: Spans) -> Counts:
    """A document's counts where a range is right if it shares a character with one of gold's; each of them counts for one range only."""
    wanted, given = sorted(set(gold), key=_by_end), sorted(set(found), key=_by_end)
    right, free = 0, list(wanted)
    for span in given:
        match = next((g for g in free if g.start < span.end and span.start < g.end), None)
        if match is not None:
            free.remove(match)
            right += 1
    return Counts(right, len(wanted), len(given))


def characters(text: str, gold: Spans, found: Spans, left_out: Spans = ()) -> Counts:
    """A document's counts of letters and digits, whatever their labels: recall is the share of gold's that is covered.

    What stands between words tells nothing, and systems that mask word by word leave it. Places in `left_out` are not judged.
    """
    judged = {place for place, char in enumerate(text) if char.isalnum()} - covered(left_out)
    wanted, given = covered(gold) & judged, covered(found) & judged
    return Counts(len(wanted & given), len(wanted), len(given))


def covered(spans: Iterable[Span]) -> set[int]:
    """The places that lie in any of the ranges."""
    return {place for span in spans for place in range(span.start, span.end)}


def outside(found: Spans, left_out: Spans, gold: Spans) -> list[Span]:
    """The found ranges without those that say something about a left-out range and nothing about gold: neither right nor wrong."""
    return [f for f in found if not _touches(f, left_out) or _touches(f, gold)]


def relabelled(spans: Spans, labels: Mapping[str, str]) -> list[Span]:
    """The ranges with some labels counted as others."""
    return [span._replace(label=labels.get(span.label, span.label)) for span in spans]


def _touches(span: Span, others: Spans) -> bool:
    return any(o.start < span.end and span.start < o.end for o in others)


def _of(label: str, spans: Spans) -> list[Span]:
    return [span for span in spans if span.label == label]


def _by_end(span: Span) -> tuple[int, int]:
    return span.end, span.start


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _interval(table: npt.NDArray[np.float64], n_resamples: int) -> tuple[float, float] | None:
    """The interval of F1; None where no document has anything to judge. Shape of `table`: (n_documents, 3)."""
    if not n_resamples or not table.any():
        return None
    weights = np.random.default_rng(1).multinomial(len(table), np.full(len(table), 1 / len(table)), size=n_resamples)
    right, gold, found = (weights @ table).T
    judged = gold + found > 0
    low, high = np.percentile(2 * right[judged] / (gold + found)[judged], PERCENTILES)
    return float(low), float(high)
