"""The encoder as OpenVINO computes it: in fp32, or in bf16 where the processor has it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import openvino as ov

from pipelines.encode import Floats, Ints, batches, pad
from pipelines.engine import Project, as_they_are, nothing
from suites.errors import RunError, StudentError

BATCH_TOKENS = 1024  # padded tokens a request: the fastest of those measured, docs/performance.md
_NO_MEMORY = re.compile("alloc|out of memory", re.IGNORECASE)  # "can't alloc", "std::bad_alloc"

T = TypeVar("T")

# a request's rows, their lengths, what is made of their states, the states found, and what went wrong
Taken = tuple[list[int], list[int], Project, dict[int, Floats], list[BaseException]]


class OpenVinoEngine:
    """The encoder as compiled by OpenVINO for this host's CPU.

    `n_threads` cores are shared by as many streams; `precision` is `f32` or `bf16`.
    """

    def __init__(self, path: Path, *, pad_id: int, n_threads: int = 1, precision: str = "f32") -> None:
        if not path.is_file():
            raise StudentError(f"{path} not found. Run `manage.py finetune` again, or restore the student's folder.")
        self._path, self._n_threads = path, n_threads
        self._config = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": str(n_threads),
            "INFERENCE_NUM_THREADS": str(n_threads),
            # several worker processes on one host: pinned ones would share a core (docs/performance.md)
            "ENABLE_CPU_PINNING": "NO",
        }
        self._one_by_one = threading.Lock()
        self._pad_id = pad_id
        model = self._compiled()
        self._queue: ov.AsyncInferQueue | None = self._queue_of(model)
        self.hidden = int(model.output(0).partial_shape[2].get_length())

    def _compiled(self) -> ov.CompiledModel:
        core = ov.Core()
        return core.compile_model(core.read_model(self._path), "CPU", self._config)

    def _queue_of(self, model: ov.CompiledModel) -> ov.AsyncInferQueue:
        queue = ov.AsyncInferQueue(model, self._n_threads)
        queue.set_callback(_take)
        return queue

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        """As of every engine. Raises MemoryError, and RunError where OpenVINO refuses for another reason; the next call finds it whole again."""
        found: dict[int, Floats] = {}
        failed: list[BaseException] = []
        with self._one_by_one:  # to wait for the queue is to wait for all that is in it
            queue = self._native(self._made)
            try:
                for batch in batches([len(row) for row in rows], BATCH_TOKENS):
                    part = [rows[i] for i in batch]
                    ids, mask = pad(part, self._pad_id)
                    taken: Taken = (batch, [len(row) for row in part], project, found, failed)
                    self._native(partial(queue.start_async, {0: ids, 1: mask}, taken))
                    on_batch()
            finally:
                self._native(queue.wait_all)
        if failed:
            raise failed[0]
        if len(found) != len(rows):  # a missing one would shift the states onto other documents
            raise RunError(f"The encoder answered {len(found)} of {len(rows)} windows.", "engine")
        return [found[i] for i in range(len(rows))]

    def _made(self) -> ov.AsyncInferQueue:
        """The queue; after an error another, of the model compiled anew."""
        self._queue = self._queue or self._queue_of(self._compiled())
        return self._queue

    def _native(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except RuntimeError as error:  # OpenVINO's one kind of error
            # a queue that has met an error gives it for ever, and its model errors or wrong numbers (OpenVINO 2026.4.1)
            self._queue = None
            if _NO_MEMORY.search(str(error)):
                raise MemoryError from None
            raise RunError("The encoder failed; OpenVINO gives no reason that could be shown.", "engine") from None


def _take(request: ov.InferRequest, taken: Taken) -> None:
    """Takes the states from a request that has ended. What is raised here would end the process."""
    batch, lengths, project, found, failed = taken
    try:
        output: npt.NDArray[np.float32] = request.get_output_tensor(0).data
        for place, (i, length) in enumerate(zip(batch, lengths, strict=True)):
            found[i] = project(output[place, :length])
    except BaseException as error:
        failed.append(error)
