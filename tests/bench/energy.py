"""Joules and grams of CO2e: of the processor's own counter where it can be read, else an estimate that says so.

The counter (RAPL, Linux' powercap) counts the whole package, other programs and the idle part of a core included. Without
it: processor seconds times a constant. Neither counts memory, disks, cooling or the making of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
# a busy virtual core of a server: the average maximum of Cloud Carbon Footprint's methodology
# (cloudcarbonfootprint.org/docs/methodology, "Average Max Watts: 3.5" a vCPU). A core of a desktop takes two to five times as much.
WATTS_A_CORE = 3.5
WATTS_SOURCE = "Cloud Carbon Footprint, methodology: average maximum of a vCPU"
# gCO2e a kWh, world average (IEA, Global Energy & CO2 Status Report 2019; also CodeCarbon's default). A country's own: --grid.
GRID = 475.0
GRID_SOURCE = "IEA 2019, world average"
JOULES_A_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Counter:
    """A package's energy in microjoules, and the value after which it begins at 0 again."""

    path: Path
    wraps_at: int


def counters(folder: Path = POWERCAP) -> list[Counter]:
    """The packages' counters that this user may read; none in most virtual machines and containers, or without rights."""
    found = []
    for package in sorted(folder.glob("intel-rapl:[0-9]*")) if folder.is_dir() else []:
        if package.name.count(":") > 1:  # a part of a package, which the package counts too
            continue
        try:
            int((package / "energy_uj").read_text())
            found.append(Counter(package / "energy_uj", int((package / "max_energy_range_uj").read_text())))
        except (OSError, ValueError):
            continue
    return found


def read_counters(found: list[Counter]) -> list[int]:
    return [int(counter.path.read_text()) for counter in found]


def joules_between(found: list[Counter], before: list[int], after: list[int]) -> float:
    """Joules of all packages between two readings; a counter that began anew once is seen."""
    return sum((b - a) % (counter.wraps_at + 1) for counter, a, b in zip(found, before, after, strict=True)) / 1e6


def estimated_joules(cpu_seconds: float) -> float:
    """Processor seconds, of all threads together, times the watts of a busy core."""
    return cpu_seconds * WATTS_A_CORE


def grams(joules: float, grid: float = GRID) -> float:
    """Grams of CO2e of so many joules; `grid` is in grams a kWh."""
    return joules / JOULES_A_KWH * grid
