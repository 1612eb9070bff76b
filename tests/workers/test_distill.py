"""`distill` and `finetune --teacher` as a user meets them, and the unlabelled texts they are given."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pipelines.distill import read_distillation
from pipelines.encoder import load_masked_language_model
from pipelines.student import load_student
from suites.errors import DataError, UsageError
from workers.cli import main
from workers.settings import Settings
from workers.texts import texts_of

from .conftest import manage, write_documents

SHAPE = ("--layers", "half", "--vocabulary", "2200")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code of a command that fails, and what it says on stderr; nothing is on stdout."""
    code = main(arguments)
    said = capsys.readouterr()
    assert said.out == ""
    return code, said.err


def test_help_names_what_can_be_chosen(home: Settings) -> None:
    """`distill --help` names its options, the defaults of the manifest and the next step."""
    said = manage("distill", "--help", home=home).stdout
    for option in ("--teacher", "--layers", "--vocabulary", "--tokens", "--text", "--data-root", "--seed", "hub:OWNER/NAME", "loss.png", "Fine-tuning"):
        assert option.lower() in said.lower()


@pytest.mark.slow
def test_an_encoder_is_distilled_by_command(home: Settings, hub_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`distill` with a teacher from the hub's cache, offline, makes an encoder of the pack, and says where the curve lies and what comes next."""
    monkeypatch.setenv("HF_HOME", str(hub_home))
    monkeypatch.setenv("HF_HUB_CACHE", str(hub_home / "hub"))
    extra = tmp_path / "extra"
    extra.mkdir()
    write_documents(extra / "a.jsonl", 3)
    done = manage("distill", "toy", "--teacher", "hub:tiny/bert", *SHAPE, "--tokens", "1", "--text", str(extra), "--json", home=home)
    (folder,) = (home.students_folder / "toy" / "encoders").iterdir()
    assert folder.name in done.stderr and str(folder / "loss.png") in done.stderr
    assert "Next: python manage.py finetune toy --teacher" in done.stderr
    record = read_distillation(folder)
    assert (record.teacher, record.loss, record.layers, record.vocabulary) == ("hub:tiny/bert", "triple", (1, 3), 2200)
    assert load_masked_language_model(folder) is not None
    assert json.loads(done.stdout)["data"] == {"encoder": folder.name, "folder": str(folder), **json.loads(record.model_dump_json())}


@pytest.mark.slow
def test_students_of_two_seeds_have_their_teachers(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """`finetune --teacher --seeds 2` makes two students, each taught by the teacher of its own seed, and gives both."""
    before = {p.name for p in (home.students_folder / "toy").glob("toy-*")}
    assert main(["finetune", "toy", "--teacher", "--seeds", "2", "--epochs", "1", "--limit", "4", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["data"]
    assert [m["training"]["examples"]["samples"] for m in made] == [{"train": 4, "dev": 4}] * 2
    students = [load_student(Path(m["folder"])) for m in made]
    teachers = [load_student(home.students_folder / "toy" / t) for s in students for t in s.birth.teachers]
    assert [(s.birth.seed, len(s.birth.teachers)) for s in students] == [(1, 1), (2, 1)]
    assert [(t.birth.seed, t.birth.teachers) for t in teachers] == [(1, ()), (2, ())]
    assert [m["teachers"] for m in made] == [[t.id] for t in teachers]
    ids = {s.id for s in (*students, *teachers)}
    assert len(ids) == 4 and {p.name for p in (home.students_folder / "toy").glob("toy-*")} == before | ids


def test_texts_need_a_teacher(home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`finetune --text` without `--teacher` is wrong usage, and the error says why."""
    path = write_documents(tmp_path / "a.jsonl", 2)
    code, said = refused(capsys, "finetune", "toy", "--text", str(path))
    assert code == 2 and "--text needs --teacher: documents without labels teach by a teacher's answers" in said


@pytest.mark.parametrize(
    "verb", [("distill", "toy", "--tokens", "1"), ("finetune", "toy", "--teacher", "--epochs", "1", "--limit", "4")], ids=lambda verb: verb[0]
)
def test_a_folder_without_documents_is_an_error(home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]) -> None:
    """`--text` of a folder that holds no document is an error that names it, beside one that holds some; a path that is not there is wrong usage."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "picture.png").write_bytes(b"\x89PNG")
    full = write_documents(tmp_path / "a.jsonl", 2)
    code, said = refused(capsys, *verb, "--text", str(full), "--text", str(empty))
    assert code == 1 and f"{empty}: holds no document that can be read" in said and "submit --help" in said
    code, said = refused(capsys, *verb, "--text", str(tmp_path / "nothing"))
    assert code == 2 and "no such file or folder" in said
    assert not (home.students_folder / "toy" / "encoders").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("distill", "toy", "--layers", "some"), 2, "expected all, half, or numbers of layers from 0 on, as 1,3,5"),
        (("distill", "toy", "--layers", ""), 2, "expected all, half, or numbers"),
        (("distill", "toy", "--tokens", "0"), 2, "not a whole number of 1 or more"),
        (("distill", "toys"), 2, "Did you mean 'toy'?"),
        (("distill", "toy", "--layers", "0,9"), 1, "has layers 0..1; layers [0, 9] were asked for"),
        (("distill", "toy", "--vocabulary", "300"), 1, "300 pieces"),
        (("distill", "toy", "--teacher", "bert-base-uncased"), 1, "expected package:NAME, hub:ID or path:DIR"),
        (("distill", "toy", "--teacher", "hub:nobody/nothing"), 1, "not in the local cache and offline = true"),
        (("finetune", "toy", "--encoder", "toy-encoder-0"), 1, "No encoder 'toy-encoder-0'. Known: none"),
        (("finetune", "toy", "--teacher", "0"), 2, "not a whole number of 1 or more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_choice_is_one_clear_line(home: Settings, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, says: str) -> None:
    """What cannot be chosen is an error with its exit code and what there is instead, and leaves nothing behind."""
    before = {p.name for p in (home.students_folder / "toy").iterdir()}
    found, said = refused(capsys, *arguments)
    assert found == code and says in said and "Traceback" not in said
    assert {p.name for p in (home.students_folder / "toy").iterdir()} - before <= {"encoders"}
    assert not list((home.students_folder / "toy").glob("encoders/*"))


def test_texts_are_read_from_all_that_submit_reads(tmp_path: Path) -> None:
    """The texts of files and folders come in order, of every format; rows that are no documents are passed over."""
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.jsonl").write_text('{"id": "1", "text": "One."}\nnot json\n{"id": "2", "text": ""}\n{"id": "3", "text": "Three."}\n', encoding="utf-8")
    (mixed / "b.txt").write_text("A letter.", encoding="utf-8")
    (mixed / "c.docx").write_bytes(b"PK")
    table = tmp_path / "d.csv"
    table.write_text("id,text\n7,Seven.\n", encoding="utf-8")
    packed = tmp_path / "e.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"id": "9", "text": "Nine."}\n'))
    assert texts_of([mixed, table, packed], 1000) == ("One.", "Three.", "A letter.", "Seven.", "Nine.")
    assert texts_of([], 1000) == ()


def test_texts_longer_than_the_pack_reads_are_passed_over(tmp_path: Path) -> None:
    """A document of more characters than the pack reads is no text to train on; where no other is there, that is an error."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "text": "Short."}\n{"id": "2", "text": "Much longer."}\n', encoding="utf-8")
    assert texts_of([path], 6) == ("Short.",)
    with pytest.raises(DataError, match="holds no document that can be read"):
        texts_of([path], 5)
    with pytest.raises(UsageError, match="no such file or folder"):
        texts_of([tmp_path / "nothing"], 1000)
