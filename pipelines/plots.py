"""The pictures of a card: losses, reliability, and the frontier of size, speed and quality. Matplotlib, training side.

Colours are Okabe and Ito's, which the colour-blind tell apart (jfly.uni-koeln.de/color); widths suit
a card's column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.calibration_error import N_BINS
from pipelines.evaluate import Calibration, Evaluation, mean_scores

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
# colour, and whether its words stand above: the compressed student lies near the student
COLOURS_OF = {"teacher": (ORANGE, True), "student": (BLUE, False), "compressed": (GREEN, True)}
LINES = {"tfidf": ("TF-IDF + linear", "--"), "plain": ("student without a teacher", ":")}
WIDTH, DPI = 8.0, 120  # inches, dots an inch: 960 dots, as wide as a card's column
N_COLUMNS = 3
SMALL = 8
HATCH = "/////"
# area of the marker of a student of a million parameters, square points
AREA = 14.0


def loss_curve(path: Path, losses: Sequence[Mapping[str, float]], steps: int) -> None:
    """Draws the parts of a training's loss and their sum `all` over its steps. `losses[i]` are means over the i-th `steps` steps."""
    figure = _figure(WIDTH, 4.2)
    axes = figure.add_subplot()
    places = [steps * (i + 1) for i in range(len(losses))]
    for name in losses[0] if losses else ():
        is_sum = name == "all"
        axes.plot(places, [row[name] for row in losses], label="all parts" if is_sum else name, color="black" if is_sum else None, lw=1.8 if is_sum else 1.2)
    # a student that is its teacher's copy has no loss at all
    scale = "log" if any(row["all"] > 0 for row in losses) else "linear"
    axes.set(xlabel="step", ylabel="loss, weighted", yscale=scale)
    axes.grid(alpha=0.3, which="both", lw=0.5)
    axes.legend(frameon=False)
    figure.savefig(path)


def reliability_diagram(path: Path, evaluation: Evaluation) -> None:
    """Draws for each test the share of answers that are right over their score, and how many answers have it. There must be one test."""
    panels = [(source, task, c) for source, by_task in evaluation.calibration.items() for task, c in by_task.items()]
    n_columns = min(N_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    # the legend asks for the width of two panels
    figure = _figure(WIDTH * max(n_columns, 2) / N_COLUMNS, 3.1 * n_rows + 0.4)
    grid = figure.add_gridspec(n_rows, n_columns)
    for number, (source, task, calibration) in enumerate(panels):
        inner = grid[number // n_columns, number % n_columns].subgridspec(2, 1, height_ratios=(4, 1), hspace=0.06)
        shares, counts = (figure.add_subplot(inner[row, 0]) for row in range(2))
        shares.set_title(_caption(source, task, calibration), fontsize=SMALL, loc="left")
        _panel(shares, counts, calibration)
        if number % n_columns == 0:
            shares.set_ylabel("share right")
            counts.set_ylabel("answers")
    keys = (
        Patch(facecolor=BLUE, label="share right (pale: few answers)"),
        Patch(facecolor="none", edgecolor=RED, hatch=HATCH, label="gap to the mean score"),
        Line2D([], [], color=GREY, linestyle="--", label="no gap"),
    )
    figure.legend(handles=keys, loc="outside upper center", ncols=3, frameon=False, fontsize=SMALL)
    figure.savefig(path)


def _caption(source: str, task: str, calibration: Calibration) -> str:
    before = "" if calibration.before is None else f", before {calibration.before:.3f}"
    return f"{task}\n{source}, n = {calibration.n:,}\nerror {calibration.after:.3f}{before}, chance {calibration.expected_by_chance:.3f}"


def _panel(shares: Axes, counts: Axes, calibration: Calibration) -> None:
    most = max(b.n for b in calibration.bins)
    for b in calibration.bins:
        # a bin of few answers is seldom right in the share its scores say: it must not draw the eye
        weight = 0.15 + 0.85 * (b.n / most) ** 0.5
        shares.bar(b.low, b.right, 1 / N_BINS, align="edge", color=BLUE, alpha=weight, linewidth=0)
        low, gap = min(b.right, b.score), abs(b.right - b.score)
        shares.bar(b.low, gap, 1 / N_BINS, low, align="edge", facecolor="none", edgecolor=RED, alpha=weight, hatch=HATCH, linewidth=0.7)
        counts.bar(b.low, b.n, 1 / N_BINS, align="edge", color=GREY, edgecolor="white", linewidth=0.5)
    shares.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    for axes in (shares, counts):
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        axes.spines[["top", "right"]].set_visible(False)
    shares.set_xticklabels([])
    shares.set_ylim(0, 1)
    shares.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    counts.yaxis.set_major_locator(MaxNLocator(1, integer=True))
    counts.set_xlabel("score")


def frontier(path: Path, evaluation: Evaluation, tasks: Sequence[str]) -> None:
    """Draws the mean score of each measured system over its speed, its size as the marker's area; systems without a speed are lines."""
    means, n_tests = mean_scores(evaluation, tasks)
    shown = [system for system in COLOURS_OF if system in evaluation.speed and not _is_the_student(evaluation, system)]
    figure = _figure(WIDTH, 4.2)
    axes = figure.add_subplot()
    for system in shown:
        _mark(axes, system, means[system], evaluation.size[system] / 1e6, evaluation.speed[system])
    lines = sorted((means[system], system) for system in LINES if system in means)
    for number, (height, system) in enumerate(lines):
        name, style = LINES[system]
        axes.axhline(height, color=GREY, linestyle=style, linewidth=1, zorder=1)
        # the words of the lower line stand below it and those of the upper one above: lines may lie close
        below = number < len(lines) - 1
        _say(axes, f"{name}: {height:.3f}", (0, height), (4, -3 if below else 2), colour=GREY)
    heights = [*(means[system] for system in shown), *(height for height, _ in lines)]
    room = max(0.3 * (max(heights) - min(heights)), 0.02)
    axes.set_ylim(min(heights) - room, max(heights) + room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3f}" if value <= 1 else ""))  # room, but no score, above 1
    axes.set_xlim(0, 1.25 * max(evaluation.speed.values()))
    axes.set_ylabel(f"mean score of {n_tests} test{'s' if n_tests > 1 else ''}")
    axes.set_xlabel(f"tokens a second ({evaluation.machine})")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.savefig(path)


def _mark(axes: Axes, system: str, score: float, size: float, speed: float) -> None:
    """One system's marker and its words; `size` is in millions of parameters."""
    colour, above = COLOURS_OF[system]
    axes.scatter(speed, score, s=AREA * size, color=colour, alpha=0.75, edgecolor="black", linewidth=0.8, zorder=3)
    away = float(np.sqrt(AREA * size / np.pi)) + 5
    words = f"{system}: {score:.3f}\n{size:.1f} M parameters\n{speed:,.0f} tokens/s"
    _say(axes, words, (speed, score), (0, away if above else -away))


def _say(axes: Axes, words: str, place: tuple[float, float], away: tuple[float, float], colour: str = "black") -> None:
    """Words so many points away from a place, above or below it; a line behind them does not strike them out."""
    side, height = "center" if away[0] == 0 else "left", "bottom" if away[1] > 0 else "top"
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.annotate(words, place, away, textcoords="offset points", ha=side, va=height, fontsize=SMALL, color=colour, bbox=behind, zorder=2)


def _is_the_student(evaluation: Evaluation, system: str) -> bool:
    """Whether a teacher is the student itself: one point, not two."""
    return system == "teacher" and evaluation.members["teacher"][0] == evaluation.student


def _figure(width: float, height: float) -> Figure:
    """A figure that is drawn to a file alone: no window, nothing global."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
