"""A system in a process of its own, so that memory and cold start are its own; the parent asks it for rounds over a pipe."""

from __future__ import annotations

import gc
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.energy import JOULES_A_KWH, Meter
from suites.errors import RunError
from tests.bench.latency import Latency, measure_latency
from tests.bench.peers import PEERS, Batch, Loaded
from tests.bench.unit import Unit

if TYPE_CHECKING:
    from tests.bench.ours import Ours

ROOT = Path(__file__).parent.parent.parent
OURS = "ours"
# nothing that is timed here takes so long; what does has hung
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of a system came to. `joules` are the processor's, known by `method`; `peak_mb` is the memory's highest mark in it."""

    n_tokens: int
    seconds: float
    cpu_seconds: float
    joules: float
    method: str
    peak_mb: float

    @property
    def tokens_per_s(self) -> float:
        return self.n_tokens / self.seconds


class Running:
    """A system that has started and has read its first message. Every call raises RunError where its process failed or hung."""

    def __init__(self, name: str, model: Path | Ours, n_threads: int, first: str) -> None:
        started = time.monotonic()
        self._pipe, self._process = _begun(_serve, (name, model, n_threads, first), n_threads)
        try:
            self.start_mb = float(self._answer())
        except RunError:
            self.stop()
            raise
        self.cold_start_s = time.monotonic() - started

    def ask_round(self, batch: Batch, units: Sequence[Unit], seconds: float) -> None:
        """Begins a round: units are read from the first on until the time is up, one at least."""
        self._pipe.send(("round", batch, units, seconds))

    def round(self) -> Round:
        """The round that was asked for."""
        return Round(*self._answer())

    def latency(self, texts: Sequence[str], batch: Batch, n: int, seconds: float) -> Latency:
        """The latency of one message by one thread; the model is loaded anew for it, and nothing can be asked after it."""
        self._pipe.send(("latency", texts, batch, n, seconds))
        return Latency(*self._answer())

    def stop(self) -> None:
        self._pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        try:
            if not self._pipe.poll(PATIENCE_S):
                raise RunError(f"no answer in {PATIENCE_S:.0f} s", "bench")
            ok, answer = self._pipe.recv()
        except (EOFError, OSError):
            self.stop()
            raise RunError(f"its process ended (exit code {self._process.returncode})", "bench") from None
        if not ok:
            raise RunError(answer, "bench")
        return answer


def _begun(work: Callable[..., None], arguments: Sequence[Any], n_threads: int) -> tuple[Connection, subprocess.Popen[bytes]]:
    """A new process that does the work, and the pipe to it; `work` is given the other end."""
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "tests.bench.child", str(theirs.fileno())]
    with environment(n_threads):
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    ours.send((work, arguments))
    return ours, process


@contextmanager
def environment(n_threads: int) -> Iterator[None]:
    """What a started process finds in its environment: the same number of threads for every library, and no network."""
    n = str(n_threads)
    wanted = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "BLIS_NUM_THREADS"), n)
    wanted |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        _restore(before)


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _serve(pipe: Connection, name: str, model: Path | Ours, n_threads: int, first: str) -> None:
    """The process: loads, reads the first message, then does what it is asked until latencies were asked for or the pipe is closed."""
    silence()
    try:
        loaded = _load(name, model, n_threads)
        batches = (None,) if name == OURS else PEERS[name].batches
        loaded(batches[0])([first])
        pipe.send((True, peak_mb()))
        while True:
            what, *arguments = pipe.recv()
            if what == "round":
                pipe.send((True, _round(loaded, *arguments)))
            else:
                break
        del loaded  # the model of many threads goes before that of one is loaded
        gc.collect()
        pipe.send((True, _latency(name, model, *arguments)))
    except EOFError:  # the parent has what it wanted
        return
    except Exception as error:  # whatever a library raises is told in its row
        pipe.send((False, reason(error)))


def _load(name: str, model: Path | Ours, n_threads: int) -> Loaded:
    if isinstance(model, Path):
        return PEERS[name].load(model, n_threads)
    from tests.bench.ours import reader  # it, not the peers, needs what our pipelines import

    read = reader(model, n_threads)
    return lambda batch: read


def _round(loaded: Loaded, batch: Batch, units: Sequence[Unit], seconds: float) -> tuple[int, float, float, float, str, float]:
    read, n_tokens, meter = loaded(batch), 0, Meter()
    reset_peak()
    before, started = meter.total(), time.perf_counter()
    for unit in cycle(units):
        read(unit.texts)
        n_tokens += unit.n_tokens
        if time.perf_counter() - started >= seconds:
            break
    taken = time.perf_counter() - started
    spent = meter.total() - before
    return n_tokens, taken, spent.cpu_seconds, spent.cpu_energy * JOULES_A_KWH, meter.method, peak_mb()


def _latency(name: str, model: Path | Ours, texts: Sequence[str], batch: Batch, n: int, seconds: float) -> tuple[float, float, float, int]:
    found = measure_latency(_load(name, model, 1)(batch), texts, n, seconds)
    return found.p50_ms, found.p95_ms, found.p99_ms, found.n


def reason(error: Exception) -> str:
    """An error in one line for a row, without the paths of this machine."""
    first = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
    return re.sub(r"\s*\(/[^)]*\)", "", first)[:200]


def silence() -> None:
    """Sends to nowhere what libraries print: it would mix with the table."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def reset_peak() -> None:
    """Sets the process's highest mark of memory to what it holds now (Linux' clear_refs), so that ways that share a process have their own."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """The highest mark of this process's memory, MB. From /proc where there is one: getrusage keeps the parent's across an exec."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / 1e6 if sys.platform == "darwin" else used * 1024 / 1e6


def aside(work: Callable[..., Any], *arguments: Any, n_threads: int = 1) -> Any:
    """What a function gives, run in a process of its own: torch, say, stays out of this one. Raises RunError where it fails."""
    pipe, process = _begun(_aside, (work, arguments), n_threads)
    try:
        ok, answer = pipe.recv()
    except (EOFError, OSError):
        ok, answer = False, "its process ended"
    pipe.close()
    process.wait()
    if not ok:
        raise RunError(f"{work.__name__}: {answer}", "bench")
    return answer


def _aside(pipe: Connection, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    silence()
    try:
        pipe.send((True, work(*arguments)))
    except Exception as error:
        pipe.send((False, reason(error)))
