"""Reads what the rules found: dates in ISO form, high ages as numbers; drops what only looks like a name, a date, an organisation or a dose."""

from __future__ import annotations

import re
from dataclasses import replace

from .again import again
from .ages import after_names, number
from .alcohol import is_drunk
from .dates import is_numeric, is_one, iso, of_birth, order
from .edges import within
from .names import place, small, trimmed
from .numbers import is_interval, is_nhs, is_none, led, may_be_phone
from .organisations import is_end, without_others

# what follows an amount that is measured in the patient, not given: "99 mg/dL", "3 mcg/L"
_CONCENTRATION = re.compile(r" ?/ ?(?:[dcµμmn]?[lL]|100 ?m[lL]|mmol|mol|[kK]?cal)\b")
# volumes that leave the body or are found in it
_LOST = re.compile(
    r"(?i)\b(?:uop|urine output|output|residual|drain\w*|loss|ebl|voided|passed|aspirated|removed|yielded|measured|volume|collection|capacity)\b[^.;\n]{0,20}$"
)
_LOST_AFTER = re.compile(
    r"(?i) of (?:\w+ )?(?:blood|pus|urine|fluid|bile|ascites|clots?|csf|effusion|serous|serosanguin\w+|drainage|sputum|haematoma|hematoma|air|straw)\b"
)
_VOLUME = re.compile(r"(?i)ml|cc")
_LOOK_BACK = 40


def refine(text, findings):
    """The findings without the rules' wrong ones, dates and ages with their normal forms."""
    findings = [_relabelled(text, f) for f in findings]
    first = order(text[f.start : f.end] for f in findings if f.task == "identity" and f.label == "DATE")
    refined = (_identity(text, f, first) if f.task == "identity" else _dose(text, f) if f.task == "doses" else f for f in findings)
    kept = [f for f in refined if f is not None]
    ruled = {}
    for f in sorted((f for f in kept if f.task == "identity" and f.source == "rule"), key=lambda f: f.start):
        ruled.setdefault(f.label, []).append((f.start, f.end))
    made = [part for f in kept for part in (within(text, f, ruled.get(f.label, ())) if f.task == "identity" and f.source != "rule" else (f,))]
    further = list(again(text, made))
    identity = [f for f in made if f.task == "identity"]
    names = [(f.end, f.score) for f in identity if f.label == "NAME"] + [(f["end"], f["score"]) for f in further if f["label"] == "NAME"]
    return [*made, *further, *after_names(text, names, {f.start for f in identity if f.label == "AGE_OVER_89"})]


def _relabelled(text, finding):
    """The finding; a number in place of a date where words lead to one: of two rules that found the same range that of dates is kept."""
    if finding.task != "identity" or finding.label != "DATE" or finding.source != "rule":
        return finding
    lead = led(text, finding.start, finding.end) if is_numeric(text[finding.start : finding.end]) else None
    if lead is None:
        return finding
    label, is_sure = lead
    return replace(finding, label=label) if is_sure or not is_one(text, finding.start, finding.end, None) else finding


def _identity(text, finding, first):
    """The finding read; None where a rule took for an identifier what is none. What the student says is left as it is."""
    written = text[finding.start : finding.end]
    if finding.label == "DATE":
        value = of_birth(text, finding.start, finding.end, iso(written, first))
        if finding.source == "rule" and not is_one(text, finding.start, finding.end, value):
            return None
        return replace(finding, value=value)
    if finding.label == "AGE_OVER_89":
        return replace(finding, number=number(written))
    if finding.source != "rule":
        return finding
    return _RULED[finding.label](text, finding) if finding.label in _RULED else finding


def _name(text, finding):
    """A name; an organisation where a word of one ends it, as after "To:"."""
    if text[finding.start : finding.end].islower():
        return _ranged(finding, small(text, finding.start, finding.end))
    if is_end(text[finding.start : finding.end]):
        return _organisation(text, replace(finding, label="ORGANISATION"))
    return _ranged(finding, trimmed(text, finding.start, finding.end))


def _organisation(text, finding):
    return _ranged(finding, without_others(text, finding.start, finding.end))


def _location(text, finding):
    """A place; an organisation where a word of one ends it, as after "treated at"."""
    if is_end(text[finding.start : finding.end]):
        return _organisation(text, replace(finding, label="ORGANISATION"))
    return _ranged(finding, place(text, finding.start, finding.end))


def _phone(text, finding):
    """A telephone number; an NHS number, which looks like one of America, where its check digit is right and spaces part it."""
    written = text[finding.start : finding.end]
    if is_nhs(written):
        return replace(finding, label="ID")
    return finding if may_be_phone(written) and not is_interval(text, finding.start, finding.end) else None


def _number(text, finding):
    return None if is_none(text, finding.start, finding.end) else finding


def _ranged(finding, found):
    return None if found is None else replace(finding, start=found[0], end=found[1])


def _dose(text, finding):
    """None where the amount goes on as a concentration, is a volume that nobody gave, or is what somebody drinks."""
    if is_drunk(text, finding.start, finding.end, finding.label):
        return None
    if finding.label != "DOSE":
        return finding
    if _CONCENTRATION.match(text, finding.end):
        return None
    is_volume = _VOLUME.search(text, finding.start, finding.end) is not None
    before = text[max(0, finding.start - _LOOK_BACK) : finding.start]
    return None if is_volume and (_LOST.search(before) or _LOST_AFTER.match(text, finding.end)) else finding


_RULED = {"NAME": _name, "ORGANISATION": _organisation, "LOCATION": _location, "PHONE": _phone, "ID": _number, "RECORD_NUMBER": _number}
