"""Fine-tuning a pack's student: examples in, a sealed student folder out."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipelines.calibrate import calibrated
from pipelines.card import write_card
from pipelines.compress import export_encoder
from pipelines.encode import Floats, TextEncoder, padded_length
from pipelines.encoder import load_encoder, save_encoder
from pipelines.engine import Engine, OpenVinoEngine, stitched
from pipelines.evaluate import score
from pipelines.examples import read_examples
from pipelines.fit import Fitted, StudentNet, TorchEngine, fit, heads_of
from pipelines.fit_lexicon import fit_lexicon
from pipelines.heads import Head
from pipelines.predict import CHUNK, Predictor
from pipelines.progress import OnProgress, silent
from pipelines.rules import Rules
from pipelines.sources import encoder_folder
from pipelines.student import Birth, Student, load_student, seal, write_heads
from pipelines.targets import Encoded, encode_examples
from suites.discover import Pack
from suites.errors import DataError, PackError, StudentError
from suites.hooks import load_hooks
from suites.types import Example

log = logging.getLogger(__name__)

# early stop looks at so many dev examples of each source: enough to rank epochs, cheap enough to do so
MAX_DEV = 300


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """What a user may choose for one fine-tuning. None means: as the pack's manifest says."""

    data_root: Path | None = None
    sources: tuple[str, ...] | None = None
    seed: int = 1
    epochs: int | None = None
    offline: bool = True
    trusted: tuple[str, ...] = ()
    limit: int | None = None


def finetune(pack: Pack, students: Path, options: FinetuneOptions, on_progress: OnProgress = silent) -> Student:
    """Fine-tunes a student and seals it as `students`/PACK/ID. The same input and seed give the same id.

    Nothing appears under its id before it is whole; an interrupted run leaves no student.
    """
    started = time.monotonic()
    torch.manual_seed(options.seed)
    plan = pack.manifest.student
    if not (pack.folder / "card.md").exists():
        raise PackError(f"{pack.folder / 'card.md'} not found: a student's card is made from it. See docs/packs.md.")
    train, dev = (_read(pack, split, options) for split in ("train", "dev"))
    source_folder = encoder_folder(plan.source, offline=options.offline)
    encoder, layers = load_encoder(source_folder, plan.layers)
    limits = pack.manifest.text
    if (longest := padded_length(limits.window_tokens)) > encoder.config.max_position_embeddings:
        reason = f"[text] window_tokens is {limits.window_tokens}, padded to {longest}"
        there = f"{plan.source} has positions for {encoder.config.max_position_embeddings} tokens"
        raise PackError(f"Pack {pack.name!r}: {reason}; {there}. Make the windows shorter.")
    text_encoder = TextEncoder(source_folder)
    net = StudentNet(encoder, pack.student_tasks)
    hooks, rules = load_hooks(pack, options.trusted), Rules(None, pack.manifest.language)
    stopping = _capped(dev)

    def predictor(heads: Sequence[Head]) -> Predictor:
        return Predictor(pack, heads, text_encoder, TorchEngine(net.encoder, text_encoder.pad_id), rules, hooks, limits)

    def dev_score(trained: StudentNet) -> float:
        return mean_score(predictor(heads_of(trained)), stopping)

    encoded = encode_examples(train, pack.student_tasks, text_encoder, limits, hooks.clean)
    epochs = options.epochs or (plan.epochs if {e.source for e in train} == {"samples"} else plan.data_epochs)
    fitted = fit(net, encoded, plan, epochs=epochs, pad_id=text_encoder.pad_id, seed=options.seed, dev_score=dev_score, on_progress=on_progress)

    making = _making_folder(students / pack.name)
    try:
        first_choice = next((t for t in pack.student_tasks if t.kind == "choice"), pack.student_tasks[0])
        save_encoder(net.encoder, source_folder, making, first_choice.labels)
        export_encoder(making)
        lexicons = {t.name: lexicon for t in pack.student_tasks if (lexicon := fit_lexicon(t, encoded))}
        engine = OpenVinoEngine(making / "encoder.xml", pad_id=text_encoder.pad_id, n_threads=os.cpu_count() or 1)
        held_out = encode_examples(dev, pack.student_tasks, text_encoder, limits, hooks.clean)
        heads = calibrated(heads_of(net), held_out, _states(engine, held_out), lexicons)
        birth = Birth(
            pack=pack.name,
            pack_version=pack.manifest.version,
            pack_digest=pack.digest,
            source=plan.source,
            layers=layers,
            seed=options.seed,
            data=tuple(sorted({e.source for e in train})),
            text=pack.manifest.text,
            tasks=tuple(pack.student_tasks),
        )
        write_heads(making, birth, heads)
        _write_training(making, fitted, train, dev, time.monotonic() - started)
        folder = _named(making, seal(making, pack.name))
    finally:
        shutil.rmtree(making, ignore_errors=True)
    student = load_student(folder)
    write_card(pack, student)
    return student


def mean_score(predictor: Predictor, examples: Sequence[Example]) -> float:
    """The mean over sources and tasks of the tasks' scores: what early stopping looks at."""
    values = [s.score for by_task in score(predictor, examples).values() for name, s in by_task.items() if predictor.pack.tasks[name].answered_by == "student"]
    return float(np.mean(values))


def _read(pack: Pack, split: str, options: FinetuneOptions) -> list[Example]:
    examples = read_examples(pack, split, data_root=options.data_root, sources=options.sources)  # type: ignore[arg-type]
    if options.limit is not None:
        examples = _capped(examples, options.limit)
    annotated = {task for e in examples for task in e.tasks}
    if not annotated & {t.name for t in pack.student_tasks}:
        raise DataError(f"Pack {pack.name!r} has no {split} examples in {', '.join(options.sources or ('samples',))} that answer a task of the student.")
    return examples


def _capped(examples: Sequence[Example], limit: int = MAX_DEV) -> list[Example]:
    """The first `limit` examples of each source."""
    seen: Counter[str] = Counter()
    kept = []
    for example in examples:
        seen[example.source] += 1
        if seen[example.source] <= limit:
            kept.append(example)
    return kept


def _states(engine: Engine, examples: Sequence[Encoded]) -> Iterator[Floats]:
    """Stitched hidden states of each example, a chunk at a time: those of all dev would fill the memory."""
    for at in range(0, len(examples), CHUNK):
        yield from stitched(engine, [e.inputs for e in examples[at : at + CHUNK]])


def _making_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".making-", dir=parent))


def _named(making: Path, student_id: str) -> Path:
    """The finished folder under its id; an equal student that is there and whole is kept, a damaged one replaced."""
    folder = making.parent / student_id
    if folder.exists():
        try:
            return load_student(folder).folder
        except StudentError:
            shutil.rmtree(folder)
    making.chmod(0o755)
    making.rename(folder)
    return folder


def _write_training(folder: Path, fitted: Fitted, train: Sequence[Example], dev: Sequence[Example], seconds: float) -> None:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, examples in (("train", train), ("dev", dev)):
        for source, n in Counter(e.source for e in examples).items():
            counts[source][name] = n
    record = {
        "dev_scores": [round(s, 4) for s in fitted.scores],
        "losses": [round(v, 4) for v in fitted.losses],
        "best_epoch": fitted.best_epoch + 1,
        "examples": counts,
        "seconds": round(seconds, 1),
        "torch": torch.__version__,
    }
    (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
