"""How fast students read, measured like for like, and how large they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from safetensors import safe_open

from pipelines.blas import one_blas_thread
from pipelines.encode import Floats, TextEncoder
from pipelines.engine import stitched
from pipelines.engines import Name, make_engine
from pipelines.processor import processor
from pipelines.progress import OnProgress, silent
from pipelines.student import Student

N_ROUNDS = 3
# about a second a round for a student of six layers
MEASURED_TOKENS = 20_000


def tokens_per_second(
    students: Mapping[str, tuple[Student, Name]], texts: Sequence[str], *, n_threads: int = 1, on_progress: OnProgress = silent
) -> dict[str, float]:
    """Tokens a second of each student on its engine: from the text to the logits of all tokens, without rules.

    All read the same texts. Rounds are interleaved, so that a busy machine slows
    all alike, and the median counts. A token is one of the first student's: whose word pieces are
    fewer is not made slower or faster by that.
    """
    first, _ = next(iter(students.values()))
    encoder = TextEncoder(first.folder)
    chosen = _some(texts, encoder)
    n_tokens = sum(len(t) for t in encoder.tokens(chosen))
    readers = {name: _reader(student, engine, n_threads) for name, (student, engine) in students.items()}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(N_ROUNDS + 1):
        for name, read in readers.items():
            started = time.perf_counter()
            with one_blas_thread():
                read(chosen)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
        on_progress("speed", number, N_ROUNDS)
    return {name: n_tokens / median(rounds) for name, rounds in seconds.items()}


def _some(texts: Sequence[str], encoder: TextEncoder) -> list[str]:
    """Texts drawn until they have enough tokens; all where that is not reached."""
    chosen: list[str] = []
    n_tokens = 0
    for i in np.random.default_rng(1).permutation(len(texts)):
        if n_tokens >= MEASURED_TOKENS:
            break
        chosen.append(texts[i])
        n_tokens += len(encoder.tokens([texts[i]])[0])
    return chosen


def _reader(student: Student, name: Name, n_threads: int) -> Callable[[Sequence[str]], None]:
    encoder = TextEncoder(student.folder)
    engine = make_engine(student.folder, name, pad_id=encoder.pad_id, n_threads=n_threads)
    weights = np.concatenate([h.weight for h in student.heads]).T.copy()

    def logits(states: Floats) -> Floats:
        return np.asarray(states @ weights)

    def read(texts: Sequence[str]) -> None:
        inputs = [encoder.inputs(tokens, student.birth.text) for tokens in encoder.tokens(texts)]
        for _ in stitched(engine, inputs, logits):
            pass

    return read


def machine(n_threads: int) -> str:
    """The processor and the threads that a speed was measured on."""
    return f"{processor()}, {n_threads} thread{'s' if n_threads > 1 else ''}"


def n_parameters(folder: Path) -> int:
    """The numbers in a student's encoder and heads, lexicons included. Nothing is loaded."""
    return sum(_n_numbers(folder / name) for name in ("model.safetensors", "heads.safetensors"))


def _n_numbers(path: Path) -> int:
    with safe_open(path, framework="numpy") as file:
        return sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118 (no mapping)
