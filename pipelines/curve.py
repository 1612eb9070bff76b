"""The picture of a training: its losses, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def loss_curve(path: Path, losses: Sequence[Mapping[str, float]], steps: int) -> None:
    """Writes a PNG of the losses' parts and their sum `all`. `losses[i]` are means over the i-th `steps` steps."""
    import matplotlib  # a second to import: only where a picture is drawn

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=120, layout="constrained")
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
    pyplot.close(figure)
