"""The speed bench as a picture: tokens a second of each system on a logarithmic scale, and beside them the energy of a thousand documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pipelines.plots import BLUE, DPI, SMALL
from tests.bench.process import OURS

# ours is dark and the others pale, so that a print in grey tells them apart too; batches of 32 are hatched
PALE = "#C9C9C9"
EDGE = "#4D4D4D"
HATCH = "////"
WIDTH, ROW, ROOM = 10.0, 0.34, 1.5  # inches: the figure, a bar, title and axes


def picture(path: Path, results: Mapping[str, Any]) -> None:
    """Draws the measured rows of a bench's results, the fastest above, into a PNG."""
    rows = sorted((row for row in results["systems"] if row["measured"]), key=lambda row: row["tokens_per_s"])
    figure = Figure(figsize=(WIDTH, ROOM + ROW * len(rows)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    speeds, energies = figure.subplots(1, 2, sharey=True, width_ratios=(5, 3))
    ours = next(row for row in rows if row["system"] == OURS)
    _bars(speeds, rows, [row["tokens_per_s"] for row in rows], [_speed_words(row, ours) for row in rows], room=10.0)
    _spreads(speeds, rows)
    speeds.set_yticks(range(len(rows)), [_name(row) for row in rows])
    for label, row in zip(speeds.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row is ours else "normal")
    speeds.set_xlabel("tokens a second, longer is faster")
    _bars(energies, rows, [row["joules_per_1000"] for row in rows], [f"{row['joules_per_1000']:,.0f} J" for row in rows], room=4.0)
    estimated = any(row["energy_is"] == "estimate" for row in rows)
    energies.set_xlabel(f"joules, 1,000 documents{' (estimate)' if estimated else ''}")
    starred = "  *: random weights" if any(row["weights"] == "random" for row in rows) else ""
    title = f"{results['machine']['processor']}, mixed lengths, logarithmic scales{starred}"
    figure.suptitle(title, fontsize=SMALL + 1, x=0.01, ha="left")
    figure.savefig(path)


def _name(row: Mapping[str, Any]) -> str:
    batch = f", batch {row['batch']}" if row["batch"] else ""
    return f"{row['title']}{batch}{'*' if row['weights'] == 'random' else ''}"


def _speed_words(row: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    times = "" if row is ours else f"  (ours {_times(ours['tokens_per_s'] / row['tokens_per_s'])})"
    return f"{row['tokens_per_s']:,.0f}{times}"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]], values: Sequence[float], words: Sequence[str], *, room: float) -> None:
    low = min(values) / 2
    for place, (row, value, said) in enumerate(zip(rows, values, words, strict=True)):
        is_ours = row["system"] == OURS
        hatch = HATCH if (row["batch"] or 0) > 1 else None
        axes.barh(place, value - low, left=low, height=0.7, color=BLUE if is_ours else PALE, edgecolor=EDGE, linewidth=0.6, hatch=hatch)
        weight = "bold" if is_ours else "normal"
        axes.annotate(said, (max(value, _highest(row, value)), place), (5, 0), textcoords="offset points", va="center", fontsize=SMALL, fontweight=weight)
    axes.set_xscale("log")
    axes.set_xlim(low, room * max(values))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.label.set_fontsize(SMALL + 1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def _highest(row: Mapping[str, Any], value: float) -> float:
    """Where a bar's words begin: beyond the mark of its spread."""
    return float(row["tokens_per_s_range"][1]) if value == row["tokens_per_s"] else value


def _spreads(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """The slowest and the fastest round of each bar, as a line."""
    for place, row in enumerate(rows):
        axes.plot(row["tokens_per_s_range"], [place, place], color="black", linewidth=1.2, solid_capstyle="butt")
