"""How long work reports itself: one call per step, shown as a bar by whoever asked for the work."""

from __future__ import annotations

from collections.abc import Callable

# (what is being done, steps done, steps in all)
OnProgress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Shows nothing."""
