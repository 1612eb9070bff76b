"""This host's processor, by its own words."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def _told() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; nothing where there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def processor() -> str:
    """Its name, family and model, or what kind it is where it tells none: some hosts give all processors of a maker one name."""
    told = _told()
    if "model name" not in told:
        return platform.machine()
    return f"{told['model name']} (family {told.get('cpu family', '?')}, model {told.get('model', '?')})"


def model_name() -> str:
    """Its name alone; "" where it tells none."""
    return _told().get("model name", "")


def threads_of_a_package() -> int | None:
    """How many threads share one processor package; None where that is not told: a virtual machine sees its own part alone."""
    siblings = _told().get("siblings", "")
    return int(siblings) if siblings.isdecimal() and int(siblings) and not is_virtual() else None


def is_virtual() -> bool:
    """Whether this host is a virtual machine."""
    return "hypervisor" in flags()


def flags() -> frozenset[str]:
    """What it can do, in the words of /proc/cpuinfo."""
    return frozenset(_told().get("flags", "").split())
