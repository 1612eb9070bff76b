"""Where a student's identifier ends: with its line, before the word for the next field, and where a rule has found the same kind exactly."""

from __future__ import annotations

import re
from dataclasses import replace

# an address or place goes on over lines
_ON = frozenset(("ADDRESS", "LOCATION", "ORGANISATION"))
_LINES = re.compile(r"[^\n\f]+")
# words beside identifiers that are none themselves
_FIELD = (
    r"(?i:mrn|dob|d\.o\.b\.?|nhs|ni|ssn|no\.?|number|num|nr|age|aged|sex|gender|tel|telephone|phone|mobile|fax|address|id|date|patient|name|gp|email|passport|plate|"
    r"record|ref|hospital|unit|account|policy|licen[cs]e|born|seen|on|at|for|of|the|and|to|from|in|is|was|by)"
)
_FIRST = re.compile(rf"[\W_]*{_FIELD}(?![\w'’])[\W_]*")
_LAST = re.compile(rf"[\W_]+{_FIELD}[\W_]*\Z")
_FIELD_ALONE = re.compile(rf"[\W_]*(?:{_FIELD}[\W_]*)*")
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
    for first, last in ruled:
        if last <= start or first >= end:
            continue
        if start < first:
            yield start, first
        start = last
    if start < end:
        yield start, end


def _trimmed(text, start, end, label):
    """The range without words for fields at its ends; None where nothing is left."""
    if label in _DIGITS:
        while (found := _FIRST.match(text, start, end)) and found.end() > start:
            start = found.end()
    if _COLON.match(text, end) and (found := _LAST.search(text[start:end])):
        end = start + found.start()
    while start < end and not text[start].isalnum() and text[start] not in "(+<@":
        start += 1
    if start >= end or _FIELD_ALONE.fullmatch(text, start, end):
        return None
    return start, end
