"""How long until what a dead worker held is read, with the settings that are shipped; and until a half-open link to the broker is known as one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from sqlalchemy import text

from tests.faults.chaos import percentile
from tests.faults.oracle import judge
from tests.faults.world import World
from workers.settings import WorkerSettings

# as shipped: what is promised is promised of these
SHIPPED = {name: getattr(WorkerSettings(), name) for name in ("lease_s", "sweep_s", "stall_s")}
LOST_WITHIN_S, HALF_OPEN_WITHIN_S = 75.0, 15.0
# no sweep and no asking: the bell alone wakes a process
BELL_ALONE = {**SHIPPED, "sweep_s": 3600.0, "stall_s": 45.0}


def lost_workers(world: World, n_kills: int, tell: Callable[[str], None] = print) -> list[float]:
    """Kills a process that holds documents, again and again, in a world with the shipped settings; gives the seconds of each document."""
    world.start_workers()
    for kill in range(n_kills):
        while world.waiting() < 500:
            world.submit(world.new_wave(1000))
        if pid := world.holder(20.0):
            world.note_held(pid)
            tell(f"{world.kind}: kill {kill + 1}/{n_kills}, {len(world.killed[-1][1]) if world.killed else 0} documents held")
            os.kill(pid, signal.SIGKILL)
        time.sleep(world.rng.uniform(2, 5))
        world.tend()
    world.settle()
    world.stop_workers()
    verdict = judge(world.store, world.expected)
    assert not verdict.faults, verdict
    return world.recoveries()


def half_open(world: World, n_times: int, tell: Callable[[str], None] = print) -> list[float]:
    """Forgets all links to the broker and sends a wake-up past the proxy; gives the seconds until its document is read. `BELL_ALONE` are the settings."""
    world.start_workers()
    world.submit(world.new_wave(20))
    world.settle()
    took = []
    for number in range(n_times):
        time.sleep(world.rng.uniform(1, 4))
        world.proxy.forget()
        forgotten = time.monotonic()
        path = world.new_wave(1)
        world.manage("submit", "toy", str(path))  # by a new connection, which the proxy lets through
        while _unread(world):
            time.sleep(0.05)
            assert time.monotonic() - forgotten < 120, "a half-open link was never found"
        took.append(time.monotonic() - forgotten)
        tell(f"{world.broker}: half-open link {number + 1}/{n_times} known after {took[-1]:.1f} s")
    world.stop_workers()
    return took


def _unread(world: World) -> int:
    with world.store.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM work")).scalar_one())


def summary(seconds: list[float]) -> dict[str, float]:
    return {"n": len(seconds), "p50_s": round(percentile(seconds, 0.5), 2), "p99_s": round(percentile(seconds, 0.99), 2), "max_s": round(max(seconds), 2)}
