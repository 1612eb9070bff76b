"""Rows read by several threads: the same states and gradients as by one, whoever is scheduled first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DistilBertModel

from pipelines.batch import Batch, collate
from pipelines.encode import TextEncoder
from pipelines.encoder import load_encoder
from pipelines.fit import fit
from pipelines.net import StudentNet
from pipelines.progress import silent
from pipelines.side_by_side import LEAST_TOKENS, MOST_THREADS, SideBySide, shared_out
from pipelines.targets import Encoded, encode_examples
from suites.discover import Pack
from suites.samples import read_samples


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> TextEncoder:
    return TextEncoder(tiny_encoder)


@pytest.fixture(scope="module")
def examples(toy_pack: Pack, encoder: TextEncoder) -> list[Encoded]:
    return encode_examples(read_samples(toy_pack, "train"), toy_pack.student_tasks, encoder, toy_pack.manifest.text, str)


@pytest.fixture
def net(toy_pack: Pack, tiny_encoder: Path) -> StudentNet:
    torch.manual_seed(1)
    return StudentNet(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)


def gradients(net: StudentNet, batch: Batch) -> dict[str, torch.Tensor]:
    net.zero_grad(set_to_none=True)
    torch.stack(list(net.losses(batch).values())).sum().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("rough", [False, True], ids=["fp32", "bf16"])
def test_side_by_side_is_together(monkeypatch: pytest.MonkeyPatch, net: StudentNet, encoder: TextEncoder, examples: list[Encoded], rough: bool) -> None:
    """Losses and gradients of all tasks are, to rounding, those of the whole batch read at once; read again, they are the same in every digit."""
    monkeypatch.setattr("pipelines.side_by_side.mixed_precision", lambda device: torch.autocast(device.type, torch.bfloat16, enabled=rough))
    near = 0.03 if rough else 1e-5
    batch = collate(examples[:12], net.tasks, encoder.pad_id)
    assert len(shared_out(batch.mask.sum(1).numpy(), 2)) == 2 and int(batch.mask.sum()) < batch.mask.numel()
    wanted, losses = gradients(net, batch), net.losses(batch)
    net.side_by_side = SideBySide(net.encoder)
    for name, loss in net.losses(batch).items():
        assert abs(loss - losses[name]) < near * losses[name], name
    first, again = gradients(net, batch), gradients(net, batch)
    net.side_by_side.close()
    assert first.keys() == again.keys() == wanted.keys()
    for name, gradient in wanted.items():
        # that of keys' biases is 0 but for rounding
        assert (first[name] - gradient).norm() <= near * max(gradient.norm(), 1e-3), name
        assert torch.equal(first[name], again[name]), name


def test_frozen_weights_get_no_gradient(net: StudentNet, encoder: TextEncoder, examples: list[Encoded]) -> None:
    """What is frozen has no gradient; with all of the encoder frozen the heads alone have one."""
    batch = collate(examples[:12], net.tasks, encoder.pad_id)
    net.side_by_side = SideBySide(net.encoder)
    net.encoder.embeddings.requires_grad_(False)
    assert not any(name.startswith("encoder.embeddings.") for name in gradients(net, batch))
    net.encoder.requires_grad_(False)
    assert {name.split(".")[0] for name in gradients(net, batch)} == {"heads"}
    net.side_by_side.close()


def test_an_error_in_a_thread_is_raised(net: StudentNet) -> None:
    """A row that the encoder cannot read fails the step, not a thread in silence, and the cores are as before."""
    reader = SideBySide(net.encoder)
    ids = torch.full((8, 64), 10**6)
    with pytest.raises(IndexError):
        reader.states(ids, torch.ones_like(ids))
    reader.close()
    assert torch.get_num_threads() == 2


def test_a_training_is_repeatable(toy_pack: Pack, tiny_encoder: Path, encoder: TextEncoder, examples: list[Encoded]) -> None:
    """Two trainings of one seed end with the same weights in every digit; the threads are gone then, and the number of cores is as it was."""
    ends = []
    for _ in range(2):
        torch.manual_seed(1)
        net = StudentNet(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)
        read_by: list[SideBySide | None] = []

        def listen(trained: StudentNet, read_by: list[SideBySide | None] = read_by) -> float:
            read_by.append(trained.side_by_side)
            return 1.0

        fit(
            net, examples, toy_pack.manifest.student, epochs=2, pad_id=encoder.pad_id, seed=1,
            dev_score=listen, on_progress=silent,
        )  # fmt: skip
        assert read_by[0] is not None and read_by[-1] is None and net.side_by_side is None and torch.get_num_threads() == 2
        ends.append(net.state_dict())
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())


def test_bf16_is_read_alike(net: StudentNet, encoder: TextEncoder, examples: list[Encoded], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where products are bf16 they are in the threads too, forwards and back."""
    monkeypatch.setattr("pipelines.side_by_side.mixed_precision", lambda device: torch.autocast(device.type, torch.bfloat16))
    batch = collate(examples[:12], net.tasks, encoder.pad_id)
    plain = gradients(net, batch)
    net.side_by_side = SideBySide(net.encoder)
    rough = gradients(net, batch)
    net.side_by_side.close()
    name = "encoder.transformer.layer.1.ffn.lin1.weight"
    assert not torch.equal(rough[name], plain[name])
    assert torch.nn.functional.cosine_similarity(rough[name].flatten(), plain[name].flatten(), dim=0) > 0.99


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 8])
def test_rows_are_shared_out(n_threads: int) -> None:
    """Each row is in one group, rows of a group are of like length, no group has over half more than its share, and few tokens are read by one thread."""
    lengths = np.random.default_rng(1).integers(3, 60, 64)
    groups = shared_out(lengths, n_threads)
    assert sorted(np.concatenate(groups).tolist()) == list(range(64)) and len(groups) == n_threads
    for shorter, longer in pairwise(groups):
        assert lengths[shorter].max() <= lengths[longer].min()
    assert max(lengths[g].sum() for g in groups) <= 1.5 * lengths.sum() / n_threads
    assert len(shared_out(np.array([LEAST_TOKENS]), n_threads)) == 1
    assert [g.tolist() for g in shared_out(np.array([3, LEAST_TOKENS * n_threads]), n_threads)][-1] == ([0, 1] if n_threads == 1 else [1])


def test_threads_are_few(tiny_encoder: Path) -> None:
    """However many cores there are, no more than MOST_THREADS gradients lie in memory."""
    model: DistilBertModel = load_encoder(tiny_encoder)[0]
    torch.set_num_threads(2 * MOST_THREADS)
    reader = SideBySide(model)
    assert reader.n_threads == MOST_THREADS and reader.each(lambda _: torch.get_num_threads(), range(8)) == [2] * 8
    reader.close()
