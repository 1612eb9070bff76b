"""Checks what the suite needs on this machine and says what to do where something is missing.

example: python manage.py doctor
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from suites.errors import RunError
from workers.settings import Settings
from workers.show import words


def add_arguments(parser: ArgumentParser) -> None:
    pass


def run(options: Namespace, settings: Settings) -> object:
    from workers.doctor import examine

    found = examine(settings)
    for check in found:
        words(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.words}")
    data = [{"name": c.name, "ok": c.ok, "words": c.words} for c in found]
    if bad := [check.name for check in found if not check.ok]:
        raise RunError(f"Not well: {', '.join(bad)}. The lines marked BAD say what to do.", "doctor", data)
    return data
