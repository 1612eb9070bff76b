"""The training loop: gold and teachers' answers, few embeddings, the mean of the later epochs. Torch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipelines.batch import Batch, collate, plan_batches
from pipelines.hardware import mixed_precision, suit_attention, training_device
from pipelines.heads import n_outputs
from pipelines.net import StudentNet
from pipelines.progress import OnProgress
from pipelines.seen_pieces import SeenPieces
from pipelines.side_by_side import SideBySide
from pipelines.targets import Encoded
from suites.errors import RunError
from suites.types import StudentPlan, Task

WARMUP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Fitted:
    """The dev score and the mean loss of every epoch, the first of the epochs whose mean weights were kept, and the dev score of these."""

    scores: tuple[float, ...]
    losses: tuple[float, ...]
    mean_from: int
    score: float


def fit(
    net: StudentNet,
    train: Sequence[Encoded],
    plan: StudentPlan,
    *,
    epochs: int,
    pad_id: int,
    seed: int,
    dev_score: Callable[[StudentNet], float],
    on_progress: OnProgress,
) -> Fitted:
    """Fine-tunes `net` in place and leaves it with the mean of the weights at the ends of the later half of its epochs.

    A mean is steadier than the best epoch on a dev split that may have fifty rows (docs/distillation.md; Izmailov et al.
    2018, arXiv:1803.05407). In that half training ends early when dev has not risen for `patience` epochs. AdamW with
    linear warm-up and decay; bf16 products where the processor has them. Where examples carry teachers' answers, these
    count at the beginning and gold at the end. `frozen` of the plan leaves the embeddings and the lowest layers as they
    are (Lee et al. 2019, arXiv:1911.03090).
    """
    device = training_device()
    rng = random.Random(seed)
    _freeze(net, plan.frozen)
    net.tag_weights = {t.name: tag_weights(t, train).to(device) for t in net.tasks.values() if t.kind == "spans"}
    taught = any(t.soft is not None for e in train for t in e.targets.values())
    seen = SeenPieces(net.encoder, train, pad_id)
    net.to(device)
    descent = _Descent(net, plan, len(plan_batches(train, plan, random.Random(seed))) * epochs)
    scores: list[float] = []
    losses: list[float] = []
    mean = MeanWeights()
    with _side_by_side(net, device):
        for epoch in range(epochs):
            net.train()
            running = []
            for chosen in plan_batches(train, plan, rng):
                batch = collate([train[i] for i in chosen], net.tasks, pad_id, rng)
                batch.ids = seen.numbered(batch.ids)
                running.append(descent.step(batch.to(device)))
                on_progress(f"epoch {epoch + 1}/{epochs}", min(descent.done, descent.total), descent.total)
            losses.append(sum(running) / max(len(running), 1))
            net.eval()
            with seen.all_pieces():
                scores.append(dev_score(net))
                if epoch >= epochs // 2:
                    mean.add(net.state_dict())
            # with teachers gold counts fully only at the end: who stops before has not heard it
            if not taught and epoch >= epochs // 2 and epoch - int(np.argmax(scores)) >= plan.patience:
                break
    on_progress("trained", descent.total, descent.total)
    seen.restore()
    net.cpu()
    net.load_state_dict(mean.weights)
    net.eval()
    return Fitted(tuple(scores), tuple(losses), epochs // 2, dev_score(net))


@contextmanager
def _side_by_side(net: StudentNet, device: torch.device) -> Iterator[None]:
    """Where there are several cores and no GPU, the net's rows are read side by side meanwhile."""
    if device.type != "cpu" or torch.get_num_threads() == 1:
        yield
        return
    net.side_by_side = SideBySide(net.encoder)
    try:
        yield
    finally:
        net.side_by_side.close()
        net.side_by_side = None


class _Descent:
    """The steps down the loss, with the rate and gold's share of so far."""

    def __init__(self, net: StudentNet, plan: StudentPlan, total: int) -> None:
        self.total = total
        self.done = 0
        self._net = net
        self._optimiser = torch.optim.AdamW(_groups(net, plan), fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: warmup_and_decay(step, total))

    def step(self, batch: Batch) -> float:
        """One step; the loss before it, 0 of a batch that answers nothing."""
        loss = self._loss(batch)
        if loss is not None:
            descend(loss, self._net, self._optimiser)
        if self._schedule.last_epoch < self.total - 1:
            self._schedule.step()
        self.done += 1
        return 0.0 if loss is None else float(loss.detach())

    def _loss(self, batch: Batch) -> torch.Tensor | None:
        device = batch.ids.device
        suit_attention(self._net.encoder, batch.ids.shape[1], device)
        with mixed_precision(device):
            losses = self._net.losses(batch, gold_share=min(1.0, self.done / self.total))
        return torch.stack(list(losses.values())).sum() if losses else None


class MeanWeights:
    """The running mean of several states of a net."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self._n = 0

    def add(self, state: Mapping[str, torch.Tensor]) -> None:
        """One state more; all count alike."""
        self._n += 1
        for name, tensor in state.items():
            now = tensor.detach().cpu()
            self.weights[name] = self.weights[name] + (now - self.weights[name]) / self._n if name in self.weights else now.clone()


def tag_weights(task: Task, examples: Sequence[Encoded]) -> torch.Tensor:
    """Weights of a spans task's BIO tags: outside counts less the rarer spans are, by the root of their share.

    Unweighted, few examples of a rare span teach only that it is never there.
    """
    tags = [e.targets[task.name].wanted for e in examples if task.name in e.targets and e.targets[task.name].gold]
    inside, outside = (sum(int(chosen.sum()) for chosen in kind) for kind in ([t > 0 for t in tags], [t == 0 for t in tags]))
    weights = torch.ones(n_outputs(task))
    weights[0] = min(1.0, (max(inside, 1) / max(outside, 1)) ** 0.5)
    return weights


def _freeze(net: StudentNet, share: float) -> None:
    layers = list(net.encoder.transformer.layer)
    for module in (net.encoder.embeddings, *layers[: round(share * len(layers))]) if share else ():
        module.requires_grad_(False)


def _groups(net: StudentNet, plan: StudentPlan) -> Iterator[dict[str, object]]:
    encoder = [p for p in net.encoder.parameters() if p.requires_grad]
    yield {"params": [p for p in encoder if p.ndim > 1], "lr": plan.learning_rate, "weight_decay": 0.01}
    yield {"params": [p for p in encoder if p.ndim == 1], "lr": plan.learning_rate, "weight_decay": 0.0}
    yield {"params": list(net.heads.parameters()), "lr": plan.head_learning_rate, "weight_decay": 0.0}


def warmup_and_decay(step: int, total: int, warmup_share: float = WARMUP_SHARE) -> float:
    """The share of the learning rate at a step: up to 1 in the first steps, then down to 0, both in a line."""
    warmup = max(1, int(total * warmup_share))
    return (step + 1) / warmup if step < warmup else max(0.0, (total - step) / max(1, total - warmup))


def descend(loss: torch.Tensor, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """One step down the loss, its gradient of a norm of 1 at most. Raises RunError for a loss that is no number: it would only spread."""
    if not torch.isfinite(loss):
        raise RunError("The loss is no longer a number: the steps are too large. Lower the learning rate ([student] in pack.toml; distill --learning-rate).")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
