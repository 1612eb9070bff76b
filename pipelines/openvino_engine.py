"""The encoder as OpenVINO computes it: in fp32, or in bf16 where the processor has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov

from pipelines.encode import Floats, Ints, batches, pad
from pipelines.engine import Project, as_they_are, nothing
from suites.errors import RunError, StudentError

BATCH_TOKENS = 1024  # padded tokens a request: the fastest of those measured, docs/performance.md


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
            # several worker processes on one host: pinned ones would share a core (docs/performance.md)
            "ENABLE_CPU_PINNING": "NO",
        }
        self._model = core.compile_model(core.read_model(path), "CPU", config)
        self._queue = ov.AsyncInferQueue(self._model, n_threads)
        self._queue.set_callback(self._take)
        self._one_by_one = threading.Lock()
        self._pad_id = pad_id
        self.hidden = int(self._model.output(0).partial_shape[2].get_length())

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        found: dict[int, Floats] = {}
        with self._one_by_one:  # to wait for the queue is to wait for all that is in it
            for batch in batches([len(row) for row in rows], BATCH_TOKENS):
                part = [rows[i] for i in batch]
                ids, mask = pad(part, self._pad_id)
                self._queue.start_async({0: ids, 1: mask}, (batch, [len(row) for row in part], project, found))
                on_batch()
            self._queue.wait_all()
        if len(found) != len(rows):  # a missing one would shift the states onto other documents
            raise RunError(f"The encoder answered {len(found)} of {len(rows)} windows.", "engine")
        return [found[i] for i in range(len(rows))]

    @staticmethod
    def _take(request: ov.InferRequest, taken: tuple[list[int], list[int], Project, dict[int, Floats]]) -> None:
        batch, lengths, project, found = taken
        output: npt.NDArray[np.float32] = request.get_output_tensor(0).data
        for place, (i, length) in enumerate(zip(batch, lengths, strict=True)):
            found[i] = project(output[place, :length])
