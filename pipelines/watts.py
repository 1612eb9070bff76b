"""What one busy core takes, where no counter of the processor can be read: an estimate, with its source."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.carbon import design_watts, source
from pipelines.processor import is_virtual, model_name, threads_of_a_package

# a busy virtual core of a server: the average maximum of Cloud Carbon Footprint's methodology
# (cloudcarbonfootprint.org/docs/methodology, "Average Max Watts: 3.5" a vCPU). A core of a desktop takes two to five times as much.
WATTS_OF_A_VCPU = 3.5
VCPU_SOURCE = "Cloud Carbon Footprint, methodology: average maximum of a vCPU"
# cores that a processor names itself, as "AMD EPYC 7763 64-Core Processor"; those of servers have two threads each
_CORES = re.compile(r"\b(\d+)-Core\b")
THREADS_A_CORE = 2


@dataclass(frozen=True, slots=True)
class Watts:
    """Watts of one thread of the processor that is busy all the time, and where they are from."""

    value: float
    source: str


def watts_of_a_core(given: float = 0.0) -> Watts:
    """`given` if above 0; else the processor's design power shared by all its threads, so that a machine that is busy on all of them takes just that.

    A virtual machine sees neither all cores nor always the model: there the model must name its cores, else a vCPU's average stands.
    """
    if given > 0:
        return Watts(given, "[energy] watts_per_core")
    package, n_threads = design_watts(model_name()), _threads()
    if package is None or n_threads is None:
        return Watts(WATTS_OF_A_VCPU, VCPU_SOURCE)
    return Watts(round(package / n_threads, 3), f"{source()}: {package:g} W by {n_threads} threads")


def _threads() -> int | None:
    if is_virtual() and (named := _CORES.search(model_name())):
        return THREADS_A_CORE * int(named[1])
    return threads_of_a_package()
