"""Distils an encoder for a pack: a smaller one that imitates its teacher on the pack's own texts, without labels.

Fine-tuning starts from it then. The teacher is [student] teacher or source of the pack: any BERT or
DistilBERT (package:NAME, hub:OWNER/NAME, path:DIR). The student begins as the teacher's chosen
layers and reads equally much of each of the pack's sources. With a teacher that has a masked-language
head it learns by soft targets, masked words and the cosine of the states (DistilBERT); else by hidden
states and attention relations (MiniLM v2). Ctrl-C and the same command again goes on where it was. A
curve of the losses is saved as loss.png.

example: python manage.py distill clinical --data-root ../data
         python manage.py distill clinical --layers 1,3,5 --vocabulary 19000 --text ~/reports
         python manage.py distill finance --teacher hub:google-bert/bert-base-uncased --layers half
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from suites.discover import Pack, find_pack
from workers.arguments import positive, rate
from workers.settings import Settings
from workers.show import command, progress_bar, words
from workers.texts import texts_of


def layers(value: str) -> Any:
    """`all`, `half`, or numbers as 1,3,5."""
    if value in ("all", "half"):
        return value
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise ArgumentTypeError(f"{value!r}: expected all, half, or numbers of layers from 0 on, as 1,3,5") from None


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--teacher", metavar="SOURCE", help="package:NAME, hub:OWNER/NAME or path:DIR (default: the pack's)")
    parser.add_argument("--layers", type=layers, help="the teacher's layers to start from: half (every second), all, or numbers as 1,3,5 (default: the pack's)")
    parser.add_argument("--vocabulary", type=positive, metavar="N", help="keep N word pieces, those of the texts first (default: the pack's)")
    parser.add_argument(
        "--learning-rate", type=rate, default=1e-3, metavar="RATE", help="the highest one of all steps (default: 0.001; larger encoders want a smaller one)"
    )
    parser.add_argument("--tokens", type=positive, default=6_000_000, help="read so many tokens in all (default: 6,000,000, half an hour on two quiet cores)")
    parser.add_argument("--text", type=Path, action="append", default=[], metavar="PATH", help="further unlabelled documents; may be repeated")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets named by the pack's [[data]] (default: [data] root)")
    parser.add_argument("--seed", type=int, default=1)


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.distill import DistillOptions, distill, read_distillation
    from workers.energy import measured

    pack = find_pack(options.pack, settings.pack_folders)
    chosen = DistillOptions(
        teacher=options.teacher,
        layers=options.layers,
        vocabulary=options.vocabulary,
        tokens=options.tokens,
        learning_rate=options.learning_rate,
        data_root=options.data_root or settings.data_root,
        texts=texts_of(options.text, pack.manifest.text.max_chars),
        seed=options.seed,
        offline=settings.runtime.offline,
    )
    with measured(settings, "distill", pack.name) as taken, progress_bar(quiet=options.json) as on_progress:
        folder = distill(pack, settings.students_folder, replace(chosen, meter=taken.meter), on_progress)
        taken.student_id = folder.name
    record = read_distillation(folder)
    share = 1 - record.parameters / record.teacher_parameters
    words(f"{folder.name}: {record.parameters:,} parameters, {share:.0%} fewer than the teacher's; {record.steps} steps in {record.seconds:.0f} s.")
    words(f"The losses: {folder / 'loss.png'}")
    words(f"Next: {_next_step(pack, folder, options.data_root, offline=settings.runtime.offline)}")
    return {"encoder": folder.name, "folder": str(folder), **record.model_dump()}


def _next_step(pack: Pack, folder: Path, data_root: Path | None, *, offline: bool) -> str:
    """The command that makes a student of the encoder: it must be named where the manifest asks for another one."""
    from pipelines.start import fits, foreign_teacher, teacher_remedy

    if fits(pack, folder, offline=offline):
        return command("finetune", pack.name, "--teacher", data_root=data_root)
    named = command("finetune", pack.name, "--teacher", "--encoder", folder.name, data_root=data_root)
    stranger = foreign_teacher(pack, folder)
    return f"{named}\n  {teacher_remedy(pack, stranger) if stranger else 'The manifest has other layers or another vocabulary: it must be named.'}"
