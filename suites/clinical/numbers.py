"""Numbers that tell who somebody is, and those that only look like it."""

from __future__ import annotations

import re

from stdnum.gb import nhs

_PARTED = re.compile(r"\d{3} \d{3} \d{4}")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
# what is published: trials and articles name no patient
_PUBLISHED = re.compile(r"(?i)(?:nct|isrctn|eudract|actrn|pmid|pmcid|pmc|doi|issn|isbn)[\s:.#]{0,3}(?:no\.?\s)?$")
_PUBLISHED_CODE = re.compile(r"(?:NCT|ISRCTN|PMC|ACTRN)\d+")
# a number of a list, dose or measure: a word that leads to numbers may stand before these too
_MEASURE_AFTER = re.compile(
    r"\s?(?:mg|mcg|µg|ml|mL|mm|cm|kg|mmHg|%|units?|years?|yrs?|months?|weeks?|days?|hours?|hrs?|h\b|min|minutes?|times|/10|beats|bpm|degrees|french|Fr\b|gauge|G\b)"
)
_LONGEST_SMALL, _SHORTEST = 3, 4
# in brackets an interval of values that are normal looks like a telephone number of seven digits, but for a ward's or room's
_RANGED_BEFORE = re.compile(r"(?i)(?:\d\d[\d.,]{0,8}\s?(?:\w{1,6}/\w{1,8}|%)?|\b(?:range|normal|reference|ref\.?):?)\s?\($")
_PLACE_BEFORE = re.compile(r"(?i)\b(?:ward|room|rm|bed|bay|floor|level|unit|suite)\s?\d{1,4}\s?\($")
# what leads to a number whose figures may be those of a date
_LED = re.compile(
    r"(?i)\b(?:(?P<record>MRN|MR|CSN|PID|URN?|FIN|RiO|PAS|medical[ -]records?|hosp(?:ital)?\.?(?: record)?|hospice|unit|acct|account|accession|chart|encounter|"
    r"specimen|sample|slide|record|case|visit|job|file|order|lab(?:oratory)?|study|admission|requisition|episode|registration|booking|ref(?:erence)?|patient|pt)|"
    r"(?P<id>ID|NHS|CHI|NHI|NI|SSN|passport|policy|member(?:ship)?|subscriber|group|claim|certificate|licen[cs]e|insurance|medicare|medicaid|serial|lot|"
    r"batch|GMC|NMC|NPI|DEA|badge|employee|staff|national insurance|social security))\b\.?"
    r"(?P<number>[\s-]{0,2}(?:(?:no|nos|number|num|nr|id|code)\b\.?|#))?(?P<sign>[\s:=#]{0,6})$"
)
# after these stands nothing but a number; the others of records need a word for "number", or a sign of one, but for those of references
_NUMBERS = frozenset(("mrn", "csn", "pid", "acct", "account", "accession", "id", "nhs", "chi", "nhi", "ssn"))
_REFERENCES = frozenset(("ref", "reference", "case", "job"))
_LOOK_BACK = 45


def is_nhs(written):
    """Whether it is a number of the National Health Service as it is printed, 3 3 4 digits, with the right check digit."""
    return _PARTED.fullmatch(written) is not None and nhs.is_valid(written)


def may_be_phone(written):
    """Whether it has as many digits as a telephone number: to 15 (ITU-T E.164), or two to six of an extension."""
    n_digits = sum(c.isdigit() for c in written)
    return 7 <= n_digits <= 21 or (n_digits <= 6 and (written[:1].isalpha() or written.isdecimal()))


def is_interval(text, start, end):
    """Whether figures in brackets say between which values something is normal: what begins with 0 is no greater value."""
    greater = text[start:end].partition("-")[2]
    if text[start - 1 : start] != "(" or text[end : end + 1] != ")" or greater.startswith("0"):
        return False
    before = text[max(0, start - _LOOK_BACK) : start]
    return greater.endswith("00") or (_RANGED_BEFORE.search(before) is not None and _PLACE_BEFORE.search(before) is None)


def led(text, start, end):
    """The label of the numbers that the words before a range lead to, and whether to no date; None where they lead to none."""
    match = _LED.search(text[max(0, start - _LOOK_BACK) : start])
    if match is None:
        return None
    word = (match["record"] or match["id"]).lower()
    if match["record"] and not match["number"] and not match["sign"].strip() and word not in _NUMBERS | _REFERENCES:
        return None
    is_sure = (match["number"] is not None or word in _NUMBERS) and "/" not in text[start:end]
    if not is_sure and _MEASURE_AFTER.match(text, end):
        return None
    return "RECORD_NUMBER" if match["record"] else "ID", is_sure


def is_none(text, start, end):
    """Whether a number is a measure, a published one, or an address of four numbers that no network has."""
    written, before, after = text[start:end], text[max(0, start - 20) : start], text[end : end + 12]
    if _ADDRESS.fullmatch(written):
        return any(int(part) > 255 for part in written.split("."))
    if _PUBLISHED_CODE.fullmatch(written) or _PUBLISHED.search(before):
        return True
    n_digits, n_signs = sum(c.isdigit() for c in written), sum(c.isalnum() for c in written)
    return n_signs < _SHORTEST or (n_digits <= _LONGEST_SMALL and _MEASURE_AFTER.match(after) is not None)
