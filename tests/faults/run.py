"""`make faults`: the fault suite at full length, its report in docs/results/faults.json and faults.md.

Parts are kept as they end, in var/faults: a run that was stopped goes on with what is missing. Both stores may run side by side
(`--parts`). Everything is seeded: the same seed gives the same documents and the same faults in the same order.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults import ablations, chaos, recovery, toy
from tests.faults.page import page
from tests.faults.servers import Rabbit, Redis
from tests.faults.world import World

RESULTS = toy.ROOT / "docs" / "results"
STORES = ("sqlite", "postgresql")
Part = dict[str, Any]
CALM = 3000


def main() -> int:
    options = _options()
    kept = Path(options.folder)
    kept.mkdir(parents=True, exist_ok=True)
    if not (kept / "toy").exists():
        toy.make(kept / "toy-new")
        (kept / "toy-new").rename(kept / "toy")
    parts = _parts(options, kept / "toy")
    wanted = [name for name in parts if not options.parts or any(name.startswith(part) for part in options.parts.split(","))]
    for number, name in enumerate(wanted, start=1):
        path = kept / f"{name.replace(':', '-')}.json"
        if path.exists():
            continue
        print(f"part {number}/{len(wanted)}: {name}", flush=True)
        started = time.monotonic()
        found = parts[name]()
        path.write_text(json.dumps({"part": name, "seconds": round(time.monotonic() - started, 1), **found}, indent=1), encoding="utf-8")
    done = {name: json.loads(path.read_text(encoding="utf-8")) for name in parts if (path := kept / f"{name.replace(':', '-')}.json").exists()}
    if missing := [name for name in parts if name not in done]:
        print(f"still to be run: {', '.join(missing)}")
        return 0
    report = _report(options, done)
    (RESULTS / "faults.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "faults.md").write_text(page(report), encoding="utf-8")
    bad = _bad(report)
    print("\n".join(bad) if bad else "nothing lost, nothing doubled")
    return int(bool(bad))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000, help="of each store (default 50,000)")
    parser.add_argument("--faults", type=int, default=300, help="of each store (default 300)")
    parser.add_argument("--seeds", default="1,2,3,4,5", help="documents and faults are shared out over these (default 1,2,3,4,5)")
    parser.add_argument("--kills", type=int, default=24, help="of workers with the shipped settings, for the time of recovery (default 24)")
    parser.add_argument("--folder", default=str(toy.ROOT / "var" / "faults"), help="where parts are kept; remove it to begin anew")
    parser.add_argument("--parts", default="", help="only parts whose names begin so, separated by commas: chaos:sqlite,recovery")
    return parser.parse_args()


def _parts(options: argparse.Namespace, made: Path) -> dict[str, Callable[[], Part]]:
    seeds = [int(seed) for seed in options.seeds.split(",")]
    parts: dict[str, Callable[[], Part]] = {}
    for kind in STORES:
        parts[f"calm:{kind}"] = partial(_calm, made, kind)
        for seed in seeds:
            n_documents, n_faults = -(-options.documents // len(seeds)), -(-options.faults // len(seeds))
            parts[f"chaos:{kind}:{seed}"] = partial(_chaos, made, kind, seed, n_documents, n_faults)
        parts[f"recovery:{kind}"] = partial(_recovery, made, kind, options.kills)
    parts["half_open:valkey"] = partial(_half_open, made, "valkey", 10)
    if Rabbit.is_installed():
        parts["half_open:rabbit"] = partial(_half_open, made, "rabbit", 5)
        parts["broker:rabbit"] = partial(_rabbit, made)
    else:
        print("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server): its parts are left out", file=sys.stderr)
    if Redis.is_installed():
        parts["broker:redis"] = partial(_chaos, made, "sqlite", 61, 3000, 24, broker="redis")
    else:
        print("Redis is not installed (Debian: apt-get install redis-server): its part is left out", file=sys.stderr)
    parts["broker:none"] = partial(_chaos, made, "sqlite", 77, 3000, 20, broker="none")
    for ablation in ablations.ABLATIONS:
        parts[f"ablation:{ablation.name}"] = partial(_ablation, made, ablation)
    return parts


def _world(made: Path, kind: str, seed: int, **options: Any) -> World:
    return World(Path(tempfile.mkdtemp(prefix="faults-")), made, kind, seed, **options)


def _calm(made: Path, kind: str) -> Part:
    world = _world(made, kind, 0, poison_share=0.0)
    try:
        return {"docs_per_s": chaos.calm(world, CALM), "n_documents": CALM}
    finally:
        _end(world)


def _chaos(made: Path, kind: str, seed: int, n_documents: int, n_faults: int, **options: Any) -> Part:
    world = _world(made, kind, seed, **options)
    try:
        outcome = chaos.run(world, n_documents, n_faults, partial(print, flush=True))
        if outcome.verdict.faults:  # what the workers said of it
            shutil.copyfile(world.folder / "log", made.parent / f"chaos-{kind}-{seed}.log")
        return {
            "seed": seed,
            "n_documents": outcome.documents,
            "n_poisons": len(world.expected.poisons),
            "by_kind": outcome.by_kind,
            "run_s": round(outcome.seconds, 1),
            "docs_per_s": round(outcome.docs_per_s, 1),
            "recoveries": [round(s, 2) for s in outcome.recoveries],
            "stops": [round(s, 2) for s in outcome.stops],
            "canaries": outcome.canaries,
            **asdict(outcome.verdict),
        }
    finally:
        _end(world)


def _recovery(made: Path, kind: str, n_kills: int) -> Part:
    world = _world(made, kind, 21, worker=recovery.SHIPPED, poison_share=0.0, sleep_ms=15.0)
    try:
        seconds = recovery.lost_workers(world, n_kills, partial(print, flush=True))
        return {"recoveries": [round(s, 2) for s in seconds], "n_kills": len(world.killed)}
    finally:
        _end(world)


def _half_open(made: Path, broker: str, n_times: int) -> Part:
    world = _world(made, "sqlite", 31, broker=broker, worker=recovery.BELL_ALONE, poison_share=0.0, n_workers=1, n_processes=1)
    try:
        return {"recoveries": [round(s, 2) for s in recovery.half_open(world, n_times, partial(print, flush=True))]}
    finally:
        _end(world)


def _rabbit(made: Path) -> Part:
    return _chaos(made, "postgresql", 41, 3000, 24, broker="rabbit")


def _ablation(made: Path, ablation: ablations.Ablation) -> Part:
    def make(**options: Any) -> World:
        return _world(made, "sqlite", 51, **options)

    return {"words": ablation.words, "wrong": ablations.run(ablation, make, whole=False), "wrong_whole": ablations.run(ablation, make, whole=True)}


def _end(world: World) -> None:
    world.close()
    shutil.rmtree(world.folder, ignore_errors=True)


def _report(options: argparse.Namespace, done: dict[str, Part]) -> Part:
    stores = [_store(kind, done) for kind in STORES]
    names = [name for name in done if name.startswith("ablation:")]
    others = {name.partition(":")[2]: _sums([done[name]]) for name in done if name.startswith("broker:")}
    return {
        "stores": stores,
        "ablations": [{"name": name.partition(":")[2], "failed": _has_failed(done[name]), **_told(done[name])} for name in names],
        "half_open_s": {name.partition(":")[2]: recovery.summary(done[name]["recoveries"]) for name in done if name.startswith("half_open:")},
        "other_brokers": others,
    }


def _store(kind: str, done: dict[str, Part]) -> Part:
    runs = [part for name, part in done.items() if name.startswith(f"chaos:{kind}:")]
    recovered = recovery.summary(done[f"recovery:{kind}"]["recoveries"])
    short = [s for run in runs for s in run["recoveries"]]
    return {
        "store": kind,
        **_sums(runs),
        "recovery_p50_s": recovered["p50_s"],
        "recovery_p99_s": recovered["p99_s"],
        "recovery_max_s": recovered["max_s"],
        "recovery_n": recovered["n"],
        "recovery_kills": done[f"recovery:{kind}"]["n_kills"],
        "recovery_short_lease_s": recovery.summary(short) if short else {},
        "docs_per_s_calm": done[f"calm:{kind}"]["docs_per_s"],
    }


def _sums(runs: list[Part]) -> Part:
    def total(name: str) -> int:
        return int(sum(run[name] for run in runs))

    by_kind: Counter[str] = sum((Counter(run["by_kind"]) for run in runs), Counter())
    stops = [s for run in runs for s in run["stops"]]
    canaries: Counter[str] = sum((Counter(run["canaries"]) for run in runs), Counter())
    return {
        "documents": total("n_documents"),
        "faults": by_kind.total(),
        "faults_by_kind": dict(sorted(by_kind.items())),
        "seeds": [run["seed"] for run in runs],
        "read": total("read"),
        "poisons": total("n_poisons"),
        **{name: total(name) for name in ("lost", "left", "doubled", "ghosts", "wrong", "innocents_dead", "poisons_alive")},
        "broken_laws": sorted({law for run in runs for law in run["broken_laws"]}),
        "zombies_refused": total("zombies_refused"),
        "canaries_found": canaries.total(),
        "stop_max_s": max(stops, default=None),
        "docs_per_s_faults": round(total("read") / sum(run["run_s"] for run in runs), 1),
    }


def _has_failed(part: Part) -> bool:
    """Whether the world without the part went wrong, and the whole one did not."""
    return part["wrong"] > 0 and not part["wrong_whole"]


def _told(part: Part) -> Part:
    return {name: part[name] for name in ("words", "wrong", "wrong_whole")}


def _bad(report: Part) -> list[str]:
    """What does not hold of what is promised."""
    bad = []
    for store in [*report["stores"], *report["other_brokers"].values()]:
        for name in ("lost", "left", "doubled", "ghosts", "wrong", "innocents_dead", "poisons_alive", "broken_laws", "canaries_found"):
            if store[name]:
                bad.append(f"{store.get('store', 'other broker')}: {name} = {store[name]}")
    bad += [f"{store['store']}: recovery {store['recovery_p99_s']} s" for store in report["stores"] if store["recovery_p99_s"] > recovery.LOST_WITHIN_S]
    bad += [f"half-open {name}: {s['max_s']} s" for name, s in report["half_open_s"].items() if s["max_s"] > recovery.HALF_OPEN_WITHIN_S]
    return bad + [f"ablation {a['name']} did not fail" for a in report["ablations"] if not a["failed"]]


if __name__ == "__main__":
    sys.exit(main())
