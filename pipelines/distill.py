"""Distilling an encoder: a teacher and unlabelled text in, a smaller encoder of DistilBERT's shape out. Torch.

What the student has learned here serves every task; fine-tuning starts from it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from transformers import DistilBertModel

from pipelines.card import co2_eq_emissions
from pipelines.checkpoint import NAME as CHECKPOINT
from pipelines.checkpoint import load_checkpoint, save_checkpoint
from pipelines.encode import Ints, TextEncoder, pad
from pipelines.encoder import Layers, chosen_layers, load_encoder, load_masked_language_model, save_encoder
from pipelines.energy import Meter, Spent
from pipelines.examples import read_examples
from pipelines.fit import descend, warmup_and_decay
from pipelines.hardware import accelerators, mixed_precision, suit_attention, training_device
from pipelines.imitation import Imitation, StatesLoss, TripleLoss
from pipelines.lock import locked
from pipelines.plots import loss_curve
from pipelines.portions import read_batches
from pipelines.progress import OnProgress, silent
from pipelines.sources import damaged_file, encoder_folder, read_sums, sha256, shape_of, sums_of
from pipelines.vocabulary import Fallback, fallback, trim
from suites.discover import Pack
from suites.errors import DataError, StillhouseError, StudentError
from suites.types import StudentPlan

# raise it when what follows, or the code of the losses and portions, changes what an encoder becomes: older ones are then made anew
RECIPE = 1
BATCH_TOKENS = 1024
# attention costs the square of the window, and short windows teach the same weights
WINDOW_TOKENS = 128
WARMUP_SHARE = 0.05
CHECKPOINT_STEPS = 100
# the curve and the record hold the mean of so many steps
SHOWN_STEPS = 10
SUMS = "SHA256SUMS"
# the files that decide what the encoder answers; its id is derived from them
DECISIVE = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class DistillOptions:
    """What a user may choose for one distillation. None means: as the pack's manifest says.

    `texts` are further unlabelled texts, a source like each of the pack's. Training reads about `tokens` tokens, equally
    many of each source, the same text several times over. `meter` measures what it takes; None: one by the default rates.
    """

    teacher: str | None = None
    layers: Layers | None = None
    vocabulary: int | None = None
    tokens: int = 6_000_000
    learning_rate: float = 1e-3
    data_root: Path | None = None
    texts: tuple[str, ...] = ()
    seed: int = 1
    offline: bool = True
    meter: Meter | None = None


class Distillation(BaseModel):
    """distill.json: what an encoder was made from. `run` tells this distillation from every other.

    `energy` is what all its processes took (`Meter.told`); None: made before that was measured.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    pack: str
    teacher: str
    teacher_parameters: int
    parameters: int
    layers: tuple[int, ...]
    vocabulary: int
    # what trimming the vocabulary changes on dev texts: the share of words cut otherwise, words made unknown, pieces a word
    fallback_rate: float
    unknown_words: int
    pieces_per_word: tuple[float, float]
    loss: str
    n_texts: int
    text_tokens: int
    steps: int
    seed: int
    seconds: float
    energy: dict[str, Any] | None = None


def distill(pack: Pack, students: Path, options: DistillOptions, on_progress: OnProgress = silent) -> Path:
    """Distils an encoder for a pack and gives its folder, `students`/PACK/encoders/ID.

    The folder is an ordinary Hugging Face one; with a teacher that has a masked-language head it
    holds such a head too. An interrupted run goes on where it was; the same input and seed on the
    same machine give the same weights, interrupted or not. A finished run is not repeated.
    """
    plan = _planned(pack, options)
    encoders = students / pack.name / "encoders"
    with locked(encoders):  # a second one with the same input waits, and finds that the work is done
        return _made_before(students, pack.name, plan) or _made(pack, encoders, plan, options, on_progress)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a distillation starts from, the options' gaps filled by the pack. `run` is the same for the same input, teacher and shape."""

    run: str
    teacher: str
    source: Path
    layers: tuple[int, ...]
    vocabulary: int | None
    texts: Mapping[str, Sequence[str]]


def _planned(pack: Pack, options: DistillOptions) -> _Plan:
    plan = pack.manifest.student
    teacher = options.teacher or plan.teacher or plan.source
    source = encoder_folder(teacher, offline=options.offline)
    texts = training_texts(pack, options.data_root, options.texts)
    layers = chosen_layers(options.layers or planned_layers(plan, teacher), shape_of(source).n_layers)
    size = options.vocabulary or plan.vocabulary
    run = _run_key(source, texts, (RECIPE, layers, size, options.tokens, options.learning_rate, options.seed, pack.manifest.text.window_tokens))
    return _Plan(run, teacher, source, layers, size, texts)


def planned_layers(plan: StudentPlan, teacher: str) -> Layers:
    """Which of a teacher's layers a pack's encoder begins as; of another teacher than the source, whose layers the manifest means, every second."""
    return plan.layers if teacher == plan.source else "half"


def _made_before(students: Path, pack_name: str, plan: _Plan) -> Path | None:
    for folder in distilled(students, pack_name):
        record = read_distillation(folder)
        if (record.run, record.teacher) == (plan.run, plan.teacher):
            return folder
    return None


def _made(pack: Pack, encoders: Path, plan: _Plan, options: DistillOptions, on_progress: OnProgress) -> Path:
    meter = options.meter or Meter()
    meter.add_accelerators(accelerators(training_device()))
    before, on_progress = meter.total(), meter.watched(on_progress)
    making = encoders / f".making-{plan.run}"
    making.mkdir(exist_ok=True)
    for left in making.iterdir():
        if left.name != CHECKPOINT:  # a killed process leaves drafts, ours and the libraries', and all else is made anew
            left.unlink()
    try:
        imitation, rows = _prepared(pack, plan, making)
    except StillhouseError:
        if not (making / CHECKPOINT).exists():
            shutil.rmtree(making)
        raise
    trained = _train(imitation, rows, making, options, lambda: meter.total() - before, on_progress)
    student = imitation.student.cpu()
    save_encoder(student, making)
    changed = _measured_fallback(pack, options.data_root, plan.source, making)
    record = Distillation(
        run=plan.run,
        pack=pack.name,
        teacher=plan.teacher,
        teacher_parameters=_n_parameters(load_encoder(plan.source)[0]),
        parameters=_n_parameters(getattr(student, "distilbert", student)),
        layers=plan.layers,
        vocabulary=student.config.vocab_size,
        fallback_rate=round(changed.rate, 6),
        unknown_words=changed.n_unknown,
        pieces_per_word=(round(changed.pieces_before / max(changed.n_words, 1), 4), round(changed.pieces_after / max(changed.n_words, 1), 4)),
        loss="triple" if isinstance(imitation, TripleLoss) else "states and relations",
        n_texts=sum(map(len, plan.texts.values())),
        text_tokens=sum(map(len, chain.from_iterable(rows.values()))),
        steps=trained.step,
        seed=options.seed,
        seconds=round(trained.spent.duration, 1),
        energy=meter.told(trained.spent),
    )
    return _finished(making, encoders, pack, record, trained.losses)


def _prepared(pack: Pack, plan: _Plan, making: Path) -> tuple[Imitation, dict[str, list[Ints]]]:
    """The trimmed tokenizer, in the folder; teacher and student; and each source's rows of token ids."""
    kept = trim(plan.source, making, sorted(chain.from_iterable(plan.texts.values())), plan.vocabulary)
    encoder = TextEncoder(making)
    rows = {name: made for name, of in plan.texts.items() if (made := _rows(encoder, of, pack))}
    if not rows:
        raise DataError(f"Pack {pack.name!r}: the train texts are too short to distil from. Set --data-root, or give --text.")
    return _imitation(plan.source, plan.layers, kept, encoder), rows


def distilled(students: Path, pack_name: str) -> list[Path]:
    """The folders of a pack's distilled encoders, newest first."""
    folders = [p.parent for p in (students / pack_name / "encoders").glob(f"{pack_name}-encoder-*/{SUMS}")]
    return sorted(folders, key=lambda f: (f / SUMS).stat().st_mtime, reverse=True)


def read_distillation(folder: Path) -> Distillation:
    """What an encoder was distilled from. Raises StudentError where it cannot be read."""
    try:
        return Distillation.model_validate_json((folder / "distill.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StudentError(f"{folder / 'distill.json'}: not a readable record. Remove the folder and distil again.", "bad_encoder") from None


def check_sums(folder: Path) -> None:
    """Raises StudentError unless the encoder's files are those that were written."""
    if path := damaged_file(folder, read_sums(folder / SUMS), DECISIVE):
        raise StudentError(f"{path}: missing, or not the file that was written (SHA-256 differs). Remove the folder and distil again.", "bad_encoder")


def training_texts(pack: Pack, data_root: Path | None, further: Sequence[str] = ()) -> dict[str, list[str]]:
    """The texts of each source of the pack's train split, and further ones as `further`, each once; none that dev or test hold too."""
    seen = {e.document.text for split in ("dev", "test") for e in read_examples(pack, split, data_root=data_root)}
    own = [(e.source, e.document.text) for e in read_examples(pack, "train", data_root=data_root)]
    texts: dict[str, list[str]] = {}
    for source, text in (*own, *(("further", text) for text in further)):
        if text.strip() and text not in seen:
            seen.add(text)
            texts.setdefault(source, []).append(text)
    if not texts:
        raise DataError(f"Pack {pack.name!r} has no train texts to distil from. Set --data-root, or give --text.")
    return texts


def _imitation(source: Path, layers: tuple[int, ...], kept: Ints | None, encoder: TextEncoder) -> Imitation:
    teacher, student = (load_masked_language_model(source, chosen, kept) for chosen in ("all", layers))
    if teacher is not None and student is not None:
        return TripleLoss(teacher, student, encoder.mask_id, encoder.special_ids)
    return StatesLoss(load_encoder(source, "all", kept)[0], load_encoder(source, layers, kept)[0], encoder.word_ids)


def _rows(encoder: TextEncoder, texts: Sequence[str], pack: Pack) -> list[Ints]:
    """The windows of all texts as rows of token ids; those of a few known pieces teach nothing."""
    limits = pack.manifest.text.model_copy(update={"window_tokens": min(WINDOW_TOKENS, pack.manifest.text.window_tokens), "overlap_tokens": 0})
    rows = [row for tokens in encoder.tokens(texts) for row in encoder.inputs(tokens, limits).rows]
    return [row for row in rows if np.count_nonzero(~np.isin(row, encoder.special_ids)) > 4]


@dataclass(slots=True)
class _Progress:
    """How far a training is: steps done, the shown losses, and what all its processes took."""

    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> _Progress:
        """That of a checkpoint; of one that former versions left the seconds alone are known."""
        if kept is None:
            return cls()
        return cls(kept["step"], kept["losses"], Spent(**kept["spent"]) if "spent" in kept else Spent(duration=kept["seconds"]))


def _train(
    imitation: Imitation, rows: Mapping[str, Sequence[Ints]], folder: Path, options: DistillOptions, spent: Callable[[], Spent], on_progress: OnProgress
) -> _Progress:
    """Trains to the last step, going on from the folder's checkpoint. `spent` tells what this process has taken for it so far."""
    device = training_device()
    student = imitation.student.to(device).train()
    imitation.teacher.to(device)
    decayed, others = ([p for p in student.parameters() if (p.ndim > 1) is matrix] for matrix in (True, False))
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98), fused=True)
    read = read_batches(rows, options.tokens, BATCH_TOKENS, options.seed)
    total = len(read)
    progress = _Progress.of(load_checkpoint(folder, student, optimiser))
    former = progress.spent
    running: list[dict[str, float]] = []
    for batch in read[progress.step :]:
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * warmup_and_decay(progress.step, total, WARMUP_SHARE)
        running.append(_step(imitation, optimiser, batch, np.random.default_rng([options.seed, progress.step])))
        progress.step += 1
        if len(running) == SHOWN_STEPS or progress.step == total:
            progress.losses.append({name: float(np.mean([r[name] for r in running])) for name in running[0]})
            running = []
            # a checkpoint lies between shown means, so that a resumed run shows the same ones
            if len(progress.losses) % (CHECKPOINT_STEPS // SHOWN_STEPS) == 0:
                progress.spent = former + spent()
                save_checkpoint(folder, student, optimiser, asdict(progress))
        on_progress("distil", progress.step, total)
    progress.spent = former + spent()
    return progress


def _step(imitation: Imitation, optimiser: torch.optim.Optimizer, rows: Sequence[Ints], rng: np.random.Generator) -> dict[str, float]:
    device = next(imitation.student.parameters()).device
    ids, mask = (torch.from_numpy(a).to(device) for a in pad(rows, 0))
    for model in (imitation.teacher, imitation.student):
        suit_attention(model, ids.shape[1], device)
    with mixed_precision(device):
        parts = imitation.losses(ids, mask, rng)
    loss = torch.stack(list(parts.values())).sum()
    descend(loss, imitation.student, optimiser)
    return {name: float(part.detach()) for name, part in parts.items()} | {"all": float(loss.detach())}


def _run_key(source: Path, texts: Mapping[str, Sequence[str]], rest: object) -> str:
    digest = hashlib.sha256(f"{sha256(source / 'model.safetensors')} {rest!r}".encode())
    for text in chain.from_iterable(([name, *of] for name, of in texts.items())):
        digest.update(hashlib.sha256(text.encode(errors="surrogatepass")).digest())
    return digest.hexdigest()[:12]


def _n_parameters(model: DistilBertModel) -> int:
    return sum(p.numel() for p in model.parameters())


def _measured_fallback(pack: Pack, data_root: Path | None, source: Path, making: Path) -> Fallback:
    """What trimming changes on dev texts, which the pieces were not chosen from."""
    texts = [e.document.text for e in read_examples(pack, "dev", data_root=data_root)]
    return fallback(TextEncoder(source), TextEncoder(making), texts)


def _finished(making: Path, encoders: Path, pack: Pack, record: Distillation, losses: Sequence[dict[str, float]]) -> Path:
    """Writes record, curve, card and sums, and gives the folder its id."""
    (making / "distill.json").write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (making / "losses.jsonl").write_text("".join(json.dumps({k: round(v, 5) for k, v in row.items()}) + "\n" for row in losses), encoding="utf-8")
    loss_curve(making / "loss.png", losses, SHOWN_STEPS)
    (making / "README.md").write_text(_card(pack, record), encoding="utf-8")
    names = sorted(p.name for p in making.iterdir() if p.name != CHECKPOINT)
    (making / SUMS).write_text(sums_of(making, names), encoding="utf-8")
    digest = hashlib.sha256("".join(sha256(making / n) for n in DECISIVE).encode()).hexdigest()
    folder = encoders / f"{pack.name}-encoder-{digest[:12]}"
    if folder.exists():
        shutil.rmtree(folder)
    (making / CHECKPOINT).unlink(missing_ok=True)  # last of all
    making.rename(folder)
    return folder


def _card(pack: Pack, record: Distillation) -> str:
    share = 1 - record.parameters / record.teacher_parameters
    return "\n".join(
        [
            "---",
            f'language: "{pack.manifest.language}"',
            'library_name: "transformers"',
            f'tags: ["stillhouse", "distilbert", "{pack.name}"]',
            *([f"co2_eq_emissions: {json.dumps(co2_eq_emissions(record.energy, 'pre-training'))}"] if record.energy else []),
            "---",
            "",
            f"# An encoder for the pack `{pack.name}`",
            "",
            f"Distilled from {record.teacher}, layers {', '.join(map(str, record.layers))}, by {record.loss}: {record.steps} steps over "
            f"{record.n_texts} texts of {record.text_tokens:,} tokens in {record.seconds:.0f} s, seed {record.seed}.",
            "",
            f"{record.parameters:,} parameters, {share:.0%} fewer than the teacher's {record.teacher_parameters:,}. Vocabulary: {record.vocabulary:,} pieces; "
            f"{record.fallback_rate:.2%} of the words of dev are cut otherwise than by the teacher's, {record.unknown_words} more are unknown.",
            "",
            "![Loss by step](loss.png)",
            "",
        ]
    )
