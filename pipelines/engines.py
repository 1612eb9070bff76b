"""Which engine computes a student's encoder: int8 by our kernel, or bf16 or fp32 by OpenVINO.

`auto` is the fastest that may: the gate says whether a student keeps its scores in int8, or in bf16 where it was scored in that
(`release`); fp32, in which it was calibrated, always may. How fast they are on this host is measured (`measure`) by
`release` and by `doctor`; before that int8 comes before bf16 and bf16 before fp32.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Literal, get_args

import numpy as np

from pipelines.encode import TextEncoder
from pipelines.engine import Engine
from pipelines.files import write_whole
from pipelines.processor import flags, processor
from pipelines.student import INT8_FILE

Name = Literal["int8", "bf16", "f32"]
Wanted = Literal["auto", "int8", "bf16", "f32"]

# the fastest first, as far as is known of processors that have all three
NAMES: tuple[Name, ...] = get_args(Name)
NATIVE_BF16 = {"avx512_bf16", "amx_bf16"}
# what a host's measurement is kept in, in the folder of [runtime]
RECORD = "engines.json"
# short messages, abstracts and a note: about a second for a student of three layers
MEASURED_LENGTHS = (20, 40, 60, 20, 40, 60, 250, 250, 512)
N_ROUNDS = 5


def make_engine(folder: Path, name: Name, *, pad_id: int, n_threads: int = 1) -> Engine:
    """The encoder of a student's folder on this engine. Raises StudentError or RunError where it cannot run."""
    if name == "int8":
        from pipelines.int8_engine import Int8Engine

        return Int8Engine(folder / INT8_FILE, n_threads=n_threads)
    from pipelines.openvino_engine import OpenVinoEngine  # a worker that reads in int8 does not load it

    return OpenVinoEngine(folder / "encoder.xml", pad_id=pad_id, n_threads=n_threads, precision=name)


def usable(folder: Path) -> tuple[Name, ...]:
    """The engines that can compute a student's encoder on this host."""
    from pipelines.int8_kernel import why_not

    here = {"int8": (folder / INT8_FILE).is_file() and not why_not(), "bf16": not NATIVE_BF16.isdisjoint(flags()), "f32": True}
    return tuple(name for name in NAMES if here[name])


def chosen(folder: Path, wanted: Wanted = "auto", record: Path | None = None) -> Name:
    """The engine that a student is read with. `record` is this host's measurement, if there is one."""
    if wanted != "auto":
        return wanted
    kept = kept_in(folder)
    allowed = [name for name in usable(folder) if name == "f32" or name in kept]
    speeds = measured(record)
    return max(allowed, key=lambda name: speeds.get(name, 0.0))  # the first of NAMES where nothing was measured


def compressed_engines(folder: Path) -> tuple[Name, ...]:
    """What a student's compressed form may be scored on, the fastest first: int8 and bf16 where they can run here, else bf16 alone."""
    return tuple(name for name in usable(folder) if name != "f32") or ("bf16",)


def kept_in(folder: Path) -> frozenset[str]:
    """The engines on which the gate found that a student keeps its scores. What keeps them in int8 keeps them in bf16, which is finer."""
    try:
        compressed = json.loads((folder / "gate.json").read_text(encoding="utf-8"))["compressed"]
        engine = compressed["engine"] if compressed["holds"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        engine = ""
    return frozenset(("int8", "bf16") if engine == "int8" else (engine,))


def measure(folder: Path, record: Path, *, n_threads: int = 1) -> dict[str, float]:
    """Tokens a second of each engine on this host, the medians of interleaved rounds, kept in `record`."""
    encoder = TextEncoder(folder)
    words, rng = encoder.word_ids, np.random.default_rng(1)
    rows = [np.asarray([encoder.cls_id, *rng.choice(words, n - 2), encoder.sep_id], np.int32) for n in MEASURED_LENGTHS]
    engines = {name: make_engine(folder, name, pad_id=encoder.pad_id, n_threads=n_threads) for name in usable(folder)}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(N_ROUNDS + 1):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine.states(rows)
            seconds[name].append(time.perf_counter() - started)
    # the first round warms up
    speeds = {name: round(sum(MEASURED_LENGTHS) / median(rounds[1:]), 1) for name, rounds in seconds.items()}
    record.parent.mkdir(parents=True, exist_ok=True)
    write_whole(record, json.dumps({"processor": processor(), "student": folder.name, "tokens_per_second": speeds}, indent=1) + "\n")
    return speeds


def measured(record: Path | None) -> Mapping[str, float]:
    """What `measure` kept; nothing where it was not run, or on a host with another processor."""
    try:
        kept = json.loads(record.read_text(encoding="utf-8")) if record else {}
        return dict(kept["tokens_per_second"]) if kept["processor"] == processor() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
