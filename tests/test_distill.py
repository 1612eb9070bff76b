"""Distilling an encoder: what the folder holds, runs that are interrupted, and what a student starts from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from pipelines import distill as distilling
from pipelines.checkpoint import NAME as CHECKPOINT
from pipelines.distill import DistillOptions, distill, distilled, read_distillation, training_texts
from pipelines.encode import TextEncoder, pad
from pipelines.encoder import load_encoder, load_masked_language_model
from pipelines.finetune import FinetuneOptions, finetune
from pipelines.net import relative_distance
from pipelines.progress import OnProgress, silent
from pipelines.start import UNDISTILLED, Start, start_of
from suites.discover import Pack, find_pack
from suites.errors import DataError, RunError, StudentError
from suites.samples import read_samples, split_of
from suites.types import StudentPlan

from .conftest import HUB_REVISION

SIZE = 2200
FILES = {
    *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    *("README.md", "SHA256SUMS", "distill.json", "loss.png", "losses.jsonl"),
}


@pytest.fixture(scope="module", autouse=True)
def short_runs() -> Iterator[None]:
    """Small batches, and a checkpoint every four steps, so that a run of seconds has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "BATCH_TOKENS", 1024)
        patch.setattr(distilling, "SHOWN_STEPS", 2)
        patch.setattr(distilling, "CHECKPOINT_STEPS", 4)
        yield


def options(teacher: Path, **changes: Any) -> DistillOptions:
    return replace(DistillOptions(teacher=f"path:{teacher}", layers="half", vocabulary=SIZE, tokens=6000, learning_rate=5e-3), **changes)


@pytest.fixture(scope="module")
def triple(toy_pack: Pack, tiny_masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder distilled from a BERT with a masked-language head. Copy it to change it."""
    return distill(toy_pack, tmp_path_factory.mktemp("triple"), options(tiny_masked))


@pytest.fixture(scope="module")
def states(toy_pack: Pack, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder distilled from a BERT without such a head."""
    return distill(toy_pack, tmp_path_factory.mktemp("states"), options(tiny_encoder))


def losses(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text(encoding="utf-8").splitlines()]


def png_chunks(content: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG by name, their check sums held; those of one name are joined."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + data),)
        chunks[name] = chunks.get(name, b"") + data
        at += 12 + length
    return chunks


@pytest.mark.parametrize("kind", ["triple", "states"])
def test_the_folder_is_complete(request: pytest.FixtureRequest, toy_pack: Pack, kind: str) -> None:
    """The folder holds encoder, tokenizer, record, losses, curve, card and the sums of all of them, and nothing else lies beside it."""
    folder = request.getfixturevalue(kind)
    assert {p.name for p in folder.iterdir()} == FILES
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    assert sums == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES - {"SHA256SUMS"}}
    record, card = read_distillation(folder), (folder / "README.md").read_text(encoding="utf-8")
    assert (record.pack, record.seed, record.vocabulary) == ("toy", 1, SIZE)
    assert record.loss == {"triple": "triple", "states": "states and relations"}[kind]
    assert record.n_texts == len({e.document.text for e in read_samples(toy_pack, "train")})
    assert record.parameters == sum(p.numel() for p in load_encoder(folder)[0].parameters()) < record.teacher_parameters
    assert record.teacher in card and f"{record.parameters:,} parameters" in card and "loss.png" in card


@pytest.mark.parametrize("kind", ["triple", "states"])
def test_the_curve_is_a_picture_of_the_losses(request: pytest.FixtureRequest, kind: str) -> None:
    """losses.jsonl holds a mean for every SHOWN_STEPS steps, whose parts add up to `all`, and loss.png is a real PNG."""
    folder = request.getfixturevalue(kind)
    rows, record = losses(folder), read_distillation(folder)
    assert len(rows) == -(-record.steps // distilling.SHOWN_STEPS)
    parts = {"triple": {"soft", "masked", "cosine"}, "states": {"last", "relations"}}[kind]
    for row in rows:
        assert row.keys() == parts | {"all"}
        assert sum(row[name] for name in parts) == pytest.approx(row["all"], abs=1e-4)
    chunks = png_chunks((folder / "loss.png").read_bytes())
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert (width, height, depth, colour) == (960, 504, 8, 6)
    assert len(pixels) == height * (1 + 4 * width) and len(set(pixels)) > 50


@pytest.mark.parametrize("kind", ["triple", "states"])
def test_the_loss_falls(request: pytest.FixtureRequest, kind: str) -> None:
    """The loss of the last steps is below that of the first."""
    rows = losses(request.getfixturevalue(kind))
    assert rows[-1]["all"] < 0.85 * rows[0]["all"]


def test_the_student_comes_nearer_to_its_teacher(toy_pack: Pack, states: Path, tiny_encoder: Path) -> None:
    """On dev texts, which it has not seen, the distilled encoder's states are nearer to the teacher's than those of the layers it began as."""
    ours, theirs = TextEncoder(states), TextEncoder(tiny_encoder)
    pieces, numbers = ours.pieces, theirs.pieces
    kept = np.array([numbers[piece] for piece in sorted(pieces, key=pieces.__getitem__)], np.int32)
    tokens = ours.tokens([e.document.text for e in read_samples(toy_pack, "dev")])
    ids, mask = (torch.from_numpy(a) for a in pad([np.array([ours.cls_id, *t.ids, ours.sep_id], np.int32) for t in tokens], ours.pad_id))
    teacher, start = load_encoder(tiny_encoder, "all", kept)[0], load_encoder(tiny_encoder, "half", kept)[0]
    with torch.inference_mode():
        wanted, before, after = (m(input_ids=ids, attention_mask=mask).last_hidden_state for m in (teacher, start, load_encoder(states)[0]))
    assert float(relative_distance(after, wanted, mask)) < 0.8 * float(relative_distance(before, wanted, mask))


def test_a_teacher_with_a_head_gives_a_student_with_one(triple: Path, states: Path) -> None:
    """The folder of the triple loss is a masked-language model for transformers too; that of states has no head."""
    ours, theirs = load_masked_language_model(triple), AutoModelForMaskedLM.from_pretrained(triple).eval()
    assert ours is not None and theirs.config.vocab_size == SIZE
    ids = torch.arange(60).reshape(2, 30)
    with torch.inference_mode():
        assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert load_masked_language_model(states) is None


def test_the_seed_decides_the_encoder(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path) -> None:
    """The same teacher, texts, options and seed give the same id and losses, another seed another."""
    again = distill(toy_pack, tmp_path, options(tiny_masked))
    assert again.name == triple.name
    assert losses(again) == losses(triple)
    other = distill(toy_pack, tmp_path, options(tiny_masked, seed=2))
    assert other.name != triple.name
    assert {f.name for f in distilled(tmp_path, "toy")} == {again.name, other.name}


def stop_after(steps: int) -> OnProgress:
    """Ctrl-C when so many steps are done."""

    def interrupt(what: str, done: int, total: int) -> None:
        if done == steps:
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.parametrize(("kind", "stopped", "goes_on"), [("triple", 3, 1), ("triple", 6, 5), ("states", 9, 9)])
def test_an_interrupted_run_goes_on_where_it_was(request: pytest.FixtureRequest, toy_pack: Pack, tmp_path: Path, kind: str, stopped: int, goes_on: int) -> None:
    """A run stopped in the middle goes on from its last checkpoint, and its weights and losses are in every byte those of an uninterrupted one."""
    wanted = request.getfixturevalue(kind)
    chosen = options(request.getfixturevalue({"triple": "tiny_masked", "states": "tiny_encoder"}[kind]))
    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, chosen, stop_after(stopped))
    assert distilled(tmp_path, "toy") == []
    steps: list[int] = []
    folder = distill(toy_pack, tmp_path, chosen, lambda what, done, total: steps.append(done))
    assert steps == list(range(goes_on, read_distillation(wanted).steps + 1))
    assert folder.name == wanted.name
    for name in ("model.safetensors", "losses.jsonl", "config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (wanted / name).read_bytes()


def test_a_half_written_checkpoint_is_passed_over(toy_pack: Pack, tiny_encoder: Path, states: Path, tmp_path: Path) -> None:
    """A run that was killed while it wrote a checkpoint goes on from the one before, and no draft is left in its folder."""
    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, options(tiny_encoder), stop_after(6))
    (making,) = (tmp_path / "toy" / "encoders").iterdir()
    for draft in (f"{CHECKPOINT}.draft", ".tmp82vafB", "model.safetensors"):  # the second is what safetensors itself writes to first
        (making / draft).write_bytes(b"half")
    (making / "SHA256SUMS").write_text("of an ending that did not come", encoding="utf-8")
    folder = distill(toy_pack, tmp_path, options(tiny_encoder))
    assert folder.name == states.name and {p.name for p in folder.iterdir()} == FILES
    assert len((folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()) == len(FILES) - 1


def test_a_damaged_checkpoint_is_an_error(toy_pack: Pack, tiny_encoder: Path, tmp_path: Path) -> None:
    """A checkpoint that is not whole is an error that names it and says what to do; when that is done, the run begins anew."""
    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, options(tiny_encoder), stop_after(4))
    (path,) = (tmp_path / "toy" / "encoders").glob(f"*/{CHECKPOINT}")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StudentError, match=rf"{path}: not a whole checkpoint\. Remove it: the training then begins anew"):
        distill(toy_pack, tmp_path, options(tiny_encoder))
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, options(tiny_encoder), stop_after(1))


def test_a_loss_that_is_no_number_ends_the_run(toy_pack: Pack, tiny_encoder: Path, tmp_path: Path) -> None:
    """Steps far too large end with an error that says so, and leave no encoder."""
    with pytest.raises(RunError, match=r"no longer a number.*Lower the learning rate"):
        distill(toy_pack, tmp_path, options(tiny_encoder, learning_rate=1e30))
    assert distilled(tmp_path, "toy") == []


def test_two_at_once_are_one(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path) -> None:
    """Of two distillations of the same input that begin together one trains, and the other waits and finds what it made."""
    steps: list[int] = []

    def one() -> Path:
        return distill(toy_pack, tmp_path, options(tiny_masked), lambda what, done, total: steps.append(done))

    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(one) for _ in range(2)])
    assert first == second and first.name == triple.name
    assert steps == list(range(1, read_distillation(first).steps + 1))


def test_seconds_and_energy_are_those_of_all_processes(toy_pack: Pack, tiny_masked: Path, tmp_path: Path) -> None:
    """What an interrupted run took up to its checkpoint counts too."""

    def slow(what: str, done: int, total: int) -> None:
        time.sleep(0.5 if done == 1 else 0)
        stop_after(6)(what, done, total)

    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, options(tiny_masked), slow)
    started = time.monotonic()
    folder = distill(toy_pack, tmp_path, options(tiny_masked))
    record = read_distillation(folder)
    assert 0.5 < record.seconds < 0.5 + time.monotonic() - started + 5
    assert record.energy is not None and record.energy["duration"] == pytest.approx(record.seconds, abs=0.06)
    assert record.energy["cpu_energy"] > 0 and record.energy["emissions"] == pytest.approx(record.energy["energy_consumed"] * 0.475)
    emitted = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])["co2_eq_emissions"]
    assert emitted["training_type"] == "pre-training" and emitted["emissions"] == pytest.approx(record.energy["emissions"] * 1000, rel=0.01)


def test_a_finished_run_is_not_repeated(toy_pack: Pack, tiny_masked: Path, triple: Path) -> None:
    """The same options again give the same folder at once, without a step and without touching it."""
    before = {p.name: p.stat().st_mtime_ns for p in triple.iterdir()}
    assert distill(toy_pack, triple.parents[2], options(tiny_masked), stop_after(1)) == triple
    assert {p.name: p.stat().st_mtime_ns for p in triple.iterdir()} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"layers": (0, 3)},
        {"vocabulary": SIZE + 1},
        {"tokens": 9000},
        {"learning_rate": 1e-3},
        {"texts": ("Yet another text.",)},
    ],
    ids=str,
)
def test_another_option_is_another_run(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Beside a finished run one with another option begins anew."""
    shutil.copytree(triple.parents[2], tmp_path, dirs_exist_ok=True)
    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, options(tiny_masked, **changes), stop_after(1))


def test_held_out_texts_are_not_trained_on(toy_pack: Pack) -> None:
    """Texts of the dev and test splits are left out, given as further texts too; others come once, and blank ones never."""
    train, dev, test = ([e.document.text for e in read_samples(toy_pack, split)] for split in ("train", "dev", "test"))
    assert dev and test
    kept = {"samples": [text for text in dict.fromkeys(train) if text not in {*dev, *test}]}
    assert training_texts(toy_pack, None) == kept
    found = training_texts(toy_pack, None, [*dev, *test, train[0], "A new text.", "A new text.", "", " \n"])
    assert found == kept | {"further": ["A new text."]}


def test_further_texts_are_trained_on(toy_pack: Pack, tiny_encoder: Path, tmp_path: Path) -> None:
    """Further texts are counted in the record, and their pieces are kept in the vocabulary."""
    text = "Palpitations and dyspnea were denied; palpitations again, and dyspnea too."
    folder = distill(toy_pack, tmp_path, options(tiny_encoder, tokens=1, texts=(text,)))
    assert read_distillation(folder).n_texts == len(training_texts(toy_pack, None)["samples"]) + 1
    full, trimmed = TextEncoder(tiny_encoder), TextEncoder(folder)
    assert len(trimmed.tokens([text])[0]) == len(full.tokens([text])[0])


def test_tokens_limit_the_steps(toy_pack: Pack, tiny_encoder: Path, states: Path, tmp_path: Path) -> None:
    """`tokens` is what is read in all: of more text a part, of less the same several times."""
    record = read_distillation(states)
    assert record.text_tokens < 4000 and record.steps * 1024 > 5000
    few = read_distillation(distill(toy_pack, tmp_path, options(tiny_encoder, tokens=1)))
    assert (few.steps, few.text_tokens) == (1, record.text_tokens)


def test_windows_of_unknown_words_teach_nothing(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path) -> None:
    """A text whose every word is unknown has nothing to guess and is passed over, not stumbled over."""
    text = "\U0001f600 " * 400
    folder = distill(toy_pack, tmp_path, options(tiny_masked, tokens=1, texts=(text,)))
    record, without = read_distillation(folder), read_distillation(triple)
    assert (record.text_tokens, record.n_texts) == (without.text_tokens, without.n_texts + 1)


def test_the_record_counts_what_trimming_changes(toy_pack: Pack, states: Path, tiny_encoder: Path) -> None:
    """distill.json holds the share of the words of dev that are cut otherwise, and pieces a word before and after, counted here word by word."""
    texts = [e.document.text for e in read_samples(toy_pack, "dev")]
    n_words = n_split = 0
    n_pieces = [0, 0]
    for one, other in zip(*(TextEncoder(f).tokens(texts) for f in (tiny_encoder, states)), strict=True):
        for word in np.unique(one.words):
            ends = [t.ends[t.words == word].tolist() for t in (one, other)]
            n_words += 1
            n_split += ends[0] != ends[1]
            n_pieces = [n + len(e) for n, e in zip(n_pieces, ends, strict=True)]
    record = read_distillation(states)
    assert record.fallback_rate == pytest.approx(n_split / n_words, abs=1e-6) and record.unknown_words == 0
    assert record.pieces_per_word == pytest.approx([n / n_words for n in n_pieces], abs=1e-4)


def test_a_teacher_from_the_hub(toy_pack: Pack, triple: Path, hub_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hub:OWNER/NAME`, offline and in the cache, gives in every byte the encoder that the same teacher gives from a folder."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_home / "hub"))
    assert list(hub_home.glob(f"hub/models--tiny--bert/snapshots/{HUB_REVISION}"))
    folder = distill(toy_pack, tmp_path, replace(options(Path()), teacher="hub:tiny/bert"))
    assert folder.name == triple.name and read_distillation(folder).teacher == "hub:tiny/bert"
    assert (folder / "model.safetensors").read_bytes() == (triple / "model.safetensors").read_bytes()


def test_the_same_teacher_under_another_name_is_another_run(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path) -> None:
    """A run of the same weights under another name is not taken for this one: the record names the teacher that was asked for."""
    shutil.copytree(triple.parents[2], tmp_path, dirs_exist_ok=True)
    alias = tmp_path / "alias"
    alias.symlink_to(tiny_masked)
    with pytest.raises(KeyboardInterrupt):
        distill(toy_pack, tmp_path, options(alias), stop_after(1))


def test_a_distilbert_is_a_teacher(toy_pack: Pack, tiny_distilbert: Path, tmp_path: Path) -> None:
    """A DistilBERT with a masked-language head teaches by the triple loss, and the head is saved."""
    folder = distill(toy_pack, tmp_path, options(tiny_distilbert))
    record = read_distillation(folder)
    assert (record.loss, record.layers) == ("triple", (1,))
    assert losses(folder)[-1]["all"] < losses(folder)[0]["all"]
    assert load_masked_language_model(folder) is not None


def test_the_manifest_decides_what_is_not_chosen(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path) -> None:
    """Teacher, layers and vocabulary of the manifest are taken where no option names others: it is the same run, and is not repeated."""
    shutil.copytree(triple.parents[2], tmp_path, dirs_exist_ok=True)
    pack = planned(toy_pack, teacher=f"path:{tiny_masked}", layers="half", vocabulary=SIZE)
    folder = distill(pack, tmp_path, replace(options(tiny_masked), teacher=None, layers=None, vocabulary=None), stop_after(1))
    assert folder == tmp_path / "toy" / "encoders" / triple.name


def test_every_second_layer_is_the_default(toy_pack: Pack, tiny_encoder: Path, tiny_masked: Path, tmp_path: Path) -> None:
    """A manifest that says nothing of layers means every second; what it says of its source's layers says nothing of another teacher's."""
    silent = replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"student": StudentPlan(source=f"path:{tiny_encoder}")}))
    plain = DistillOptions(tokens=1)
    assert read_distillation(distill(silent, tmp_path, plain)).layers == (1,)
    every = planned(toy_pack, layers="all")
    assert read_distillation(distill(every, tmp_path, plain)).layers == (0, 1)
    assert read_distillation(distill(every, tmp_path, replace(plain, teacher=f"path:{tiny_masked}"))).layers == (1, 3)


def planned(pack: Pack, **changes: Any) -> Pack:
    """The pack with another plan for its student."""
    plan = pack.manifest.student.model_copy(update=changes)
    return replace(pack, manifest=pack.manifest.model_copy(update={"student": plan}))


def with_samples(pack: Pack, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Pack:
    """A copy of the pack whose samples are changed, or left out where `change` gives None."""
    made = Path(shutil.copytree(pack.folder, folder / pack.name))
    rows = [json.loads(line) for line in (made / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    (made / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in map(change, rows) if row), encoding="utf-8")
    return find_pack(pack.name, [folder])


def test_a_pack_without_texts_is_an_error(toy_pack: Pack, tiny_encoder: Path, tmp_path: Path) -> None:
    """Without a train text, or with none of more than a few words, the error names the pack and the remedy; further texts mend it."""
    bare = with_samples(toy_pack, tmp_path / "bare", lambda row: None if split_of(row["id"]) == "train" else row)
    with pytest.raises(DataError, match=r"Pack 'toy' has no train texts .*--data-root, or give --text"):
        distill(bare, tmp_path, options(tiny_encoder))
    short = with_samples(toy_pack, tmp_path / "short", lambda row: {"id": row["id"], "text": f"No {row['id'][-1]}.", "findings": []})
    with pytest.raises(DataError, match=r"Pack 'toy': the train texts are too short .*--data-root, or give --text"):
        distill(short, tmp_path, options(tiny_encoder))
    assert distill(bare, tmp_path, options(tiny_encoder, tokens=1, texts=("A storm near the sky was awful.",))).exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layers": (0, 7)}, r"has layers 0\.\.1; layers \[0, 7\] were asked for"),
        ({"vocabulary": 300}, "A vocabulary of 300 pieces"),
        ({"teacher": "path:/no"}, "not found"),
    ],
    ids=["layers", "vocabulary", "teacher"],
)
def test_a_wrong_option_is_an_error(toy_pack: Pack, tiny_encoder: Path, tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """Layers or a teacher that are not there, or too few pieces, are a StudentError with the reason, and no encoder is there after it."""
    with pytest.raises(StudentError, match=reason):
        distill(toy_pack, tmp_path, replace(options(tiny_encoder), **changes))
    assert distilled(tmp_path, "toy") == []


@pytest.mark.parametrize("content", ["{", "{}", "[]", None], ids=["torn", "empty", "a list", "missing"])
def test_a_damaged_record_is_an_error(toy_pack: Pack, tiny_masked: Path, triple: Path, tmp_path: Path, content: str | None) -> None:
    """An unreadable distill.json is a StudentError that names it and the remedy, in distilling and in fine-tuning."""
    shutil.copytree(triple.parents[2], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "toy" / "encoders" / triple.name / "distill.json"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    tries: list[Callable[[], object]] = [lambda: distill(toy_pack, tmp_path, options(tiny_masked)), lambda: started(toy_pack, tmp_path)]
    for attempt in tries:
        with pytest.raises(StudentError, match=r"distill\.json: not a readable record\. Remove the folder and distil again") as caught:
            attempt()
        assert str(path) in caught.value.message


def started(pack: Pack, students: Path, choice: str | None = None) -> Start:
    """What a student of the pack starts from; its tokenizer lies in `students`/making then."""
    making = students / "making"
    making.mkdir(exist_ok=True)
    return start_of(pack, students, making, [e.document.text for e in read_samples(pack, "train")], choice=choice, offline=True)


@pytest.fixture(scope="module")
def several(toy_pack: Pack, tiny_encoder: Path, states: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of students with encoders, from old to new: two seeds of the manifest's layers and vocabulary, other layers, another vocabulary."""
    students = tmp_path_factory.mktemp("several")
    made = {
        "old": Path(shutil.copytree(states, students / "toy" / "encoders" / states.name)),
        "new": distill(toy_pack, students, options(tiny_encoder, seed=2, tokens=1)),
        "layers": distill(toy_pack, students, options(tiny_encoder, layers="all", tokens=1)),
        "vocabulary": distill(toy_pack, students, options(tiny_encoder, vocabulary=SIZE + 1, tokens=1)),
    }
    for at, folder in enumerate(made.values()):
        os.utime(folder / "SHA256SUMS", (1e9 + at, 1e9 + at))
    return students, {name: folder.name for name, folder in made.items()}


def test_a_student_starts_from_the_newest_that_fits(toy_pack: Pack, tmp_path: Path, several: tuple[Path, dict[str, str]]) -> None:
    """Of the distilled encoders the newest of the manifest's teacher, layers and vocabulary is taken, with its weights and its tokenizer."""
    pack, names = planned(toy_pack, layers="half", vocabulary=SIZE), several[1]
    shutil.copytree(several[0], tmp_path, dirs_exist_ok=True)
    assert [f.name for f in distilled(tmp_path, "toy")] == list(names.values())[::-1]
    start = started(pack, tmp_path)
    folder = tmp_path / "toy" / "encoders" / names["new"]
    assert (start.distilled, start.layers) == (names["new"], (1,))
    weights = load_file(folder / "model.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in start.encoder.state_dict().items())
    assert TextEncoder(tmp_path / "making").pieces == TextEncoder(folder).pieces
    os.utime(tmp_path / "toy" / "encoders" / names["old"] / "SHA256SUMS", (2e9, 2e9))
    assert started(pack, tmp_path).distilled == names["old"]
    assert started(planned(pack, layers="all"), tmp_path).distilled == names["layers"]
    assert started(planned(pack, layers=(0,)), tmp_path).distilled == ""
    assert started(planned(pack, vocabulary=None), tmp_path).distilled == ""


def test_an_encoder_of_another_teacher_does_not_fit(toy_pack: Pack, tiny_encoder: Path, tiny_masked: Path, triple: Path) -> None:
    """What was distilled from another teacher than the manifest's is passed over; from the manifest's `teacher` it is taken."""
    students = triple.parents[2]
    pack = planned(toy_pack, layers="half", vocabulary=SIZE)
    assert started(pack, students).distilled == ""
    assert started(planned(pack, source=f"path:{tiny_masked}"), students).distilled == triple.name
    start = started(planned(pack, teacher=f"path:{tiny_masked}"), students)
    assert (start.distilled, start.layers) == (triple.name, (1, 3))


def test_an_encoder_can_be_named_or_refused(toy_pack: Pack, tiny_encoder: Path, several: tuple[Path, dict[str, str]]) -> None:
    """A named encoder is taken whether it fits or not, `none` takes the source's own layers, and an unknown id is an error that lists those there are."""
    pack, (students, names) = planned(toy_pack, layers="half", vocabulary=SIZE), several
    assert started(pack, students, names["layers"]).layers == (0, 1)
    start = started(pack, students, UNDISTILLED)
    pieces, every = TextEncoder(students / "making").pieces, TextEncoder(tiny_encoder).pieces
    assert (start.distilled, start.layers, len(pieces)) == ("", (1,), SIZE)
    kept = np.sort(np.array([every[piece] for piece in pieces], np.int32))
    source = load_encoder(tiny_encoder, (1,), kept)[0].state_dict()
    assert all(torch.equal(tensor, source[name]) for name, tensor in start.encoder.state_dict().items())
    with pytest.raises(StudentError, match=r"No encoder 'toy-encoder-0'\. Known: ") as caught:
        started(pack, students, "toy-encoder-0")
    assert caught.value.code == "no_encoder" and all(name in caught.value.message for name in (*names.values(), UNDISTILLED))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_changed_encoder_is_refused(toy_pack: Pack, states: Path, tmp_path: Path, name: str) -> None:
    """A distilled encoder with one changed byte is refused with the remedy; its card may be edited."""
    pack = planned(toy_pack, layers="half", vocabulary=SIZE)
    folder = Path(shutil.copytree(states, tmp_path / "toy" / "encoders" / states.name))
    (folder / "README.md").write_text("# mine\n", encoding="utf-8")
    assert started(pack, tmp_path).distilled == states.name
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(StudentError, match=r"SHA-256 differs\)\. Remove the folder and distil again"):
        started(pack, tmp_path)


@pytest.mark.slow
def test_a_student_of_a_distilled_encoder(toy_pack: Pack, states: Path, tmp_path: Path) -> None:
    """A student fine-tuned from a distilled encoder names it, has its layers and pieces, and is another than the one that starts from the source."""
    pack = planned(toy_pack, layers="half", vocabulary=SIZE)
    shutil.copytree(states, tmp_path / "toy" / "encoders" / states.name)
    small = FinetuneOptions(epochs=1, limit=6, size="small")
    student, plain = (finetune(pack, tmp_path, replace(small, encoder=choice), silent) for choice in (None, UNDISTILLED))
    assert (student.birth.encoder, student.birth.layers, student.birth.vocabulary) == (states.name, (1,), SIZE)
    assert (plain.birth.encoder, plain.birth.layers, plain.birth.vocabulary) == ("", (1,), SIZE)
    assert student.birth.recipe != plain.birth.recipe
    assert TextEncoder(student.folder).pieces == TextEncoder(states).pieces
