"""A student's folder: saved equals loaded, nothing changed in it, and it fits its pack."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pipelines.compress import export_encoder
from pipelines.context import n_features
from pipelines.encode import TextEncoder, windows
from pipelines.encoder import load_encoder, save_encoder
from pipelines.finetune import FinetuneOptions, finetune
from pipelines.heads import Head
from pipelines.lexicon import Lexicon
from pipelines.net import StudentNet, heads_of
from pipelines.openvino_engine import OpenVinoEngine
from pipelines.predict import Predictor, make_predictor
from pipelines.rules import Rules
from pipelines.student import CORE, INT8_FILE, SUMS, Birth, Student, check_fits, load_student, seal, write_heads
from pipelines.transitions import counted, weighted
from pipelines.vocabulary import write_tokenizer
from suites.discover import Pack
from suites.errors import StudentError
from suites.hooks import load_hooks
from suites.samples import read_samples
from suites.types import Finding

# encoder.bin is OpenVINO's weights, plain numbers; the others hold text or safetensors
FILES = {*CORE, SUMS, "reference.json", "tokenizer_config.json", "training.json", "README.md", "encoder.xml", "encoder.bin", INT8_FILE}


def findings(predictor: Predictor, pack: Pack) -> list[tuple[Finding, ...]]:
    return [reading.findings for reading in predictor.predict([e.document for e in read_samples(pack)])]


@pytest.fixture
def student_copy(toy_student: tuple[Path, Student], tmp_path: Path) -> Path:
    """A copy of the toy student's folder that a test may change."""
    return Path(shutil.copytree(toy_student[1].folder, tmp_path / toy_student[1].id))


def test_saved_equals_loaded(toy_pack: Pack, tiny_encoder: Path, tmp_path: Path) -> None:
    """Findings of the heads in memory equal those of the sealed folder, loaded once and loaded again."""
    torch.manual_seed(3)
    net = StudentNet(load_encoder(tiny_encoder)[0], toy_pack.student_tasks)
    for head in net.heads.values():
        torch.nn.init.normal_(head.weight, std=0.3)
    rng = np.random.default_rng(3)
    lexicon = Lexicon(np.arange(5000, dtype=np.int32), rng.normal(size=(5000, 2)).astype(np.float32), rng.normal(size=2).astype(np.float32))

    def fitted(head: Head) -> Head:
        n = len(head.task.labels)
        looks = ((2.5,) * (n if head.task.kind == "choice" else 1),) * n
        added = lexicon if head.task.name == "topic" else None
        fixed = replace(head, temperature=1.5, platt=(0.9, -0.2), thresholds=(0.4, 0.3, 0.6)[:n], abstain=looks, n_answers=40, lexicon=added)
        if head.task.scope == "span":
            return replace(fixed, cues=rng.normal(size=(n_features(head.task), n)).astype(np.float32))
        if head.task.kind != "spans":
            return fixed
        return replace(fixed, transitions=weighted(counted([np.array([0, 1, 2, 0, 1], np.int32)], len(head.bias)), 0.5))

    heads = [fitted(h) for h in heads_of(net)]
    save_encoder(net.encoder, tmp_path, ["a"])
    write_tokenizer(tiny_encoder, tmp_path, None)
    engine = OpenVinoEngine(export_encoder(tmp_path), pad_id=0)
    limits = toy_pack.manifest.text
    before = findings(Predictor(toy_pack, heads, TextEncoder(tmp_path), engine, Rules(toy_pack.folder), load_hooks(toy_pack), limits), toy_pack)

    tasks = tuple(toy_pack.student_tasks)
    birth = Birth(pack="toy", pack_version="1.0", pack_digest="0", source="path:x", layers=(0, 1), seed=3, data=("samples",), text=limits, tasks=tasks)
    write_heads(tmp_path, birth, heads)
    sealed = seal(tmp_path, "toy")
    folder = tmp_path.rename(tmp_path.with_name(sealed))
    for _ in range(2):
        student = load_student(folder)
        assert (student.id, student.birth) == (sealed, birth)
        assert all(np.array_equal(a.transitions, b.transitions) for a, b in zip(heads, student.heads, strict=True))
        assert findings(make_predictor(toy_pack, student), toy_pack) == before
    assert {f.task for found in before for f in found} == set(toy_pack.tasks) - {"disguises"}  # nobody deceives in them
    assert {f.unsure for found in before for f in found if f.source == "student"} == {True, False}


def test_a_finetuned_student_loads_as_it_was(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """The student that finetune gives back, and the one in its folder, read alike; its id is its folder's name."""
    student = toy_student[1]
    loaded = load_student(student.folder)
    assert (loaded.id, loaded.birth) == (student.id, student.birth)
    assert student.folder == toy_student[0] / "toy" / student.id
    assert findings(make_predictor(toy_pack, loaded), toy_pack) == findings(make_predictor(toy_pack, student), toy_pack)


def test_transformers_loads_the_folder(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """AutoModel and AutoTokenizer load the student, and give the hidden states of our engine to 1e-4."""
    folder = toy_student[1].folder
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    assert list(model.config.id2label.values()) == list(toy_pack.tasks["topic"].labels)
    encoder, engine = TextEncoder(folder), OpenVinoEngine(folder / "encoder.xml", pad_id=0)
    for example in read_samples(toy_pack, "dev"):
        (tokens,) = encoder.tokens([example.document.text])
        row = encoder.window_ids(tokens, next(windows(len(tokens), 512, 0)))
        given = tokenizer(example.document.text, return_tensors="pt")
        assert given["input_ids"][0].tolist() == row.tolist()
        with torch.inference_mode():
            states = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state[0].numpy()
        np.testing.assert_allclose(engine.states([row])[0], states, atol=1e-4)


@pytest.mark.parametrize("name", [*CORE, "encoder.xml", "encoder.bin", INT8_FILE])
def test_a_flipped_byte_is_refused(student_copy: Path, name: str) -> None:
    """A student with one changed bit in any sealed file is refused, naming the file."""
    load_student(student_copy)
    content = bytearray((student_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (student_copy / name).write_bytes(content)
    with pytest.raises(StudentError) as caught:
        load_student(student_copy)
    assert caught.value.code == "student_damaged"
    assert str(student_copy / name) in caught.value.message


def test_a_missing_file_is_refused(student_copy: Path) -> None:
    """A student without one of its files is refused, naming the file."""
    (student_copy / "heads.safetensors").unlink()
    with pytest.raises(StudentError, match=r"heads\.safetensors: missing"):
        load_student(student_copy)


def test_an_empty_folder_is_no_student(tmp_path: Path) -> None:
    """A folder that was never sealed is refused with the command that makes a student."""
    with pytest.raises(StudentError, match=r"no student here .*manage\.py finetune PACK"):
        load_student(tmp_path)


def test_a_shorter_list_of_sums_is_refused(student_copy: Path) -> None:
    """A student whose SHA256SUMS leaves out a core file is refused."""
    lines = (student_copy / SUMS).read_text(encoding="utf-8").splitlines(keepends=True)
    (student_copy / SUMS).write_text("".join(line for line in lines if "heads.safetensors" not in line), encoding="utf-8")
    with pytest.raises(StudentError):
        load_student(student_copy)


def test_another_student_under_the_same_name_is_refused(student_copy: Path) -> None:
    """A folder named after an id that its content does not have is refused."""
    (student_copy / "calibration.json").write_text((student_copy / "calibration.json").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    seal(student_copy, "toy")
    with pytest.raises(StudentError):
        load_student(student_copy)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "same"), [(1, True), (2, False)])
def test_the_seed_decides_the_id(toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path, seed: int, same: bool) -> None:
    """The same pack and seed give the same id, another seed another."""
    again = finetune(toy_pack, tmp_path, FinetuneOptions(epochs=2, seed=seed))
    assert (again.id == toy_student[1].id) is same


@pytest.mark.slow
def test_finetuning_again_keeps_the_card(toy_pack: Pack, toy_student: tuple[Path, Student], student_copy: Path) -> None:
    """An equal student that was evaluated meanwhile keeps its card with the scores."""
    students = student_copy.parent / "students"
    (students / "toy").mkdir(parents=True)
    folder = student_copy.rename(students / "toy" / student_copy.name)
    (folder / "README.md").write_text("with scores", encoding="utf-8")
    finetune(toy_pack, students, FinetuneOptions(epochs=2))
    assert (folder / "README.md").read_text(encoding="utf-8") == "with scores"


@pytest.mark.slow
def test_finetuning_again_mends_a_student(toy_pack: Pack, toy_student: tuple[Path, Student], student_copy: Path) -> None:
    """Fine-tuning with the same seed over a damaged student leaves a whole one."""
    students = student_copy.parent / "students"
    (students / "toy").mkdir(parents=True)
    folder = student_copy.rename(students / "toy" / student_copy.name)
    (folder / "encoder.bin").write_bytes(b"")
    assert finetune(toy_pack, students, FinetuneOptions(epochs=2)).id == toy_student[1].id


def test_the_folder_holds_no_pickle(toy_student: tuple[Path, Student]) -> None:
    """A student's folder holds the files it should and no other: no pickle, no .pt, no .bin but OpenVINO's."""
    assert {p.name for p in toy_student[1].folder.iterdir()} == FILES


def test_nothing_else_is_left_beside_the_student(toy_student: tuple[Path, Student]) -> None:
    """A finished run leaves the student's folder alone: no draft stays."""
    assert [p.name for p in (toy_student[0] / "toy").iterdir()] == [toy_student[1].id]


def with_task(pack: Pack, name: str, **changes: object) -> Pack:
    """The pack with one task changed."""
    tasks = tuple(t.model_copy(update=changes) if t.name == name else t for t in pack.manifest.task)
    return replace(pack, manifest=pack.manifest.model_copy(update={"task": tasks}))


@pytest.mark.parametrize("name", ["topic", "things", "flags"])
def test_appended_labels_still_fit(toy_pack: Pack, toy_student: tuple[Path, Student], name: str) -> None:
    """A student fits its pack after a label was appended, and answers as before."""
    grown = with_task(toy_pack, name, labels=(*toy_pack.tasks[name].labels, "new"))
    check_fits(toy_student[1], grown)
    assert findings(make_predictor(grown, toy_student[1]), toy_pack) == findings(make_predictor(toy_pack, toy_student[1]), toy_pack)


@pytest.mark.parametrize(
    "changes",
    [{"labels": ("weather", "animals")}, {"labels": ("animals",)}, {"labels": ("new", "animals", "weather")}, {"kind": "tags"}, {"scope": "sentence"}],
    ids=["reordered", "removed", "put first", "another kind", "another scope"],
)
def test_changed_tasks_are_refused(toy_pack: Pack, toy_student: tuple[Path, Student], changes: dict[str, object]) -> None:
    """A student does not fit a pack whose task was changed, and the error gives task and command."""
    with pytest.raises(StudentError, match=r"answers 'topic' .*labels.*manage\.py finetune toy") as caught:
        make_predictor(with_task(toy_pack, "topic", **changes), toy_student[1])
    assert caught.value.code == "student_outdated"


def test_a_new_task_is_not_passed_over(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """A student that lacks one of the pack's tasks is refused."""
    new = toy_pack.tasks["topic"].model_copy(update={"name": "novel"})
    grown = replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"task": (*toy_pack.manifest.task, new)}))
    with pytest.raises(StudentError):
        check_fits(toy_student[1], grown)
