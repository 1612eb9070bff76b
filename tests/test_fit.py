"""The training loop: masked losses, early stop, and runs that are interrupted."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import finetune as finetuning
from pipelines.encode import TextEncoder
from pipelines.encoder import load_encoder
from pipelines.finetune import FinetuneOptions, finetune
from pipelines.fit import MAX_TRAIN_WINDOWS, MIN_STEPS, StudentNet, collate, fit, plan_batches, tag_weights
from pipelines.progress import silent
from pipelines.student import Student
from pipelines.targets import IGNORED, Encoded, encode_examples
from suites.discover import Pack
from suites.errors import DataError
from suites.samples import read_samples
from suites.types import Example


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> TextEncoder:
    return TextEncoder(tiny_encoder)


@pytest.fixture
def net(toy_pack: Pack, tiny_encoder: Path) -> StudentNet:
    torch.manual_seed(1)
    return StudentNet(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)


@pytest.fixture(scope="module")
def examples(toy_pack: Pack) -> list[Example]:
    return read_samples(toy_pack, "train")


def encoded(pack: Pack, encoder: TextEncoder, examples: Sequence[Example]) -> list[Encoded]:
    return encode_examples(examples, pack.student_tasks, encoder, pack.manifest.text, str)


def gradients(net: StudentNet, examples: Sequence[Encoded], pad_id: int, task: str) -> dict[str, torch.Tensor]:
    """The gradients of one task's loss over a batch, by parameter."""
    net.zero_grad(set_to_none=True)
    net.losses(collate(examples, net.tasks, pad_id))[task].backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_a_task_without_gold_has_no_loss(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example]) -> None:
    """A source that annotates one task gives that task's loss alone: the other heads get no gradient."""
    partly = encoded(toy_pack, encoder, [replace(e, tasks=frozenset({"topic"})) for e in examples[:4]])
    losses = net.losses(collate(partly, net.tasks, encoder.pad_id))
    torch.stack(list(losses.values())).sum().backward()
    assert losses.keys() == {"topic"}
    assert net.heads["topic"].weight.grad is not None
    assert all(net.heads[t.name].weight.grad is None for t in toy_pack.student_tasks if t.name != "topic")


@pytest.mark.parametrize("task", ["topic", "mood", "things", "state", "flags"])
def test_a_neighbour_without_gold_changes_no_gradient(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example], task: str) -> None:
    """In a mixed batch a task's gradients are those of the examples that annotate it."""
    asked, other = examples[0], replace(examples[1], tasks=frozenset(toy_pack.tasks) - {task})
    alone = gradients(net, encoded(toy_pack, encoder, [asked]), encoder.pad_id, task)
    mixed = gradients(net, encoded(toy_pack, encoder, [asked, other]), encoder.pad_id, task)
    assert alone.keys() == mixed.keys()
    assert any(gradient.abs().max() > 1e-4 for gradient in alone.values())
    for name, gradient in alone.items():
        torch.testing.assert_close(mixed[name], gradient, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_targets_point_at_gold(toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """The token ranges of a target are gold's ranges, and its numbers gold's labels."""
    example = examples[0]
    (made,), (tokens,) = encoded(toy_pack, encoder, [example]), encoder.tokens([example.document.text])
    for name in ("topic", "mood", "state"):
        gold = [f for f in example.gold if f.task == name]
        target = made.targets[name]
        assert [(tokens.starts[r.start], tokens.ends[r.stop - 1]) for r in target.ranges] == [(f.start, f.end) for f in gold]
        assert [toy_pack.tasks[name].labels[k] for k in target.wanted] == [f.label for f in gold]
    assert np.count_nonzero(made.targets["things"].wanted % 2 == 1) == sum(f.task == "things" for f in example.gold)
    assert np.count_nonzero(made.targets["things"].wanted == IGNORED) == len(tokens) - len(set(tokens.words))


def test_a_long_document_is_drawn_from(toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """Without a random source all windows of a long document are in the batch, with one MAX_TRAIN_WINDOWS of them."""
    document = replace(examples[0].document, text=" ".join(e.document.text for e in examples[:6]))
    (made,) = encoded(toy_pack, encoder, [replace(examples[0], document=document)])
    assert len(made.inputs.plan) > MAX_TRAIN_WINDOWS
    assert len(collate([made], toy_pack.tasks, encoder.pad_id).ids) == len(made.inputs.plan)
    assert len(collate([made], toy_pack.tasks, encoder.pad_id, random.Random(1)).ids) == MAX_TRAIN_WINDOWS


def test_batches_hold_every_example_once(toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """An epoch's batches hold each example once, and few examples still make MIN_STEPS steps."""
    made = plan_batches(encoded(toy_pack, encoder, examples), toy_pack.manifest.student, random.Random(1))
    assert sorted(i for batch in made for i in batch) == list(range(len(examples)))
    assert len(made) >= MIN_STEPS


def test_early_stop_keeps_the_best_epoch(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example]) -> None:
    """Training stops when dev has not risen for `patience` epochs, and the net has the best epoch's weights."""
    scores, seen = iter([0.1, 0.5, 0.2, 0.3, 0.9]), []

    def dev_score(trained: StudentNet) -> float:
        seen.append({name: tensor.clone() for name, tensor in trained.state_dict().items()})
        return next(scores)

    plan = toy_pack.manifest.student.model_copy(update={"patience": 2})
    few = encoded(toy_pack, encoder, examples[:6])
    fitted = fit(net, few, plan, epochs=5, pad_id=encoder.pad_id, seed=1, dev_score=dev_score, on_progress=silent)
    assert (fitted.scores, fitted.best_epoch, len(fitted.losses)) == ((0.1, 0.5, 0.2, 0.3), 1, 4)
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in net.state_dict().items())
    assert not all(torch.equal(tensor, seen[3][name]) for name, tensor in net.state_dict().items())


def test_the_lowest_layers_stay(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example]) -> None:
    """Training moves every tensor but the embeddings and the lowest layer of the two."""
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    plan = toy_pack.manifest.student.model_copy(update={"frozen": 0.5})
    fit(
        net, encoded(toy_pack, encoder, examples[:6]), plan,
        epochs=1, pad_id=encoder.pad_id, seed=1, dev_score=lambda _: 1.0, on_progress=silent,
    )  # fmt: skip
    # a key's bias moves every score of a query alike: softmax takes it out, and its gradient is rounding
    names = [name for name in before if not name.endswith("k_lin.bias")]
    frozen = {name for name in names if name.startswith(("encoder.embeddings.", "encoder.transformer.layer.0."))}
    assert {name for name in names if torch.equal(net.state_dict()[name], before[name])} == frozen


@pytest.mark.slow
def test_training_lowers_the_loss(toy_student: tuple[Path, Student]) -> None:
    """Two epochs on the toy samples lower the mean loss."""
    first, second = json.loads((toy_student[1].folder / "training.json").read_text(encoding="utf-8"))["losses"]
    assert second < first


@pytest.mark.slow
@pytest.mark.parametrize("said", ["epoch 1/1", "trained"])
def test_an_interrupted_run_leaves_no_student(toy_pack: Pack, tmp_path: Path, said: str) -> None:
    """Ctrl-C in the first step, or when training is done, leaves no file behind."""

    def interrupt(what: str, done: int, total: int) -> None:
        if what == said:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(toy_pack, tmp_path, FinetuneOptions(epochs=1), interrupt)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_a_run_interrupted_while_writing_leaves_no_student(toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when half of the student's folder is written leaves no file behind."""

    def interrupt(folder: Path, *_: object) -> None:
        assert (folder / "encoder.xml").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuning, "write_heads", interrupt)
    with pytest.raises(KeyboardInterrupt):
        finetune(toy_pack, tmp_path, FinetuneOptions(epochs=1))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_no_examples_are_an_error(toy_pack: Pack, tmp_path: Path) -> None:
    """Fine-tuning on no examples is a DataError that names pack, split and sources."""
    with pytest.raises(DataError, match="'toy' has no train examples in samples"):
        finetune(toy_pack, tmp_path, FinetuneOptions(limit=0))


def test_rare_spans_outweigh_the_outside(toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """The outside tag weighs the root of inside over outside, at most 1; the other tags weigh 1."""
    task = toy_pack.tasks["things"]
    made = encoded(toy_pack, encoder, examples)
    tags = np.concatenate([e.targets["things"].wanted for e in made])
    expected = min(1.0, float(((tags > 0).sum() / (tags == 0).sum()) ** 0.5))
    weights = tag_weights(task, made)
    assert weights[0] == pytest.approx(expected) and set(weights[1:].tolist()) == {1.0}


def test_training_reads_cleaned_texts(toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """What the pack's `clean` makes of a text is what the student learns from, as it is what it reads."""
    (upside,) = encode_examples(examples[:1], toy_pack.student_tasks, encoder, toy_pack.manifest.text, lambda text: text[::-1])
    (tokens,) = encoder.tokens([examples[0].document.text[::-1]])
    assert upside.ids.tolist() == tokens.ids.tolist()
