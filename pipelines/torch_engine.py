"""The net in training as an engine of inference. Torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from transformers import DistilBertModel

from pipelines.encode import Floats, Ints, batches, pad
from pipelines.engine import Project, as_they_are, nothing
from pipelines.hardware import mixed_precision, suit_attention


class TorchEngine:
    """The training net behind the inference seam, so that dev is scored by the code that will serve.

    `rough` computes in bf16 where the device has it: enough to rank epochs.
    """

    def __init__(self, encoder: DistilBertModel, pad_id: int, *, rough: bool = False) -> None:
        self._encoder = encoder
        self._pad_id = pad_id
        self._rough = rough
        self.hidden = int(encoder.config.dim)

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        found: dict[int, Floats] = {}
        device = self._encoder.device
        with torch.inference_mode(), mixed_precision(device) if self._rough else nullcontext():
            for batch in batches([len(r) for r in rows], 4096):
                ids, mask = pad([rows[i] for i in batch], self._pad_id)
                suit_attention(self._encoder, ids.shape[1], device)
                output = self._encoder(input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)).last_hidden_state
                for place, i in enumerate(batch):
                    found[i] = project(output[place, : len(rows[i])].float().cpu().numpy())
                on_batch()
        return [found[i] for i in range(len(rows))]
