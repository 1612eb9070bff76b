"""Charts as rectangles in a plane of 1000 by 100, to be drawn by the templates, each with the table that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.console.shown import amount

WIDTH, HEIGHT = 1000.0, 100.0
# series with a colour of their own; what remains is drawn together
SERIES = 7
OTHERS = "all others"
# the part of its place that a bar leaves free
GAP = 0.18


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle: its place, its series from 1, and what is said of it."""

    x: float
    y: float
    width: float
    height: float
    series: int
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. `labels_x` stand evenly under it, `labels_y` beside it from the top down; `rows` are its table."""

    name: str
    title: str
    words: str
    bars: Sequence[Bar]
    labels_x: Sequence[str]
    labels_y: Sequence[str]
    legend: Sequence[str]
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]

    @property
    def is_empty(self) -> bool:
        return not self.bars


def columns(name: str, title: str, words: str, values: Mapping[str, int] | Mapping[str, float], unit: str) -> Chart:
    """One column for each value, in its order. The highest fills the chart."""
    most = max(values.values(), default=0)
    step = WIDTH / max(len(values), 1)
    bars = []
    for i, (label, n) in enumerate(values.items()):
        if n:
            height = HEIGHT * n / most
            bars.append(Bar(step * (i + GAP / 2), HEIGHT - height, step * (1 - GAP), height, 1, f"{label}: {amount(n)} {unit}"))
    return Chart(name, title, words, bars, _few(list(values)), [amount(most), "", "0"], [], ["", unit], [[label, n] for label, n in values.items()])


def shares(name: str, title: str, words: str, by_step: Mapping[str, Mapping[str, int]]) -> Chart:
    """For each step a column of shares, a label on the other, the most frequent label lowest. Steps without any stay empty."""
    ranked = _ranked(by_step)
    shown = ranked[:SERIES] if len(ranked) > SERIES + 1 else ranked
    has_others = len(shown) < len(ranked)
    series = {label: i for i, label in enumerate(shown, start=1)}
    step = WIDTH / max(len(by_step), 1)
    bars: list[Bar] = []
    for i, (at, counts) in enumerate(by_step.items()):
        total, top = sum(counts.values()), HEIGHT
        grouped = {label: counts.get(label, 0) for label in shown}
        if has_others:
            grouped[OTHERS] = total - sum(grouped.values())
        for label, n in grouped.items():
            if n:
                height = HEIGHT * n / total
                top -= height
                said = f"{at}: {label} {n:,} of {total:,} ({100 * n / total:.0f} %)"
                bars.append(Bar(step * (i + GAP / 2), max(top, 0.0), step * (1 - GAP), height, series.get(label, SERIES + 1), said))
    legend = [*shown, *([OTHERS] if has_others else [])]
    rows: list[list[str | int]] = [[at, *(counts.get(label, 0) for label in ranked)] for at, counts in by_step.items() if counts]
    return Chart(name, title, words, bars, _few(list(by_step)), ["100 %", "50 %", "0 %"], legend, ["day", *ranked], rows)


def _ranked(by_step: Mapping[str, Mapping[str, int]]) -> list[str]:
    totals: dict[str, int] = {}
    for counts in by_step.values():
        for label, n in counts.items():
            totals[label] = totals.get(label, 0) + n
    return sorted(totals, key=lambda label: (-totals[label], label))


def _few(labels: Sequence[str]) -> list[str]:
    """The first, the middle and the last: more would not fit on a narrow screen."""
    return [labels[0], labels[len(labels) // 2], labels[-1]] if len(labels) > 2 else list(labels)
