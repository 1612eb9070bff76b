"""The lists of words.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


@cache
def words(name):
    """A list of words as a set."""
    return frozenset(_all()[name].split())


@cache
def _all():
    return tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
