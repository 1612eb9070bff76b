"""The processor's own counter of energy (RAPL, by Linux' powercap), and one process's share of what it counts.

The counter is of a whole package, other programs and idle cores included. A process is answerable for as much of it as its part of
all busy processor seconds: what several processes are answerable for adds up to what the machine took, and never to more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PROC = Path("/proc")
# columns of /proc/stat's first line that are work: user, nice, system, irq, softirq (proc(5))
_BUSY = (1, 2, 3, 6, 7)
_TICKS = os.sysconf("SC_CLK_TCK")


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
            if not (package / "name").read_text().startswith("package"):  # psys, the whole board, counts the packages too
                continue
            int((package / "energy_uj").read_text())
            found.append(Counter(package / "energy_uj", int((package / "max_energy_range_uj").read_text())))
        except (OSError, ValueError):
            continue
    return found


def read_counters(found: Sequence[Counter]) -> list[int]:
    return [int(counter.path.read_text()) for counter in found]


def joules_between(found: Sequence[Counter], before: Sequence[int], after: Sequence[int]) -> float:
    """Joules of all packages between two readings; a counter that began anew once is seen."""
    return sum((b - a) % (counter.wraps_at + 1) for counter, a, b in zip(found, before, after, strict=True)) / 1e6


def busy_seconds(proc: Path = PROC) -> float:
    """Processor seconds that all cores of this machine together have worked since it started."""
    fields = (proc / "stat").read_text().splitlines()[0].split()
    return sum(int(fields[i]) for i in _BUSY) / _TICKS


class Packages:
    """The packages of this machine, read again and again. Raises OSError or ValueError where they cannot be read any more."""

    def __init__(self, found: Sequence[Counter], proc: Path = PROC) -> None:
        self._counters, self._proc = found, proc
        self._microjoules, self._busy = read_counters(found), busy_seconds(proc)

    def share(self, cpu_seconds: float) -> float:
        """Joules since the last call that a process is answerable for which has worked so many processor seconds since."""
        microjoules, busy = read_counters(self._counters), busy_seconds(self._proc)
        joules = joules_between(self._counters, self._microjoules, microjoules)
        # ticks are coarse: a process has not worked more than the machine
        worked = max(busy - self._busy, cpu_seconds)
        self._microjoules, self._busy = microjoules, busy
        return joules * cpu_seconds / worked if worked > 0 else 0.0
