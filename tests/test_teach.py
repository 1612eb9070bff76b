"""Teachers: their soft answers and states are their own, in the student's word pieces, and guesses are no gold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from pipelines import finetune as finetuning
from pipelines import teach
from pipelines.batch import collate
from pipelines.compress import export_encoder
from pipelines.encode import TextEncoder
from pipelines.encoder import load_encoder, save_encoder
from pipelines.finetune import Examples, FinetuneOptions, finetune, finetuned, teaching_pack
from pipelines.fit import tag_weights
from pipelines.net import SOFTENING, StudentNet, heads_of
from pipelines.openvino_engine import OpenVinoEngine
from pipelines.predict import make_predictor
from pipelines.progress import silent
from pipelines.start import UNDISTILLED
from pipelines.student import Birth, Student, load_student, seal, write_heads
from pipelines.targets import IGNORED, Encoded, Target, encode_examples
from pipelines.teach import Teachers, guesses
from pipelines.vocabulary import choose_pieces, read_tokenizer, write_tokenizer
from suites.discover import Pack, find_pack
from suites.errors import StudentError
from suites.samples import read_samples
from suites.types import Document, Example, Finding

from .conftest import TINY_BERT, save_random

SIZE = 2200


def untrained(pack: Pack, source: Path, students: Path, seed: int, kept: np.ndarray | None = None) -> Student:
    """A sealed student of random heads: a teacher that was not fine-tuned answers as any other does."""
    making = students / f".making-{seed}"
    making.mkdir(parents=True)
    torch.manual_seed(seed)
    net = StudentNet(load_encoder(source, "all", kept)[0], pack.student_tasks)
    for parameter in net.heads.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_encoder(net.encoder, making, ["a"])
    write_tokenizer(source, making, kept)
    export_encoder(making)
    tasks = tuple(pack.student_tasks)
    birth = Birth(pack=pack.name, pack_version="1.0", pack_digest="0", source="x", layers=(0,), seed=seed, data=(), text=pack.manifest.text, tasks=tasks)
    write_heads(making, birth, heads_of(net))
    return load_student(making.rename(students / seal(making, pack.name)))


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("teachers")


@pytest.fixture(scope="module")
def teacher(toy_pack: Pack, tiny_encoder: Path, students: Path) -> Student:
    return untrained(toy_pack, tiny_encoder, students, 1)


@pytest.fixture(scope="module")
def other(toy_pack: Pack, tiny_masked: Path, students: Path) -> Student:
    """A teacher of four layers and other weights."""
    return untrained(toy_pack, tiny_masked, students, 2)


@pytest.fixture(scope="module")
def trimmed(tiny_encoder: Path, students: Path) -> TextEncoder:
    """A student's vocabulary without most of the toy pack's words."""
    kept = choose_pieces(read_tokenizer(tiny_encoder), np.zeros(30522, np.int32), SIZE)
    folder = students / "trimmed"
    folder.mkdir()
    write_tokenizer(tiny_encoder, folder, kept)
    return TextEncoder(folder)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers that read in fp32, so that their answers can be compared in every digit."""
    monkeypatch.setattr(teach, "OpenVinoEngine", lambda path, **options: OpenVinoEngine(path, **options | {"precision": "f32"}))


@pytest.fixture(scope="module")
def examples(toy_pack: Pack) -> list[Example]:
    """Five samples, and one text of several windows that asks what the first one asks."""
    read = read_samples(toy_pack, "train")[:5]
    long = replace(read[0].document, text=" ".join(e.document.text for e in read_samples(toy_pack)[:6]))
    return [*read, replace(read[0], document=long)]


def encoded(pack: Pack, encoder: TextEncoder, examples: Sequence[Example], guessed: Any = None) -> list[Encoded]:
    return encode_examples(examples, pack.student_tasks, encoder, pack.manifest.text, str, guessed)


def read_by_torch(teacher: Student, encoder: TextEncoder, example: Encoded) -> list[torch.Tensor]:
    """The states of each window by transformers: the student's pieces, named in words, are read under the teacher's numbers."""
    model, tokenizer = AutoModel.from_pretrained(teacher.folder).eval(), AutoTokenizer.from_pretrained(teacher.folder)
    names = {number: piece for piece, number in encoder.pieces.items()}
    with torch.inference_mode():
        rows = [torch.tensor([tokenizer.convert_tokens_to_ids([names[int(i)] for i in row])]) for row in example.inputs.rows]
        return [model(input_ids=row).last_hidden_state[0] for row in rows]


def answered_by_torch(teacher: Student, name: str, states: Sequence[torch.Tensor], example: Encoded) -> np.ndarray:
    """The softened answers of a head, its ranges pooled before the product."""
    head = next(h for h in teacher.heads if h.task.name == name)
    kept = [s[1 + w.keep_start - w.start : 1 + w.keep_end - w.start] for s, w in zip(states, example.inputs.plan, strict=True)]
    rows = torch.cat(kept)
    if head.task.kind != "spans":
        rows = torch.stack([rows[r].mean(0) for r in example.targets[name].ranges])
    logits = torch.nn.functional.linear(rows, torch.from_numpy(head.weight), torch.from_numpy(head.bias)) / SOFTENING
    return (logits.sigmoid() if head.task.kind == "tags" else logits.softmax(-1)).numpy()


@pytest.mark.parametrize("vocabulary", ["full", "trimmed"])
def test_soft_targets_are_the_teachers_own_answers(
    toy_pack: Pack, teacher: Student, trimmed: TextEncoder, examples: list[Example], exact: None, vocabulary: str
) -> None:
    """For every kind of task, over windows and in the student's word pieces, soft targets are the teacher's softened answers as torch computes them."""
    encoder = trimmed if vocabulary == "trimmed" else TextEncoder(teacher.folder)
    made = encoded(toy_pack, encoder, examples)
    assert len(made[-1].inputs.plan) > 2
    taught = Teachers([teacher], encoder, states=True).teach(made, silent)
    for before, after in zip(made, taught, strict=True):
        states = read_by_torch(teacher, encoder, before)
        assert after.targets.keys() == {"topic", "mood", "things", "state", "flags"}
        for name, target in after.targets.items():
            assert target.soft is not None and target.gold
            wanted = answered_by_torch(teacher, name, states, before)
            assert target.soft.shape == wanted.shape and np.ptp(wanted) > 0.01
            np.testing.assert_allclose(target.soft, wanted, atol=1e-5)
            assert np.array_equal(target.wanted, before.targets[name].wanted) and target.ranges == before.targets[name].ranges
        assert [s.dtype for s in after.states] == [np.float16] * len(states)
        for one, two in zip(after.states, states, strict=True):
            np.testing.assert_allclose(one, two.numpy(), atol=2e-3)


def test_teachers_read_fast_and_nearly_the_same(toy_pack: Pack, teacher: Student, trimmed: TextEncoder, examples: list[Example]) -> None:
    """As they are, with bf16 products, soft targets are within 0.03 of the exact ones."""
    made = encoded(toy_pack, trimmed, examples[:3])
    for before, after in zip(made, Teachers([teacher], trimmed, states=False).teach(made, silent), strict=True):
        states = read_by_torch(teacher, trimmed, before)
        for name, target in after.targets.items():
            assert target.soft is not None
            np.testing.assert_allclose(target.soft, answered_by_torch(teacher, name, states, before), atol=0.03)


def test_two_teachers_are_averaged(
    toy_pack: Pack, teacher: Student, other: Student, trimmed: TextEncoder, examples: list[Example], exact: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The soft targets of two teachers are the mean of those of each; the states are the first one's; chunks change nothing."""
    made = encoded(toy_pack, trimmed, examples)
    one, two = (Teachers([t], trimmed, states=True).teach(made, silent) for t in (teacher, other))
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(teach, "CHUNK", 4)
    both = Teachers([teacher, other], trimmed, states=True).teach(made, lambda what, done, total: steps.append((done, total)))
    assert steps == [(4, 6), (6, 6)]
    for a, b, mean in zip(one, two, both, strict=True):
        for name, target in mean.targets.items():
            first, second = (x.targets[name].soft for x in (a, b))
            assert first is not None and second is not None and target.soft is not None
            assert np.abs(first - second).max() > 0.01
            np.testing.assert_allclose(target.soft, (first + second) / 2, atol=1e-6)
        assert all(np.array_equal(x, y) for x, y in zip(mean.states, a.states, strict=True))


def test_states_are_asked_for(toy_pack: Pack, teacher: Student, trimmed: TextEncoder, examples: list[Example]) -> None:
    """Without `states` no hidden states are kept; a batch holds them only where every row has some."""
    made = encoded(toy_pack, trimmed, examples[:3])
    without, with_states = (Teachers([teacher], trimmed, states=s).teach(made, silent) for s in (False, True))
    assert all(e.states == () for e in without)
    assert collate(without, toy_pack.tasks, trimmed.pad_id).states is None
    assert collate([with_states[0], without[1]], toy_pack.tasks, trimmed.pad_id).states is None
    batch = collate(with_states, toy_pack.tasks, trimmed.pad_id)
    assert batch.states is not None and batch.states.shape == (*batch.ids.shape, 32)
    for row, window in zip(batch.states, [window for e in with_states for window in e.states], strict=True):
        assert np.array_equal(row[: len(window)].numpy(), window.astype(np.float32)) and not row[len(window) :].any()


def test_an_empty_text_is_taught(toy_pack: Pack, teacher: Student, trimmed: TextEncoder) -> None:
    """A text without tokens has an answer of the right shape for every task and stops nothing."""
    example = Example(Document("empty", "\u200b"), (), frozenset())
    made = encoded(toy_pack, trimmed, [example], [()])
    (taught,) = Teachers([teacher], trimmed, states=True).teach(made, silent)
    assert taught.n_tokens == 0
    assert {name: t.soft.shape for name, t in taught.targets.items() if t.soft is not None} == {
        "topic": (0, 2), "mood": (0, 2), "state": (0, 2), "things": (0, 5), "flags": (1, 3),
    }  # fmt: skip


def test_a_teacher_of_another_vocabulary_is_refused(toy_pack: Pack, teacher: Student, tiny_encoder: Path, trimmed: TextEncoder, tmp_path: Path) -> None:
    """A teacher that lacks one of the student's word pieces is a StudentError that names it and counts them."""
    kept = choose_pieces(read_tokenizer(tiny_encoder), np.zeros(30522, np.int32), SIZE)
    poor = untrained(toy_pack, tiny_encoder, tmp_path, 3, kept)
    Teachers([poor], trimmed, states=False)
    with pytest.raises(StudentError, match=f"Teacher {poor.id}: {30522 - SIZE} of the student's 30522 word pieces are not among its own") as caught:
        Teachers([teacher, poor], TextEncoder(teacher.folder), states=False)
    assert caught.value.code == "bad_teacher"


def partly(examples: Sequence[Example]) -> list[Example]:
    """Of the examples the first as it is, the second with gold for topic and things alone, the others without gold."""
    known = frozenset({"topic", "things"})
    second = replace(examples[1], tasks=known, gold=tuple(f for f in examples[1].gold if f.task in known))
    return [examples[0], second, *(Example(e.document, (), frozenset(), "unlabelled") for e in examples[2:])]


# examples, and the findings that a teacher guesses of each
Guessed = tuple[list[Example], list[tuple[Finding, ...]]]


@pytest.fixture(scope="module")
def guessed(toy_pack: Pack, teacher: Student, examples: list[Example]) -> Guessed:
    """Examples with and without gold, and the teacher's guesses."""
    silenced = partly(examples)
    return silenced, guesses(toy_pack, teacher, silenced, toy_pack.student_tasks, silent)


def test_guesses_are_the_teachers_findings(toy_pack: Pack, teacher: Student, guessed: Guessed) -> None:
    """Where a task has no gold the guesses are what the teacher finds when it reads the document; of an example with all gold there is none."""
    silenced, found = guessed
    read = make_predictor(toy_pack, teacher, n_threads=2, engine="bf16").predict([e.document for e in silenced])
    wanted = [tuple(f for f in reading.findings if f.source == "student") for reading in read]
    assert found == [(), *wanted[1:]]
    assert {f.task for f in found[1]} >= {"mood", "topic"} and any(f.task == "things" for guess in found for f in guess)


def test_guesses_become_ranges_without_gold(toy_pack: Pack, teacher: Student, trimmed: TextEncoder, guessed: Guessed) -> None:
    """Every example is asked every task: gold where there is some, elsewhere at the guessed ranges, with the teacher's soft answers and no gold."""
    silenced, found = guessed
    made = Teachers([teacher], trimmed, states=False).teach(encoded(toy_pack, trimmed, silenced, found), silent)
    tokens = trimmed.tokens([e.document.text for e in silenced])
    for example, guess, taught, toks in zip(silenced, found, made, tokens, strict=True):
        assert list(taught.targets) and set(taught.targets) == {t.name for t in toy_pack.student_tasks}
        for name, target in taught.targets.items():
            assert target.gold is (name in example.tasks) and target.soft is not None
            if not target.gold and name in ("mood", "state"):
                assert list(target.ranges) == toks.between([(f.start, f.end) for f in guess if f.task == name])
    assert [list(made[2].targets["topic"].ranges), list(made[2].targets["flags"].ranges)] == [[slice(0, len(tokens[2]))]] * 2


def spoiled(target: Target) -> Target:
    """The target with other answers at the same places, unless they are gold."""
    if target.gold or not len(target.wanted):
        return target
    if target.wanted.ndim == 2:
        return replace(target, wanted=1 - target.wanted)
    wanted = np.where(target.wanted == IGNORED, IGNORED, (target.wanted + 1) % 2 if target.ranges else (target.wanted + 1) % 5)
    return replace(target, wanted=wanted.astype(np.int32))


@pytest.fixture(scope="module")
def unsure(toy_pack: Pack, tiny_encoder: Path, teacher: Student, guessed: Guessed) -> list[Encoded]:
    """The examples with the teacher's answers, gold or not."""
    encoder = TextEncoder(tiny_encoder)
    return Teachers([teacher], encoder, states=False).teach(encoded(toy_pack, encoder, *guessed), silent)


@pytest.mark.parametrize("gold_share", [0.0, 0.4, 1.0])
def test_guesses_have_no_loss_of_their_own(toy_pack: Pack, tiny_encoder: Path, unsure: list[Encoded], gold_share: float) -> None:
    """Other guesses at the same places give the same gradients, in a batch with gold and in one without."""
    changed = [replace(e, targets={name: spoiled(t) for name, t in e.targets.items()}) for e in unsure]
    assert not all(np.array_equal(a.targets[n].wanted, b.targets[n].wanted) for a, b in zip(unsure, changed, strict=True) for n in a.targets)
    torch.manual_seed(4)
    net = StudentNet(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)
    for chosen in (slice(None), slice(2, None)):
        gradients = []
        for variant in (unsure, changed):
            net.zero_grad(set_to_none=True)
            losses = net.losses(collate(variant[chosen], net.tasks, 0), gold_share)
            if losses:
                torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            gradients.append({name: p.grad for name, p in net.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        assert all(torch.equal(gradient, gradients[1][name]) for name, gradient in gradients[0].items())
        # without gold, and all of the loss gold's: nothing is learned
        assert bool(gradients[0]) is (chosen == slice(None) or gold_share < 1)


def test_guesses_weigh_no_tags(toy_pack: Pack, unsure: list[Encoded]) -> None:
    """The weights of a spans task's tags are those of its gold: guessed spans do not change them."""
    task = toy_pack.tasks["things"]
    assert any(not e.targets["things"].gold and (e.targets["things"].wanted > 0).any() for e in unsure)
    assert torch.equal(tag_weights(task, unsure), tag_weights(task, unsure[:2]))


class Reached(Exception):
    """The training would begin here."""


def lessons(
    pack: Pack, students: Path, teachers: Sequence[Student], options: FinetuneOptions, patch: pytest.MonkeyPatch, read: Examples | None = None
) -> tuple[StudentNet, list[Encoded]]:
    """The net and the examples that fine-tuning would begin with."""
    taken: list[Any] = []

    def take(net: StudentNet, train: list[Encoded], *_: object, **__: object) -> None:
        taken.extend((net, train))
        raise Reached

    patch.setattr(finetuning, "fit", take)
    few = Examples(read_samples(pack, "train")[:4], read_samples(pack, "dev")[:2])
    with pytest.raises(Reached):
        finetuned(pack, students, read or few, options, teachers)
    return taken[0], taken[1]


def planned(pack: Pack, **changes: Any) -> Pack:
    plan = pack.manifest.student.model_copy(update=changes)
    return replace(pack, manifest=pack.manifest.model_copy(update={"student": plan}))


def test_a_task_without_gold_is_not_taught(toy_pack: Pack, teacher: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no train example annotates its teacher has not learned either: no text is asked it, labelled or not."""
    known = frozenset({"topic", "things"})
    train = [replace(e, tasks=known, gold=tuple(f for f in e.gold if f.task in known)) for e in read_samples(toy_pack, "train")[:3]]
    train[2] = replace(train[2], tasks=frozenset({"topic"}), gold=tuple(f for f in train[2].gold if f.task == "topic"))
    options = FinetuneOptions(unlabelled=("No storm was seen. The dog was lovely.",), encoder=UNDISTILLED)
    _, taught = lessons(toy_pack, tmp_path, [teacher], options, monkeypatch, Examples(train, train))
    assert len(taught) > 4
    assert all(e.targets.keys() == known for e in taught)
    assert [taught[i].targets["things"].gold for i in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("size", [32, 16])
def test_states_and_heads_are_a_teachers_where_sizes_agree(
    toy_pack: Pack, teacher: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A student of its teacher's width learns its states and starts with its heads; one of another width learns soft targets alone."""
    shape = BertConfig(num_hidden_layers=1, **TINY_BERT | {"hidden_size": size})
    source = save_random(partial(BertModel, shape, add_pooling_layer=False), tmp_path / "source")
    pack = planned(toy_pack, source=f"path:{source}", vocabulary=SIZE, varied=1)
    options = FinetuneOptions(unlabelled=("No storm was seen. The dog was lovely.",))
    net, train = lessons(pack, tmp_path / "students", [teacher], options, monkeypatch)
    assert [e.source for e in train] == ["samples"] * 4 + ["unlabelled"] + ["varied"] * 64
    assert [{t.gold for t in e.targets.values()} for e in train] == [{True}] * 4 + [{False}] * 65
    assert all(t.soft is not None for e in train for t in e.targets.values())
    assert [bool(e.states) for e in train] == [size == 32] * 69
    started = {h.task.name: h.weight for h in heads_of(net)}
    assert [np.array_equal(started[h.task.name], h.weight) for h in teacher.heads] == [size == 32] * 5


@pytest.mark.parametrize(("copies", "n_texts", "wanted"), [(2, 0, 64), (0, 0, 0), (2, 300, None), (2, 800, 0)])
def test_varied_copies_fill_what_unlabelled_texts_leave(
    toy_pack: Pack, teacher: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: int, n_texts: int, wanted: int | None
) -> None:
    """Copies of the examples alone are made, of four texts sixteen each, together with unlabelled texts no more tokens than `source_tokens`."""
    pack = planned(toy_pack, vocabulary=SIZE, varied=copies, source_tokens=5000)
    texts = tuple(f"No storm of the {i}th was seen." for i in range(n_texts))
    _, train = lessons(pack, tmp_path / "students", [teacher], FinetuneOptions(unlabelled=texts), monkeypatch)
    found = [e for e in train if e.source == "varied"]
    if wanted is not None:
        assert len(found) == wanted
    else:
        assert 0 < len(found) < 64
        assert sum(e.n_tokens for e in train if e.source in ("varied", "unlabelled")) <= 5000
    assert all(t.soft is not None and not t.gold for e in found for t in e.targets.values())


def test_unlabelled_texts_are_drawn_where_there_are_too_many(toy_pack: Pack, teacher: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more unlabelled texts than the epochs can read a part is drawn by the seed, in their order; of fewer all are taken."""
    pack = planned(toy_pack, varied=0, source_tokens=1000, taught_epochs=2)
    texts = tuple(f"No storm of the {i}th was seen." for i in range(600))
    encoder = TextEncoder(teacher.folder)  # with all pieces, as this student

    def drawn(n: int, seed: int) -> list[int]:
        _, train = lessons(pack, tmp_path / f"students-{n}-{seed}", [teacher], FinetuneOptions(unlabelled=texts[:n], seed=seed), monkeypatch)
        number = {tuple(tokens.ids): i for i, tokens in enumerate(encoder.tokens(texts))}
        return [number[tuple(e.inputs.rows[0][1:-1])] for e in train if e.source == "unlabelled"]

    n_tokens = [len(tokens.ids) for tokens in encoder.tokens(texts)]
    assert drawn(100, 1) == list(range(100))
    some, others = drawn(600, 1), drawn(600, 2)
    assert some == sorted(some) and some != others
    assert 2000 <= sum(n_tokens[i] for i in some) < 2000 + max(n_tokens)


@pytest.mark.parametrize(("size", "layers", "n_pieces"), [(None, 2, 30522), ("full", 2, 30522), ("small", 1, SIZE)])
def test_a_student_that_nothing_helps_is_full(toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: Any, layers: int, n_pieces: int) -> None:
    """Without teacher and distilled encoder a student has all layers and pieces of its source, unless it is asked to be small."""
    nets: list[StudentNet] = []

    def take(net: StudentNet, *_: object, **__: object) -> None:
        nets.append(net)
        raise Reached

    monkeypatch.setattr(finetuning, "fit", take)
    with pytest.raises(Reached):
        finetune(planned(toy_pack, layers="half", vocabulary=SIZE), tmp_path, FinetuneOptions(limit=4, size=size))
    assert (nets[0].encoder.config.n_layers, nets[0].encoder.config.vocab_size) == (layers, n_pieces)


def test_without_teachers_there_is_gold_alone(toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a teacher no example carries soft targets or states."""
    _, train = lessons(toy_pack, tmp_path, [], FinetuneOptions(), monkeypatch)
    assert len(train) == 4 and all(e.states == () and t.soft is None and t.gold for e in train for t in e.targets.values())


TEACHER, STUDENT = "teacher: ", ""


def first_trained(pack: Pack, students: Path, options: FinetuneOptions) -> str:
    """Who is trained first, a teacher or the student itself; Ctrl-C in its first step."""
    begun: list[str] = []

    def listen(what: str, done: int, total: int) -> None:
        who, epoch, _ = what.partition("epoch")
        if epoch:
            begun.append(who)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(pack, students, options, listen)
    return begun[0]


@pytest.mark.slow
def test_teachers_are_used_again(toy_pack: Pack, tmp_path: Path) -> None:
    """A teacher of the same recipe and seed is trained once; another seed, another plan, changed gold or a damaged folder need a new one."""
    students, pack = tmp_path / "students", planned(toy_pack, layers=(1,), vocabulary=SIZE, epochs=1)
    options = FinetuneOptions(limit=4, teachers=1)
    finetune(teaching_pack(pack), students, replace(options, teachers=0, encoder=UNDISTILLED))
    (teacher,) = (load_student(p.parent) for p in (students / "toy").glob("toy-*/student.json"))
    assert (teacher.birth.layers, teacher.birth.vocabulary, teacher.birth.teachers) == ((0, 1), 30522, ())
    assert first_trained(pack, students, options) == STUDENT
    # what only the student has is no concern of its teacher
    small = planned(pack, layers=(0,), vocabulary=SIZE + 1, learning_rate=1e-3)
    assert first_trained(small, students, replace(options, unlabelled=("The dog was lovely.",))) == STUDENT
    assert first_trained(planned(pack, teacher_learning_rate=1e-3), students, options) == TEACHER
    assert first_trained(pack, students, replace(options, seed=2)) == TEACHER
    assert first_trained(pack, students, replace(options, teachers=2)) == TEACHER
    changed = Path(shutil.copytree(pack.folder, tmp_path / "packs" / "toy"))
    rows = [json.loads(line) for line in (changed / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    flip = {"animals": "weather", "weather": "animals"}
    for row in rows:
        for finding in row["findings"]:
            finding["label"] = flip.get(finding["label"], finding["label"])
    (changed / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    flipped = replace(find_pack("toy", [tmp_path / "packs"]), manifest=pack.manifest)
    assert first_trained(flipped, students, options) == TEACHER
    (teacher.folder / "heads.safetensors").write_bytes(b"")
    assert first_trained(pack, students, options) == TEACHER
