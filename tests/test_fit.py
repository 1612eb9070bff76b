"""The training loop: masked losses, the mean of the later epochs, early stop, and runs that are interrupted."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DistilBertModel

from pipelines import finetune as finetuning
from pipelines import fit as fitting
from pipelines.batch import MAX_TRAIN_WINDOWS, MIN_STEPS, Batch, collate, plan_batches
from pipelines.encode import TextEncoder, pad
from pipelines.encoder import load_encoder
from pipelines.finetune import FinetuneOptions, finetune
from pipelines.fit import fit, tag_weights
from pipelines.hardware import suit_attention
from pipelines.heads import n_outputs
from pipelines.net import HIDDEN_WEIGHT, SOFTENING, StudentNet, soft_loss
from pipelines.progress import silent
from pipelines.seen_pieces import SeenPieces
from pipelines.student import Student
from pipelines.targets import IGNORED, Encoded, Target, encode_examples
from suites.discover import Pack
from suites.errors import DataError
from suites.samples import read_samples
from suites.types import Example, Task

ROOT = Path(__file__).parent.parent


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


@pytest.mark.parametrize(("patience", "n_run", "score"), [(1, 4, 0.3), (2, 5, 0.2), (9, 6, 0.7)])
def test_the_later_epochs_are_averaged(
    toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example], patience: int, n_run: int, score: float
) -> None:
    """Training stops in its later half when dev has not risen for `patience` epochs, and the net has the mean of that half's weights."""
    scores, seen = iter([0.1, 0.2, 0.5, 0.4, 0.3, 0.2, 0.7]), []

    def dev_score(trained: StudentNet) -> float:
        seen.append({name: tensor.clone() for name, tensor in trained.state_dict().items()})
        return next(scores)

    plan = toy_pack.manifest.student.model_copy(update={"patience": patience})
    few = encoded(toy_pack, encoder, examples[:6])
    fitted = fit(net, few, plan, epochs=6, pad_id=encoder.pad_id, seed=1, dev_score=dev_score, on_progress=silent)
    assert (len(fitted.scores), len(fitted.losses), fitted.mean_from, fitted.score) == (n_run, n_run, 3, score)
    *epochs, at_the_end = seen
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, at_the_end[name])
        assert torch.allclose(tensor, torch.stack([state[name] for state in epochs[3:]]).mean(0), atol=1e-6)
    if n_run > 4:
        assert not all(torch.equal(tensor, epochs[-1][name]) for name, tensor in net.state_dict().items())


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


@pytest.mark.slow
def test_what_a_killed_run_left_is_removed(toy_folder: Path, toy_pack: Pack, tmp_path: Path) -> None:
    """The folder of a run that was killed goes with the next run; that of one that still runs stays."""
    code = "import sys; from pathlib import Path; from pipelines.finetune import *; from suites.discover import find_pack\n"
    code += "finetune(find_pack('toy', [Path(sys.argv[1])]), Path(sys.argv[2]), FinetuneOptions(), lambda *step: print(*step, flush=True))"
    command = [sys.executable, "-c", code, str(toy_folder), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        (making,) = (tmp_path / "toy").glob(".making-*")
        finetune(toy_pack, tmp_path, FinetuneOptions(epochs=1, limit=4))
        assert making.exists()
        running.kill()
    assert making.exists()
    finetune(toy_pack, tmp_path, FinetuneOptions(epochs=1, limit=4))
    assert not list((tmp_path / "toy").glob(".making-*"))


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


def taught(made: Sequence[Encoded], tasks: dict[str, Task], seed: int = 1, *, hidden: int = 32) -> list[Encoded]:
    """The examples with a teacher's answers and states, drawn at random."""
    rng = np.random.default_rng(seed)

    def soft(name: str, target: Target) -> np.ndarray:
        logits = rng.normal(size=(len(target.wanted), n_outputs(tasks[name])))
        odds = np.exp(logits)
        return np.asarray(odds / (1 + odds) if tasks[name].kind == "tags" else odds / odds.sum(-1, keepdims=True), np.float32)

    return [
        replace(
            e,
            targets={name: replace(t, soft=soft(name, t)) for name, t in e.targets.items()},
            states=tuple(rng.normal(size=(len(row), hidden)).astype(np.float16) for row in e.inputs.rows),
        )
        for e in made
    ]


def values(net: StudentNet, batch: Batch, gold_share: float) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(loss) for name, loss in net.losses(batch, gold_share).items()}


def test_all_gold_is_as_without_teachers(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example]) -> None:
    """At a gold share of 1 the loss of every task is, in every digit, the one of the same examples without a teacher, and states count for nothing."""
    made = encoded(toy_pack, encoder, examples[:4])
    with_teacher, without = (collate(e, net.tasks, encoder.pad_id) for e in (taught(made, toy_pack.tasks), made))
    assert with_teacher.states is not None and without.states is None
    assert values(net, with_teacher, 1.0) == values(net, without, 1.0)
    # nobody taught: gold alone counts, whatever its share
    assert values(net, without, 0.0) == values(net, without, 1.0)
    assert values(net, with_teacher, 0.5).keys() == {*values(net, without, 1.0), "hidden"}


def test_no_gold_is_the_teachers_alone(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example]) -> None:
    """At a gold share of 0 other gold at the same places gives the same loss, another teacher another one; between 0 and 1 the shares add up."""
    made = encoded(toy_pack, encoder, examples[:4])
    other = []
    for e in made:
        targets = {}
        for name, t in e.targets.items():
            if t.wanted.ndim == 2:
                targets[name] = replace(t, wanted=np.asarray(1 - t.wanted, np.float32))
            else:
                turned = np.where(t.wanted == IGNORED, IGNORED, (t.wanted + 1) % n_outputs(toy_pack.tasks[name]))
                targets[name] = replace(t, wanted=np.asarray(turned, np.int32))
        other.append(replace(e, targets=targets))
    batch, wrong, elsewhere = (collate(taught(e, toy_pack.tasks, seed), net.tasks, encoder.pad_id) for e, seed in ((made, 1), (other, 1), (made, 2)))
    at = {share: values(net, batch, share) for share in (0.0, 0.3, 1.0)}
    assert values(net, wrong, 0.0) == at[0.0]
    for name in ("topic", "mood", "things", "state", "flags"):
        assert values(net, wrong, 1.0)[name] != at[1.0][name]
        assert values(net, elsewhere, 0.0)[name] != at[0.0][name]
        assert at[0.3][name] == pytest.approx(0.3 * at[1.0][name] + 0.7 * at[0.0][name], rel=1e-5)
    assert at[0.3]["hidden"] == pytest.approx(0.7 * at[0.0]["hidden"], rel=1e-5) and "hidden" not in at[1.0]


def test_states_are_matched(toy_pack: Pack, encoder: TextEncoder, net: StudentNet, examples: list[Example]) -> None:
    """The part `hidden` is the relative distance from the teacher's states over all tokens that are no padding; 0 for the student's own states."""
    made = taught(encoded(toy_pack, encoder, examples[:4]), toy_pack.tasks)
    batch = collate(made, net.tasks, encoder.pad_id)
    with torch.no_grad():
        states = net.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
    own = np.concatenate([states[i, : len(e.inputs.rows[0])].numpy() for i, e in enumerate(made)])
    wanted = np.concatenate([e.states[0] for e in made]).astype(np.float32)
    assert len(own) == int(batch.mask.sum()) < batch.mask.numel()
    assert values(net, batch, 0.0)["hidden"] == pytest.approx(HIDDEN_WEIGHT * np.mean((own - wanted) ** 2) / np.mean(wanted**2), rel=1e-4)
    batch.states = states
    assert values(net, batch, 0.0)["hidden"] == 0.0


@pytest.mark.parametrize("kind", ["choice", "tags", "spans"])
def test_the_teachers_answers_are_the_best(toy_pack: Pack, kind: str) -> None:
    """The soft loss has its minimum at the teacher's logits: there its gradient is 0, and a step away it is larger."""
    task = next(t for t in toy_pack.student_tasks if t.kind == kind)
    logits = torch.randn(6, n_outputs(task), generator=torch.Generator().manual_seed(1), requires_grad=True)
    soft = ((logits / SOFTENING).sigmoid() if kind == "tags" else (logits / SOFTENING).softmax(-1)).detach()
    loss = soft_loss(task, logits, soft)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and float(logits.grad.abs().max()) < 1e-6
    for seed in range(5):
        moved = logits.detach() + 0.5 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed))
        assert float(soft_loss(task, moved, soft)) > float(loss.detach())


class Listening(StudentNet):
    """A net that remembers which share gold had in each step."""

    shares: list[float]

    def losses(self, batch: Batch, gold_share: float = 1.0) -> dict[str, torch.Tensor]:
        self.shares.append(gold_share)
        return super().losses(batch, gold_share)


def test_gold_grows_from_nothing_to_all(toy_pack: Pack, tiny_encoder: Path, encoder: TextEncoder, examples: list[Example]) -> None:
    """The share of gold rises by equal steps, from 0 in the first to nearly 1 in the last."""
    net = Listening(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)
    net.shares = []
    made = taught(encoded(toy_pack, encoder, examples[:20]), toy_pack.tasks)
    fit(net, made, toy_pack.manifest.student, epochs=2, pad_id=encoder.pad_id, seed=1, dev_score=lambda _: 1.0, on_progress=silent)
    assert len(net.shares) == 2 * len(plan_batches(made, toy_pack.manifest.student, random.Random(1)))
    assert net.shares == pytest.approx([i / len(net.shares) for i in range(len(net.shares))])


class AllPieces(SeenPieces):
    """The word embeddings trained all together, as without SeenPieces."""

    def __init__(self, encoder: DistilBertModel, train: Sequence[Encoded], pad_id: int) -> None:
        every = replace(train[0], inputs=replace(train[0].inputs, rows=(np.arange(len(encoder.embeddings.word_embeddings.weight), dtype=np.int32),)))
        super().__init__(encoder, [every], pad_id)


def test_training_the_seen_pieces_is_training_all(
    toy_pack: Pack, tiny_encoder: Path, encoder: TextEncoder, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embeddings of the texts' pieces, and all other weights, come out as if all embeddings were trained; the rest stays as it was in every bit.

    Trained with all, an unseen piece has no gradient: weight decay alone would move it, by (1 - rate * decay) a step.
    """
    monkeypatch.setattr(fitting, "mixed_precision", lambda _: nullcontext())  # fp32: what differs is the order of sums
    plan = toy_pack.manifest.student.model_copy(update={"frozen": 0.0, "learning_rate": 1e-3, "head_learning_rate": 1e-3})
    made = taught(encoded(toy_pack, encoder, examples[:16]), toy_pack.tasks)
    weights, n_embeddings = [], []

    def count(trained: StudentNet) -> float:
        n_embeddings.append(len(trained.encoder.embeddings.word_embeddings.weight))
        return float(len(n_embeddings))

    for kind in (SeenPieces, AllPieces):
        monkeypatch.setattr(fitting, "SeenPieces", kind)
        torch.manual_seed(1)
        net = StudentNet(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        fit(net, made, plan, epochs=2, pad_id=encoder.pad_id, seed=1, dev_score=count, on_progress=silent)
        weights.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    assert n_embeddings == [30522] * 6  # dev is scored with all pieces, and the net keeps them
    few, every = weights
    assert few.keys() == every.keys() == before.keys()
    name = "encoder.embeddings.word_embeddings.weight"
    seen = torch.zeros(30522, dtype=torch.bool)
    seen[np.unique(np.concatenate([row for e in made for row in e.inputs.rows]))] = True
    assert 30 < int(seen.sum()) < 200
    torch.testing.assert_close(few[name][seen], every[name][seen], atol=1e-5, rtol=0)
    for other in few.keys() - {name}:
        if not other.endswith("k_lin.bias"):  # its gradient is rounding
            torch.testing.assert_close(few[other], every[other], atol=1e-5, rtol=0, msg=lambda text, other=other: f"{other}: {text}")
    assert torch.equal(few[name][~seen], before[name][~seen])
    assert int((few[name] != before[name]).any(1).sum()) > 30
    n_steps = 2 * len(plan_batches(made, plan, random.Random(1)))
    decay = np.prod([1 - 0.01 * 1e-3 * fitting.warmup_and_decay(step, n_steps) for step in range(n_steps)])
    torch.testing.assert_close(every[name][~seen], before[name][~seen] * float(decay), atol=1e-6, rtol=0)


def test_seen_pieces_are_put_back(tiny_encoder: Path, toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """While they are trained alone the pieces have numbers of their own and give the same states; put back, they are where they were, as they are now."""
    model, _ = load_encoder(tiny_encoder)
    made = encoded(toy_pack, encoder, examples[:3])
    ids, mask = (torch.from_numpy(a) for a in pad([e.inputs.rows[0] for e in made], encoder.pad_id))
    with torch.no_grad():
        wanted = model(input_ids=ids, attention_mask=mask).last_hidden_state
        before = model.embeddings.word_embeddings.weight.clone()
        seen = SeenPieces(model, made, encoder.pad_id)
        assert len(model.embeddings.word_embeddings.weight) == len(torch.unique(ids)) < 100
        assert torch.equal(model(input_ids=seen.numbered(ids), attention_mask=mask).last_hidden_state, wanted)
        model.embeddings.word_embeddings.weight.add_(1.0)
        with seen.all_pieces():
            after = model.embeddings.word_embeddings.weight.clone()
        assert len(model.embeddings.word_embeddings.weight) < 100
        seen.restore()
    assert torch.equal(model.embeddings.word_embeddings.weight, after)
    changed = (after != before).any(1).nonzero().squeeze(1)
    assert torch.equal(changed, torch.unique(ids)) and torch.equal(after[changed], before[changed] + 1.0)


def test_frozen_embeddings_stay_frozen(tiny_encoder: Path, toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """Where the embeddings are not trained, the seen ones are not either."""
    model, _ = load_encoder(tiny_encoder)
    model.embeddings.requires_grad_(False)
    SeenPieces(model, encoded(toy_pack, encoder, examples[:3]), encoder.pad_id)
    assert not model.embeddings.word_embeddings.weight.requires_grad


def test_either_attention_gives_the_same_states(tiny_encoder: Path, encoder: TextEncoder, examples: list[Example]) -> None:
    """On a padded batch plain and fused attention give the same states to 1e-5, back and forth."""
    model, _ = load_encoder(tiny_encoder)
    texts = [examples[0].document.text, "No dog.", " ".join(e.document.text for e in examples[:3])]
    rows = [np.array([encoder.cls_id, *t.ids, encoder.sep_id], np.int32) for t in encoder.tokens(texts)]
    ids, mask = (torch.from_numpy(a) for a in pad(rows, encoder.pad_id))
    found = []
    for n_tokens, kind in ((64, "eager"), (400, "sdpa"), (64, "eager")):
        suit_attention(model, n_tokens, torch.device("cpu"))
        assert model.config._attn_implementation == kind
        with torch.inference_mode():
            found.append(model(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()])
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=0)
    assert torch.equal(found[0], found[2])


def test_a_batch_moves_whole(toy_pack: Pack, encoder: TextEncoder, examples: list[Example]) -> None:
    """On the processor a batch is as it is; on another device every tensor of it lies there, and what is absent stays so."""
    made = taught(encoded(toy_pack, encoder, examples[:2]), toy_pack.tasks)
    for batch in (collate(made, toy_pack.tasks, encoder.pad_id), collate(encoded(toy_pack, encoder, examples[:2]), toy_pack.tasks, encoder.pad_id)):
        assert batch.to(torch.device("cpu")) is batch
        moved = batch.to(torch.device("meta"))
        assert (moved.states is None) is (batch.states is None) and moved.parts.keys() == batch.parts.keys()
        tensors = [moved.ids, moved.mask, moved.states]
        for name, part in moved.parts.items():
            assert (part.soft is None) is (batch.parts[name].soft is None)
            tensors += [part.positions, part.segments, part.wanted, part.gold, part.taught, part.soft]
        assert all(tensor is None or tensor.device.type == "meta" for tensor in tensors)
