"""Reads a text as the finance pack does: its rules, then its hooks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pipelines.rules import Rules
from suites.discover import Pack, find_pack
from suites.hooks import Hooks, load_hooks
from suites.types import Finding


@cache
def pack() -> Pack:
    return find_pack("finance")


@cache
def rules() -> Rules:
    return Rules(pack().folder, pack().manifest.language)


@cache
def hooks() -> Hooks:
    return load_hooks(pack())


def read(text: str, answers: Sequence[Finding] = (), *, task: str | None = None) -> list[Finding]:
    """The findings of a text, of one task where it is named; `answers` are those of the student."""
    found = hooks().refine(text, [*rules().read(text).findings, *answers])
    return sorted((f for f in found if task in (None, f.task)), key=lambda f: (f.start, f.end, f.label))


def sentences(text: str, label: str, score: float = 0.95) -> list[Finding]:
    """All sentences of a text, answered by the student with one label."""
    return [Finding("ask", label, score, start, end) for start, end in rules().read(text).sentences]
