"""Losses by which a student's encoder imitates its teacher's on unlabelled text. Torch.

Two ways: the triple loss of DistilBERT (Sanh et al. 2019, arXiv:1910.01108) for a teacher with a
masked-language head; hidden states and attention relations (MiniLM v2; Wang et al. 2021,
arXiv:2012.15828) for one without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf
from transformers import DistilBertForMaskedLM, DistilBertModel

from pipelines.encode import Ints
from pipelines.net import relative_distance
from pipelines.swap import swapped

# the weights and the temperature that DistilBERT was trained with, by its published training command
SOFT_WEIGHT, MASKED_WEIGHT, COSINE_WEIGHT = 5.0, 2.0, 1.0
TEMPERATURE = 2.0
# of the pieces so many are hidden: 80 % by [MASK], 10 % by a random piece, 10 % left (Devlin et al. 2019, arXiv:1810.04805, section 3.1)
MASKED_SHARE = 0.15
# hidden states and relations, chosen on dev (docs/distillation.md)
LAST_WEIGHT, BETWEEN_WEIGHT, RELATION_WEIGHT = 1.0, 1.0, 1.0
# relations are compared in so many heads at a time, drawn anew each step: their cost grows with the square of a window
RELATION_HEADS = 3


class Imitation(Protocol):
    """One way to imitate: the modules of both, and the loss on a padded batch of token ids."""

    teacher: Any
    student: Any

    def losses(self, ids: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Named parts of the loss, weighted. Shapes: ids and mask (n_rows, length)."""
        ...


class TripleLoss:
    """Soft targets, masked language modelling, and the cosine of the last states."""

    def __init__(self, teacher: DistilBertForMaskedLM, student: DistilBertForMaskedLM, mask_id: int, special_ids: Sequence[int]) -> None:
        self.teacher = teacher.requires_grad_(False).eval()  # type: ignore[no-untyped-call]
        self.student = student
        self._mask_id = mask_id
        self._special = list(special_ids)

    def losses(self, ids: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        chosen, hidden_ids = self._hide(ids, mask, rng)
        with torch.no_grad():
            wanted = self.teacher.distilbert(input_ids=hidden_ids, attention_mask=mask).last_hidden_state
            soft = guessed(self.teacher, wanted[chosen])
        given = self.student.distilbert(input_ids=hidden_ids, attention_mask=mask).last_hidden_state
        logits = guessed(self.student, given[chosen])
        seen = mask.bool()
        return {
            "soft": SOFT_WEIGHT * softened_divergence(logits, soft),
            "masked": MASKED_WEIGHT * nnf.cross_entropy(logits, ids[chosen]),
            "cosine": COSINE_WEIGHT * (1 - nnf.cosine_similarity(given[seen].float(), wanted[seen].float(), dim=-1)).mean(),
        }

    def _hide(self, ids: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Which positions must be guessed, and the ids with them hidden. Shapes: (n_rows, length) both."""
        candidates = mask.cpu().numpy().astype(bool) & ~np.isin(ids.cpu().numpy(), self._special)
        chosen = candidates & (rng.random(candidates.shape) < MASKED_SHARE)
        if not chosen.any():  # a batch of a few short rows: a loss of nothing has no gradient
            chosen[tuple(np.argwhere(candidates)[0])] = True
        fate = rng.random(candidates.shape)
        hidden_ids = ids.clone()
        hidden_ids[torch.from_numpy(chosen & (fate < 0.8)).to(ids.device)] = self._mask_id
        swapped = torch.from_numpy(chosen & (fate >= 0.9)).to(ids.device)
        n_pieces = self.student.config.vocab_size
        hidden_ids[swapped] = torch.from_numpy(rng.integers(0, n_pieces, int(swapped.sum()))).to(ids.device)
        return torch.from_numpy(chosen).to(ids.device), hidden_ids


def guessed(model: DistilBertForMaskedLM, states: torch.Tensor) -> torch.Tensor:
    """The logits of the masked-language head at some positions: at all of them it would cost more than the encoder. Shapes: (n, hidden), (n, n_pieces)."""
    made: torch.Tensor = model.vocab_projector(model.vocab_layer_norm(model.activation(model.vocab_transform(states))))
    return made.float()


def softened_divergence(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The Kullback-Leibler divergence from the teacher's softened answers, times the temperature squared. Shapes: (n, n_pieces)."""
    student, teacher = (nnf.log_softmax(x / TEMPERATURE, dim=-1) for x in (logits, wanted))
    return TEMPERATURE**2 * nnf.kl_div(student, teacher, reduction="batchmean", log_target=True)


class StatesLoss:
    """Hidden states of the last and the matching layers between, and relations among queries, keys and values of the last."""

    def __init__(self, teacher: DistilBertModel, student: DistilBertModel, words: Ints) -> None:
        self.teacher = teacher.requires_grad_(False).eval()  # type: ignore[no-untyped-call]
        self.student = student
        self._words = words  # to swap for others
        n_teacher, n_student = teacher.config.n_layers, student.config.n_layers
        # the teacher's layer that student layer i stands for: evenly spread, the last for the last
        self._between = [(i, round(i * n_teacher / n_student)) for i in range(1, n_student)]
        self._seen: dict[tuple[str, str], torch.Tensor] = {}
        for role, model in (("teacher", teacher), ("student", student)):
            for name in ("q_lin", "k_lin", "v_lin"):
                getattr(model.transformer.layer[-1].attention, name).register_forward_hook(self._keep(role, name))

    def _keep(self, role: str, name: str) -> Any:
        def hook(_module: nn.Module, _given: object, output: torch.Tensor) -> None:
            self._seen[role, name] = output

        return hook

    def losses(self, ids: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        n_heads = self.student.config.n_heads
        heads = rng.permutation(n_heads)[:RELATION_HEADS].tolist()
        ids = partly_swapped(ids, mask, self._words, rng)
        with torch.no_grad():
            wanted = self.teacher(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        given = self.student(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        parts = {"last": LAST_WEIGHT * relative_distance(given[-1].float(), wanted[-1].float(), mask)}
        if self._between:
            distances = [relative_distance(given[i].float(), wanted[j].float(), mask) for i, j in self._between]
            parts["between"] = BETWEEN_WEIGHT * torch.stack(distances).mean()
        divergences = [relation_divergence(self._seen["student", n], self._seen["teacher", n], mask, n_heads, heads) for n in ("q_lin", "k_lin", "v_lin")]
        parts["relations"] = RELATION_WEIGHT * torch.stack(divergences).mean()
        return parts


def partly_swapped(ids: torch.Tensor, mask: torch.Tensor, words: Ints, rng: np.random.Generator) -> torch.Tensor:
    """The ids with words swapped in half of the rows (see `swapped`). Shapes: (n_rows, length) all; words (n_words,)."""
    given, seen = ids.cpu().numpy(), mask.cpu().numpy().astype(bool)
    may = seen & (rng.random((len(given), 1)) < 0.5)
    return torch.from_numpy(swapped(given, may, given[seen & np.isin(given, words)], words, rng)).to(ids.device)


def relation_divergence(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, n_heads: int, heads: Sequence[int]) -> torch.Tensor:
    """How far the student's relations among its tokens are from the teacher's: the mean divergence of a token in the chosen heads.

    The relations of vectors x of one head are softmax(x x' / sqrt(d)) (Wang et al. 2021, equations
    2 to 5). Shapes: (n_rows, length, hidden) both; mask (n_rows, length).
    """
    seen = mask.bool()
    one, other = (relations(x, seen, n_heads, heads) for x in (student, teacher))
    divergence = nnf.kl_div(one, other, reduction="none", log_target=True).sum(-1).mean(1)
    return divergence[seen].mean()


def relations(vectors: torch.Tensor, seen: torch.Tensor, n_heads: int, heads: Sequence[int]) -> torch.Tensor:
    """Log relations of each token to all seen ones, in the chosen heads. Shape: (n_rows, len(heads), length, length)."""
    n_rows, length, hidden = vectors.shape
    split = vectors.view(n_rows, length, n_heads, hidden // n_heads).transpose(1, 2)[:, list(heads)]
    products = (split @ split.transpose(-1, -2)).float() / math.sqrt(hidden // n_heads)
    # finite: a padded pair then counts for nothing and has no gradient of infinity
    return nnf.log_softmax(products.masked_fill(~seen[:, None, None, :], -1e4), dim=-1)
