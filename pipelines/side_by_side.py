"""A batch's rows read by several threads, each with rows of its own from the first layer to the last. Torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.autograd.function import once_differentiable
from transformers import DistilBertModel

from pipelines.hardware import mixed_precision

# each thread has a gradient of its own of all weights: more would fill the memory
MOST_THREADS = 4
# fewer are not worth a thread
LEAST_TOKENS = 128


class SideBySide:
    """An encoder's states, and their gradient, with the rows of a batch shared out among threads. Close it at the end.

    Torch shares out each single operation among the cores and waits for the slowest, a thousand times in a step of a
    small encoder. Here a thread has its own rows, of like length and padded for themselves. The result is that of one
    thread but for the order of sums, which is fixed: the same rows give the same gradient in every digit.
    """

    def __init__(self, encoder: DistilBertModel) -> None:
        self.encoder = encoder
        self._n_cores = torch.get_num_threads()
        self.n_threads = min(self._n_cores, MOST_THREADS)
        self._threads = ThreadPoolExecutor(self.n_threads)

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown()

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The last hidden states, without meaning where the mask is 0. Shapes: ids and mask (n_rows, length), states (n_rows, length, hidden)."""
        made: torch.Tensor = _States.apply(self, ids, mask, *(p for p in self.encoder.parameters() if p.requires_grad))  # type: ignore[no-untyped-call]
        return made

    def each(self, work: Callable[..., Any], *given: Sequence[Any]) -> list[Any]:
        """What `work` gives for the first of all that is given, for the second, and so on, in order."""

        def on_its_cores(*of: Any) -> Any:
            torch.set_num_threads(self._n_cores // self.n_threads)  # holds for the thread that says it, but for matrix products for all
            return work(*of)

        try:
            return list(self._threads.map(on_its_cores, *given))
        finally:
            torch.set_num_threads(self._n_cores)


class _States(torch.autograd.Function):
    """The states as one node of the graph: what lies behind it is differentiated by the threads that made it."""

    @staticmethod
    def forward(ctx: Any, reader: SideBySide, ids: torch.Tensor, mask: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        lengths = mask.sum(1).numpy()
        chosen = [torch.from_numpy(rows) for rows in shared_out(lengths, reader.n_threads)]
        longest = [int(lengths[rows].max()) for rows in chosen]

        def read(rows: torch.Tensor, length: int) -> torch.Tensor:
            with torch.enable_grad(), mixed_precision(ids.device):
                found: torch.Tensor = reader.encoder(input_ids=ids[rows, :length], attention_mask=mask[rows, :length]).last_hidden_state
                return found.float()

        ctx.reader, ctx.weights, ctx.chosen, ctx.longest = reader, weights, chosen, longest
        ctx.found = reader.each(read, chosen, longest)
        states = torch.zeros(*ids.shape, ctx.found[0].shape[2])
        for rows, length, found in zip(chosen, longest, ctx.found, strict=True):
            states[rows, :length] = found.detach()
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        def differentiate(found: torch.Tensor, rows: torch.Tensor, length: int) -> tuple[torch.Tensor, ...]:
            made: tuple[torch.Tensor, ...] = torch.autograd.grad(found, ctx.weights, gradient[rows, :length])
            return made

        parts = ctx.reader.each(differentiate, ctx.found, ctx.chosen, ctx.longest)
        ctx.found = None
        for other in parts[1:]:
            torch._foreach_add_(parts[0], other)
        return None, None, None, *parts[0]


def shared_out(lengths: npt.NDArray[np.integer[Any]], n_threads: int) -> list[npt.NDArray[np.int64]]:
    """The numbers of rows of so many tokens, in at most `n_threads` groups: rows of like length, and about as many tokens in each group."""
    order = np.argsort(lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    n_groups = max(1, min(n_threads, int(ends[-1]) // LEAST_TOKENS))
    # a row belongs where its middle lies
    group = ((ends - lengths[order] / 2) * n_groups / ends[-1]).astype(np.int64)
    return [rows for g in range(n_groups) if len(rows := order[group == g])]
