"""The one seam of inference: token ids to hidden states. OpenVINO runs it; torch is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import openvino as ov

from pipelines.encode import Floats, Ints, batches, pad
from suites.errors import StudentError

BATCH_TOKENS = 1024  # padded tokens a request: the fastest of those measured, docs/performance.md


class Engine(Protocol):
    """Anything that gives hidden states."""

    hidden: int

    def states(self, rows: Sequence[Ints]) -> list[Floats]:
        """Hidden states of each row of token ids. Shape of each: (len(row), hidden)."""
        ...


class OpenVinoEngine:
    """The encoder as compiled by OpenVINO for this host's CPU.

    `n_threads` cores are shared by as many streams; `precision` is `f32` or `bf16`.
    """

    def __init__(self, path: Path, *, pad_id: int, n_threads: int = 1, precision: str = "f32") -> None:
        if not path.is_file():
            raise StudentError(f"{path} not found. Run `manage.py finetune` again, or restore the student's folder.")
        core = ov.Core()
        config = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": str(n_threads),
            "INFERENCE_NUM_THREADS": str(n_threads),
            # several worker processes on one host: pinned ones would share a core (performance.md)
            "ENABLE_CPU_PINNING": "NO",
        }
        self._model = core.compile_model(core.read_model(path), "CPU", config)
        self._queue = ov.AsyncInferQueue(self._model, n_threads)
        self._queue.set_callback(self._take)
        self._pad_id = pad_id
        self._states: list[Floats | None] = []
        self.hidden = int(self._model.output(0).partial_shape[2].get_length())

    def states(self, rows: Sequence[Ints]) -> list[Floats]:
        self._states = [None] * len(rows)
        lengths = [len(row) for row in rows]
        for batch in batches(lengths, BATCH_TOKENS):
            ids, mask = pad([rows[i] for i in batch], self._pad_id)
            self._queue.start_async({0: ids, 1: mask}, (batch, lengths))
        self._queue.wait_all()
        return [state for state in self._states if state is not None]

    def _take(self, request: ov.InferRequest, taken: tuple[list[int], list[int]]) -> None:
        batch, lengths = taken
        output: npt.NDArray[np.float32] = request.get_output_tensor(0).data
        for place, i in enumerate(batch):
            self._states[i] = output[place, : lengths[i]].copy()
