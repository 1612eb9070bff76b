"""What this process is answerable for: seconds, processor seconds and kilowatt hours, with the names and units of CodeCarbon.

Methods, as each row of figures names its own:

- `rapl`: the processor's counter, shared by processor time (`powercap`);
- `estimate`: processor seconds times the watts of a busy core (`watts`), where no counter can be read;
- `+nvml` beside either: the counters of the accelerators that a training uses (`nvml`).

Memory is always an estimate: 3 W per 8 GB (CodeCarbon's rule up to version 2) of what the process holds, pages that it shares
with others counted in parts (PSS). Disks, screens, cooling and the making of the machine are not counted.
"""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from pipelines.carbon import WORLD, grams_per_kwh
from pipelines.nvml import Accelerators
from pipelines.powercap import POWERCAP, PROC, Packages, counters
from pipelines.processor import processor
from pipelines.progress import OnProgress
from pipelines.watts import watts_of_a_core

log = logging.getLogger(__name__)

JOULES_A_KWH = 3.6e6
WATTS_A_GB = 3 / 8
# what a process holds changes slowly, and a look at it takes milliseconds a gigabyte
MEMORY_S = 5.0
# counters begin anew, some of them after twenty minutes of work: they are read more often than that
LOOK_S = 10.0
CPU_MODEL_CHARS = 120


@dataclass(frozen=True, slots=True)
class Spent:
    """What some work took: seconds, processor seconds of all threads, and kilowatt hours of processor, accelerators and memory."""

    duration: float = 0.0
    cpu_seconds: float = 0.0
    cpu_energy: float = 0.0
    gpu_energy: float = 0.0
    ram_energy: float = 0.0

    @property
    def energy_consumed(self) -> float:
        """Kilowatt hours in all."""
        return self.cpu_energy + self.gpu_energy + self.ram_energy

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Spent) -> Spent:
        return Spent(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Rates:
    """What energy is reckoned with: the country whose grid it is of ("": the world's average), and watts of a busy core (0: by the processor's model)."""

    country_iso_code: str = ""
    watts_per_core: float = 0.0


class Meter:
    """Adds up what this process is answerable for, from now on. What some work took is `total()` after it less `total()` before it.

    Raises SettingsError for a country that there is none of.
    """

    def __init__(self, rates: Rates = Rates(), *, powercap: Path = POWERCAP, proc: Path = PROC) -> None:
        self.country_iso_code = rates.country_iso_code or WORLD
        self._kg_per_kwh = grams_per_kwh(rates.country_iso_code) / 1000
        self._watts = watts_of_a_core(rates.watts_per_core).value
        self._packages = _packages(powercap, proc)
        self._accelerators: Accelerators | None = None
        self._gpu_joules = 0.0
        self._proc = proc
        self._total = Spent()
        self._at, self._cpu = time.monotonic(), time.process_time()
        self._held_gb, self._held_at = held_gb(proc), self._at

    @property
    def method(self) -> str:
        """How the energy is known."""
        return ("rapl" if self._packages else "estimate") + ("+nvml" if self._accelerators else "")

    @property
    def cpu_power(self) -> float:
        """Watts of a busy core that the estimate takes; 0: measured."""
        return 0.0 if self._packages else self._watts

    @property
    def gpu_model(self) -> str:
        return ", ".join(self._accelerators.names) if self._accelerators else ""

    def total(self) -> Spent:
        """All since the meter was made."""
        at, cpu = time.monotonic(), time.process_time()
        seconds, cpu_seconds = at - self._at, cpu - self._cpu
        self._at, self._cpu = at, cpu
        joules = self._new_cpu_joules(cpu_seconds), self._new_gpu_joules(), self._new_ram_joules(seconds)
        self._total += Spent(seconds, cpu_seconds, *(j / JOULES_A_KWH for j in joules))
        return self._total

    def add_accelerators(self, uuids: Sequence[str], library: Any = None) -> None:
        """Counts these accelerators too from now on, once; without them, where NVML cannot tell."""
        if self._accelerators is not None or not uuids:
            return
        try:
            self._accelerators = Accelerators(uuids, library)
        except Exception as error:  # NVML's errors are its own; a training goes on without its counter
            log.warning("the accelerators' energy cannot be read", extra={"error": type(error).__name__})

    def watched(self, on_progress: OnProgress) -> OnProgress:
        """The same reports of progress, at which the meter is read now and then: a counter that began anew is seen, and memory that comes and goes."""

        def look(what: str, done: int, total: int) -> None:
            if time.monotonic() - self._at > LOOK_S:
                self.total()
            on_progress(what, done, total)

        return look

    def told(self, spent: Spent) -> dict[str, Any]:
        """What some work took, with CodeCarbon's names and units (kWh, kg CO2e), and ours: cpu_seconds and method."""
        return {
            **asdict(spent),
            "energy_consumed": spent.energy_consumed,
            "emissions": spent.energy_consumed * self._kg_per_kwh,
            "country_iso_code": self.country_iso_code,
            "tracking_mode": "process",
            "method": self.method,
            "cpu_model": processor()[:CPU_MODEL_CHARS],
            "cpu_power": self.cpu_power,
            "gpu_model": self.gpu_model,
        }

    def _new_cpu_joules(self, cpu_seconds: float) -> float:
        if self._packages is not None:
            try:
                return self._packages.share(cpu_seconds)
            except (OSError, ValueError):  # taken away meanwhile
                self._packages = None
        return cpu_seconds * self._watts

    def _new_gpu_joules(self) -> float:
        if self._accelerators is None:
            return 0.0
        before = self._gpu_joules
        with suppress(Exception):  # NVML's errors are its own; what it does not tell now it tells at the next call
            self._gpu_joules = self._accelerators.joules()
        return self._gpu_joules - before

    def _new_ram_joules(self, seconds: float) -> float:
        before = self._held_gb
        if self._at - self._held_at > MEMORY_S:
            self._held_gb, self._held_at = held_gb(self._proc), self._at
        return (before + self._held_gb) / 2 * WATTS_A_GB * seconds


def _packages(powercap: Path, proc: Path) -> Packages | None:
    try:
        return Packages(found, proc) if (found := counters(powercap)) else None
    except (OSError, ValueError):
        return None


def held_gb(proc: Path = PROC) -> float:
    """Gigabytes of memory that this process holds, of pages that it shares with others its part (PSS); elsewhere than on Linux the most it ever held."""
    try:
        with (proc / "self" / "smaps_rollup").open(encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e9
    except (OSError, ValueError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9
