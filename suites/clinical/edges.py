"""Where a student's identifier ends: with its line, before the word for the next field, and where a rule has found the same kind exactly."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace

from .lists import words

# an address or place goes on over lines
_ON = frozenset(("ADDRESS", "LOCATION", "ORGANISATION"))
_LINES = re.compile(r"[^\n\f]+")
_WORD = re.compile(r"[^\W_]+")
_DIGITS = frozenset(("DATE", "PHONE", "RECORD_NUMBER", "ID", "AGE_OVER_89"))
_SAYS = re.compile(r"[^\W\d_]{2}|\d{3}")
_COLON = re.compile(r"[ \t]*[:#]")


def within(text, finding, ruled):
    """The parts of a student's finding that are identifiers; `ruled` are the rules' ranges of its label, in order."""
    if finding.label in _ON:
        yield finding
        return
    for line in _LINES.finditer(text, finding.start, finding.end):
        for start, end in _apart(line.start(), line.end(), ruled):
            is_part = (start, end) != line.span()
            found = _trimmed(text, start, end, finding.label)
            if found and (not is_part or _SAYS.search(text, *found)):
                whole = found == (finding.start, finding.end)
                yield finding if whole else replace(finding, start=found[0], end=found[1], value=None, number=None, unit=None)


def _apart(start, end, ruled):
    """[start, end) without the ranges in which rules found the same."""
    for n in range(max(0, bisect_left(ruled, (start,)) - 1), len(ruled)):
        first, last = ruled[n]
        if first >= end:
            break
        if start < first:
            yield start, first
        start = max(start, last)
    if start < end:
        yield start, end


def _trimmed(text, start, end, label):
    """The range without words for fields at its ends; None where nothing is left."""
    found = list(_WORD.finditer(text, start, end))
    said = [n for n, word in enumerate(found) if word.group().lower() not in words("fields")]
    if not said:
        return None
    if label in _DIGITS and said[0]:
        start = found[said[0] - 1].end()
    if _COLON.match(text, end) and said[-1] < len(found) - 1:
        end = found[said[-1]].end()
    while not text[start].isalnum() and text[start] not in "(+<@":
        start += 1
    return start, end
