"""The net that training changes: the encoder and a linear head a task, and the losses of a batch. Torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as nnf
from transformers import DistilBertModel

from pipelines.batch import Batch, Part
from pipelines.heads import Head, n_outputs
from pipelines.side_by_side import SideBySide
from suites.types import Task

# teachers' probabilities are softened by it, and the loss scaled by its square (Hinton et al. 2015, arXiv:1503.02531, section 2)
SOFTENING = 2.0
# of the distance between the student's and a teacher's last states
HIDDEN_WEIGHT = 1.0


class StudentNet(nn.Module):
    """The encoder with a linear head per task."""

    def __init__(self, encoder: DistilBertModel, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({t.name: nn.Linear(encoder.config.dim, n_outputs(t)) for t in tasks})
        self.tasks = {t.name: t for t in tasks}
        self.tag_weights: dict[str, torch.Tensor] = {}
        # training's way to read the rows of a batch, where it has a faster one
        self.side_by_side: SideBySide | None = None
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=0.02)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def losses(self, batch: Batch, gold_share: float = 1.0) -> dict[str, torch.Tensor]:
        """The mean loss of each task that the batch answers, and `hidden`, the distance from the teacher's states.

        `gold_share` of a task's loss is gold's, the rest its teachers': it grows from 0 to 1 in the
        course of training (teacher annealing; Clark et al. 2019, arXiv:1907.04829, section 3.2).
        """
        states = self._states(batch)
        flat = states.reshape(-1, states.shape[-1]).float()
        made = {}
        for name, part in batch.parts.items():
            loss = self._loss(self.tasks[name], flat, part, gold_share)
            if loss is not None:
                made[name] = loss
        if batch.states is not None and gold_share < 1.0:
            made["hidden"] = (1.0 - gold_share) * HIDDEN_WEIGHT * relative_distance(states.float(), batch.states, batch.mask)
        return made

    def _states(self, batch: Batch) -> torch.Tensor:
        if self.side_by_side is not None:
            return self.side_by_side.states(batch.ids, batch.mask)
        states: torch.Tensor = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        return states

    def _loss(self, task: Task, flat: torch.Tensor, part: Part, gold_share: float) -> torch.Tensor | None:
        rows = flat[part.positions]
        if task.kind != "spans":
            n_ranges = len(part.wanted)
            sums = rows.new_zeros(n_ranges, rows.shape[1]).index_add(0, part.segments, rows)
            counts = torch.bincount(part.segments, minlength=n_ranges).clamp(min=1)
            rows = sums / counts.unsqueeze(1)
        logits = self.heads[task.name](rows)
        share = gold_share if part.soft is not None else 1.0
        losses = []
        if share > 0 and len(part.gold):
            losses.append(share * hard_loss(task, logits[part.gold], part.wanted[part.gold], self.tag_weights.get(task.name)))
        if part.soft is not None and share < 1:
            losses.append((1 - share) * soft_loss(task, logits[part.taught], part.soft))
        return torch.stack(losses).sum() if losses else None


def hard_loss(task: Task, logits: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """The cross-entropy of gold. Shapes: logits (n, n_outputs); wanted (n,), for tags (n, n_outputs)."""
    if task.kind == "tags":
        return nnf.binary_cross_entropy_with_logits(logits, wanted)
    return nnf.cross_entropy(logits, wanted, weight=weights)


def soft_loss(task: Task, logits: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of teachers' softened probabilities. Shapes: (n, n_outputs) both."""
    softened = logits / SOFTENING
    if task.kind == "tags":
        return SOFTENING**2 * nnf.binary_cross_entropy_with_logits(softened, soft)
    return SOFTENING**2 * nnf.cross_entropy(softened, soft)


def relative_distance(states: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean squared distance of states where the mask is set, over the mean square of what is wanted: 0 is equal, 1 no better than zeros."""
    seen = mask.bool()
    return ((states[seen] - wanted[seen]) ** 2).mean() / (wanted[seen] ** 2).mean()


def heads_of(net: StudentNet) -> list[Head]:
    """The net's heads as the arrays that inference uses."""
    made = []
    for name, task in net.tasks.items():
        layer = net.heads[name]
        made.append(Head(task, layer.weight.detach().cpu().numpy().copy(), layer.bias.detach().cpu().numpy().copy()))  # type: ignore[operator]
    return made


def start_heads(net: StudentNet, heads: Sequence[Head]) -> None:
    """Gives the net's heads the weights of a teacher's, where the sizes agree: its states are to become the teacher's."""
    for head in heads:
        layer = net.heads[head.task.name]
        if layer.weight.shape == head.weight.shape:
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(head.weight))  # type: ignore[operator]
                layer.bias.copy_(torch.from_numpy(head.bias))  # type: ignore[operator]
