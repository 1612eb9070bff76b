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


def is_nhs(written):
    """Whether it is a number of the National Health Service as it is printed, 3 3 4 digits, with the right check digit."""
    return _PARTED.fullmatch(written) is not None and nhs.is_valid(written)


def may_be_phone(written):
    """Whether it has as many digits as a telephone number: to 15 (ITU-T E.164), or two to six of an extension."""
    n_digits = sum(c.isdigit() for c in written)
    return 7 <= n_digits <= 21 or (n_digits <= 6 and (written[:1].isalpha() or written.isdecimal()))


def is_none(text, start, end):
    """Whether a number is a measure, a published one, or an address of four numbers that no network has."""
    written, before, after = text[start:end], text[max(0, start - 20) : start], text[end : end + 12]
    if _ADDRESS.fullmatch(written):
        return any(int(part) > 255 for part in written.split("."))
    if _PUBLISHED_CODE.fullmatch(written) or _PUBLISHED.search(before):
        return True
    n_digits, n_signs = sum(c.isdigit() for c in written), sum(c.isalnum() for c in written)
    return n_signs < _SHORTEST or (n_digits <= _LONGEST_SMALL and _MEASURE_AFTER.match(after) is not None)
