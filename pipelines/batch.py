"""Batches of a training set: which examples go together, and their padded rows with what each task wants of them. Torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from pipelines.encode import pad
from pipelines.targets import IGNORED, Encoded, Halves, Target
from suites.types import StudentPlan, Task

# of a long document so many windows are drawn anew each epoch; inference reads all of them
MAX_TRAIN_WINDOWS = 1
MIN_STEPS = 16


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


def _length(example: Encoded) -> int:
    """Tokens of the longest window."""
    return max(len(row) for row in example.inputs.rows)


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


def _padded_states(states: Sequence[Halves], shape: tuple[int, ...]) -> torch.Tensor:
    padded = np.zeros((*shape, states[0].shape[1]), np.float32)
    for i, row in enumerate(states):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded)
