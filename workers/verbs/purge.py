"""Erases documents for good: texts, findings, readings, failures, what waits, and a job's key. What was erased is not taken in again.

Of what is to be erased one is named: a job, a document, or an age since receipt (default: [privacy] keep_days), of one pack or
all. A certificate is printed and stored. Repeat a purge that was interrupted: it goes on.

example: python manage.py purge --job 3 --dry-run
         python manage.py purge --document P-1042 --pack clinical
         python manage.py purge --older-than 90d --yes
         python manage.py purge --certificates
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from suites.errors import UsageError
from workers.settings import Settings
from workers.show import progress_bar, table, words

if TYPE_CHECKING:
    from workers.purge import Scope
    from workers.store import Store

KEEP_DAYS = -1


def days(text: str) -> int:
    """An age like 90d."""
    number = text.removesuffix("d")
    if not number.isdecimal() or not 1 <= int(number) <= 100_000:
        raise ArgumentTypeError(f"{text!r} is no age. Expected whole days, like 90d")
    return int(number)


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--job", help="number or name of a job: what it brought and what it read")
    what.add_argument("--document", metavar="ID", help="id of a document as submitted, whatever it holds; needs --pack")
    what.add_argument("--older-than", type=days, nargs="?", const=KEEP_DAYS, metavar="AGE", help="what was received longer ago, like 90d ([privacy] keep_days)")
    what.add_argument("--certificates", action="store_true", help="list what was erased so far")
    parser.add_argument("--pack", help="documents of this pack alone")
    parser.add_argument("--dry-run", action="store_true", help="count what would be erased, and erase nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--no-vacuum", action="store_true", help="SQLite: do not rebuild the file, which takes as much memory as it is large")


def run(options: Namespace, settings: Settings) -> object:
    from workers.keys import Keys
    from workers.migrate import require_newest
    from workers.purge import begun, certificates, count, purge
    from workers.store import Store

    store = Store(settings.store_url)
    require_newest(store)
    if options.certificates:
        with store.reading() as connection:
            found = certificates(connection)
        if not options.json:
            table([_row(made) for made in found])
        return found
    scope, keys = _scope(options, settings, store), Keys.of(settings)
    with store.begin() as connection:
        counted = count(connection, scope)
        goes_on = begun(connection, keys, scope)
    words("To be erased: " + ", ".join(f"{n:,} {name}" for name, n in counted.items()))
    if options.dry_run:
        return {"erased": {}, "found": counted}
    if not counted["documents"] and not goes_on and scope.job_id is None:
        if options.document is not None:
            raise UsageError(f"No document of pack {options.pack!r} has this id: nothing was erased. Ids are those that were submitted.", "no_document")
        words("Nothing to erase.")
        return {"erased": {}, "found": counted}
    _ask(options, counted["documents"])
    with progress_bar(quiet=options.json) as on_progress:
        made = purge(store, keys, scope, vacuum=not options.no_vacuum, on_progress=on_progress)
    store.close()
    if not options.json:
        table([_row(made)])
    for place in made["remains"]:
        words(f"  may remain in {place}")
    return made


def _scope(options: Namespace, settings: Settings, store: Store) -> Scope:
    from suites.discover import find_pack
    from workers.follow import find_job
    from workers.purge import Scope

    if options.job is not None:
        if options.pack:
            raise UsageError("--job and --pack: a job is of one pack. Leave --pack out.")
        with store.reading() as connection:
            return Scope(job_id=find_job(connection, options.job))
    if options.document is not None:
        if not options.pack:
            raise UsageError("--document needs --pack: ids of several packs may be the same. Add --pack PACK.")
        return Scope(pack=find_pack(options.pack, settings.pack_folders).name, key=options.document)
    age = settings.privacy.keep_days if options.older_than == KEEP_DAYS else options.older_than
    if not age:
        raise UsageError("--older-than has no age, and [privacy] keep_days is 0: documents are kept for ever. Give an age, like --older-than 90d.")
    return Scope(pack=find_pack(options.pack, settings.pack_folders).name if options.pack else None, days=age)


def _ask(options: Namespace, n_documents: int) -> None:
    """Asks before anything is erased. Raises UsageError unless the answer is yes."""
    if options.yes:
        return
    if options.json or not sys.stdin.isatty():
        raise UsageError("Erasing cannot be undone, and there is nobody to ask. Add --yes; --dry-run counts only.")
    print(f"Erase {n_documents:,} documents for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("Nothing was erased.", "refused")


def _row(made: dict[str, Any]) -> dict[str, object]:
    """A certificate as one row."""
    scope = " ".join(f"{name} {value}" for name, value in made["scope"].items() if value is not None)
    erased = {name: made["erased"].get(name, 0) for name in ("documents", "findings")}
    return (
        {name: made[name] for name in ("certificate", "finished")}
        | {"scope": scope}
        | erased
        | {
            "keys": len(made["keys_destroyed"]),
            "sha256": made["sha256"],
            "intact": made["intact"],
        }
    )
