"""Fine-tunes a pack's student: on the shipped samples, or with real data too.

Early stop looks at the dev split; the test split is never touched. The same data, options and seed
on the same machine give the same student id. Ctrl-C leaves no half student behind.

example: python manage.py finetune finance
         python manage.py finetune finance --data-root ../data --seed 2
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.discover import find_pack
from workers.arguments import positive
from workers.settings import Settings
from workers.show import progress_bar, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets named by the pack's [[data]] (default: [data] root)")
    parser.add_argument("--source", action="append", metavar="NAME", help="use this source alone, `samples` or a [[data]] name; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=positive, help="at most so many passes over the data (default: the pack's)")
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N examples of each source and split: for a quick try")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.finetune import FinetuneOptions, finetune

    pack = find_pack(options.pack, settings.pack_folders)
    chosen = FinetuneOptions(
        data_root=options.data_root or settings.data_root,
        sources=tuple(options.source) if options.source else None,
        seed=options.seed,
        epochs=options.epochs,
        offline=settings.runtime.offline,
        trusted=settings.packs.trust_hooks,
        limit=options.limit,
    )
    with progress_bar(quiet=options.json) as on_progress:
        student = finetune(pack, settings.students_folder, chosen, on_progress)
    training = json.loads((student.folder / "training.json").read_text(encoding="utf-8"))
    words(f"{student.id}: {training['seconds']} s, best dev score {max(training['dev_scores']):.3f} in epoch {training['best_epoch']}.")
    words(f"Next: python manage.py release {pack.name}")
    return {"student": student.id, "folder": str(student.folder), "training": training}
