"""Fine-tuning a pack's student: examples in, a sealed student folder out."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pipelines.attacks import hardening
from pipelines.calibrate import calibrated
from pipelines.card import write_card
from pipelines.compress import compress
from pipelines.encode import Floats, TextEncoder, padded_length
from pipelines.encoder import save_encoder
from pipelines.energy import Meter
from pipelines.engine import Engine, stitched
from pipelines.evaluate import score
from pipelines.examples import read_examples
from pipelines.family import births
from pipelines.fit import Fitted, fit
from pipelines.fit_lexicon import fit_lexicon
from pipelines.hardware import accelerators, training_device
from pipelines.heads import Head
from pipelines.lock import is_locked, locked
from pipelines.net import StudentNet, heads_of, start_heads
from pipelines.openvino_engine import OpenVinoEngine
from pipelines.predict import CHUNK, Predictor
from pipelines.progress import OnProgress, silent
from pipelines.reference import ENOUGH, MOST, Reference, directions_of, means, write_reference
from pipelines.rules import Rules
from pipelines.sources import encoder_folder, sha256, shape_of
from pipelines.start import UNDISTILLED, Start, distilled_start, start_of
from pipelines.student import Birth, Student, load_student, seal, write_heads
from pipelines.swap import varied
from pipelines.tally import OF_TEXT, Tally, tally
from pipelines.targets import IGNORED, Encoded, encode_examples
from pipelines.teach import Teachers, guesses
from pipelines.torch_engine import TorchEngine
from pipelines.transitions import counted
from suites.discover import Pack
from suites.errors import DataError, PackError, StudentError
from suites.hooks import Hooks, load_hooks
from suites.samples import Split
from suites.types import Document, Example, StudentPlan, Task

# raise it when the code of training changes what a student becomes: teachers made before are then not used again
RECIPE = 5
# with fewer answers of a label a student hardly learns it
FEW = 20
# training is watched on so many dev examples of each source: enough to rank epochs, cheap enough to do so
MAX_DEV = 300
# how a folder's name begins that is no student yet
MAKING = ".making-"


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """What a user may choose for one fine-tuning. None means: as the pack's manifest says.

    So many `teachers` are fine-tuned first, of seeds `seed`, `seed` + 1, ...; with none the student
    learns from gold alone. `encoder` is the id of a distilled encoder to start from, or `none`.
    `unlabelled` are texts that only teachers answer, `reviewed` examples that people made of stored documents. `size` is `small`: the
    layers and word pieces of the manifest, or `full`: all of the source's; None: full where neither a teacher nor a
    distilled encoder makes up for what a small one lacks. `meter` measures what the student's own training takes, its
    teachers' left out; None: one by the default rates.
    """

    data_root: Path | None = None
    sources: tuple[str, ...] | None = None
    seed: int = 1
    epochs: int | None = None
    offline: bool = True
    trusted: tuple[str, ...] = ()
    limit: int | None = None
    teachers: int = 0
    encoder: str | None = None
    unlabelled: tuple[str, ...] = ()
    reviewed: tuple[Example, ...] = ()
    size: Literal["small", "full"] | None = None
    meter: Meter | None = None


def finetune(pack: Pack, students: Path, options: FinetuneOptions, on_progress: OnProgress = silent) -> Student:
    """Fine-tunes a student and seals it as `students`/PACK/ID. The same input and seed give the same id.

    Its teachers come first, unless students of their very recipe are there already. Nothing appears
    under its id before it is whole; an interrupted run leaves no student.
    """
    if not (pack.folder / "card.md").exists():
        raise PackError(f"{pack.folder / 'card.md'} not found: a student's card is made from it. See docs/packs.md.")
    examples = Examples(_read(pack, "train", options), _read(pack, "dev", options), _unlabelled_yet(pack, options))
    if _is_full(pack, students, options):
        return finetuned(teaching_pack(pack), students, examples, replace(options, encoder=UNDISTILLED), (), on_progress)
    options = replace(options, unlabelled=_unseen(pack, options))
    teachers = [_teacher(pack, students, examples, options, seed, on_progress) for seed in range(options.seed, options.seed + options.teachers)]
    return finetuned(pack, students, examples, options, teachers, on_progress)


def _unseen(pack: Pack, options: FinetuneOptions) -> tuple[str, ...]:
    """The unlabelled texts that neither dev nor test holds: a student must not have seen what it is judged on."""
    if not options.unlabelled:
        return ()
    held_out = {e.document.text for split in ("dev", "test") for e in read_examples(pack, split, data_root=options.data_root)}
    return tuple(text for text in options.unlabelled if text not in held_out)


def _unlabelled_yet(pack: Pack, options: FinetuneOptions) -> list[Example]:
    """The reviewed examples whose texts no split of the labelled data holds: what is labelled stays as it is, and dev and test stay unseen."""
    splits: tuple[Split, ...] = ("train", "dev", "test") if options.reviewed else ()
    labelled = {e.document.text for split in splits for e in read_examples(pack, split, data_root=options.data_root)}
    return [e for e in options.reviewed if e.document.text not in labelled]


def _is_full(pack: Pack, students: Path, options: FinetuneOptions) -> bool:
    if options.size is not None:
        return options.size == "full"
    return not options.teachers and distilled_start(pack, students, options.encoder, offline=options.offline) is None


@dataclass(frozen=True, slots=True)
class Examples:
    """What a student is fitted on, and what its training is watched by and its temperatures and thresholds are chosen on.

    `reviewed` are fitted on too, each as often as any other: read more often they add nothing (docs/reviews.md).
    """

    train: list[Example]
    dev: list[Example]
    reviewed: list[Example] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """SHA-256 over all texts and gold."""
        digest = hashlib.sha256()
        for split in (self.train, self.dev, self.reviewed):
            for e in split:
                digest.update(repr((e.source, e.document.text, e.gold, sorted(e.tasks))).encode(errors="surrogatepass"))
        return digest.hexdigest()


def finetuned(
    pack: Pack, students: Path, examples: Examples, options: FinetuneOptions, teachers: Sequence[Student] = (), on_progress: OnProgress = silent
) -> Student:
    """As `finetune`, from given examples and teachers."""
    meter = options.meter or Meter()
    meter.add_accelerators(accelerators(training_device()))
    before, on_progress = meter.total(), meter.watched(on_progress)
    torch.manual_seed(options.seed)
    own = [*examples.train, *examples.reviewed]
    learned = [*own, *hardening(own, pack.manifest.robustness, options.seed)]
    tasks, hooks = pack.student_tasks, load_hooks(pack, options.trusted)
    with _making_folder(students / pack.name) as making:
        start = start_of(pack, students, making, [e.document.text for e in own], choice=options.encoder, offline=options.offline)
        _check_windows(pack, start)
        text_encoder, net = TextEncoder(making), StudentNet(start.encoder, tasks)
        encoded = encode_examples(learned, tasks, text_encoder, pack.manifest.text, hooks.clean)
        rules = Rules(pack.folder, pack.manifest.language, pack.manifest.task)
        held_out = encode_examples(examples.dev, tasks, text_encoder, pack.manifest.text, hooks.clean, rules=rules)
        lessons: Sequence[Encoded] = encoded
        if teachers:
            lessons = _taught(pack, teachers, learned, text_encoder, options, hooks, net, on_progress)
            start_heads(net, teachers[0].heads)
        fitted = fit(
            net,
            lessons,
            pack.manifest.student,
            epochs=options.epochs or _epochs(pack.manifest.student, examples.train, taught=bool(teachers)),
            pad_id=text_encoder.pad_id,
            seed=options.seed,
            dev_score=_dev_score(pack, text_encoder, hooks, _capped(examples.dev)),
            on_progress=on_progress,
        )
        save_encoder(net.encoder, making, next((t for t in tasks if t.kind == "choice"), tasks[0]).labels)
        compress(making, [e.inputs for e in encoded], options.seed)
        heads = _calibrated(heads_of(net), encoded, held_out, making, text_encoder.pad_id)
        _write_reference(pack, making, heads, text_encoder, hooks, rules, encoded[: len(examples.train)], examples, options.seed)
        write_heads(making, _birth(pack, examples, options, start, len(text_encoder.pieces), teachers), heads)
        _write_training(making, fitted, examples, meter.told(meter.total() - before), too_few(tasks, own))
        student_id = seal(making, pack.name)
        write_card(pack, load_student(making))
        folder = _named(making, student_id)
    return load_student(folder)


def _dev_score(pack: Pack, text_encoder: TextEncoder, hooks: Hooks, dev: Sequence[Example]) -> Callable[[StudentNet], float]:
    """What training is watched by: the score of a net that reads these examples by the code that will serve."""
    rules = Rules(None, pack.manifest.language)

    def dev_score(net: StudentNet) -> float:
        engine = TorchEngine(net.encoder, text_encoder.pad_id, rough=True)
        return mean_score(Predictor(pack, heads_of(net), text_encoder, engine, rules, hooks, pack.manifest.text), dev)

    return dev_score


def _calibrated(heads: Sequence[Head], train: Sequence[Encoded], dev: Sequence[Encoded], making: Path, pad_id: int) -> list[Head]:
    """The heads with what is counted in train (lexicons, transitions) and what is fitted on dev, by the exported graph."""
    lexicons = {h.task.name: lexicon for h in heads if (lexicon := fit_lexicon(h.task, train))}
    engine = OpenVinoEngine(making / "encoder.xml", pad_id=pad_id, n_threads=os.cpu_count() or 1)
    return calibrated(with_transitions(heads, train), dev, _states(engine, dev), lexicons)


def _write_reference(
    pack: Pack,
    making: Path,
    heads: Sequence[Head],
    text_encoder: TextEncoder,
    hooks: Hooks,
    rules: Rules,
    train: Sequence[Encoded],
    examples: Examples,
    seed: int,
) -> None:
    """What drift is measured against: directions by train, counts by dev, and by train where dev is small. Drawn by chance where there are many."""
    engine = OpenVinoEngine(making / "encoder.xml", pad_id=text_encoder.pad_id, n_threads=os.cpu_count() or 1)
    rng = random.Random(seed)
    found = directions_of(means(_states(engine, rng.sample(train, min(MOST, len(train))))), seed)
    directions, centre = found or (np.zeros((0, engine.hidden), np.float32), np.zeros(0, np.float32))
    reference = Reference(directions, centre, Counter())
    reader = Predictor(pack, heads, text_encoder, engine, rules, hooks, pack.manifest.text, reference=reference if found else None)
    tallied: Tally = Counter()
    drawn = rng.sample(examples.dev, min(MOST, len(examples.dev)))
    more = rng.sample(examples.train, min(max(0, ENOUGH - len(drawn)), len(examples.train)))
    asked = [e.document for e in (*drawn, *more)]
    for i, (document, reading) in enumerate(zip(asked, reader.predict(asked), strict=True)):
        if not reading.failed:
            counts = tally(pack, reading.findings, reading.seen, len(document.text))
            tallied.update(counts if i < len(drawn) else {key: n for key, n in counts.items() if key[0] in OF_TEXT})
    write_reference(making, replace(reference, tally=tallied))


def _birth(pack: Pack, examples: Examples, options: FinetuneOptions, start: Start, vocabulary: int, teachers: Sequence[Student]) -> Birth:
    return Birth(
        pack=pack.name,
        pack_version=pack.manifest.version,
        pack_digest=pack.digest,
        source=start.source,
        layers=start.layers,
        vocabulary=vocabulary,
        encoder=start.distilled,
        seed=options.seed,
        data=tuple(sorted({e.source for e in examples.train})),
        reviewed=len(examples.reviewed),
        recipe=recipe(pack, examples, options, start.distilled),
        teachers=tuple(t.id for t in teachers),
        text=pack.manifest.text,
        tasks=tuple(pack.student_tasks),
    )


def recipe(pack: Pack, examples: Examples, options: FinetuneOptions, encoder: str) -> str:
    """What a student is made of besides its teachers and its seed, as 12 hex digits: with these the same, so is the student."""
    weights = encoder_folder(pack.manifest.student.source, offline=options.offline) / "model.safetensors"
    files = [pack.code_digest, sha256(weights) if weights.exists() else ""]
    unlabelled = hashlib.sha256("\0".join(options.unlabelled).encode(errors="surrogatepass")).hexdigest()
    plans = (pack.manifest.student, pack.manifest.robustness, pack.manifest.text, tuple(pack.student_tasks))
    made_of = (RECIPE, *plans, options.epochs, options.trusted, encoder, files, unlabelled)
    return hashlib.sha256(f"{examples.digest} {made_of!r}".encode()).hexdigest()[:12]


def teaching_pack(pack: Pack) -> Pack:
    """The pack as its teachers and full students are made: all layers and pieces of the teacher's source."""
    plan = pack.manifest.student
    its_own = {"source": plan.teacher or plan.source, "layers": "all", "vocabulary": None, "teacher": None, "learning_rate": plan.teacher_learning_rate}
    return replace(pack, manifest=pack.manifest.model_copy(update={"student": plan.model_copy(update=its_own)}))


def _teacher(pack: Pack, students: Path, examples: Examples, options: FinetuneOptions, seed: int, on_progress: OnProgress) -> Student:
    """The teacher of a seed: one of the same recipe that is there, or a new one."""
    asked = replace(options, teachers=0, encoder=UNDISTILLED, seed=seed, unlabelled=())
    wanted = recipe(teaching_pack(pack), examples, asked, "")
    for student_id, birth in births(students, pack.name).items():
        if (birth.recipe, birth.seed, birth.teachers) == (wanted, seed, ()):
            try:
                return load_student(students / pack.name / student_id)
            except StudentError:
                continue  # a damaged one teaches no one
    return finetuned(teaching_pack(pack), students, examples, asked, (), _named_progress("teacher", on_progress))


def _named_progress(who: str, on_progress: OnProgress) -> OnProgress:
    return lambda what, done, total: on_progress(f"{who}: {what}", done, total)


def _taught(
    pack: Pack,
    teachers: Sequence[Student],
    train: Sequence[Example],
    encoder: TextEncoder,
    options: FinetuneOptions,
    hooks: Hooks,
    net: StudentNet,
    on_progress: OnProgress,
) -> list[Encoded]:
    """The train examples, the unlabelled texts and varied copies with their teachers' answers to every task.

    Of copies there are as many tokens as the unlabelled texts leave of the plan's `source_tokens`.
    """
    plan = pack.manifest.student
    drawn = _drawn(options.unlabelled, encoder, plan.source_tokens * plan.taught_epochs, options.seed)
    unlabelled = [Example(Document(f"unlabelled/{i}", text), (), frozenset(), "unlabelled") for i, text in enumerate(drawn)]
    examples = [*train, *unlabelled]
    # of a task without gold a teacher has learned nothing
    known = [t for t in pack.student_tasks if any(t.name in e.tasks for e in train)]
    guessed = guesses(pack, teachers[0], examples, known, on_progress, options.trusted)
    encoded = encode_examples(examples, known, encoder, pack.manifest.text, hooks.clean, guessed)
    own = encoded[: len(train)]
    room = max(0, plan.source_tokens - sum(e.n_tokens for e in encoded[len(train) :]))
    encoded += varied(own, encoder.word_ids, room, plan.varied, options.seed)
    same_size = shape_of(teachers[0].folder).hidden == net.encoder.config.dim
    return Teachers(teachers, encoder, states=same_size).teach(encoded, on_progress)


def _drawn(texts: Sequence[str], encoder: TextEncoder, n_tokens: int, seed: int) -> list[str]:
    """Texts of about so many tokens, drawn by chance, in their order: what no epoch would come to need not be answered and kept in memory."""
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    chosen: list[int] = []
    for at in range(0, len(order), CHUNK):
        if n_tokens <= 0:
            break
        for i, tokens in zip(order[at : at + CHUNK], encoder.tokens([texts[i] for i in order[at : at + CHUNK]]), strict=True):
            if n_tokens > 0:
                chosen.append(i)
                n_tokens -= len(tokens.ids)
    return [texts[i] for i in sorted(chosen)]


def with_transitions(heads: Sequence[Head], train: Sequence[Encoded]) -> list[Head]:
    """The heads with the transitions of their tags in the gold of train."""
    made = []
    for head in heads:
        if head.task.kind == "spans":
            gold = (e.targets[head.task.name].wanted for e in train if head.task.name in e.targets)
            head = replace(head, transitions=counted((tags[tags != IGNORED] for tags in gold), len(head.bias)))
        made.append(head)
    return made


def _epochs(plan: StudentPlan, train: Sequence[Example], *, taught: bool) -> int:
    if {e.source for e in train} == {"samples"}:
        return plan.epochs
    return plan.taught_epochs if taught else plan.data_epochs


def _check_windows(pack: Pack, start: Start) -> None:
    limits, there = pack.manifest.text, start.encoder.config.max_position_embeddings
    if (longest := padded_length(limits.window_tokens)) > there:
        reason = f"[text] window_tokens is {limits.window_tokens}, padded to {longest}"
        raise PackError(f"Pack {pack.name!r}: {reason}; {pack.manifest.student.source} has positions for {there} tokens. Make the windows shorter.")


def mean_score(predictor: Predictor, examples: Sequence[Example]) -> float:
    """The mean over sources and tasks of the tasks' scores: what training is watched by."""
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


@contextmanager
def _making_folder(parent: Path) -> Iterator[Path]:
    """A new folder to make a student in, gone at the end unless it has its name by then. Those that killed runs left are removed."""
    with ExitStack() as held:
        with locked(parent):
            for left in parent.glob(f"{MAKING}*"):
                if not is_locked(left):
                    shutil.rmtree(left, ignore_errors=True)
            making = Path(tempfile.mkdtemp(prefix=MAKING, dir=parent))
            held.enter_context(locked(making))
        try:
            yield making
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _named(making: Path, student_id: str) -> Path:
    """The finished folder under its id; an equal student that is there and whole is kept, with its card and scores, a damaged one replaced."""
    folder = making.parent / student_id
    if folder.exists():
        try:
            return load_student(folder).folder
        except StudentError:
            shutil.rmtree(folder)
    making.chmod(0o755)
    making.rename(folder)
    return folder


def too_few(tasks: Sequence[Task], train: Sequence[Example]) -> dict[str, int]:
    """The labels with fewer than FEW answers to learn from, "task/label" -> how many."""
    seen = Counter((f.task, f.label) for e in train for f in e.gold)
    return {f"{task.name}/{label}": seen[task.name, label] for task in tasks for label in task.labels if seen[task.name, label] < FEW}


def _write_training(folder: Path, fitted: Fitted, read: Examples, energy: Mapping[str, Any], few: Mapping[str, int]) -> None:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, examples in (("train", read.train), ("dev", read.dev)):
        for source, n in Counter(e.source for e in examples).items():
            counts[source][name] = n
    record = {
        "dev_scores": [round(s, 4) for s in fitted.scores],
        "losses": [round(v, 4) for v in fitted.losses],
        "dev_score": round(fitted.score, 4),
        "mean_of_epochs": [fitted.mean_from + 1, len(fitted.scores)],
        "examples": counts,
        "reviewed": len(read.reviewed),
        "too_few": dict(few),
        "seconds": round(float(energy["duration"]), 1),
        "energy": energy,
        "torch": torch.__version__,
    }
    (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
