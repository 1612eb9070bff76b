"""The protocol with one of its parts taken out. Each must fail, or the faults prove nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.faults.oracle import Verdict, judge
from tests.faults.world import SHORT, World

MakeWorld = Callable[..., World]


@dataclass(frozen=True)
class Ablation:
    """What is taken out, what is done to it, and what goes wrong then."""

    name: str
    words: str
    attack: Callable[[World], None]
    wrong: Callable[[Verdict, World], int]


def _sleepers(world: World) -> None:
    """Processes sleep between reading and writing, past their claims, and wake up."""
    for _ in range(2):
        world.submit(world.new_wave(100))
        point = world.arm("read.after", "stop")  # outside a transaction: SQLite has one writer, and it would be this one
        ends = time.monotonic() + 10
        while point.exists() and time.monotonic() < ends:
            time.sleep(0.02)
        world.settle(60.0)  # others have read it all when the sleeper wakes
        world.wake_points()
        time.sleep(1.0)


def _killed_between(world: World) -> None:
    """Processes die after the work is ended and before its results are written; with the protocol whole there is no such moment."""
    for _ in range(2):
        world.submit(world.new_wave(100))
        for name in ("between.transactions", "commit.after"):
            point = world.arm(name, "kill")
            ends = time.monotonic() + 6
            while point.exists() and time.monotonic() < ends:
                time.sleep(0.02)
            point.unlink(missing_ok=True)
        world.tend()


def _messages_lost(world: World) -> None:
    """The broker loses all that it holds; no process dies."""
    world.submit(world.new_wave(600))
    world.holder(10)
    world.server.kill()
    world.server.start()


ABLATIONS = (
    Ablation("no_fence", "finishing by id alone", _sleepers, lambda verdict, world: verdict.doubled),
    Ablation("two_transactions", "results outside the transaction that ends the work", _killed_between, lambda verdict, world: verdict.lost),
    Ablation("broker_is_truth", "what the broker lost nobody looks for", _messages_lost, lambda verdict, world: verdict.left),
)


def run(ablation: Ablation, make: MakeWorld, *, whole: bool) -> int:
    """Attacks a world without the part, or the whole one as a control; gives how many documents are lost, doubled or left over."""
    world = make(worker=SHORT, ablation="" if whole else ablation.name, poison_share=0.0, sleep_ms=6.0)
    try:
        world.start_workers()
        ablation.attack(world)
        with suppress(AssertionError):
            world.settle(15.0)
        world.wake_points()
        time.sleep(1.0)
        world.stop_workers()
        return ablation.wrong(judge(world.store, world.expected), world)
    finally:
        world.close()
