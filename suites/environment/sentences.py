"""Sentences of running text, with what a reader of figures looks for in them: quantities, years, and who is spoken of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .numerals import Convention, convention_of
from .quantities import Found, find_quantities
from .tables import Line
from .years import Year, find_years

MAX_CHARS = 3_000  # what goes on longer without a full stop is no sentence, and is read in pieces
# a full stop after these is no sentence's end
_END = re.compile(r"(?<!\bvs\.)(?<!\bapprox\.)(?<!\bca\.)(?<!\bcf\.)(?<!\bNo\.)(?<=[^\s.][.!?;])[\"”’)]?\s+(?=[A-Z0-9\"“‘(–•-])")
# whoever is not the reporter, or is one part of it alone
_NOT_OWN = re.compile(
    r"(?i)\b(?:suppliers?|customers?|clients?|sector|industry|households?|neighbou?r\w*|depots?|sites?|plants?|terminals?|works|mills?|factory|factories|installations?"
    r"|boilers?|competitors?|peers?|typical|countr(?:y|ies)|national|worldwide|portfolio|route|refinery|smelters?|vehicle class"
    r"|subsidiary|(?<!and its )(?<!and our )subsidiaries|affiliates?|joint ventures?|divisions?|segments?|business units?|investees?)\b"
)
_ABOUT_IT = re.compile(r"(?:Its|Their|It|They|There)\b")


@dataclass(frozen=True)
class Sentence:
    """A range of the text; `before` is the sentence before it in the paragraph."""

    text: str
    start: int
    end: int
    convention: Convention
    before: Sentence | None = None

    @property
    def words(self) -> str:
        return self.text[self.start : self.end]

    @cached_property
    def quantities(self) -> Sequence[Found]:
        return tuple(find_quantities(self.text, self.start, self.end, self.convention))

    @cached_property
    def years(self) -> Sequence[Year]:
        """Its years that are no part of a quantity."""
        taken = [(f.start, f.end) for f in self.quantities]
        return tuple(y for y in find_years(self.text, self.start, self.end) if not any(a <= y.start < b for a, b in taken))

    @cached_property
    def masked(self) -> str:
        """Its words with one letter for what is counted, repeated to the length it has: q for quantities, y for years."""
        letters = list(self.words)
        for item in self.quantities:
            letters[item.start - self.start : item.end - self.start] = "ɋ" * (item.end - item.start)
        for year in self.years:
            letters[year.start - self.start : year.end - self.start] = "ɏ" * (year.end - year.start)
        return "".join(letters)

    def between(self, start: int, end: int) -> str:
        """The masked words of a range, each masked item as one letter, spaces as one space."""
        return _MANY.sub(lambda m: m.group()[0] if m.group()[0] in "ɋɏ" else " ", self.masked[start - self.start : end - self.start])

    def is_of_others(self, start: int, end: int) -> bool:
        """Whether a range speaks of others than the reporter, or the sentence goes on about such."""
        if _NOT_OWN.search(self.words[max(0, start - self.start) : end - self.start]):
            return True
        return bool(_ABOUT_IT.match(self.words) and self.before and _NOT_OWN.search(self.before.words))


_MANY = re.compile(r"ɋ+|ɏ+|[ \u00a0\u202f]+")


def is_alone(lines: Sequence[Line], number: int) -> bool:
    """Whether no line with cells stands above or below one."""
    return not any(line.is_row for line in (*lines[max(0, number - 1) : number], *lines[number + 1 : number + 2]))


def sentences_of(text: str, lines: Sequence[Line], convention: Convention) -> Iterator[Sentence]:
    """The sentences of the lines that are no rows of a table; a line with cells that stands alone is a list."""
    for number, line in enumerate(lines):
        if line.is_row and not is_alone(lines, number):
            continue
        before, at = None, line.start
        own = convention if convention != "mixed" else convention_of(line.text) or convention
        for end in [*(m.end() for m in _END.finditer(text, line.start, line.end)), line.end]:
            for start in range(at, end, MAX_CHARS):
                before = Sentence(text, start, min(end, start + MAX_CHARS), own, before)
                yield before
            at = end
