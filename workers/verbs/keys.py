"""Makes and changes the master key of a store that seals its documents ([privacy] encrypt).

Keep the key's file apart from the store and its backups: who has both can read the documents, and without it nobody can.
After `rotate` name the new file in [privacy] key_file (or STILLHOUSE_PRIVACY__KEY), restart the workers, and destroy the former one:
copies of the store from before, erased documents in them included, are then unreadable.

example: python manage.py keys new master.key
         python manage.py keys list
         python manage.py keys rotate next.key
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.errors import UsageError
from workers.arguments import add_common
from workers.settings import Settings
from workers.show import table, words


def add_arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="new | list | rotate", required=True)
    for name, line in (("new", "make a master key"), ("list", "show which master key wraps how many keys"), ("rotate", "wrap all keys with another one")):
        verb = verbs.add_parser(name, help=line, description=line)
        add_common(verb, again=True)
        if name != "list":
            verb.add_argument("file", type=Path, nargs="?" if name == "new" else None, help="the key's file" + " ([privacy] key_file)" * (name == "new"))


def run(options: Namespace, settings: Settings) -> object:
    return {"new": _new, "list": _list, "rotate": _rotate}[options.what](options, settings)


def _new(options: Namespace, settings: Settings) -> object:
    from workers.keys import write_key

    file = options.file or settings.key_file
    if file is None:
        raise UsageError("No file for the key. Name one, or set [privacy] key_file.")
    master = write_key(file)
    words(f"Master key {master.id} lies in {file}. Keep a copy of it apart from the store: without it sealed documents are lost.")
    return {"master_id": master.id, "file": str(file)}


def _list(options: Namespace, settings: Settings) -> object:
    from workers.keys import census, master_of
    from workers.migrate import require_newest
    from workers.store import Store

    store = Store(settings.store_url)
    require_newest(store)
    with store.reading() as connection:
        rows = census(connection)
    store.close()
    master = master_of(settings)
    if not options.json:
        table(rows)
        words(f"By the settings: encrypt = {str(settings.privacy.encrypt).lower()}, master key {master.id if master else 'none'}.")
    return {"master_id": master.id if master else None, "keys": rows}


def _rotate(options: Namespace, settings: Settings) -> object:
    from workers.audit import record
    from workers.keys import Keys, read_key
    from workers.migrate import require_newest
    from workers.store import Store
    from workers.tombstones import exclude

    new = read_key(options.file)
    store = Store(settings.store_url)
    require_newest(store)
    with store.begin() as connection:
        exclude(connection)
        n = Keys.of(settings).rotate(connection, new)
        record(connection, "keys", f"master key {new.id}", {"wraps": n})
    store.close()
    words(f"{n} keys are wrapped by master key {new.id}. Set [privacy] key_file to {options.file}, restart the workers, then destroy the former key.")
    return {"master_id": new.id, "n_keys": n}
