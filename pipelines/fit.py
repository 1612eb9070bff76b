"""The training loop: one encoder, one head a task, masked losses, early stop on dev. Torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf
from transformers import DistilBertModel

from pipelines.encode import Floats, Ints, batches, pad
from pipelines.engine import Project, as_they_are, nothing
from pipelines.heads import Head, n_outputs
from pipelines.progress import OnProgress
from pipelines.targets import IGNORED, Encoded, Target
from suites.types import StudentPlan, Task

# of a long document so many windows are drawn anew each epoch; inference reads all of them
MAX_TRAIN_WINDOWS = 1
WARMUP_SHARE = 0.1
MIN_STEPS = 16


class StudentNet(nn.Module):
    """The encoder with a linear head per task."""

    def __init__(self, encoder: DistilBertModel, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({t.name: nn.Linear(encoder.config.dim, n_outputs(t)) for t in tasks})
        self.tasks = {t.name: t for t in tasks}
        self.tag_weights: dict[str, torch.Tensor] = {}
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=0.02)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The mean loss of each task that the batch annotates."""
        states = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        flat = states.reshape(-1, states.shape[-1]).float()
        return {name: self._loss(self.tasks[name], flat, part) for name, part in batch.parts.items()}

    def _loss(self, task: Task, flat: torch.Tensor, part: Part) -> torch.Tensor:
        rows = flat[part.positions]
        if task.kind != "spans":
            n_ranges = len(part.wanted)
            sums = rows.new_zeros(n_ranges, rows.shape[1]).index_add(0, part.segments, rows)
            counts = torch.bincount(part.segments, minlength=n_ranges).clamp(min=1)
            rows = sums / counts.unsqueeze(1)
        logits = self.heads[task.name](rows)
        if task.kind == "tags":
            return nnf.binary_cross_entropy_with_logits(logits, part.wanted)
        return nnf.cross_entropy(logits, part.wanted, weight=self.tag_weights.get(task.name))


@dataclass(slots=True)
class Part:
    """One task's share of a batch: positions in the flattened states, their range number, the wanted answers."""

    positions: torch.Tensor
    segments: torch.Tensor
    wanted: torch.Tensor


@dataclass(slots=True)
class Batch:
    ids: torch.Tensor
    mask: torch.Tensor
    parts: dict[str, Part]


@dataclass(slots=True)
class _Collected:
    positions: list[np.ndarray] = field(default_factory=list)
    segments: list[np.ndarray] = field(default_factory=list)
    wanted: list[np.ndarray] = field(default_factory=list)
    n_ranges: int = 0


def collate(examples: Sequence[Encoded], tasks: dict[str, Task], pad_id: int, rng: random.Random | None = None) -> Batch:
    """A padded batch. With `rng` a long document is represented by MAX_TRAIN_WINDOWS of its windows."""
    chosen = [_draw(len(e.inputs.plan), rng) for e in examples]
    rows = [e.inputs.rows[i] for e, drawn in zip(examples, chosen, strict=True) for i in drawn]
    ids, mask = pad(rows, pad_id)
    collected: dict[str, _Collected] = {}
    first_row = 0
    for example, drawn in zip(examples, chosen, strict=True):
        place = _places(example, drawn, first_row, ids.shape[1])
        first_row += len(drawn)
        for name, target in example.targets.items():
            _collect(collected.setdefault(name, _Collected()), tasks[name], target, place)
    parts = {name: _part(c, tasks[name]) for name, c in collected.items() if c.positions}
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask), parts)


def _draw(n_windows: int, rng: random.Random | None) -> list[int]:
    if rng is None or n_windows <= MAX_TRAIN_WINDOWS:
        return list(range(n_windows))
    return sorted(rng.sample(range(n_windows), MAX_TRAIN_WINDOWS))


def _places(example: Encoded, drawn: Sequence[int], first_row: int, width: int) -> np.ndarray:
    """Position of each token in the flattened states, -1 where its window was not drawn. Shape: (n_tokens,)."""
    place = np.full(example.n_tokens, -1, np.int64)
    for row, i in enumerate(drawn, start=first_row):
        w = example.inputs.plan[i]
        place[w.keep_start : w.keep_end] = row * width + 1 + np.arange(w.keep_start - w.start, w.keep_end - w.start)
    return place


def _collect(into: _Collected, task: Task, target: Target, place: np.ndarray) -> None:
    if task.kind == "spans":
        kept = np.flatnonzero((place >= 0) & (target.wanted != IGNORED))
        if len(kept):
            into.positions.append(place[kept])
            into.wanted.append(target.wanted[kept])
        return
    for i, token_range in enumerate(target.ranges):
        positions = place[token_range]
        positions = positions[positions >= 0]
        if len(positions):
            into.positions.append(positions)
            into.segments.append(np.full(len(positions), into.n_ranges))
            into.wanted.append(target.wanted[i : i + 1])
            into.n_ranges += 1


def _part(collected: _Collected, task: Task) -> Part:
    segments = np.concatenate(collected.segments) if collected.segments else np.zeros(0, np.int64)
    wanted = np.concatenate(collected.wanted)
    return Part(
        torch.from_numpy(np.concatenate(collected.positions)),
        torch.from_numpy(segments),
        torch.from_numpy(wanted if task.kind == "tags" else wanted.astype(np.int64)),
    )


def plan_batches(examples: Sequence[Encoded], plan: StudentPlan, rng: random.Random) -> list[list[int]]:
    """One epoch: shuffled batches of examples of like length (grouping saves the padding), each source within its share."""
    order = _drawn(examples, plan.source_tokens, rng)
    # few examples: smaller batches, so that an epoch still has MIN_STEPS steps
    batch_examples = max(1, min(plan.batch_examples, len(order) // MIN_STEPS))
    pool = batch_examples * 50
    made: list[list[int]] = []
    for at in range(0, len(order), pool):
        batch: list[int] = []
        n_rows = 0
        for i in sorted(order[at : at + pool], key=lambda i: _length(examples[i])):
            rows = min(len(examples[i].inputs.rows), MAX_TRAIN_WINDOWS)
            if batch and (len(batch) == batch_examples or (n_rows + rows) * _length(examples[i]) > plan.batch_tokens):
                made.append(batch)
                batch, n_rows = [], 0
            batch.append(i)
            n_rows += rows
        if batch:
            made.append(batch)
    rng.shuffle(made)
    return made


def _length(example: Encoded) -> int:
    """Tokens of the longest window."""
    return max(len(row) for row in example.inputs.rows)


def _drawn(examples: Sequence[Encoded], source_tokens: int, rng: random.Random) -> list[int]:
    """The examples of one epoch in random order: of each source until its share of tokens is used."""
    order = list(range(len(examples)))
    rng.shuffle(order)
    used: Counter[str] = Counter()
    drawn = []
    for i in order:
        source = examples[i].source
        if used[source] < source_tokens:
            used[source] += _length(examples[i]) * min(len(examples[i].inputs.rows), MAX_TRAIN_WINDOWS)
            drawn.append(i)
    return drawn


@dataclass(frozen=True, slots=True)
class Fitted:
    """The dev score and the mean loss of every epoch, and the epoch whose weights were kept."""

    scores: tuple[float, ...]
    losses: tuple[float, ...]
    best_epoch: int


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
    """Fine-tunes `net` in place and leaves it with the weights of its best epoch on dev.

    AdamW with linear warm-up and decay; embeddings and the lowest layers stay frozen: the top layers
    carry nearly all of what fine-tuning changes (Lee et al. 2019, arXiv:1911.03090), and the
    backward pass ends where they end. bf16 autocast where the processor has it.
    """
    rng = random.Random(seed)
    _freeze(net, plan.frozen)
    net.tag_weights = {t.name: tag_weights(t, train) for t in net.tasks.values() if t.kind == "spans"}
    optimiser = torch.optim.AdamW(_groups(net, plan), fused=True)
    per_epoch = len(plan_batches(train, plan, random.Random(seed)))
    total = per_epoch * epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, total))
    scores: list[float] = []
    losses: list[float] = []
    best: dict[str, torch.Tensor] = {}
    best_epoch, done = 0, 0
    for epoch in range(epochs):
        net.train()
        running = 0.0
        plans = plan_batches(train, plan, rng)
        for batch_plan in plans:
            running += _step(net, collate([train[i] for i in batch_plan], net.tasks, pad_id, rng), optimiser)
            if schedule.last_epoch < total - 1:
                schedule.step()
            done += 1
            on_progress(f"epoch {epoch + 1}/{epochs}", min(done, total), total)
        losses.append(running / max(len(plans), 1))
        net.eval()
        scores.append(dev_score(net))
        if scores[-1] > max(scores[:-1], default=-1.0):
            best, best_epoch = {k: v.detach().clone() for k, v in net.state_dict().items()}, epoch
        elif epoch - best_epoch >= plan.patience:
            break
    on_progress("trained", total, total)
    net.load_state_dict(best)
    net.eval()
    return Fitted(tuple(scores), tuple(losses), best_epoch)


def tag_weights(task: Task, examples: Sequence[Encoded]) -> torch.Tensor:
    """Weights of a spans task's BIO tags: outside counts less the rarer spans are, by the root of their share.

    Unweighted, few examples of a rare span teach only that it is never there.
    """
    tags = [e.targets[task.name].wanted for e in examples if task.name in e.targets]
    inside, outside = (sum(int(chosen.sum()) for chosen in kind) for kind in ([t > 0 for t in tags], [t == 0 for t in tags]))
    weights = torch.ones(n_outputs(task))
    weights[0] = min(1.0, (max(inside, 1) / max(outside, 1)) ** 0.5)
    return weights


def _freeze(net: StudentNet, share: float) -> None:
    layers = list(net.encoder.transformer.layer)
    for module in (net.encoder.embeddings, *layers[: round(share * len(layers))]):
        module.requires_grad_(False)


def _groups(net: StudentNet, plan: StudentPlan) -> Iterator[dict[str, object]]:
    encoder = [p for p in net.encoder.parameters() if p.requires_grad]
    yield {"params": [p for p in encoder if p.ndim > 1], "lr": plan.learning_rate, "weight_decay": 0.01}
    yield {"params": [p for p in encoder if p.ndim == 1], "lr": plan.learning_rate, "weight_decay": 0.0}
    yield {"params": list(net.heads.parameters()), "lr": plan.head_learning_rate, "weight_decay": 0.0}


def _rate(step: int, total: int) -> float:
    warmup = max(1, int(total * WARMUP_SHARE))
    return (step + 1) / warmup if step < warmup else max(0.0, (total - step) / max(1, total - warmup))


def _step(net: StudentNet, batch: Batch, optimiser: torch.optim.Optimizer) -> float:
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
        losses = net.losses(batch)
    if not losses:
        return 0.0
    loss = torch.stack(list(losses.values())).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([p for p in net.parameters() if p.grad is not None], 1.0)
    optimiser.step()
    return float(loss.detach())


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 natively; emulated it would be slower than fp32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class TorchEngine:
    """The training net behind the inference seam, so that dev is scored by the code that will serve."""

    def __init__(self, encoder: DistilBertModel, pad_id: int) -> None:
        self._encoder = encoder
        self._pad_id = pad_id
        self.hidden = int(encoder.config.dim)

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        found: dict[int, Floats] = {}
        with torch.inference_mode():
            for batch in batches([len(r) for r in rows], 4096):
                ids, mask = pad([rows[i] for i in batch], self._pad_id)
                output = self._encoder(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
                for place, i in enumerate(batch):
                    found[i] = project(output[place, : len(rows[i])].float().numpy())
                on_batch()
        return [found[i] for i in range(len(rows))]


def heads_of(net: StudentNet) -> list[Head]:
    """The net's heads as the arrays that inference uses."""
    made = []
    for name, task in net.tasks.items():
        layer = net.heads[name]
        made.append(Head(task, layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()))  # type: ignore[operator]
    return made
