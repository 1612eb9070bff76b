"""The speed bench: our student and its peers on the same documents in the same run, rounds interleaved, medians with spread.

`python manage.py bench` shows it for a user's machine. `make results-speed` writes docs/results/speed.json and .md; what
other measurements add to them goes through `merge`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pipelines.carbon import WORLD_NAME, grams_per_kwh, source
from pipelines.encode import TextEncoder, windows
from pipelines.energy import JOULES_A_KWH
from pipelines.files import write_whole
from pipelines.progress import OnProgress, silent
from pipelines.sources import encoder_folder
from pipelines.speed import machine
from pipelines.watts import watts_of_a_core
from suites.errors import RunError, UsageError, unknown
from tests.bench.documents import BenchDocument, bench_documents, messages, whole_units, window_units
from tests.bench.latency import Latency
from tests.bench.memory import worker_memory
from tests.bench.merge import SCHEMA, merge
from tests.bench.models import make_models
from tests.bench.ours import FIRST, REFERENCE, Ours, Shape, chosen, make_random, sibling
from tests.bench.peak import multiply_adds, peaks
from tests.bench.peers import NAIVE, PEERS, USUAL, Batch, Peer, missing, versions
from tests.bench.process import OURS, Round, Running, aside
from tests.bench.unit import STRIDE, WINDOW_TOKENS, Unit

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "docs" / "results"
# documents at once of a process of one thread: one of the predictor's chunks
UNIT = 128
N_MESSAGES = 50
# findings of texts read before that a worker keeps: [inference] cache as it comes
CACHE = 50_000
WARM_UP_S = 0.5
TIME_IS_UP = "not reached in time: name fewer peers with --peers"
QUICK_PEERS = ("distilbert", "same-student", "spacy-textcat")
# the ratios that are followed from release to release: ours over a naive pipeline
RATIOS = {"ratio_bert_base": "bert-base", "ratio_distilbert": "distilbert", "ratio_same_student": "same-student"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bench measures and how long.

    A way (a system with one batch size) is asked for `rounds` rounds of `round_s` seconds; one whose single
    batch takes longer has fewer. After `limit_s` no peer begins another round, so that a slow or busy machine ends in time too.
    `n_messages` are timed one by one with ours, and with a peer as many of them as `latency_s` allows.
    """

    n_threads: int
    rounds: int = 3
    round_s: float = 2.5
    n_messages: int = 300
    latency_s: float = 2.0
    limit_s: float = 180.0
    n_documents: int = 640
    peers: tuple[str, ...] = tuple(p.name for p in PEERS.values() if p.by_default)
    batches: tuple[Batch, ...] = (NAIVE, USUAL, None)
    grid: float = field(default_factory=grams_per_kwh)
    data_root: Path | None = None
    shape: Shape = field(default_factory=Shape)


def quick() -> dict[str, Any]:
    """What `--quick` changes of a plan: one short round, few peers, no batch of 32 (padding makes it the slowest of all)."""
    return {"rounds": 1, "round_s": 1.0, "n_messages": 200, "latency_s": 1.0, "n_documents": 160, "batches": (NAIVE, None), "peers": QUICK_PEERS}


@dataclass(slots=True)
class Way:
    """A running system with one batch size, and its rounds so far."""

    name: str
    batch: Batch
    units: Sequence[Unit]
    running: Running
    rounds: list[Round] = field(default_factory=list)
    error: str = ""

    @property
    def spent_s(self) -> float:
        return sum(r.seconds for r in self.rounds)


def measure(plan: Plan, ours: Ours | None, on_progress: OnProgress = silent) -> dict[str, Any]:
    """Everything that the bench says, as one JSON-able mapping. Without `ours` a student of random weights is made.

    Nothing that a peer does stops it: a peer that is not installed or fails has a row that says so. Raises
    RunError where our own student cannot be read with, and UsageError for the name of no peer.
    """
    check_peers(plan.peers)
    started, load = time.monotonic(), os.getloadavg()[0]
    steps = _Steps(on_progress, 7 + 2 * len(plan.peers) + plan.rounds)
    encoder = TextEncoder(encoder_folder(REFERENCE))
    documents = bench_documents(encoder, plan.n_documents, plan.data_root)
    short = messages(encoder, N_MESSAGES, plan.data_root)
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-") as folder, ExitStack() as stack:
        steps.next("peak of the cores")
        of_cores = aside(peaks, plan.n_threads, n_threads=plan.n_threads)
        steps.next("making models")
        ours = ours or aside(make_random, Path(folder) / "student", plan.shape)
        absent = {name: lacks for name in plan.peers if (lacks := missing(PEERS[name]))}
        there = [PEERS[name] for name in plan.peers if name not in absent]
        models = aside(make_models, list(dict.fromkeys(p.model for p in there)), Path(folder), ours.folder, n_threads=plan.n_threads)
        rows = _Rows(plan, documents, ours, models, of_cores["int8"], absent)
        ways = _started(plan, there, documents, short[0], ours, rows, stack, steps)
        _take_rounds(plan, ways, started, steps)
        rows.add_rounds(ways)
        _take_latencies(plan, ways, short, rows, steps)
        steps.next("two processes")
        scaling = _scaling(plan, documents, short[0], ours)
        steps.next("memory of a worker")
        memory = _memory(documents, ours, Path(folder))
    systems = rows.ordered()
    return {
        "schema": SCHEMA,
        "machine": _machine(plan.n_threads) | {"load_before": round(load, 1)},
        "documents": _described(documents, plan.data_root),
        "student": {"id": ours.id, "pack": ours.pack, "random_weights": ours.random, "engine": ours.engine},
        "peak_multiply_adds_per_s": of_cores,
        "energy": _energy_rates(plan.grid),
        **_figures(systems, scaling | memory),
        "systems": systems,
        "seconds": round(time.monotonic() - started, 1),
    }


def _energy_rates(grid: float) -> dict[str, Any]:
    """What energy is reckoned with where no counter can be read, and what a kilowatt hour emits."""
    watts = watts_of_a_core()
    grid_source = f"{source()}, {WORLD_NAME}" if grid == grams_per_kwh() else "given"
    return {"grid_g_per_kwh": grid, "grid_source": grid_source, "watts_a_core": watts.value, "watts_source": watts.source}


def check_peers(names: Sequence[str]) -> None:
    """Raises UsageError for a name that no peer has."""
    for name in names:
        if name not in PEERS:
            raise UsageError(unknown("peer", name, PEERS))


class _Steps:
    """Tells how far the bench is."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def next(self, what: str) -> None:
        self._on_progress(what, min(self._done, self._total), self._total)
        self._done += 1


def _started(
    plan: Plan, peers: Sequence[Peer], documents: Sequence[BenchDocument], first: str, ours: Ours, rows: _Rows, stack: ExitStack, steps: _Steps
) -> list[Way]:
    """All systems running, each once for all its batch sizes; those that fail have their row already."""
    steps.next(OURS)
    running = Running(OURS, ours, plan.n_threads, first)
    stack.callback(running.stop)
    rows.started(OURS, running)
    # all at once, as `predict` is given them: it tokenises, encodes and answers side by side
    ways = [Way(OURS, None, whole_units(documents, len(documents)), running)]
    for peer in peers:
        steps.next(peer.title)
        model = rows.models[peer.model]
        if isinstance(model, str):
            rows.failed(peer.name, model, peer.pip)
            continue
        try:
            running = Running(peer.name, model, plan.n_threads, first)
        except RunError as error:
            rows.failed(peer.name, error.message, peer.pip)
            continue
        stack.callback(running.stop)
        rows.started(peer.name, running)
        ways += [Way(peer.name, b, window_units(documents, None if b == NAIVE else b), running) for b in peer.batches if b in plan.batches]
    return ways


def _take_rounds(plan: Plan, ways: Sequence[Way], started: float, steps: _Steps) -> None:
    """Rounds of all ways in turn, so that a busy machine slows all alike. Each way first warms up on a few windows."""
    # the largest models come last, and after all of them a pipeline's batches of 32: padded, one may take longer than all else
    peers = sorted((way for way in reversed(ways) if way.name != OURS), key=lambda way: way.batch == USUAL and NAIVE in PEERS[way.name].batches)
    in_turn = [*(way for way in ways if way.name == OURS), *peers]
    for number in range(plan.rounds):
        steps.next(f"round {number + 1}")
        for way in in_turn:
            late = time.monotonic() - started > plan.limit_s and way.name != OURS
            if way.error or late or way.spent_s >= plan.rounds * plan.round_s:
                continue
            try:
                _take_round(plan, way)
            except RunError as error:
                if way.name == OURS:
                    raise
                way.error = error.message


def _take_round(plan: Plan, way: Way) -> None:
    if not way.rounds:
        way.running.ask_round(way.batch, way.units if way.name == OURS else [_few(way.units[0])], WARM_UP_S)
        way.running.round()
    way.running.ask_round(way.batch, way.units, plan.round_s)
    way.rounds.append(way.running.round())


def _few(unit: Unit) -> Unit:
    return Unit(unit.texts[:4], 0)


def _take_latencies(plan: Plan, ways: Sequence[Way], short: Sequence[str], rows: _Rows, steps: _Steps) -> None:
    first = {way.name: way for way in reversed(ways)}  # of each system its first way
    for name, way in reversed(first.items()):
        steps.next(f"latency, {rows.title(name)}")
        seconds = 60.0 if name == OURS else plan.latency_s
        try:
            rows.latency(name, way.running.latency(short, way.batch, plan.n_messages, seconds))
        except RunError as error:
            if name == OURS:
                raise
            rows.say(name, error.message)


def _scaling(plan: Plan, documents: Sequence[BenchDocument], first: str, ours: Ours) -> dict[str, float]:
    """Two processes of one thread against one of them, on the same documents: as two workers read beside each other."""
    units = whole_units(documents, UNIT)
    alone, together = [], []
    with ExitStack() as stack:
        both = []
        for _ in range(2):
            both.append(Running(OURS, ours, 1, first))
            stack.callback(both[-1].stop)
        for number in range(plan.rounds + 1):
            one = _beside(both[:1], units, plan.round_s)
            two = _beside(both, units, plan.round_s)
            if number:  # the first warms up
                alone.append(one[0].tokens_per_s)
                together.append(sum(r.tokens_per_s for r in two))
    ratios = [two / one for one, two in zip(alone, together, strict=True)]
    return {"scaling_2_processes": median(ratios), "one_process_tokens_per_s": median(alone)}


def _memory(documents: Sequence[BenchDocument], ours: Ours, folder: Path) -> dict[str, float]:
    """What a worker takes that reads for every pack that comes with us, with students of our shape."""
    students = [ours, *(sibling(folder, ours, name) for name in FIRST if name != ours.pack)]
    found: dict[str, float] = aside(worker_memory, students, [d.text for d in documents[:UNIT]], CACHE)
    return found


def _beside(running: Sequence[Running], units: Sequence[Unit], seconds: float) -> list[Round]:
    for one in running:
        one.ask_round(None, units, seconds)
    return [one.round() for one in running]


class _Rows:
    """The rows of the table, a row a way; filled as the bench goes on."""

    def __init__(
        self, plan: Plan, documents: Sequence[BenchDocument], ours: Ours, models: dict[str, Path | str], int8: float | None, absent: Mapping[str, list[str]]
    ) -> None:
        self.plan, self.ours, self.models, self._int8 = plan, ours, models, int8
        self.n_tokens = sum(d.n_tokens for d in documents)
        self.per_document = self.n_tokens / len(documents)
        self._lengths = _window_lengths([d.n_tokens for d in documents])
        # the student's smaller vocabulary cuts some words into more pieces
        self._own_lengths = _window_lengths([len(tokens) for tokens in TextEncoder(ours.folder).tokens([d.text for d in documents])])
        self._by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, *plan.peers)}
        self._facts: dict[str, dict[str, Any]] = {name: {} for name in self._by_name}
        for name, lacks in absent.items():
            self.failed(name, f"not installed: {', '.join(lacks)}", PEERS[name].pip)

    def title(self, name: str) -> str:
        return "Stillhouse" if name == OURS else PEERS[name].title

    def weights(self, name: str) -> str:
        its_own = "the student's" if name == OURS else PEERS[name].weights
        return "random" if self.ours.random and its_own == "the student's" else its_own

    def failed(self, name: str, reason: str, remedy: str = "", batch: Batch = None) -> None:
        row = {"system": name, "title": self.title(name), "measured": False, "batch": batch, "reason": reason, "remedy": remedy}
        self._by_name[name].append(row)

    def started(self, name: str, running: Running) -> None:
        self._facts[name] = {"cold_start_s": round(running.cold_start_s, 2), "start_mb": running.start_mb}

    def latency(self, name: str, found: Latency) -> None:
        facts = {"p50_ms": found.p50_ms, "p95_ms": found.p95_ms, "p99_ms": found.p99_ms}
        first = next((row for row in self._by_name[name] if row["measured"]), None)
        if first is not None:
            first |= {key: round(value, 3) for key, value in facts.items()} | {"n_messages": found.n}

    def say(self, name: str, note: str) -> None:
        for row in self._by_name[name]:
            row["note"] = note

    def add_rounds(self, ways: Sequence[Way]) -> None:
        for way in ways:
            if way.rounds:
                self._by_name[way.name].append(self._row(way))
            else:
                self.failed(way.name, way.error or TIME_IS_UP, batch=way.batch)

    def _row(self, way: Way) -> dict[str, Any]:
        facts = self._facts[way.name]
        speeds = [r.tokens_per_s for r in way.rounds]
        joules = median(r.joules / r.n_tokens for r in way.rounds) * self.per_document * 1000
        row = {
            "system": way.name,
            "title": self.title(way.name),
            "measured": True,
            "batch": way.batch,
            "weights": self.weights(way.name),
            "tokens_per_s": round(median(speeds), 1),
            "tokens_per_s_range": [round(min(speeds), 1), round(max(speeds), 1)],
            "docs_per_s": round(median(speeds) / self.per_document, 2),
            "rounds": len(speeds),
            "tokens_read": sum(r.n_tokens for r in way.rounds),
            "int8_peak_share": self._share(way.name, median(speeds)),
            "peak_mb": round(max(facts["start_mb"], *(r.peak_mb for r in way.rounds)), 1),
            "joules_per_1000": round(joules, 1),
            "gco2e_per_1000": round(joules / JOULES_A_KWH * self.plan.grid, 3),
            "energy_is": "estimate" if any(r.method == "estimate" for r in way.rounds) else "measured",
        }
        # a batch size changes neither the start nor one message's latency: they stand in a system's first row
        return row if self._by_name[way.name] else row | {"cold_start_s": facts["cold_start_s"]}

    def _share(self, name: str, tokens_per_s: float) -> float | None:
        folder = self.ours.folder if name == OURS else _model_shape(self.models[PEERS[name].model], self.ours.folder)
        asked = multiply_adds(folder, self._own_lengths if folder == self.ours.folder else self._lengths) if self._int8 else None
        return None if asked is None or self._int8 is None else round(asked / self.n_tokens * tokens_per_s / self._int8, 4)

    def ordered(self) -> list[dict[str, Any]]:
        return [row for rows in self._by_name.values() for row in rows]


def _window_lengths(n_tokens: Sequence[int]) -> list[int]:
    """Of documents of so many tokens each the lengths of all windows, [CLS] and [SEP] included."""
    return [w.n_tokens for n in n_tokens for w in windows(n, WINDOW_TOKENS, STRIDE)]


def _model_shape(model: Path | str, student: Path) -> Path:
    """The folder whose config.json says a model's shape; an exported graph has the student's."""
    folder = Path(model)
    return student if (folder / "model.onnx").exists() else folder


def _figures(systems: Sequence[Mapping[str, Any]], processes: Mapping[str, float]) -> dict[str, Any]:
    """The figures that are followed from release to release; None where a peer was not measured."""
    ours = next(row for row in systems if row["system"] == OURS)
    naive = {row["system"]: row["tokens_per_s"] for row in systems if row["measured"] and row.get("batch") == NAIVE}
    return {
        **{key: round(ours["tokens_per_s"] / naive[peer], 2) if peer in naive else None for key, peer in RATIOS.items()},
        "int8_peak_share": ours["int8_peak_share"],
        "latency_p50_ms": ours["p50_ms"],
        "latency_p99_ms": ours["p99_ms"],
        "cold_start_s": ours["cold_start_s"],
        **{name: round(processes[name], 1) for name in ("worker_mb", "worker_mapped_mb")},
        "scaling_2_processes": round(processes["scaling_2_processes"], 3),
        "docs_per_s": ours["docs_per_s"],
        "tokens_per_s": ours["tokens_per_s"],
    }


def _machine(n_threads: int) -> dict[str, Any]:
    try:
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        memory = None
    about = {"processor": machine(n_threads), "cores": os.cpu_count(), "threads": n_threads, "memory_gb": memory}
    return about | {"python": platform.python_version(), "versions": versions(), "measured": time.strftime("%Y-%m-%d")}


def _described(documents: Sequence[BenchDocument], data_root: Path | None) -> dict[str, Any]:
    kinds = {kind: [d.n_tokens for d in documents if d.kind == kind] for kind in dict.fromkeys(d.kind for d in documents)}
    mix = {kind: {"share": round(len(n) / len(documents), 3), "tokens": [min(n), max(n)]} for kind, n in kinds.items()}
    texts = "the packs' samples" if data_root is None else "the real sets' dev splits"
    return {"n": len(documents), "tokens": sum(d.n_tokens for d in documents), "mix": mix, "texts": texts, "window_tokens": WINDOW_TOKENS, "stride": STRIDE}


def main() -> None:
    """Measures and writes the results; those of other measurements that stand there stay."""
    from tests.bench.speed_page import page
    from tests.bench.speed_picture import picture

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", help="PACK/ID or PACK (default: the first released student, else random weights)")
    parser.add_argument("--students", type=Path, default=ROOT / "var" / "students", help="folder of students (default: var/students)")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets (default: the packs' samples)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=Plan(1).rounds)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page-only", action="store_true", help="write speed.md and speed.png of the speed.json that is there")
    options = parser.parse_args()
    path = options.results / "speed.json"
    options.results.mkdir(parents=True, exist_ok=True)
    if not options.page_only:
        plan = Plan(n_threads=options.threads, rounds=options.rounds, data_root=options.data_root)
        merge(path, measure(plan, chosen(options.student, options.students), _say))
    results = json.loads(path.read_text(encoding="utf-8"))
    write_whole(options.results / "speed.md", page(results))
    picture(options.results / "speed.png", results)


def _say(what: str, done: int, total: int) -> None:
    print(f"  {done}/{total} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
