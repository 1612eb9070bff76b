"""Lets people look at what the student is unsure of, and makes gold of what they decide.

A finding whose errors are expected to cost more than a look (the pack's [task.cost]) waits in a queue, the dearest first. `next` shows it in its
text, and one key decides: accept, correct, reject. What is decided becomes gold examples: `export` writes them, `finetune PACK --with-reviews`
learns from them. docs/reviews.md has the rules.

example: python manage.py review list finance
         python manage.py review next finance --reviewer anna
         python manage.py review progress finance
         python manage.py review export finance gold.jsonl
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suites.discover import Pack, find_pack
from workers.arguments import CHECK_SURE, add_common, add_held_back, positive, share
from workers.settings import Settings
from workers.show import n_of, table, words
from workers.verbs import Part

if TYPE_CHECKING:
    from suites.types import Example
    from workers.reviews import FindingKey, Progress
    from workers.reviews.terminal import Done
    from workers.store import Store

LIST = """Lists what waits for a reviewer, the dearest first, without text.

`cost` is what it is expected to cost to leave the finding unseen: the chance that it is wrong times what such an error costs by the pack.

example: python manage.py review list finance --task verdict --limit 50
"""
NEXT = """Shows what waits, one finding after the other in its text, and stores what you decide.

    a  accept: it is right            c  correct: then the number of the right label
    r  reject: it is wrong            s  skip: not now
    u  undo: take the last one back   q  quit; what was decided is stored

It takes the right to read texts, and of sealed ones the master key; each text that is opened is in the audit. Keys may come from a pipe.
One in ten places goes to a finding that the student is sure of, drawn by chance (--check-sure): what it is wrongly sure of no queue of doubts shows.
--second shows what exactly one other reviewer has judged, without what they said: `progress` then tells how far you agree. --disputed shows
what others judged differently; where three have judged, two decide.

example: python manage.py review next finance --reviewer anna --limit 50
         python manage.py review next finance --reviewer bela --second
         python manage.py review next finance --reviewer carl --disputed
"""
PROGRESS = """Shows how much waits and was judged, by task and reviewer, and how far reviewers agree beyond chance.

The last is Cohen's kappa of each two reviewers on what both judged, with the interval that holds it at 95 %. `sure_wrong` of `sure_judged` findings
that the student was sure of are wrong.

example: python manage.py review progress finance
"""
EXPORT = """Writes the reviewed documents as gold examples, in the form of a pack's samples.jsonl: FILE.train.jsonl and FILE.test.jsonl.

The second holds those that are held back: `finetune --with-reviews` never learns from them. Which these are follows from a document's text alone,
so another export takes the same; keep to one share. Ids are made so that both files may be appended to samples.jsonl, where the split stays.
The files hold texts: they are this user's alone.

example: python manage.py review export finance gold.jsonl
         python manage.py review export finance gold.jsonl --held-back 0.3
"""


def add_arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="list | next | progress | export", required=True)

    def verb(name: str, teaches: str) -> ArgumentParser:
        made = verbs.add_parser(name, description=teaches, help=teaches.partition("\n")[0], formatter_class=RawDescriptionHelpFormatter)
        add_common(made, again=True)
        made.add_argument("pack")
        return made

    listing = verb("list", LIST)
    listing.add_argument("--reviewer", metavar="NAME", help="leave out what this reviewer has judged")
    asking = verb("next", NEXT)
    asking.add_argument("--reviewer", metavar="NAME", required=True, help="who looks")
    asking.add_argument("--check-sure", type=share, default=CHECK_SURE, metavar="SHARE", help=f"share of sure findings (default {CHECK_SURE}; 0: none)")
    kinds = asking.add_mutually_exclusive_group()
    kinds.add_argument("--second", action="store_true", help="what exactly one other reviewer has judged")
    kinds.add_argument("--disputed", action="store_true", help="what others judged differently")
    for made in (listing, asking):
        made.add_argument("--task", metavar="NAME", help="of this task alone")
    listing.add_argument("--limit", type=positive, default=20, help="findings at most (default 20)")
    asking.add_argument("--limit", type=positive, help="end after so many decisions (default: when nothing waits)")
    verb("progress", PROGRESS)
    exporting = verb("export", EXPORT)
    exporting.add_argument("file", type=Path)
    add_held_back(exporting)


def run(options: Namespace, settings: Settings) -> object:
    pack = find_pack(options.pack, settings.pack_folders)
    with _migrated(settings) as store:
        return {"list": _list, "next": _next, "progress": _progress, "export": _export}[options.what](options, settings, pack, store)


@contextmanager
def _migrated(settings: Settings) -> Iterator[Store]:
    from workers.migrate import require_newest
    from workers.store import Store

    store = Store(settings.store_url)
    try:
        require_newest(store)
        yield store
    finally:
        store.close()


def _list(options: Namespace, settings: Settings, pack: Pack, store: Store) -> object:
    from workers.reviews import primary, queue

    with store.reading() as connection:
        student_id = primary(connection, pack)
        found = queue(connection, pack, student_id, reviewer=options.reviewer or "", task=options.task, limit=options.limit + 1)
    more, shown = len(found) > options.limit, found[: options.limit]
    rows = [_flat(one.key) | {k: v for k, v in asdict(one).items() if k != "key"} for one in shown]
    if not options.json:
        names = ("document", "task", "label", "score", "start", "end", "source", "cost", "reason")
        table([{name: row[name] for name in names} for row in rows])
    if more:
        words(f"(the dearest {options.limit}; --limit shows more)")
    return Part(rows, more)


def _flat(key: FindingKey) -> dict[str, Any]:
    return key._asdict()


def _next(options: Namespace, settings: Settings, pack: Pack, store: Store) -> object:
    from workers.keys import Keys
    from workers.reviews import primary
    from workers.reviews.keyboard import keyboard
    from workers.reviews.sitting import Sitting, Wanted
    from workers.reviews.terminal import Terminal

    asked = {name: getattr(options, name) for name in ("reviewer", "task", "second", "disputed", "check_sure")}
    with store.reading() as connection:
        student_id = primary(connection, pack)
    with keyboard() as read_key:
        sitting = Sitting(store, pack, student_id, Keys.of(settings), Wanted(**asked))
        show, mark = _silent if options.json else print, _marked if sys.stdout.isatty() else _bracketed
        done = Terminal(sitting, pack, read_key, show, mark).run(options.limit)
    _tell(done, pack)
    return {
        "student": student_id,
        "reviewer": options.reviewer,
        "n_decided": done.verdicts.total(),
        "verdicts": dict(done.verdicts),
        "n_skipped": done.n_skipped,
    }


def _silent(line: str) -> None:
    """--json: stdout holds one object, and texts belong nowhere else."""


def _marked(found: str) -> str:
    return f"\x1b[7m{found}\x1b[0m"


def _bracketed(found: str) -> str:
    return f"[[{found}]]"


def _told(done: Done) -> dict[str, object]:
    return {"n_decided": done.verdicts.total(), "verdicts": dict(done.verdicts), "n_skipped": done.n_skipped}


def _tell(done: Done, pack: Pack) -> None:
    said = ", ".join(f"{n} {verdict}" for verdict, n in sorted(done.verdicts.items()))
    words(f"{n_of(done.verdicts.total(), 'finding')} decided{f' ({said})' if said else ''}, {done.n_skipped} passed over.")
    words(f"How far it has come: python manage.py review progress {pack.name}")


def _progress(options: Namespace, settings: Settings, pack: Pack, store: Store) -> object:
    from workers.reviews import primary, progress

    with store.reading() as connection:
        found = progress(connection, pack, primary(connection, pack))
    if not options.json:
        table([asdict(row) for row in found.tasks], title=found.student_id)
        if found.reviewers:
            table([{"reviewer": row.reviewer, "task": row.task, **row.verdicts} for row in found.reviewers], title="reviewers")
        if found.agreements:
            table(list(_agreements(found)), title="agreement of two")
    if found.disputed:
        words(f"{n_of(len(found.disputed), 'finding')} disputed: python manage.py review next {pack.name} --reviewer NAME --disputed")
    return asdict(found) | {"disputed": [_flat(key) for key in found.disputed]}


def _agreements(found: Progress) -> Iterator[dict[str, object]]:
    for pair in found.agreements:
        both = pair.agreement
        kappa = "undefined: one class only" if both.kappa is None else f"{both.kappa:.2f} ({both.low:.2f} to {both.high:.2f})"
        yield {"task": pair.task, "a": pair.a, "b": pair.b, "n": both.n, "agreed": f"{100 * both.agreed:.0f} %", "kappa (95 %)": kappa}


def _export(options: Namespace, settings: Settings, pack: Pack, store: Store) -> object:
    from workers.audit import record_alone
    from workers.export.draft import drafted
    from workers.keys import Keys
    from workers.reviews import reviewed_examples

    record_alone(store, "export", f"pack {pack.name}", {"what": "reviews", "file": options.file.name[:200]})
    reviewed = reviewed_examples(store, pack, Keys.of(settings), options.held_back)
    told: dict[str, object] = {}
    for part, examples in (("train", reviewed.train), ("test", reviewed.held_back)):
        file = options.file.with_name(f"{options.file.name.removesuffix('.jsonl')}.{part}.jsonl")
        with drafted(file) as draft:
            _write(draft, examples)
        words(f"{n_of(len(examples), 'document')} in {file}")
        told |= {part: str(file), f"n_{part}": len(examples)}
    if reviewed.n_unopened:
        words(f"{n_of(reviewed.n_unopened, 'document')} left out: the keys that seal their texts were destroyed, or the texts changed.")
    return told | {"n_unopened": reviewed.n_unopened}


def _write(draft: Path, examples: Iterable[Example]) -> None:
    from workers.reviews import row_of

    with draft.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row_of(example), ensure_ascii=False) + "\n" for example in examples)
