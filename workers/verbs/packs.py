"""Lists the packs found: folders under suites/, [packs] folders, and pip packages. No code of a pack runs.

example: python manage.py packs --json
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.discover import discover
from workers.settings import Settings


def add_arguments(parser: ArgumentParser) -> None:
    pass


def run(options: Namespace, settings: Settings) -> object:
    packs, broken = discover(settings.pack_folders)
    rows = [
        {
            "pack": pack.name,
            "version": pack.manifest.version,
            "origin": pack.origin,
            "title": pack.manifest.title,
            "tasks": [t.model_dump(mode="json") for t in pack.manifest.task],
        }
        for pack in packs.values()
    ]
    bad = [{"pack": b.name, "origin": b.origin, "folder": str(b.folder), "reason": b.reason} for b in broken]
    if not options.json:
        for pack in packs.values():
            print(f"{pack.name} {pack.manifest.version} ({pack.origin}): {pack.manifest.title}")
            for task in pack.manifest.task:
                scope = task.kind if task.kind == "spans" else f"{task.kind} per {task.scope}"
                print(f"  {task.name:<16} {scope:<20} {', '.join(task.labels)}")
        for b in broken:
            print(f"{b.name} BROKEN ({b.origin}): {b.reason}")
    return {"packs": rows, "broken": bad}
