"""Identifiers that stand elsewhere in the same text: who was named once is hidden wherever the name stands, and so is a number."""

from __future__ import annotations

import re

from .lists import words
from .names import is_of_disease, parts

TASK = "identity"
# shorter words and numbers are too often something else
NAME_CHARS, N_DIGITS = 3, 5
# what a student says of a name with less certainty is believed of that place alone
LIKELY = 0.5
# so many numbers are looked for again
MOST = 50
_NUMBERS = frozenset(("ID", "RECORD_NUMBER", "PHONE"))
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


def again(text, findings):
    """The further places of names and numbers that were found, where nothing else was found."""
    identity = [f for f in findings if f.task == TASK]
    believed = [f for f in identity if f.source == "rule" or f.score >= LIKELY]
    names, numbers = _names(text, believed), _numbers(text, believed)
    if not names and not numbers:
        return
    taken = bytearray(len(text))
    for f in identity:
        taken[f.start : f.end] = b"\1" * (f.end - f.start)
    for start, end, first in (*_named(text, names), *_numbered(text, numbers)):
        if 1 not in taken[start:end]:
            taken[start:end] = b"\1" * (end - start)
            yield {"task": TASK, "label": first.label, "start": start, "end": end, "score": first.score}


def _names(text, findings):
    """The words of names, as they are written and in capitals, each with its finding; words that the text has in small letters too are ordinary."""
    found = {}
    for f in findings:
        if f.label == "NAME":
            for _, _, written in parts(text, f.start, f.end):
                word = written.strip(".,'’-")
                if len(word) >= NAME_CHARS and word[:1].isupper() and not any(word.lower() in words(name) for name in ("leading", "eponyms", "titles")):
                    for form in (word, word.upper(), word.capitalize()):
                        found.setdefault(form, f)
    ordinary = {word for word in _WORD.findall(text) if word.islower()} if found else set()
    return {word: f for word, f in found.items() if word.lower() not in ordinary}


def _named(text, names):
    for word in _WORD.finditer(text) if names else ():
        written = word.group()
        bare = written[:-2] if written[-2:].lower() in ("'s", "’s") else written
        if bare in names and not is_of_disease(text, word.start() + len(bare)):
            yield word.start(), word.start() + len(bare), names[bare]


def _numbers(text, findings):
    """The numbers, as a whole and as they are written, each with its finding."""
    found = {}
    for f in findings:
        written = text[f.start : f.end]
        if f.label in _NUMBERS and sum(c.isdigit() for c in written) >= N_DIGITS and len(found) < MOST:
            found.setdefault(written, f)
    return found


def _numbered(text, numbers):
    for written, first in numbers.items():
        start = text.find(written)
        while start >= 0:
            end = start + len(written)
            if not text[max(0, start - 1) : start].isalnum() and not text[end : end + 1].isalnum():
                yield start, end, first
            start = text.find(written, end)
