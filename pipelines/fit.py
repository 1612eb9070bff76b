"""The training loop: one encoder, one head a task, masked losses, teachers' answers, the mean of the later epochs. Torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf
from transformers import DistilBertModel

from pipelines.encode import Floats, Ints, batches, pad
from pipelines.engine import Project, as_they_are, nothing
from pipelines.hardware import mixed_precision, suit_attention, training_device
from pipelines.heads import Head, n_outputs
from pipelines.progress import OnProgress
from pipelines.targets import IGNORED, Encoded, Halves, Target
from suites.types import StudentPlan, Task

# of a long document so many windows are drawn anew each epoch; inference reads all of them
MAX_TRAIN_WINDOWS = 1
WARMUP_SHARE = 0.1
MIN_STEPS = 16
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
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=0.02)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def losses(self, batch: Batch, gold_share: float = 1.0) -> dict[str, torch.Tensor]:
        """The mean loss of each task that the batch answers, and `hidden`, the distance from the teacher's states.

        `gold_share` of a task's loss is gold's, the rest its teachers': it grows from 0 to 1 in the
        course of training (teacher annealing; Clark et al. 2019, arXiv:1907.04829, section 3.2).
        """
        states = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        flat = states.reshape(-1, states.shape[-1]).float()
        made = {}
        for name, part in batch.parts.items():
            loss = self._loss(self.tasks[name], flat, part, gold_share)
            if loss is not None:
                made[name] = loss
        if batch.states is not None and gold_share < 1.0:
            made["hidden"] = (1.0 - gold_share) * HIDDEN_WEIGHT * relative_distance(states.float(), batch.states, batch.mask)
        return made

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


@dataclass(slots=True)
class Part:
    """One task's share of a batch.

    `positions` in the flattened states and their range number `segments`; `wanted` answers, one a
    range (spans: a position), of which `gold` numbers those with a loss; `soft` are teachers'
    probabilities of those numbered in `taught`.
    """

    positions: torch.Tensor
    segments: torch.Tensor
    wanted: torch.Tensor
    gold: torch.Tensor
    taught: torch.Tensor
    soft: torch.Tensor | None

    def to(self, device: torch.device) -> Part:
        """The part on a device."""
        soft = None if self.soft is None else self.soft.to(device)
        return Part(self.positions.to(device), self.segments.to(device), self.wanted.to(device), self.gold.to(device), self.taught.to(device), soft)


@dataclass(slots=True)
class Batch:
    """Padded rows of token ids, what each task wants of them, and a teacher's states where there are any.

    Shapes: ids and mask (n_rows, length), states (n_rows, length, hidden).
    """

    ids: torch.Tensor
    mask: torch.Tensor
    parts: dict[str, Part]
    states: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        if device.type == "cpu":
            return self
        states = None if self.states is None else self.states.to(device)
        return Batch(self.ids.to(device), self.mask.to(device), {name: part.to(device) for name, part in self.parts.items()}, states)


@dataclass(slots=True)
class _Collected:
    positions: list[np.ndarray] = field(default_factory=list)
    segments: list[np.ndarray] = field(default_factory=list)
    wanted: list[np.ndarray] = field(default_factory=list)
    gold: list[bool] = field(default_factory=list)
    soft: list[np.ndarray] = field(default_factory=list)
    taught: list[bool] = field(default_factory=list)

    def add(self, target: Target, chosen: slice | np.ndarray, n_answers: int) -> None:
        """Takes in the chosen answers of a target."""
        self.wanted.append(target.wanted[chosen])
        self.gold += [target.gold] * n_answers
        self.taught += [target.soft is not None] * n_answers
        if target.soft is not None:
            self.soft.append(target.soft[chosen])


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
    states = [e.states[i] for e, drawn in zip(examples, chosen, strict=True) for i in drawn if e.states]
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask), parts, _padded_states(states, ids.shape) if len(states) == len(ids) else None)


def _padded_states(states: Sequence[Halves], shape: tuple[int, ...]) -> torch.Tensor:
    padded = np.zeros((*shape, states[0].shape[1]), np.float32)
    for i, row in enumerate(states):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded)


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
            into.add(target, kept, len(kept))
        return
    for i, token_range in enumerate(target.ranges):
        positions = place[token_range]
        positions = positions[positions >= 0]
        if len(positions):
            into.positions.append(positions)
            into.segments.append(np.full(len(positions), len(into.wanted)))
            into.add(target, slice(i, i + 1), 1)


def _part(collected: _Collected, task: Task) -> Part:
    segments = np.concatenate(collected.segments) if collected.segments else np.zeros(0, np.int64)
    wanted = np.concatenate(collected.wanted)
    return Part(
        positions=torch.from_numpy(np.concatenate(collected.positions)),
        segments=torch.from_numpy(segments),
        wanted=torch.from_numpy(wanted if task.kind == "tags" else wanted.astype(np.int64)),
        gold=torch.from_numpy(np.flatnonzero(collected.gold)),
        taught=torch.from_numpy(np.flatnonzero(collected.taught)),
        soft=torch.from_numpy(np.concatenate(collected.soft).astype(np.float32)) if collected.soft else None,
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
    optimiser = torch.optim.AdamW(_groups(net, plan), fused=True)
    per_epoch = len(plan_batches(train, plan, random.Random(seed)))
    total = per_epoch * epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warmup_and_decay(step, total))
    scores: list[float] = []
    losses: list[float] = []
    mean = MeanWeights()
    done = 0
    for epoch in range(epochs):
        net.train()
        running = 0.0
        plans = plan_batches(train, plan, rng)
        for batch_plan in plans:
            batch = collate([train[i] for i in batch_plan], net.tasks, pad_id, rng)
            batch.ids = seen.numbered(batch.ids)
            running += _step(net, batch.to(device), optimiser, gold_share=min(1.0, done / total))
            if schedule.last_epoch < total - 1:
                schedule.step()
            done += 1
            on_progress(f"epoch {epoch + 1}/{epochs}", min(done, total), total)
        losses.append(running / max(len(plans), 1))
        net.eval()
        with seen.all_pieces():
            scores.append(dev_score(net))
            if epoch >= epochs // 2:
                mean.add(net.state_dict())
        # with teachers gold counts fully only at the end: who stops before has not heard it
        if not taught and epoch >= epochs // 2 and epoch - int(np.argmax(scores)) >= plan.patience:
            break
    on_progress("trained", total, total)
    seen.restore()
    net.cpu()
    net.load_state_dict(mean.weights)
    net.eval()
    return Fitted(tuple(scores), tuple(losses), epochs // 2, dev_score(net))


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


class SeenPieces:
    """The word embeddings of the pieces that a training set holds, trained in place of all.

    The others get no gradient, yet each would cost its share of every optimiser step: of 30,522
    pieces a set of 3,000 sentences holds some 6,000 (docs/performance.md).
    """

    def __init__(self, encoder: DistilBertModel, train: Sequence[Encoded], pad_id: int) -> None:
        self._embeddings = encoder.embeddings
        self._all: nn.Embedding = encoder.embeddings.word_embeddings
        seen = np.unique(np.concatenate([np.asarray([pad_id]), *(row for e in train for row in e.inputs.rows)]))
        self._seen = torch.from_numpy(seen).long()
        self._numbers = torch.zeros(len(self._all.weight), dtype=torch.long)
        self._numbers[self._seen] = torch.arange(len(seen))
        self._few = nn.Embedding(len(seen), self._all.embedding_dim, padding_idx=int(self._numbers[pad_id]))
        self._few.weight.data.copy_(self._all.weight.data[self._seen])
        self._few.requires_grad_(self._all.weight.requires_grad)
        self._embeddings.word_embeddings = self._few

    def numbered(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids as numbers among the seen pieces."""
        return self._numbers[ids]

    @contextmanager
    def all_pieces(self) -> Iterator[None]:
        """The encoder with all its pieces, for texts that were not trained on."""
        self.restore()
        try:
            yield
        finally:
            self._embeddings.word_embeddings = self._few

    def restore(self) -> None:
        """Puts all pieces back, the trained ones as they are now."""
        self._all.to(self._few.weight.device)
        self._all.weight.data[self._seen] = self._few.weight.data
        self._embeddings.word_embeddings = self._all


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


def _step(net: StudentNet, batch: Batch, optimiser: torch.optim.Optimizer, gold_share: float) -> float:
    device = batch.ids.device
    suit_attention(net.encoder, batch.ids.shape[1], device)
    with mixed_precision(device):
        losses = net.losses(batch, gold_share)
    if not losses:
        return 0.0
    loss = torch.stack(list(losses.values())).sum()
    descend(loss, net, optimiser)
    return float(loss.detach())


def descend(loss: torch.Tensor, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """One step down the loss, its gradient of a norm of 1 at most."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


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


def heads_of(net: StudentNet) -> list[Head]:
    """The net's heads as the arrays that inference uses."""
    made = []
    for name, task in net.tasks.items():
        layer = net.heads[name]
        made.append(Head(task, layer.weight.detach().cpu().numpy().copy(), layer.bias.detach().cpu().numpy().copy()))  # type: ignore[operator]
    return made
