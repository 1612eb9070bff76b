"""Drift: how far what a student reads day by day lies from what it was tried on. Of counts alone: no label is known, no text is read.

The measure is the population stability index, sum over bins of (a - b) ln(a / b), of each day's shares a and the reference's b. By an old rule
of thumb 0.1 is little and 0.25 much (Siddiqi 2006, Credit Risk Scorecards, chapter 6). Small samples differ by chance alone: with n and m documents
and B bins the index is about (1/n + 1/m) times a chi-square variable of B - 1 degrees of freedom where nothing has changed (Yurdakul
2018, Statistical Properties of Population Stability Index, Western Michigan University, chapter 3), whose rare values Wilson & Hilferty 1931
(PNAS 17) give. A measure has drifted where its index is above the bound and above what chance gives once in a thousand days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, sqrt

from pipelines.tally import DOCUMENTS, OF_TEXT, Tally

BOUND = 0.2
# fewer documents of a day tell nothing
FEWEST = 30
# a bin of numbers holds this share of the reference at least
SHARE = 0.05
# of a normal variable, once in a thousand
RARE = 3.09
# counted to each bin, so that none is empty
SMOOTH = 0.5


@dataclass(frozen=True, slots=True)
class Drift:
    """One measure of one day against the reference. `moved` is the bin whose share changed most, with its share then and now."""

    day: str
    measure: str
    n_documents: int
    psi: float
    chance: float
    bound: float
    moved: str
    share_before: float
    share_now: float

    @property
    def drifted(self) -> bool:
        return self.psi > self.bound and self.psi > self.chance


def drifts(reference: Tally, days: Mapping[str, Tally], bound: float = BOUND) -> Iterator[Drift]:
    """All measures of all days with documents enough; those of which the reference knows nothing are left out."""
    measures = sorted({measure for measure, _ in reference} - {DOCUMENTS[0]}, key=_order)
    for day, found in days.items():
        for measure in measures:
            before, now = _bins(reference, measure), _bins(found, measure)
            n_documents = tuple(sum(bins.values()) if measure in OF_TEXT else tally[DOCUMENTS] for bins, tally in ((before, reference), (now, found)))
            if now and min(n_documents) >= FEWEST:
                yield _drift(day, measure, before, now, n_documents, bound)


def _order(measure: str) -> tuple[bool, str]:
    return ":" not in measure, measure  # those of tasks first


def _bins(tally: Tally, measure: str) -> dict[str, int]:
    return {bucket: n for (name, bucket), n in tally.items() if name == measure and n}


def _drift(day: str, measure: str, before: dict[str, int], now: dict[str, int], n_documents: tuple[int, ...], bound: float) -> Drift:
    merged = _named(before, now) if measure.startswith("label:") else _numbered(before, now)
    totals = [sum(pair[side] for pair in merged.values()) + SMOOTH * len(merged) for side in (0, 1)]
    shares = {name: tuple((n + SMOOTH) / total for n, total in zip(pair, totals, strict=True)) for name, pair in merged.items()}
    parts = {name: (b - a) * log(b / a) for name, (a, b) in shares.items()}
    moved = max(parts, key=parts.__getitem__)
    freedom = max(len(merged) - 1, 1)
    # sentences and spans of one document are alike: it is documents that vary
    chance = sum(1 / n for n in n_documents) * freedom * (1 - 2 / (9 * freedom) + RARE * sqrt(2 / (9 * freedom))) ** 3
    return Drift(day, measure, n_documents[1], round(sum(parts.values()), 4), round(chance, 4), bound, moved, *(round(share, 4) for share in shares[moved]))


def _named(before: dict[str, int], now: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Labels as they are: what is then and now, by label."""
    return {name: (before.get(name, 0), now.get(name, 0)) for name in sorted(before.keys() | now.keys())}


def _numbered(before: dict[str, int], now: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Neighbouring bins joined until each holds a share of the reference; named by the first and the last."""
    numbers = sorted(map(int, before.keys() | now.keys()))
    least = SHARE * sum(before.values())
    merged: list[tuple[int, int, int, int]] = []
    first, a, b = numbers[0], 0, 0
    for number in numbers:
        a, b = a + before.get(str(number), 0), b + now.get(str(number), 0)
        if a >= least:
            merged.append((first, number, a, b))
            first, a, b = number + 1, 0, 0
    if (a or b) and b < SHARE * sum(now.values()) and merged:  # the rest beyond the last full bin belongs to it, unless much lies there now
        first, _, c, d = merged.pop()
        a, b = a + c, b + d
    if a or b:
        merged.append((first, numbers[-1], a, b))
    return {str(low) if low == high else f"{low}-{high}": (a, b) for low, high, a, b in merged}
