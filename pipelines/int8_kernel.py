"""The int8 kernel as a library: compiled once at set-up, for each kind of processor it knows, and loaded where one fits.

`python -m pipelines.int8_kernel` compiles it by the clang of the wheel `ziglang` (`make setup` does so, and removes the
compiler again). The libraries lie in the virtual environment; their names hold a digest of the source, so that one of an
older source is never loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_float, c_int32, c_int64, c_size_t, c_void_p
from functools import lru_cache
from pathlib import Path

from pipelines.processor import flags
from suites.errors import RunError

SOURCE = Path(__file__).with_name("int8_kernel.c")
FOLDER = Path(sys.prefix) / "lib" / "stillhouse"
# the compiler's name of each kind of processor, and the flags of /proc/cpuinfo that it needs; the fastest first
KINDS = {
    "x86_64_v4+avx512vnni": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni"),
    "x86_64_v3+avxvnni": ("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe", "abm", "avx_vnni"),
    "x86_64_v3": ("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe", "abm"),
}
FLAGS = ("-std=gnu11", "-O3", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-shared", "-fPIC", "-nostdlib", "-ffp-contract=on", "-fno-math-errno")


# how wide a head may be: ATTEND and PLACE in int8_kernel.c
HEAD_WIDTHS = (16, 32, 48, 64)
# the arrays of a product: the fields of Linear in int8_kernel.c
LINEAR = ("weight", "scale", "bias", "sum", "start", "group_start", "smooth")


class Linear(ctypes.Structure):
    """As in int8_kernel.c."""

    _fields_ = tuple((name, c_void_p) for name in LINEAR)


class Norm(ctypes.Structure):
    """As in int8_kernel.c."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p))


class Layer(ctypes.Structure):
    """As in int8_kernel.c."""

    _fields_ = (*((name, Linear) for name in ("qkv", "out", "inner", "outer")), ("after_attention", Norm), ("after_outer", Norm))


class Model(ctypes.Structure):
    """As in int8_kernel.c."""

    _fields_ = (
        *((name, c_int32) for name in ("n_layers", "hidden", "n_heads", "inner", "n_words", "n_places")),
        ("epsilon", c_float),
        ("reserved", c_int32),
        ("words", c_void_p),
        ("places", c_void_p),
        ("norm", Norm),
        ("layers", c_void_p),
    )


def path_of(kind: str) -> Path:
    """Where the library for a kind of processor lies once it is compiled."""
    digest = hashlib.sha256(SOURCE.read_bytes() + repr(FLAGS).encode()).hexdigest()[:12]
    return FOLDER / f"int8_{kind.replace('+', '_')}-{digest}.so"


def compile_all(compiler: Sequence[str]) -> list[Path]:
    """Compiles the kernel for each kind of processor; gives the libraries. Raises RunError with the compiler's words."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("int8_*.so"):
        old.unlink()
    for kind in KINDS:
        made = path_of(kind)
        command = [*compiler, *FLAGS, f"-march={kind}", str(SOURCE), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"{SOURCE.name} could not be compiled for {kind}: {done.stderr.strip()[-2000:]}", "no_kernel")
    return [path_of(kind) for kind in KINDS]


def kinds_here() -> list[str]:
    """The kinds that this host's processor is of, the fastest first."""
    return [kind for kind, needed in KINDS.items() if flags().issuperset(needed)]


def why_not() -> str:
    """Why the kernel cannot run here, with the remedy; empty where it can."""
    if not kinds_here():
        return f"this processor ({platform.machine()}) has no AVX2"
    if not path_of(kinds_here()[0]).is_file():
        return f"it is not compiled: {path_of(kinds_here()[0])} not found. Run: make setup"
    return ""


@lru_cache(maxsize=len(KINDS) + 1)
def library(kind: str = "") -> ctypes.CDLL:
    """The kernel for a kind of processor, by default the best that this host has. Raises RunError where it cannot run."""
    if reason := why_not():
        raise RunError(f"The int8 kernel cannot run here: {reason}.", "no_kernel")
    loaded = ctypes.CDLL(str(path_of(kind or kinds_here()[0])))
    loaded.int8_scratch_bytes.argtypes = (c_void_p, c_void_p, c_int32)
    loaded.int8_scratch_bytes.restype = c_size_t
    loaded.int8_encode.argtypes = (c_void_p, c_void_p, c_void_p, c_int32, c_void_p)
    loaded.int8_peak.argtypes = (c_int64, c_void_p)
    return loaded


def peak(n_threads: int, seconds: float = 0.5) -> float:
    """Multiply-adds of int8 a second that so many threads reach in registers alone, by the kernel's own instructions; the best of three."""
    loaded = library()

    def work(rounds: int) -> int:
        return rounds * int(loaded.int8_peak(rounds, ctypes.byref(c_int32())))

    rounds = 100_000
    with ThreadPoolExecutor(n_threads) as threads:
        while True:
            started = time.perf_counter()
            list(threads.map(work, [rounds] * n_threads))
            if time.perf_counter() - started > seconds / 10:
                break
            rounds *= 4
        rates = []
        for _ in range(3):
            started = time.perf_counter()
            done = sum(threads.map(work, [rounds * 4] * n_threads))
            rates.append(done / (time.perf_counter() - started))
    return max(rates)


if __name__ == "__main__":
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"no int8 kernel for {platform.machine()}: OpenVINO reads instead")
    else:
        for library_path in compile_all(sys.argv[1:] or [sys.executable, "-m", "ziglang", "cc"]):
            print(library_path)
