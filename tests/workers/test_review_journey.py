"""The loop as a whole: a student reads, a reviewer decides, the next student is better."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.evaluate import score
from pipelines.predict import make_predictor
from pipelines.student import load_student
from suites.discover import Pack, find_pack
from suites.samples import read_sample
from suites.types import Example
from workers.cli import main
from workers.drain import drain
from workers.settings import Settings, load_settings
from workers.store import Store

from ..conftest import TOY_HEADINGS

MANIFEST = """\
name = "desks"
version = "1.0"
title = "Letters to desks"
description = "Reads made-up letters and says which desk they belong to."

[text]
window_tokens = 64
overlap_tokens = 16

[student]
source = "path:{encoder}"
layers = "all"
epochs = 20
learning_rate = 3e-3
head_learning_rate = 3e-2

[[task]]
name = "desk"
kind = "choice"
question = "Which desk does the letter belong to?"
labels = ["garden", "kitchen", "workshop"]
[task.cost]
"*" = {{ review = 0.2 }}

[[column]]
name = "desk"
task = "desk"
show = "label"
description = "The desk with the highest score."
"""
# each letter names one thing: who has seen few letters knows few things
THINGS = {
    "garden": "rose tulip hedge lawn fern moss shrub spade compost pond seed bulb",
    "kitchen": "kettle spoon oven plate stove soup bread flour sugar salt butter cheese",
    "workshop": "hammer nail screw drill saw chisel bench clamp glue paint brush ladder",
}
FRAMES = ("We wait for the {0}: a {0} was promised.", "Tell us of the {0}, or send another {0}.", "The {0} came late, and is no {0}.", "A {0}? Which {0}?")
N_SAMPLES, N_STORED, N_HELD_BACK, N_REVIEWS, AT_ONCE = 40, 400, 300, 50, 10


def letter(number: int) -> dict[str, Any]:
    """A letter with its gold; other numbers, other letters."""
    rng = random.Random(number)
    desk = rng.choice(sorted(THINGS))
    text = f"{rng.choice(FRAMES).format(rng.choice(THINGS[desk].split()))} Letter {number}."
    return {"id": f"letter-{number}", "text": text, "findings": [{"task": "desk", "label": desk, "start": 0, "end": len(text)}]}


@pytest.fixture
def desk(tmp_path: Path, tiny_encoder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Pack]:
    """Settings of a home with the pack of few samples and letters to be read; everything follows from the seed."""
    folder = tmp_path / "packs" / "desks"
    folder.mkdir(parents=True)
    first = 10_000 * seed
    (folder / "pack.toml").write_text(MANIFEST.format(encoder=tiny_encoder), encoding="utf-8")
    (folder / "samples.jsonl").write_text("".join(json.dumps(letter(first + n)) + "\n" for n in range(N_SAMPLES)), encoding="utf-8")
    (folder / "card.md").write_text("# desks\n" + "".join(f"\n## {h}\n\nTests.\n" for h in TOY_HEADINGS), encoding="utf-8")
    stored = [letter(first + 1000 + n) for n in range(N_STORED)]
    (tmp_path / "inbox.jsonl").write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in stored), encoding="utf-8")
    (tmp_path / "settings.toml").write_text(f'[packs]\nfolders = ["{folder.parent}"]\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    settings = load_settings()
    return settings, find_pack("desks", settings.pack_folders)


class Commands:
    """Runs commands as `manage.py` does, in this process; what is typed comes from a pipe."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd, self._monkeypatch = capfd, monkeypatch

    def __call__(self, *arguments: str, typed: str = "") -> Any:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        self._capfd.readouterr()
        code = main([*arguments, "--json"])
        out, err = self._capfd.readouterr()
        assert code == 0, err
        return json.loads(out)["data"]


def keys_for(waiting: list[dict[str, Any]], gold: Mapping[str, str]) -> str:
    """What a reviewer who knows the answers types: `a` where the student is right, else `c` and the number of the right one among the other labels."""
    typed = ""
    for row in waiting:
        right, others = gold[row["document"]], [label for label in sorted(THINGS) if label != row["label"]]
        typed += "a" if right == row["label"] else f"c{others.index(right) + 1}"
    return typed


def macro_f1(settings: Settings, pack: Pack, student: str, examples: list[Example]) -> float:
    predictor = make_predictor(pack, load_student(settings.students_folder / pack.name / student))
    return score(predictor, examples)["samples"]["desk"].score


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_reviews_make_a_better_student(
    desk: tuple[Settings, Pack], seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student of few examples reads a stored job, fifty of its doubts are judged by keys, and the student that learned from them has a higher
    macro-F1 on letters that nobody judged and no training saw."""
    settings, pack = desk
    run = Commands(capfd, monkeypatch)
    first = 10_000 * seed
    gold = {row["id"]: str(row["findings"][0]["label"]) for row in (letter(first + 1000 + n) for n in range(N_STORED))}
    held_back = [read_sample(json.dumps(letter(first + 5000 + n)), "here", pack) for n in range(N_HELD_BACK)]
    run("migrate")
    before = run("finetune", "desks", "--seed", str(seed))["student"]
    # of so few examples the gate would rightly think little
    register = {"events": [{"student": before, "state": "primary", "at": 0.0}]}
    (settings.students_folder / "desks" / "released.json").write_text(json.dumps(register), encoding="utf-8")
    run("submit", "desks", str(tmp_path / "inbox.jsonl"))
    store = Store(settings.store_url)
    assert drain(store, settings, budget_s=120).n_read == N_STORED
    store.close()
    for _ in range(N_REVIEWS // AT_ONCE):
        waiting = run("review", "list", "desks", "--reviewer", "anna", "--limit", str(AT_ONCE))
        decided = run("review", "next", "desks", "--reviewer", "anna", "--check-sure", "0", "--limit", str(AT_ONCE), typed=keys_for(waiting, gold))
        assert decided["n_decided"] == AT_ONCE
    written = run("review", "export", "desks", str(tmp_path / "gold.jsonl"), "--held-back", "0")
    assert (written["n_train"], written["n_test"]) == (N_REVIEWS, 0)
    lines = (tmp_path / "gold.train.jsonl").read_text(encoding="utf-8").splitlines()
    known = {letter["text"]: gold[letter["meta"]["document"]] for letter in map(json.loads, lines)}
    assert {json.loads(line)["text"]: json.loads(line)["findings"][0]["label"] for line in lines} == known
    made = run("finetune", "desks", "--seed", str(seed), "--with-reviews", "--held-back", "0")
    assert made["training"]["reviewed"] == N_REVIEWS
    was, now = (macro_f1(settings, pack, student, held_back) for student in (before, made["student"]))
    print(f"macro-F1 before {was:.3f}, after {now:.3f}")
    assert now > was + 0.1
