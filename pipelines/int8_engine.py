"""The encoder in int8 by our own kernel: no padding, no graph, and a file that processes share."""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.encode import Floats, Ints
from pipelines.engine import Project, as_they_are, nothing
from pipelines.int8_kernel import HEAD_WIDTHS, LINEAR, Layer, Linear, Model, Norm, library
from suites.errors import RunError, StudentError

# of one call: little enough that a lease is renewed in time, enough that the call itself costs nothing
CALL_TOKENS = 1024
LAYER_NORM_EPS = 1e-12  # DistilBERT's and BERT's
LINE = 64  # bytes of a cache line, at which scratch begins
TYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "I16": np.int16, "I32": np.int32}

Arrays = dict[str, npt.NDArray[np.generic]]


class Int8Engine:
    """The encoder of a file that `int8_weights` wrote. Calls are shared out to `n_threads` threads, each reading one of them at a time.

    Raises StudentError for a file that is not there or not readable, RunError where the kernel cannot run.
    """

    def __init__(self, path: Path, *, n_threads: int = 1, kind: str = "") -> None:
        self._library = library(kind)
        self._arrays, about = mapped(path)
        try:
            self._layers, self._model = _model(self._arrays, n_heads=int(about["n_heads"]))
        except (KeyError, ValueError) as error:
            raise _damaged(path, error) from None
        self._scratch = threading.local()
        self._threads = ThreadPoolExecutor(n_threads) if n_threads > 1 else None
        self.hidden = int(self._model.hidden)

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        parts = list(_calls(rows))

        def read(part: Sequence[Ints]) -> list[Floats]:
            return [project(states) for states in self._encode(part)]

        found: list[Floats] = []
        for states in self._threads.map(read, parts) if self._threads else map(read, parts):
            found += states
            on_batch()
        return found

    def _encode(self, rows: Sequence[Ints]) -> list[Floats]:
        """States of the rows of one call. They lie in this thread's scratch, where its next call writes."""
        ids = np.ascontiguousarray(np.concatenate(rows), np.int32)
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)
        model, n_rows = ctypes.byref(self._model), len(rows)
        scratch = self._room(self._library.int8_scratch_bytes(model, starts.ctypes.data, n_rows))
        if self._library.int8_encode(model, ids.ctypes.data, starts.ctypes.data, n_rows, scratch.ctypes.data):
            reason = f"a token's id is not below {self._model.n_words}, or a window's length not within 1 and {self._model.n_places}"
            raise RunError(f"The encoder cannot read this: {reason}. Tokenizer and encoder are not of one student.", "engine")
        states = scratch[: len(ids) * self.hidden].reshape(len(ids), self.hidden)
        return [states[begin:end] for begin, end in pairwise(starts)]

    def _room(self, n_bytes: int) -> Floats:
        """This thread's scratch, at least so many bytes, from the beginning of a line on."""
        room: Floats | None = getattr(self._scratch, "room", None)
        if room is None or room.nbytes < n_bytes:
            bare = np.empty(-(-n_bytes // LINE) * LINE + LINE, np.uint8)
            begin = -bare.ctypes.data % LINE
            room = self._scratch.room = bare[begin : len(bare) - LINE + begin].view(np.float32)
        return room


def _calls(rows: Sequence[Ints]) -> Iterator[Sequence[Ints]]:
    """The rows in order, as many together as a call takes; at least one."""
    begin, n_tokens = 0, 0
    for at, row in enumerate(rows):
        if at > begin and n_tokens + len(row) > CALL_TOKENS:
            yield rows[begin:at]
            begin, n_tokens = at, 0
        n_tokens += len(row)
    if begin < len(rows):
        yield rows[begin:]


def mapped(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a safetensors file as its pages in memory, which all processes share, and its metadata. `safetensors` itself would copy them."""
    try:
        data = np.memmap(path, np.uint8, "r")
        begin = 8 + int(data[:8].view(np.uint64)[0])
        header = json.loads(data[8:begin].tobytes())
        about = header.pop("__metadata__")
        arrays = {name: _array(data[begin:], entry) for name, entry in header.items()}
    except FileNotFoundError:
        raise StudentError(f"{path} not found. Run `manage.py finetune` again, or restore the student's folder.", "no_student") from None
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise _damaged(path, error) from None
    return arrays, about


def _damaged(path: Path, error: Exception) -> StudentError:
    return StudentError(f"{path}: not a readable int8 encoder: {type(error).__name__}. Restore the student's folder.", "student_damaged")


def _array(data: npt.NDArray[np.uint8], entry: dict[str, list[int]]) -> npt.NDArray[np.generic]:
    begin, end = entry["data_offsets"]
    return data[begin:end].view(TYPES[str(entry["dtype"])]).reshape(entry["shape"])


def _model(arrays: Arrays, *, n_heads: int) -> tuple[ctypes.Array[Layer], Model]:
    """The kernel's view of the arrays; both must live as long as it is used."""

    def at(name: str) -> int:
        return int(arrays[name].ctypes.data)

    def linear(name: str) -> Linear:
        return Linear(**{key: at(f"{name}.{key}") for key in LINEAR})

    def norm(name: str) -> Norm:
        return Norm(at(f"{name}.weight"), at(f"{name}.bias"))

    n_layers = sum(name.endswith(".qkv.weight") for name in arrays)
    layers = (Layer * n_layers)()
    for number in range(n_layers):
        name = f"layer.{number}"
        products = {key: linear(f"{name}.{key}") for key in ("qkv", "out", "inner", "outer")}
        layers[number] = Layer(**products, after_attention=norm(f"{name}.after_attention"), after_outer=norm(f"{name}.after_outer"))
    n_words, hidden = arrays["words"].shape
    if n_heads < 1 or hidden % n_heads or hidden // n_heads not in HEAD_WIDTHS:
        raise ValueError(f"{n_heads} heads of {hidden} numbers")
    inner, n_places = arrays["layer.0.inner.bias"].shape[0], len(arrays["positions"])
    model = Model(n_layers, hidden, n_heads, inner, n_words, n_places, LAYER_NORM_EPS, 0, at("words"), at("positions"), norm("norm"), ctypes.addressof(layers))
    return layers, model
