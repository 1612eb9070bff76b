"""What a student starts from: a distilled encoder of its pack, or the chosen layers and word pieces of its source. Torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import DistilBertModel

from pipelines.distill import check_sums, distilled, planned_layers, read_distillation
from pipelines.encoder import chosen_layers, load_encoder
from pipelines.sources import encoder_folder, shape_of
from pipelines.vocabulary import trim
from suites.discover import Pack
from suites.errors import StudentError, unknown

# the name that asks for the source's own layers where a distilled encoder is at hand
UNDISTILLED = "none"


@dataclass(frozen=True, slots=True)
class Start:
    """An encoder to fine-tune, the source that it comes from, that one's layers that it has, and the id of the distilled encoder that it is, or empty."""

    encoder: DistilBertModel
    source: str
    layers: tuple[int, ...]
    distilled: str


def start_of(pack: Pack, students: Path, making: Path, texts: Sequence[str], *, choice: str | None, offline: bool) -> Start:
    """The start of a pack's student; its tokenizer is written into the folder `making`.

    `choice` is the id of one of the pack's distilled encoders, or `none`. Without a choice the
    newest distilled encoder is taken that has the teacher or source, layers and vocabulary of the manifest.
    """
    plan = pack.manifest.student
    folder = distilled_start(pack, students, choice, offline=offline)
    if folder is None:
        source = encoder_folder(plan.source, offline=offline)
        kept = trim(source, making, texts, plan.vocabulary)
        encoder, layers = load_encoder(source, plan.layers, kept)
        return Start(encoder, plan.source, layers, "")
    check_sums(folder)
    trim(folder, making, texts, None)
    encoder, _ = load_encoder(folder)
    record = read_distillation(folder)
    return Start(encoder, record.teacher, record.layers, folder.name)


def distilled_start(pack: Pack, students: Path, choice: str | None, *, offline: bool) -> Path | None:
    """The folder of the distilled encoder that a student of the pack would start from, None without one.

    Raises StudentError for a choice that is unknown, or of a teacher that is not the manifest's.
    """
    if choice == UNDISTILLED:
        return None
    there = distilled(students, pack.name)
    if choice is not None:
        named = {folder.name: folder for folder in there}
        if choice not in named:
            raise StudentError(unknown("encoder", choice, [*named, UNDISTILLED]), "no_encoder")
        if stranger := foreign_teacher(pack, named[choice]):
            raise StudentError(f"Encoder {choice} was distilled from {stranger}. {teacher_remedy(pack, stranger)}", "foreign_encoder")
        return named[choice]
    return next((f for f in there if fits(pack, f, offline=offline)), None)


def foreign_teacher(pack: Pack, folder: Path) -> str:
    """The teacher that an encoder was distilled from where it is not the manifest's; else empty."""
    plan, teacher = pack.manifest.student, read_distillation(folder).teacher
    return "" if teacher in (plan.teacher, plan.source) else teacher


def teacher_remedy(pack: Pack, teacher: str) -> str:
    """What to write into the manifest so that students may start from encoders of this teacher."""
    return f'Fine-tuning wants teacher = "{teacher}" in [student] of {pack.folder / "pack.toml"}.'


def fits(pack: Pack, folder: Path, *, offline: bool) -> bool:
    """Whether an encoder has the teacher, layers and vocabulary of the manifest: students start from such a one of themselves."""
    plan, record = pack.manifest.student, read_distillation(folder)
    if foreign_teacher(pack, folder):
        return False
    shape = shape_of(encoder_folder(record.teacher, offline=offline))
    layers = chosen_layers(planned_layers(plan, record.teacher), shape.n_layers)
    return (record.layers, record.vocabulary) == (layers, min(plan.vocabulary or shape.n_pieces, shape.n_pieces))
