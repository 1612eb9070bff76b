"""The way of a student by commands: distilled, fine-tuned with a teacher, evaluated, released; from sources in the hub's cache too."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from pipelines.distill import read_distillation
from pipelines.release import released_student
from pipelines.student import Birth, load_student
from workers.cli import main
from workers.settings import Settings

SIZE = 2200
Said = Callable[..., tuple[int, str, Any]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command with --json: its exit code, what it says to people, and its data or error."""

    def run(*arguments: str) -> tuple[int, str, Any]:
        code = main([*arguments, "--json"])
        said = capsys.readouterr()
        envelope = json.loads(said.out)
        return code, said.err, envelope["data"] if envelope["ok"] else envelope["error"]["message"]

    return run


def toy_home(home: Settings, toy_folder: Path, change: Callable[[str], str]) -> Path:
    """A copy of the toy pack with another manifest, which the home's commands read instead; gives the manifest's path."""
    packs = home.home / "packs"
    if not packs.exists():
        shutil.copytree(toy_folder, packs)
        settings = home.home / "settings.toml"
        settings.write_text(settings.read_text(encoding="utf-8").replace(str(toy_folder), str(packs)), encoding="utf-8")
    manifest = packs / "toy" / "pack.toml"
    manifest.write_text(change((toy_folder / "toy" / "pack.toml").read_text(encoding="utf-8")), encoding="utf-8")
    return manifest


def with_plan(*lines: str) -> Callable[[str], str]:
    """The manifest with other lines of [student] about source and layers."""

    def change(manifest: str) -> str:
        head, _, rest = manifest.partition("[student]\n")
        kept = [line for line in rest.split("\n") if not line.startswith(("source", "layers"))]
        return "\n".join([f"{head}[student]", *lines, *kept])

    return change


def easy_home(home: Settings, toy_folder: Path, bounds: str) -> None:
    """The toy pack with the two tasks alone that a tiny encoder of random weights learns, and with another gate."""

    def change(manifest: str) -> str:
        unlearned = ("things", "state", "flags", "codes", "n_absent")
        named = [text.format(name) for name in unlearned for text in ('name = "{}', 'task = "{}"', 'finding = "{}/')]
        kept = [part for part in manifest.split("\n\n") if not any(text in part for text in named)]
        return "\n\n".join([*kept, f"[gate]\n{bounds}\n"])

    folder = toy_home(home, toy_folder, change).parent
    for name in ("rules.jsonl", "context.jsonl", "hooks.py"):
        (folder / name).unlink(missing_ok=True)
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["findings"] = [f for f in row["findings"] if f["task"] in ("topic", "mood")]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def birth(made: dict[str, Any]) -> Birth:
    return load_student(Path(made["folder"])).birth


@pytest.fixture
def hub(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_home / "hub"))


BERT = ('source = "hub:tiny/bert"', f"vocabulary = {SIZE}")
DISTILBERT = ('source = "hub:tiny/distilbert"', 'teacher = "hub:tiny/bert"', 'layers = "all"')
FEW = ("--epochs", "1", "--limit", "4")


@pytest.mark.slow
def test_a_bert_of_the_hub_is_distilled_and_teaches(home: Settings, toy_folder: Path, hub: None, say: Said) -> None:
    """With a BERT as source `distill` makes a student of every second layer, and `finetune --teacher` one that all four layers taught."""
    toy_home(home, toy_folder, with_plan(*BERT))
    code, said, made = say("distill", "toy", "--tokens", "1")
    assert code == 0 and "Next: python manage.py finetune toy --teacher\n" in said
    assert (made["teacher"], made["layers"], made["vocabulary"], made["loss"]) == ("hub:tiny/bert", [1, 3], SIZE, "triple")
    student = birth(say("finetune", "toy", "--teacher", *FEW)[2])
    (teacher,) = (load_student(home.students_folder / "toy" / i).birth for i in student.teachers)
    assert (student.source, student.layers, student.vocabulary, student.encoder) == ("hub:tiny/bert", (1, 3), SIZE, made["encoder"])
    assert (teacher.source, teacher.layers, teacher.vocabulary, teacher.encoder) == ("hub:tiny/bert", (0, 1, 2, 3), 30522, "")
    hint = "What the teacher brought would show beside a student of the same layers, word pieces and sources without one:\n"
    _, said, scored = say("evaluate", "toy", "--no-speed")
    plain, again = (shlex.split(line)[2:] for line in said.split(hint)[1].splitlines()[:2])
    assert "plain" not in scored["evaluation"]["systems"]
    say(*plain, *FEW)
    _, said, scored = say(*again, "--no-speed")
    assert "plain" in scored["evaluation"]["systems"] and hint not in said


@pytest.mark.slow
def test_a_distilbert_of_the_hub_is_a_start(home: Settings, toy_folder: Path, hub: None, say: Said) -> None:
    """A published student is taught by its own teacher; what `distill` makes of that teacher is half of it, and says where it comes from."""
    toy_home(home, toy_folder, with_plan(*DISTILBERT))
    student = birth(say("finetune", "toy", "--teacher", *FEW)[2])
    (teacher,) = (load_student(home.students_folder / "toy" / i).birth for i in student.teachers)
    assert (student.source, student.layers, student.encoder) == ("hub:tiny/distilbert", (0, 1), "")
    assert (teacher.source, teacher.layers) == ("hub:tiny/bert", (0, 1, 2, 3))
    made = say("distill", "toy", "--tokens", "1")[2]
    assert (made["teacher"], made["layers"]) == ("hub:tiny/bert", [1, 3])
    other = birth(say("finetune", "toy", "--teacher", *FEW)[2])
    assert (other.source, other.layers, other.encoder, other.teachers) == ("hub:tiny/bert", (1, 3), made["encoder"], student.teachers)


@pytest.mark.slow
def test_what_the_manifest_does_not_ask_for_is_told(home: Settings, toy_folder: Path, hub: None, say: Said) -> None:
    """An encoder of other layers must be named to `finetune`, and `distill` says so; one of another teacher needs the manifest, and both say so."""
    manifest = toy_home(home, toy_folder, with_plan(*BERT))
    _, said, made = say("distill", "toy", "--tokens", "1", "--layers", "all")
    assert f"Next: python manage.py finetune toy --teacher --encoder {made['encoder']}\n" in said and "other layers or another vocabulary" in said
    assert birth(say("finetune", "toy", "--encoder", made["encoder"], *FEW)[2]).encoder == made["encoder"]
    _, said, made = say("distill", "toy", "--tokens", "1", "--teacher", "hub:tiny/distilbert")
    remedy = f'teacher = "hub:tiny/distilbert" in [student] of {manifest}'
    assert read_distillation(Path(made["folder"])).layers == (1,) and remedy in said
    code, _, error = say("finetune", "toy", "--teacher", "--encoder", made["encoder"], *FEW)
    assert code == 1 and f"Encoder {made['encoder']} was distilled from hub:tiny/distilbert. " in error and remedy in error


@pytest.mark.slow
def test_a_student_is_evaluated_and_released(home: Settings, toy_folder: Path, say: Said) -> None:
    """`evaluate` keeps what the whole test split says, `release` lets a student read that holds the gate, and refuses it with figure and bound else."""
    easy_home(home, toy_folder, "min_answers = 1\ncalibration_error = 0.3")
    folder = Path(say("finetune", "toy")[2]["folder"])
    card, metrics = folder / "README.md", folder / "metrics.json"
    assert "model-index" not in card.read_text(encoding="utf-8") and not metrics.exists()

    for part in (("--split", "dev"), ("--source", "samples"), ("--no-baseline",)):
        _, said, _ = say("evaluate", "toy", "--no-speed", *part)
        assert "Not kept" in said and not metrics.exists()
    code, said, made = say("evaluate", "toy", "--no-speed")
    assert (code, made["gate"]) == (0, []) and "The gate would take it as primary: python manage.py release toy --student" in said and "Of 1 seed" in said
    assert json.loads(metrics.read_text(encoding="utf-8")) == made["evaluation"]
    assert made["evaluation"]["systems"].keys() == {"majority", "tfidf", "teacher", "student", "compressed"}
    assert "model-index" in card.read_text(encoding="utf-8") and (folder / "reliability.png").exists()

    kept = metrics.read_bytes()
    code, said, made = say("release", "toy")
    assert (code, made["state"], made["reader"]) == (0, "primary", folder.name) and "passed the gate as primary" in said
    assert released_student(home.students_folder, "toy") == folder.name and metrics.read_bytes() == kept
    metrics.write_text("{", encoding="utf-8")  # half a file, of a machine that died
    assert say("release", "toy")[0] == 0
    assert json.loads(metrics.read_text(encoding="utf-8"))["student"] == folder.name

    easy_home(home, toy_folder, "min_answers = 1\ncalibration_error = 0.0")
    code, _, error = say("release", "toy")
    assert code == 1 and "must be at most 0.0000 ([gate] calibration_error)" in error and "samples/topic: calibration error 0." in error
    assert released_student(home.students_folder, "toy") == folder.name
