"""How long one message takes: read alone, one after another, by one thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

WARM_UP = 5
# a slow system is asked so often at least, whatever it takes: of fewer no percentile would mean anything
LEAST = 20


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the milliseconds of `n` messages. Of n below 100 the 99th is the slowest."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    n: int


def measure_latency(read: Callable[[Sequence[str]], object], texts: Sequence[str], n: int, seconds: float) -> Latency:
    """Reads `n` messages one by one after a warm-up; fewer, but 20 at least, where they take longer than `seconds`."""
    for text in islice(cycle(texts), WARM_UP):
        read([text])
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    for text in islice(cycle(texts), n):
        if len(taken) >= min(LEAST, n) and time.perf_counter() > ends:
            break
        before = time.perf_counter()
        read([text])
        taken.append(1000 * (time.perf_counter() - before))
    return Latency(percentile(taken, 50), percentile(taken, 95), percentile(taken, 99), len(taken))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many per cent of all do not exceed (nearest rank). `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]
