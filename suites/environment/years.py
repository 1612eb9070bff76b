"""Years and reporting periods as they are written: `2023`, `FY2023`, `FY23`, `2022/23`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

# a span of two years is a financial year; its second year may be short
_SPLIT = r"(?:19|20)\d\d\s?[/–-]\s?(?:(?:19|20)\d\d|\d\d)"
_YEAR = r"(?:19|20)\d\d"
# a space that was lost on the way is no word's end: `by2030compared to 2015levels`
_BEGIN = r"(?:(?<![\w.,$€£/–-])|(?<=\bby)|(?<=\bin)|(?<=\bto)|(?<=\bfrom)|(?<=\bthan))"
WRITTEN = rf"{_BEGIN}(?:(?:FY|CY|fy)\s?['’]?(?:{_SPLIT}|{_YEAR}|\d\d)|{_SPLIT}|{_YEAR})(?!(?![a-z]{{4}})[\w%]|[.,]\d|[/–-]\d)"
_FOUND = re.compile(WRITTEN)
FIRST_GOAL = 2025  # targets are set for every fifth year from here on
# a part of a year is no year
_PART = re.compile(r"\b(?:Q[1-4]|H[12]|[1-4]Q|first|second|third|fourth|quarter|half|months|YTD|January|February|March|April|May|June|July|August)\b")


@dataclass(frozen=True, slots=True)
class Year:
    """A year with its place; `name` is four digits, or `2022/23`."""

    start: int
    end: int
    name: str

    @property
    def number(self) -> int:
        """The year in which the period ends."""
        first, _, last = self.name.partition("/")
        return int(first) + 1 if last else int(first)


def find_years(text: str, start: int = 0, end: int | None = None) -> list[Year]:
    """The years of a range, in order."""
    return [Year(m.start(), m.end(), name) for m in _FOUND.finditer(text, start, len(text) if end is None else end) if (name := _name(m.group()))]


def ahead(years: Collection[int]) -> set[int]:
    """The years of a header that lie ahead: beyond a gap, three years or more after consecutive ones, or such as targets are set for (2025, 2030)."""
    found: set[int] = set()
    run = 1
    for before, year in pairwise(sorted(years)):
        gap = year - before
        if found or (gap > 1 and ((year >= FIRST_GOAL and year % 5 == 0) or (run > 1 and gap >= 3))):
            found.add(year)
        run = run + 1 if gap == 1 else 1
    return found


def is_part(text: str) -> bool:
    """Whether a column's header speaks of a part of a year."""
    return _PART.search(text) is not None


def _name(written: str) -> str | None:
    digits = re.findall(r"\d+", written)
    first = digits[0] if len(digits[0]) == 4 else f"20{digits[0]}"
    if len(digits) == 1:
        return first
    # a span of more than one year is no period of a report
    return f"{first}/{digits[1][-2:]}" if int(digits[1][-2:]) == (int(first) + 1) % 100 else None
