"""Fine-tunes a pack's student: on the shipped samples, or with real data too.

With --teacher a larger student of the pack is fine-tuned first, and the student learns from its
answers to every task beside gold's; several teachers, of several seeds, are averaged. What is there
already of the same recipe and seed is used again. It starts from the pack's newest distilled encoder
(`manage.py distill`) where there is one of the manifest's layers and vocabulary. Without a teacher
and such an encoder it is made full: all the source's layers and word pieces, larger and slower, but
nothing makes up for what a small one lacks.

With --with-reviews it learns from the store's reviewed documents too (`manage.py review`): from none whose
text the samples or sets hold already, and from none of the share that is held back to be scored on.

Temperatures and thresholds are fitted on the dev split; the test split is never touched. The same
data, options and seed on the same machine (without a GPU) give the same student id. Ctrl-C leaves no
half student behind.

example: python manage.py finetune finance
         python manage.py finetune finance --data-root ../data --teacher --seeds 3
         python manage.py finetune finance --teacher 3 --text ~/mails-without-labels
         python manage.py finetune finance --with-reviews
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from suites.discover import Pack, find_pack
from suites.errors import RunError, UsageError
from workers.arguments import add_held_back, positive
from workers.settings import Settings
from workers.show import command, n_of, progress_bar, words
from workers.texts import texts_of

if TYPE_CHECKING:
    from suites.types import Example

MOST_SHOWN = 6


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--data-root", type=Path, help="folder of the real sets named by the pack's [[data]] (default: [data] root)")
    parser.add_argument("--source", action="append", metavar="NAME", help="use this source alone, `samples` or a [[data]] name; may be repeated")
    parser.add_argument("--teacher", type=positive, nargs="?", const=1, default=0, metavar="N", help="learn from N teachers, fine-tuned first (alone: 1)")
    parser.add_argument("--text", type=Path, action="append", default=[], metavar="PATH", help="with --teacher: unlabelled documents too; may be repeated")
    parser.add_argument("--with-reviews", action="store_true", help="learn from the store's reviewed documents too")
    add_held_back(parser)
    parser.add_argument("--encoder", metavar="ID", help="start from this distilled encoder, or `none` (default: the newest that fits)")
    parser.add_argument("--size", choices=("small", "full"), help="the manifest's layers and word pieces, or all of the source's (default: see above)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="make N students, of seeds SEED, SEED + 1, ... (default: 1)")
    parser.add_argument("--epochs", type=positive, help="at most so many passes over the data (default: the pack's)")
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N examples of each source and split: for a quick try")


def _warn(few: Mapping[str, int], pack: str) -> None:
    """Says which labels have too few examples to be learned, and what helps."""
    if few:
        shown = ", ".join(f"{label} {n}" for label, n in sorted(few.items(), key=lambda item: item[1])[:MOST_SHOWN])
        more = f" and {len(few) - MOST_SHOWN} more" if len(few) > MOST_SHOWN else ""
        words(f"Too few examples to be relied on (20 or more in train are expected): {shown}{more}.")
        words(f"Label more; `python manage.py suggest {pack} PATH` proposes which documents.")


def _reviewed(options: Namespace, settings: Settings, pack: Pack) -> tuple[Example, ...]:
    """The reviewed documents to learn from. Raises RunError where there are none."""
    from workers.audit import record_alone
    from workers.keys import Keys
    from workers.migrate import require_newest
    from workers.reviews import reviewed_examples
    from workers.store import Store

    store = Store(settings.store_url)
    try:
        require_newest(store)
        record_alone(store, "export", f"pack {pack.name}", {"what": "reviews", "for": "finetune"})
        reviewed = reviewed_examples(store, pack, Keys.of(settings), options.held_back)
    finally:
        store.close()
    if not reviewed.train:
        raise RunError(f"No reviewed document of pack {pack.name!r} to learn from. Review some: python manage.py review next {pack.name} --reviewer NAME")
    words(f"{n_of(len(reviewed.train), 'reviewed document')} to learn from; {len(reviewed.held_back)} held back.")
    return reviewed.train


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.finetune import FinetuneOptions, finetune
    from workers.energy import measured

    pack = find_pack(options.pack, settings.pack_folders)
    if options.text and not options.teacher:
        raise UsageError("--text needs --teacher: documents without labels teach by a teacher's answers.")
    if options.size == "full" and (options.teacher or options.encoder):
        raise UsageError("--size full has all the source's layers and learns from gold alone: leave --teacher and --encoder out.")
    if options.data_root and not pack.manifest.data:
        words(f"Pack {pack.name} names no [[data]]: it learns from its samples alone, and --data-root is not looked at.")
    unlabelled = texts_of(options.text, pack.manifest.text.max_chars)
    reviewed = _reviewed(options, settings, pack) if options.with_reviews else ()
    made = []
    for seed in range(options.seed, options.seed + options.seeds):
        chosen = FinetuneOptions(
            data_root=options.data_root or settings.data_root,
            sources=tuple(options.source) if options.source else None,
            seed=seed,
            epochs=options.epochs,
            offline=settings.runtime.offline,
            trusted=settings.packs.trust_hooks,
            limit=options.limit,
            teachers=options.teacher,
            encoder=options.encoder,
            size=options.size,
            unlabelled=unlabelled,
            reviewed=reviewed,
        )
        with measured(settings, "finetune", pack.name) as taken, progress_bar(quiet=options.json) as on_progress:
            student = finetune(pack, settings.students_folder, replace(chosen, meter=taken.meter), on_progress)
            taken.student_id = student.id
        training = json.loads((student.folder / "training.json").read_text(encoding="utf-8"))
        words(f"{student.id}: {training['seconds']} s, dev score {training['dev_score']:.3f}.")
        _warn(training["too_few"], pack.name)
        made.append({"student": student.id, "folder": str(student.folder), "teachers": student.birth.teachers, "training": training})
    words(f"Next: {command('evaluate', pack.name, data_root=options.data_root) if options.teacher else command('release', pack.name, '--experimental')}")
    return made[0] if len(made) == 1 else made
