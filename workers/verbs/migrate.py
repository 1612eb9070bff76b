"""Brings the store to the newest schema and makes the views of every pack. Safe to repeat.

example: python manage.py migrate
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.discover import discover
from workers.settings import Settings
from workers.show import words


def add_arguments(parser: ArgumentParser) -> None:
    pass


def run(options: Namespace, settings: Settings) -> object:
    from workers.migrate import migrate
    from workers.store import Store

    store = Store(settings.store_url)
    packs, _ = discover(settings.pack_folders)
    before, after = migrate(store, packs.values())
    words(f"{store.url}: schema {before or 'none'} -> {after}; views for {', '.join(packs)}.")
    store.close()
    return {"before": before, "after": after, "packs": list(packs)}
