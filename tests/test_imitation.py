"""The losses of imitation: what is equal costs nothing, padding counts for nothing, and the teacher stays as it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DistilBertForMaskedLM, DistilBertModel

from pipelines.encoder import load_encoder, load_masked_language_model
from pipelines.imitation import (
    COSINE_WEIGHT,
    MASKED_SHARE,
    MASKED_WEIGHT,
    SOFT_WEIGHT,
    TEMPERATURE,
    Imitation,
    StatesLoss,
    TripleLoss,
    partly_swapped,
    relation_divergence,
    relations,
    softened_divergence,
)
from pipelines.net import relative_distance

N_PIECES, PAD, UNKNOWN, CLS, SEP, MASK = 400, 0, 1, 2, 3, 4
SPECIAL = (PAD, CLS, SEP, UNKNOWN, MASK)
ORDINARY = np.arange(5, N_PIECES, dtype=np.int32)
ROWS = np.arange(N_PIECES, dtype=np.int32)


def encoder(folder: Path, layers: tuple[int, ...] = (0, 1, 2, 3)) -> DistilBertModel:
    return load_encoder(folder, layers, ROWS)[0]


def masked(folder: Path, layers: tuple[int, ...] = (0, 1, 2, 3)) -> DistilBertForMaskedLM:
    model = load_masked_language_model(folder, layers, ROWS)
    assert model is not None
    return model


def batch(lengths: tuple[int, ...] = (17, 24, 9), *, further: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of random pieces, framed by [CLS] and [SEP], padded to the longest and `further`."""
    rng = np.random.default_rng(len(lengths))
    ids = np.full((len(lengths), max(lengths) + further), PAD, np.int64)
    for i, n in enumerate(lengths):
        ids[i, :n] = [CLS, *rng.integers(5, N_PIECES, n - 2), SEP]
    return torch.from_numpy(ids), torch.from_numpy((np.arange(ids.shape[1]) < np.array(lengths)[:, None]).astype(np.int64))


def imitation(kind: str, folder: Path, layers: tuple[int, ...]) -> Imitation:
    """A teacher of all four layers and a student of some, in one way of imitation."""
    if kind == "triple":
        return TripleLoss(masked(folder), masked(folder, layers), MASK, SPECIAL)
    return StatesLoss(encoder(folder), encoder(folder, layers), ORDINARY)


def losses(made: Imitation, ids: torch.Tensor, mask: torch.Tensor, seed: int = 1) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(part) for name, part in made.losses(ids, mask, np.random.default_rng(seed)).items()}


def test_equal_vectors_have_equal_relations() -> None:
    """The divergence of relations of equal vectors is 0, of others above it, and of a rotation within the heads 0 again."""
    vectors = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(1))
    _, mask = batch((7, 4))
    assert float(relation_divergence(vectors, vectors.clone(), mask, 3, range(3))) == 0.0
    assert float(relation_divergence(vectors, vectors.flip(1), mask, 3, range(3))) > 0.1
    turned = vectors.view(2, 7, 3, 4).flip(-1).reshape(2, 7, 12)
    assert float(relation_divergence(vectors, turned, mask, 3, range(3))) == pytest.approx(0.0, abs=1e-6)


def test_relations_are_those_of_the_paper() -> None:
    """The divergence is the mean over seen tokens and the chosen heads of KL(teacher's || student's softmax of scaled products), computed one by one."""
    generator = torch.Generator().manual_seed(2)
    one, other = (torch.randn(2, 6, 12, generator=generator) for _ in range(2))
    _, mask = batch((6, 3))
    wanted = []
    for row, n in enumerate((6, 3)):
        for head in (2, 0):
            student, teacher = ((x[row, :n, head * 4 : head * 4 + 4] @ x[row, :n, head * 4 : head * 4 + 4].T / math.sqrt(4)).softmax(-1) for x in (one, other))
            wanted.append((teacher * (teacher / student).log()).sum(-1))
    assert float(relation_divergence(one, other, mask, 3, (2, 0))) == pytest.approx(float(torch.cat(wanted).mean()), rel=1e-5)
    assert relations(one, mask.bool(), 3, (2, 0)).exp()[..., :3].sum(-1)[1] == pytest.approx(torch.ones(2, 6), abs=1e-6)


def test_padding_counts_for_nothing() -> None:
    """Whatever stands in the padding, and however much of it there is, divergence and distance are the same."""
    generator = torch.Generator().manual_seed(3)
    one, other = (torch.randn(3, 24, 8, generator=generator) for _ in range(2))
    _, mask = batch()
    _, longer = batch(further=16)
    noise = ((torch.nn.functional.pad(x, (0, 0, 0, 16)), value) for x, value in ((one, 50.0), (other, -70.0)))
    first, second = (torch.where(longer.bool().unsqueeze(-1), x, torch.tensor(value)) for x, value in noise)
    divergence = float(relation_divergence(one, other, mask, 2, range(2)))
    assert divergence > 0.1
    assert float(relation_divergence(first, second, longer, 2, range(2))) == pytest.approx(divergence, rel=1e-6)
    assert float(relative_distance(first, second, longer)) == pytest.approx(float(relative_distance(one, other, mask)), rel=1e-6)


def test_relative_distance_is_0_of_equals_and_1_of_zeros() -> None:
    """The distance is 0 where states are equal, 1 where they are zeros, and a square: twice as far is four times as much."""
    wanted = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(4))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    assert float(relative_distance(wanted, wanted, mask)) == 0.0
    assert float(relative_distance(torch.zeros_like(wanted), wanted, mask)) == pytest.approx(1.0)
    assert float(relative_distance(-wanted, wanted, mask)) == pytest.approx(4.0)


def test_a_full_copy_has_nothing_to_learn(tiny_masked: Path) -> None:
    """A student that is a copy of its teacher has no loss of states and relations, and no soft and cosine loss; what is masked it must still guess."""
    ids, mask = batch()
    assert losses(imitation("states", tiny_masked, (0, 1, 2, 3)), ids, mask) == {"last": 0.0, "between": 0.0, "relations": 0.0}
    triple = losses(imitation("triple", tiny_masked, (0, 1, 2, 3)), ids, mask)
    assert triple.keys() == {"soft", "masked", "cosine"}
    assert triple["soft"] == pytest.approx(0.0, abs=1e-6) and triple["cosine"] == pytest.approx(0.0, abs=1e-6)
    assert triple["masked"] > 1.0


def test_a_fifth_of_half_the_rows_is_swapped() -> None:
    """Half of the rows stay as they are; in the others a fifth of the pieces is swapped, frames and padding never; one seed, one result."""
    ids, mask = batch((120, 100) * 100)
    made = partly_swapped(ids, mask, ORDINARY, np.random.default_rng(1))
    changed = made != ids
    rows = changed.any(1)
    assert 0.4 < float(rows.float().mean()) < 0.6
    assert 0.17 < float(changed[rows].sum() / (mask[rows].sum() - 2 * rows.sum())) < 0.22
    assert not changed[torch.isin(ids, torch.tensor(SPECIAL))].any() and not torch.isin(made[changed], torch.tensor(SPECIAL)).any()
    assert torch.equal(made, partly_swapped(ids, mask, ORDINARY, np.random.default_rng(1)))
    assert len(made[changed].unique()) > 0.9 * (N_PIECES - len(SPECIAL))


def test_padding_a_batch_further_changes_no_loss(tiny_masked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of states and relations of a batch are those of the same batch with more padding."""
    monkeypatch.setattr("pipelines.swap.SWAPPED_SHARE", 0.0)  # which pieces are swapped hangs on the batch's shape
    made = imitation("states", tiny_masked, (1, 3))
    assert losses(made, *batch(further=16)) == pytest.approx(losses(made, *batch()), rel=1e-5)


def test_layers_between_are_matched(tiny_masked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Student layer 1 of two is compared with teacher layer 2 of four, the last with the last; a student of one layer has none between."""
    monkeypatch.setattr("pipelines.swap.SWAPPED_SHARE", 0.0)
    made = imitation("states", tiny_masked, (0, 1))
    ids, mask = batch()
    states = [m(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states for m in (made.student, made.teacher)]
    found = losses(made, ids, mask)
    assert found["between"] == pytest.approx(float(relative_distance(states[0][1], states[1][2], mask).detach()), rel=1e-6)
    assert found["last"] == pytest.approx(float(relative_distance(states[0][2], states[1][4], mask).detach()), rel=1e-6)
    assert losses(imitation("states", tiny_masked, (3,)), ids, mask).keys() == {"last", "relations"}


def test_the_triple_loss_is_distilberts(tiny_masked: Path) -> None:
    """Its parts are the weighted divergence of softened answers, cross-entropy of hidden pieces, and cosine of states, computed here again."""
    made = imitation("triple", tiny_masked, (1, 3))
    assert isinstance(made, TripleLoss)
    ids, mask = batch()
    chosen, hidden = made._hide(ids, mask, np.random.default_rng(1))
    with torch.no_grad():
        student, teacher = (m(input_ids=hidden, attention_mask=mask, output_hidden_states=True) for m in (made.student, made.teacher))
    one, other = ((o.logits[chosen] / TEMPERATURE).softmax(-1) for o in (student, teacher))
    soft = TEMPERATURE**2 * (other * (other / one).log()).sum(-1).mean()
    guessed = -student.logits[chosen].log_softmax(-1)[torch.arange(int(chosen.sum())), ids[chosen]].mean()
    a, b = (o.hidden_states[-1][mask.bool()] for o in (student, teacher))
    cosine = 1 - ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).mean()
    wanted = {"soft": SOFT_WEIGHT * float(soft), "masked": MASKED_WEIGHT * float(guessed), "cosine": COSINE_WEIGHT * float(cosine)}
    assert losses(made, ids, mask) == pytest.approx(wanted, rel=1e-4)
    assert float(softened_divergence(student.logits[chosen], student.logits[chosen])) == pytest.approx(0.0, abs=1e-6)


def test_masks_hide_a_share_of_the_pieces(tiny_masked: Path) -> None:
    """About 15 % of the pieces must be guessed, never special ones or padding; of these 80 % are masked, 10 % swapped, 10 % left."""
    made = imitation("triple", tiny_masked, (1, 3))
    assert isinstance(made, TripleLoss)
    ids, mask = batch((200,) * 40 + (90,) * 40)
    ids[:, 7] = UNKNOWN
    chosen, hidden = made._hide(ids, mask, np.random.default_rng(5))
    candidates = mask.bool() & ~torch.isin(ids, torch.tensor(SPECIAL))
    assert not (chosen & ~candidates).any()
    assert torch.equal(hidden[~chosen], ids[~chosen])
    assert float(chosen.sum() / candidates.sum()) == pytest.approx(MASKED_SHARE, abs=0.01)
    fates = [float(x.float().mean()) for x in (hidden[chosen] == MASK, hidden[chosen] == ids[chosen])]
    assert fates == pytest.approx([0.8, 0.1], abs=0.03)
    again, _ = made._hide(ids, mask, np.random.default_rng(6))
    assert not torch.equal(chosen, again)


def test_a_short_row_has_something_to_guess(tiny_masked: Path) -> None:
    """Of however few pieces one at least must be guessed: the loss is a number, whatever was drawn."""
    made = imitation("triple", tiny_masked, (1, 3))
    assert isinstance(made, TripleLoss)
    ids, mask = batch((4, 3))
    for seed in range(30):
        assert made._hide(ids, mask, np.random.default_rng(seed))[0].any()
        assert all(math.isfinite(part) for part in losses(made, ids, mask, seed).values())


@pytest.mark.parametrize("kind", ["states", "triple"])
def test_a_student_learns_and_its_teacher_stays(tiny_masked: Path, kind: str) -> None:
    """In 30 steps every part of the loss falls; the teacher gets no gradient and is not changed."""
    made = imitation(kind, tiny_masked, (1, 3))
    before = {name: tensor.clone() for name, tensor in made.teacher.state_dict().items()}
    start = {name: tensor.clone() for name, tensor in made.student.state_dict().items()}
    ids, mask = batch((24,) * 8)
    optimiser = torch.optim.AdamW(made.student.parameters(), lr=3e-3)
    first = losses(made, ids, mask)
    for _ in range(30):
        optimiser.zero_grad()
        torch.stack(list(made.losses(ids, mask, np.random.default_rng(1)).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    last = losses(made, ids, mask)
    assert all(last[name] < first[name] for name in first), (first, last)
    assert sum(last.values()) < 0.8 * sum(first.values())
    assert all(parameter.grad is None for parameter in made.teacher.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.teacher.state_dict().items())
    assert not torch.equal(made.student.state_dict()[next(iter(start))], start[next(iter(start))])


@pytest.mark.parametrize("kind", ["states", "triple"])
def test_every_weight_of_the_student_learns(tiny_masked: Path, kind: str) -> None:
    """Every tensor of the student gets a gradient that is finite, also where rows are padded."""
    made = imitation(kind, tiny_masked, (1, 3))
    torch.stack(list(made.losses(*batch(further=8), np.random.default_rng(1)).values())).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in made.student.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        # a key's bias moves every score of a query alike: softmax takes it out, and its gradient is rounding
        assert parameter.grad.abs().max() > 0 or name.endswith("k_lin.bias"), name
