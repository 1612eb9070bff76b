"""Times fine-tuning beside `transformers.Trainer`: `python -m tests.bench.training --data-root folder`.

    speed     examples a second of `Trainer` with its default arguments and of `pipelines.fit`, on the same examples
    scores    macro-F1 on dev of both after the same number of epochs, and of a Trainer with fit's learning rate

Both begin with the same encoder of 3 x 384 and read the same texts, cut after 256 tokens, tokenised beforehand. The Trainer's
model is the library's `DistilBertForSequenceClassification` with its default dropout; of its arguments only those that
log, save or report are changed. Nothing is scored while it is timed: the Trainer does not score by default. Runs of
both are interleaved, so that a busy machine slows both alike, and medians count. `accelerate`, which the Trainer asks for, is
needed beside requirements-dev.lock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sklearn.metrics import f1_score
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from pipelines.encode import Inputs, TextEncoder, Window
from pipelines.encoder import load_encoder
from pipelines.fit import fit
from pipelines.heads import pooled
from pipelines.net import StudentNet, heads_of
from pipelines.progress import silent
from pipelines.sources import encoder_folder
from pipelines.speed import machine
from pipelines.targets import Encoded, Target
from pipelines.torch_engine import TorchEngine
from pipelines.vocabulary import trim
from suites.types import StudentPlan, Task
from tests.bench.merge import merge
from tests.bench.sets import SETS, rows_of

MAX_TOKENS = 256
VOCABULARY = 19_000
# the sets of each measurement: short texts, abstracts, and as many of either
MEASURED = {"short": ("sms_smishing",), "long": ("medical_abstracts",), "mixed": ("sms_smishing", "medical_abstracts")}
# train examples of each set: of a timed round, and of a scored training
# (fewer would be trained in smaller batches than real sets are)
TIMED = {"sms_smishing": 640, "medical_abstracts": 256}
TIMED_MIXED = 256
SCORED = 600  # --train
EPOCHS = 3  # the Trainer's default

# of the clock, and of the processor in all threads
Seconds = tuple[float, float]


@dataclass(frozen=True)
class Read:
    """A text's first tokens, special ones included, and the number of its label."""

    ids: list[int]
    label: int


@dataclass(frozen=True)
class Material:
    """What both train on: the student's first encoder, its tokenizer's folder, the labels, and examples to time, to train for a score and to score."""

    encoder: Callable[[], DistilBertModel]
    tokenizer: Path
    labels: tuple[str, ...]
    timed: list[Read]
    train: list[Read]
    dev: list[Read]

    @property
    def task(self) -> Task:
        return Task(name="label", kind="choice", question="Which label has the text?", labels=self.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--only", choices=("speed", "scores"), action="append")
    parser.add_argument("--set", choices=tuple(MEASURED), action="append", help="this measurement alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each (default: 5), after one that warms up")
    parser.add_argument("--train", type=int, default=SCORED, help=f"examples of a scored training (default: {SCORED})")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--merge", type=Path, metavar="FILE", help="add it to these results of the speed bench")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    result: dict[str, Any] = {"machine": machine(options.threads), "torch": torch.__version__, "transformers": transformers.__version__}
    result |= {"python": platform.python_version(), "measured": time.strftime("%Y-%m-%d"), "rounds": options.rounds, "epochs": EPOCHS, "sets": {}}
    with tempfile.TemporaryDirectory() as folder:
        material = {name: material_of(MEASURED[name], options.data_root, Path(folder) / name, options.train) for name in options.set or MEASURED}
        for name, of in material.items():
            result["sets"][name] = figures = {"examples": len(of.timed), "tokens": sum(len(r.ids) for r in of.timed)}
            if "speed" in (options.only or ("speed",)):
                figures |= speed(of, options.rounds)
            if "scores" in (options.only or ("scores",)):
                figures |= {"train": len(of.train), "dev": len(of.dev), "scores": scores(of)}
            say(f"{name}: {figures}")
    ratios = [s["ratio"] for s in result["sets"].values() if "ratio" in s]
    if ratios:
        result["ratio"] = round(statistics.geometric_mean(ratios), 2)
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    if options.merge and ratios:
        merge(options.merge, {"training_ratio": result["ratio"], "training": result})


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def material_of(names: Sequence[str], data_root: Path, folder: Path, n_train: int = SCORED) -> Material:
    """The sets together, their labels in one task, drawn by a fixed shuffle. The student's tokenizer is written into `folder`."""
    folder.mkdir(parents=True)
    rows = {(n, split): list(rows_of(data_root / SETS[n].path / f"{split}.jsonl.gz")) for n in names for split in ("train", "dev")}
    labels = sorted({f"{n}_{row['label']}".replace(" ", "_") for n in names for row in rows[n, "train"]})
    source = encoder_folder(StudentPlan().source, offline=True)
    kept = trim(source, folder, sorted(row["text"] for n in names for row in rows[n, "train"]), VOCABULARY)
    encoder = TextEncoder(folder)

    def read(name: str, split: str, n: int | None = None) -> list[Read]:
        chosen = random.Random(1).sample(rows[name, split], n) if n else rows[name, split]
        numbers = [labels.index(f"{name}_{row['label']}".replace(" ", "_")) for row in chosen]
        texts = encoder.tokens([row["text"] for row in chosen])
        return [Read([encoder.cls_id, *t.ids[: MAX_TOKENS - 2].tolist(), encoder.sep_id], k) for t, k in zip(texts, numbers, strict=True)]

    timed, train, dev = ([r for n in names for r in part(n)] for part in (
        lambda n: read(n, "train", TIMED[n] if len(names) == 1 else TIMED_MIXED),
        lambda n: read(n, "train", n_train // len(names)),
        lambda n: read(n, "dev"),
    ))  # fmt: skip
    return Material(lambda: load_encoder(source, "half", kept)[0], folder, tuple(labels), timed, train, dev)


def speed(of: Material, rounds: int) -> dict[str, Any]:
    """Examples a second of either in each round, their medians and the median of the rounds' ratios; and the ratio of the processor's seconds.

    The latter leaves out the time that other programs took, but counts waiting for the other core as work.
    """
    seconds: dict[str, list[float]] = {"trainer": [], "fit": []}
    worked: dict[str, list[float]] = {"trainer": [], "fit": []}
    for number in range(rounds + 1):
        few = of.timed[:: 1 if number else 8]  # the first round warms up
        for name, train in (("trainer", train_by_trainer), ("fit", train_by_fit)):
            taken, work = train(of, few, 1)[1]
            if number:
                seconds[name].append(taken)
                worked[name].append(work)
    ratios, work_ratios = ([a / b for a, b in zip(of["trainer"], of["fit"], strict=True)] for of in (seconds, worked))
    per_second = {name: [len(of.timed) / s for s in taken] for name, taken in seconds.items()}
    return {
        "examples_per_second": {name: round(statistics.median(values), 1) for name, values in per_second.items()},
        "spread": {name: [round(min(values), 1), round(max(values), 1)] for name, values in per_second.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio_spread": [round(min(ratios), 2), round(max(ratios), 2)],
        "processor_ratio": round(statistics.median(work_ratios), 2),
    }


def scores(of: Material) -> dict[str, float]:
    """Macro-F1 on dev after EPOCHS epochs on the same examples."""
    model, _ = train_by_trainer(of, of.train, EPOCHS)
    tuned, _ = train_by_trainer(of, of.train, EPOCHS, learning_rate=StudentPlan().learning_rate)
    net, _ = train_by_fit(of, of.train, EPOCHS)
    answers = {"trainer": answers_of_model(model, of), "trainer_with_rate_of_fit": answers_of_model(tuned, of), "fit": answers_of_net(net, of)}
    return {name: round(float(f1_score([r.label for r in of.dev], a, average="macro")), 4) for name, a in answers.items()}


def train_by_trainer(of: Material, examples: Sequence[Read], epochs: int, **further: Any) -> tuple[DistilBertForSequenceClassification, Seconds]:
    """The library's model after so many epochs of its Trainer, and the time that `train` took."""
    torch.manual_seed(1)
    encoder = of.encoder()
    given = encoder.config.to_dict()
    sizes = {key: given[key] for key in ("vocab_size", "max_position_embeddings", "pad_token_id", "n_layers", "dim", "hidden_dim", "n_heads")}
    model = DistilBertForSequenceClassification(DistilBertConfig(**sizes, num_labels=len(of.labels)))
    model.distilbert.load_state_dict(encoder.state_dict())
    rows = [{"input_ids": r.ids, "attention_mask": [1] * len(r.ids), "label": r.label} for r in examples]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(of.tokenizer / "tokenizer.json"), pad_token="[PAD]")
    with tempfile.TemporaryDirectory() as folder:
        quiet = dict.fromkeys(("logging_strategy", "save_strategy"), "no") | {"report_to": "none", "disable_tqdm": True}
        arguments = TrainingArguments(output_dir=folder, num_train_epochs=epochs, **quiet, **further)
        trainer = Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        return model, timed(trainer.train)


def train_by_fit(of: Material, examples: Sequence[Read], epochs: int) -> tuple[StudentNet, Seconds]:
    """Our net after so many epochs of `fit`, and the time that it took; dev is not scored meanwhile."""
    torch.manual_seed(1)
    net = StudentNet(of.encoder(), [of.task])
    encoded = [_encoded(r) for r in examples]
    pad_id = TextEncoder(of.tokenizer).pad_id
    took = timed(lambda: fit(net, encoded, StudentPlan(), epochs=epochs, pad_id=pad_id, seed=1, dev_score=lambda _: 0.0, on_progress=silent))
    return net, took


def timed(work: Callable[[], object]) -> Seconds:
    """What the work takes."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - worked


def _encoded(read: Read) -> Encoded:
    n_tokens = len(read.ids) - 2
    inputs = Inputs((np.asarray(read.ids, np.int32),), (Window(0, n_tokens, 0, n_tokens),))
    return Encoded("bench", inputs, n_tokens, {"label": Target((slice(0, n_tokens),), np.asarray([read.label], np.int32))})


def answers_of_model(model: DistilBertForSequenceClassification, of: Material) -> list[int]:
    model.eval()
    with torch.inference_mode():
        return [int(model(input_ids=torch.tensor([r.ids])).logits.argmax()) for r in of.dev]


def answers_of_net(net: StudentNet, of: Material) -> list[int]:
    (head,) = heads_of(net)
    states = TorchEngine(net.encoder, TextEncoder(of.tokenizer).pad_id).states([np.asarray(r.ids, np.int32) for r in of.dev])
    return [int((pooled(s[1:-1] @ head.weight.T, [slice(0, len(s) - 2)]) + head.bias).argmax()) for s in states]


if __name__ == "__main__":
    main()
