"""Ages in figures and words."""

from __future__ import annotations

import re

_UNITS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_TENS = {"ninety": 90, "hundred": 100}
_MOST_DIGITS = 3
# right after a name: "Ashdown is 95.", "Betty, 98; lives alone"
_AFTER_NAME = re.compile(r"(?:,? (?:is|was|turned|turns)(?: now)?|,) (9\d|1[01]\d)(?=[.!?](?:\s|$)|[,;)]|\s(?:and|but|who|years?|yrs?)\b|$)")


def after_names(text, names, known):
    """High ages that stand right after names, of which `names` has ends and scores; none that begins in `known`."""
    for end, score in names:
        found = _AFTER_NAME.match(text, end)
        if found and found.start(1) not in known:
            yield {"task": "identity", "label": "AGE_OVER_89", "start": found.start(1), "end": found.end(1), "number": number(found[1]), "score": score}


def number(written):
    """The age as a number; None of "in her nineties" and the like."""
    if written.isdecimal():
        return float(written) if len(written) <= _MOST_DIGITS else None
    words = re.findall(r"[a-z]+", written.lower())
    tens = next((_TENS[word] for word in words if word in _TENS), None)
    if tens is None:
        return None
    unit = _UNITS.get(words[-1], 0)
    return float(tens + unit)
