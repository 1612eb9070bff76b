"""Makes the folder of a new pack: from labelled data one that keeps the contract at once, without data one to be filled.

FROM is JSON lines, CSV, TSV, CoNLL (.conll .iob .bio), spaCy's DocBin (.spacy), a JSON export of Label Studio, or a folder of brat
(.txt with .ann). A row that cannot be used is named with its place and a remedy, is counted, and the rest goes on. Without --task the
tasks are guessed from the labels, shown, and written; where they are not plain, you are asked. Nothing is ever overwritten.

example: python manage.py new-pack tickets --from tickets.csv --text-column message --label-column team
         python manage.py new-pack tickets --from tickets.jsonl --task "topic:choice:document:billing,delivery,other" \\
             --task "product:spans:PRODUCT,MODEL" --task "polarity:choice:span(product):good,bad"
         python manage.py new-pack insurance --task "topic:choice:document:claim,question"     no data yet
"""

from __future__ import annotations

import datetime
import json
import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from suites.discover import SUITES, discover
from suites.errors import UsageError
from suites.types import Name
from workers.arguments import positive
from workers.settings import Settings
from workers.show import progress_bar, words

if TYPE_CHECKING:
    from pipelines.importers.asks import Ask
    from pipelines.importers.bind import Bound
    from pipelines.importers.draft import Draft
    from suites.samples import Split


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack", help="name: small letters a-z, digits, underscores")
    parser.add_argument("--from", dest="source", type=Path, metavar="FROM", help="labelled data: a file, or a folder of brat")
    parser.add_argument("--task", action="append", default=[], metavar="NAME:KIND[:SCOPE][:LABELS]", help="a question; may be repeated (default: guessed)")
    parser.add_argument("--field", action="append", default=[], metavar="TASK=FIELD", help="the field that answers a task, where it has another name")
    parser.add_argument("--text-column", metavar="NAME", help="column or key of the text (default: text)")
    parser.add_argument("--label-column", metavar="NAME", help="column or key of the label (default: guessed)")
    parser.add_argument("--id-column", metavar="NAME", help="column or key of the id (default: id)")
    parser.add_argument("--no-ids", action="store_true", help="make new ids: each split of the samples has its share of each label")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of JSON lines, CSV, TSV and CoNLL (default: utf-8)")
    parser.add_argument("--samples", type=positive, default=500, metavar="N", help="at most N documents become samples, labels as even as can be (default 500)")
    parser.add_argument("--rest", type=Path, metavar="FOLDER", help="write the other documents to FOLDER/PACK and name them as [[data]] source")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--language", default="en", metavar="CODE", help="of the documents, two small letters (default: en)")
    parser.add_argument("--folder", type=Path, default=SUITES, help="folder of packs to make it in (default: suites/)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.importers.asks import parse_ask

    folder: Path = options.folder / options.pack
    _check_name(options, folder, settings)
    asks = tuple(parse_ask(written) for written in options.task)
    if options.source is None:
        return _unfilled(options, folder, asks)
    return _filled(options, folder, asks)


def _check_name(options: Namespace, folder: Path, settings: Settings) -> None:
    """Raises UsageError for a name that the contract would refuse, or that is taken."""
    try:
        TypeAdapter(Name).validate_python(options.pack)
    except ValidationError:
        expected = "a small letter a-z, then small letters, digits and underscores, 40 characters at most"
        raise UsageError(f"{options.pack!r} is no pack name. Expected {expected}, e.g. insurance_claims.") from None
    if not re.fullmatch("[a-z]{2}", options.language):
        raise UsageError(f"--language {options.language[:40]!r}: expected a language's two small letters, as en or de.")
    if options.pack in discover(settings.pack_folders)[0]:
        raise UsageError(f"A pack {options.pack!r} exists already. Choose another name.")
    rest = [options.rest / options.pack] if options.rest else []
    for path in [folder, *rest]:
        if path.exists():
            raise UsageError(f"{path} exists already. Choose another name, or remove it.")


def _unfilled(options: Namespace, folder: Path, asks: tuple[Ask, ...]) -> object:
    """A pack without samples: `check` says what it lacks, and nobody mistakes invented ones for gold."""
    from pipelines.importers.asks import MAX_LABELS, Ask, placed
    from pipelines.importers.manifest import card_text, manifest_text
    from pipelines.importers.write import write_pack

    if unlabelled := [ask.name for ask in asks if not ask.labels]:
        raise UsageError(f"--task {unlabelled[0]!r} names no labels, and without --from there is no data to take them from. Name 1 to {MAX_LABELS}.")
    wanted = placed(asks, options.field) if asks else [Ask("topic", "choice", labels=("this", "that"))]
    data = "Say here where the samples come from, their licence, and the conventions of labelling."
    files = {
        "pack.toml": manifest_text(options.pack, wanted, language=options.language),
        "card.md": card_text(options.pack, data),
        "samples.jsonl": "",
    }
    write_pack(folder, files, checked=False, dry_run=options.dry_run)
    words(f"{_made(folder, options)} It has no samples yet. If you have labelled data, remove it and begin with: new-pack {options.pack} --from FILE.")
    if not asks:
        words("  Its one task is an example: write your own into pack.toml.")
    words(f"  Else write {folder / 'samples.jsonl'}, 20 documents or more, one a line, each label in some; as in docs/packs.md, Samples:")
    words(f"  {_example_row(wanted)}")
    words(f"  Then: python manage.py check {options.pack}. To undo: remove {folder}.")
    return {"folder": str(folder), "files": sorted(files), "samples": 0, "dry_run": options.dry_run}


def _example_row(asks: list[Ask]) -> str:
    """A line of samples.jsonl as these tasks want it, its ranges those of the words that stand in its text."""
    text = "The text."
    ranges = {ask.name: (4, 8) if ask.kind == "spans" or ask.of else (0, len(text)) for ask in asks}
    findings = [{"task": a.name, "label": a.labels[0], "start": ranges[a.name][0], "end": ranges[a.name][1]} for a in asks]
    return json.dumps({"id": "1", "text": text, "findings": findings})


def _filled(options: Namespace, folder: Path, asks: tuple[Ask, ...]) -> object:
    """A pack from data: what was found is told, then the folder is written whole, or nothing."""
    from pipelines.importers.draft import Order, draft
    from pipelines.importers.labelled import Columns
    from pipelines.importers.lines import encoding_name
    from pipelines.importers.tell import told
    from pipelines.importers.write import write_pack

    columns = Columns(options.text_column, options.label_column, options.id_column, encoding_name(options.encoding))
    order = Order(options.pack, options.source, columns, asks, tuple(options.field), options.samples, options.seed, options.no_ids)
    with progress_bar(quiet=options.json) as on_progress:
        made = draft(order, on_progress)
    for line in told(made):
        words(line)
    files = _files(made, options)
    write_pack(folder, files, checked=True, dry_run=options.dry_run)
    rest = _write_rest(made, options)
    words(f"{_made(folder, options)} {len(made.samples):,} samples of {len(made.usable):,} usable documents. It keeps the contract.")
    _tell_rest(made, options, rest)
    _tell_next(options, folder)
    return _answer(made, options, folder, files, rest)


def _files(made: Draft, options: Namespace) -> dict[str, str]:
    """What the folder will hold."""
    from pipelines.importers.manifest import card_text, data_text, manifest_text, samples_text
    from pipelines.importers.rest import rest_manifest

    asks = [bound.ask for bound in made.bounds]
    data = rest_manifest(options.pack, made.bounds) if options.rest and made.n_rest else ""
    return {
        "pack.toml": manifest_text(options.pack, asks, language=options.language, source=options.source.name, data=data),
        "card.md": card_text(options.pack, data_text(made, datetime.datetime.now(datetime.UTC).date())),
        "samples.jsonl": samples_text(made.samples),
    }


def _write_rest(made: Draft, options: Namespace) -> dict[Split, int] | None:
    from pipelines.importers.rest import write_rest

    if not options.rest or not made.n_rest or options.dry_run:
        return None
    with progress_bar(quiet=options.json) as on_progress:
        return write_rest(made, options.rest / options.pack, on_progress)


def _made(folder: Path, options: Namespace) -> str:
    return f"{folder} would be made (--dry-run: nothing was written)." if options.dry_run else f"Made {folder}."


def _tell_rest(made: Draft, options: Namespace, rest: dict[Split, int] | None) -> None:
    """What became of the documents that are no samples, and how they may teach too."""
    if rest is not None:
        counts = ", ".join(f"{count:,} {split}" for split, count in rest.items())
        words(f"  The rest is in {options.rest / options.pack}: {counts}. It is the [[data]] source 'own': finetune {options.pack} --data-root {options.rest}")
        if left := [bound.ask.name for bound in made.bounds if bound.ask.scope != "document"]:
            words(f"  It answers the tasks of the document; only the samples answer {', '.join(left)}.")
    elif made.n_rest:
        words(f"  {made.n_rest:,} more are usable and no samples, so that fine-tuning takes minutes. To learn from them too, write them out as a [[data]]")
        words(f"  source: the same command with --rest FOLDER; or take more samples: --samples {len(made.usable)}.")


def _tell_next(options: Namespace, folder: Path) -> None:
    if options.dry_run:
        return
    words(f"  Next: read {folder / 'pack.toml'} and word the questions as you would ask a person; say in {folder / 'card.md'} what only you know.")
    words(f"  Then: python manage.py check {options.pack}; python manage.py finetune {options.pack}. To undo: remove {_undo(options, folder)}.")


def _undo(options: Namespace, folder: Path) -> str:
    rest = options.rest / options.pack if options.rest else None
    return f"{folder} and {rest}" if rest and rest.exists() else f"{folder}"


def _answer(made: Draft, options: Namespace, folder: Path, files: dict[str, str], rest: dict[Split, int] | None) -> object:
    """What --json gives."""
    from pipelines.importers.labelled import printable

    return {
        "folder": str(folder),
        "files": sorted(files),
        "dry_run": options.dry_run,
        "samples": len(made.samples),
        "usable": len(made.usable),
        "tasks": [
            {"task": b.ask.written, "field": b.field, "renamed": {printable(raw): label for raw, label in b.renamed.items()}, "labels": _counts(made, b)}
            for b in made.bounds
        ],
        "guessed": not made.order.asks,
        "notes": dict(made.seen.notes),
        "n_faults": made.seen.n_faults,
        "faults": [str(fault) for fault in made.seen.faults],
        "rest": rest,
    }


def _counts(made: Draft, bound: Bound) -> dict[str, int]:
    return {label: made.counts[bound.ask.name, label] for label in bound.ask.labels}
