"""A seeded run of faults over a world at work, and its figures."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.faults.canary import canaries
from tests.faults.faults import FAULTS, faults_for
from tests.faults.oracle import Verdict, judge
from tests.faults.world import World

WAVE = 400
PACE_S = 10.0
LOW = 300  # so many documents wait at least while faults are injected


@dataclass
class Outcome:
    """What a run gave."""

    seed: int
    documents: int
    by_kind: Counter[str]
    verdict: Verdict
    seconds: float
    recoveries: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    canaries: dict[str, int] = field(default_factory=dict)

    @property
    def docs_per_s(self) -> float:
        return self.verdict.read / self.seconds


def run(world: World, n_documents: int, n_faults: int, tell: Callable[[str], None] = print) -> Outcome:
    """Injects `n_faults`, each kind as often as the others, in an order that the seed says, while `n_documents` and more are submitted and read.

    Those that struck nobody are not counted, and others come in their place.
    """
    by_kind: Counter[str] = Counter()
    world.start_workers()
    started = time.monotonic()
    for name in _schedule(world):
        number = by_kind.total()
        if number == n_faults:
            break
        _feed(world, n_documents, number / n_faults)
        _pace(world, n_documents, number / n_faults)
        tell(f"{world.kind} seed {world.seed}: fault {number + 1}/{n_faults} {name}, {world.waiting()} wait")
        if FAULTS[name](world) is not False:  # a fail-point that nobody reached is no fault
            by_kind[name] += 1
        world.tend()
        time.sleep(world.rng.uniform(0, 0.4))
    _feed(world, n_documents, 1.0)
    world.wake_all()
    world.wake_points()
    world.settle()
    seconds = time.monotonic() - started
    world.stop_workers()
    verdict = judge(world.store, world.expected, world.calm_findings())
    return Outcome(world.seed, len(world.expected.keys), by_kind, verdict, seconds, world.recoveries(), world.stop_s, canaries(world))


def calm(world: World, n_documents: int) -> float:
    """Documents a second of the same world without faults."""
    path = world.new_wave(n_documents)
    world.start_workers()
    job = world.submit(path)
    world.settle()
    world.stop_workers()
    (row,) = world.manage("status", str(job))
    return float(row["docs_per_s"])


def _schedule(world: World) -> Iterator[str]:
    """Round after round of all kinds, each in another order."""
    kinds = faults_for(world)
    while True:
        world.rng.shuffle(kinds)
        yield from list(kinds)


def _feed(world: World, n_documents: int, share: float) -> None:
    """Submits waves: never less than LOW wait, and by the end all documents were submitted."""
    while len(world.expected.keys) < n_documents * share or (0 <= world.waiting() < LOW and len(world.expected.keys) < n_documents):
        world.submit(world.new_wave(min(WAVE, max(1, n_documents - len(world.expected.keys)))))


def _pace(world: World, n_documents: int, share: float) -> None:
    """Waits until this share of the documents is done, so that faults are spread over all of them; not long, as the last fault may have stopped all reading."""
    ends = time.monotonic() + PACE_S
    while time.monotonic() < ends and len(world.expected.keys) - max(0, world.waiting()) < share * n_documents:
        _feed(world, n_documents, 0.0)
        time.sleep(0.1)
        world.tend()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")
