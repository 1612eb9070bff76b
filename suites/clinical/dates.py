"""Dates as they are written in notes: their ISO form, and whether a pair of numbers is one.

Partial dates are given as XML Schema writes them (gYearMonth 2019-03, gMonthDay --05-14, gMonth --05, gDay ---26; XML Schema Part 2, 3.2.10 to 3.2.14).
"""

from __future__ import annotations

import re
from datetime import date

_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
# with what four letters German, French and Spanish months begin that no three letters tell
_MONTHS_ABROAD = {"jänn": 1, "ener": 1, "févr": 2, "märz": 3, "avri": 4, "abri": 4, "mai": 5, "juin": 6, "juil": 7, "août": 8, "agos": 8}
_MONTHS_ABROAD |= {"okto": 10, "deze": 12, "déce": 12, "dici": 12}
_ONES = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
_TEENS = ["tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"]
_TWENTIES = ["twentieth", *(f"twenty-{one}" for one in _ONES)]
_ORDINALS = {word: n for n, word in enumerate([*_ONES, *_TEENS, *_TWENTIES, "thirtieth", "thirty-first"], start=1)}
# years of two digits up to this one are of this century: births go back further than notes look ahead
_PIVOT = 30
_LEAP = 2000
# no date is written in more characters: "the twenty-first of September, 2020" has 34
_LONGEST = 60
_NUMERIC = re.compile(r"(\d{1,4})\s?[/.-]\s?(\d{1,2})(?:\s?[/.-]\s?(\d{1,4}))?")
_MONTH_YEAR = re.compile(r"(\d{1,2})[/-](\d{4})")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)")
_PART = re.compile(r"\d{1,2}/\d{1,2}")
_WORD = re.compile(r"[A-Za-zÀ-ž]+(?:-[a-z]+)?")
_DIGITS = re.compile(r"\d+")
# what is graded, shared or measured as a pair of numbers stands near it
_SCORED = re.compile(
    r"(?i)\b(?:pain|scores?|scored|strength|power|murmur|grade|graded|gcs|nrs|vas|acuity|va|vision|od|os|ou|bishop|apgars?|ratio|reflexes|pulses?|"
    r"bp|blood pressure|tension|fraction|rated|out of|mmse|moca|ace|deauville|score of|episodes?|times|doses?|weeks?|tablets?|pads)\b[^.\n;]{0,18}$"
)
_SCORED_AFTER = re.compile(
    r"(?i)\s{0,2}(?:strength|power|systolic|diastolic|murmur|pain|in severity|on the|mm ?hg|nodes?|lymph nodes?|positive|"
    r"of (?:the )?(?:nodes|patients|cases)|cores?|quadrants?|intensity|tablets?)\b"
)
_ORDINAL = re.compile(r"\d{1,2}(?:st|nd|rd|th)")
_COUNTED_AFTER = re.compile(
    r"(?i)\s(?:rib|ribs|toe|finger|digit|metatarsal|metacarpal|nerve|centile|percentile|vertebra\w*|intercostal|attempt|dose|cycle|floor|visit|admission|occasion|ventricle|"
    r"week|month|day|year|cranial|proximal|distal|middle|ray|web|interspace|trimester|pass|episode|night|hospital|post-?operative|tee|hole|lap)\b"
)
_UNIT_AFTER = re.compile(r"\s?(?:mg|mcg|µg|μg|ml|mL|units?|cm|mm|kg|mmHg|mmol|%|g\b|hours?\b|hrs?\b|minutes?\b)")
# what is no end of a pair of figures: a third one, a percentage, a decimal
_GOES_ON = re.compile(r"[/%]|[.\-]\d")
_VERSION_BEFORE = re.compile(r"(?i)\b(?:version|v\.?|section|table|figure|fig\.?|chapter|item|release|windows|software)\s*$")
_NO_HOLIDAY_AFTER = re.compile(r"(?i)\s(?:tree|disease|factor)\b")
# how British notes write so many days, weeks or months: "for 5/7", "review 6/12"; after a word of dates it is one
_DURATION = re.compile(r"[1-9]\d?/(?:7|12)")
_DATED_BEFORE = re.compile(
    r"(?i)\b(?:on|dated?|since|until|till|by|before|after|from|admitted|seen|discharged|born|dob|(?:mon|tues|wednes|thurs|fri|satur|sun)(?:day)?)[\s:,(]*$"
)
# what follows is the date of a birth
_BORN_BEFORE = re.compile(r"(?i)\b(?:(?:d\.?o\.?b|birth(?: ?date)?|born)\b|b\.)[\s.:,(=-]{0,6}(?:(?:on|in|at)\b[^\d\n;,.]{0,25})?$")
# that a day is meant which no calendar has is plain where its year is written out: it is mistyped, and tells as much
_YEAR_IN_FULL = re.compile(r"(?:.*\D)?(?:19|20)\d\d(?:\D.*)?")
_CENTURY = 100
_LOOK_BACK = 45


def order(written):
    """`day` or `month`, whichever comes first in the document's unmistakable numeric dates; None where they disagree or there are none."""
    seen = set()
    for match in map(_NUMERIC.fullmatch, written):
        if match and len(match[1]) < 3:
            first, second = int(match[1]), int(match[2])
            if first > 12 >= second:
                seen.add("day")
            elif second > 12 >= first:
                seen.add("month")
    return seen.pop() if len(seen) == 1 else None


def iso(written, first=None):
    """A date's ISO form, whole or partial; None where it cannot be read or could be two dates."""
    if len(written) > _LONGEST:
        return None
    if match := _COMPACT.fullmatch(written):
        return _whole(*map(int, match.groups()))
    if match := _MONTH_YEAR.fullmatch(written):
        return _partial(int(match[2]), int(match[1]), None)
    if match := _NUMERIC.fullmatch(written):
        return _numeric(match, first)
    return _in_words(written)


def _numeric(match, first):
    one, two, three = match[1], int(match[2]), match[3]
    if len(one) == 4:
        return _whole(int(one), two, int(three)) if three else _partial(int(one), two, None)
    if three is None and len(one) < 3:
        return _either(int(one), two, None, first)
    # who parts by dots writes the day first
    return _either(int(one), two, _year(three), first or ("day" if "." in match[0] else None)) if three and len(three) in (2, 4) else None


def _either(one, two, year, first):
    """Day and month in the order that is possible, or that the document's other dates have; None where both are and it has none."""
    readings = {_partial(year, *pair) for pair in ((two, one), (one, two))} - {None}
    if len(readings) == 1:
        return readings.pop()
    return {"day": _partial(year, two, one), "month": _partial(year, one, two)}.get(first)


def _year(digits):
    number = int(digits)
    return number if len(digits) == 4 else number + (2000 if number <= _PIVOT else 1900)


def _month(word):
    return _MONTHS_ABROAD.get(word[:4]) or _MONTHS.get(word[:3])


def _in_words(written):
    words = [w.lower() for w in _WORD.findall(written)]
    month = next(filter(None, (_month(w) for w in words if w not in _ORDINALS)), None)
    named = next((_ORDINALS[w] for w in words if w in _ORDINALS), None)
    digits = _DIGITS.findall(written)
    years = [d for d in digits if len(d) == 4] or [m[1] for m in [re.search(r"['’](\d\d)\b", written)] if m]
    days = [d for d in digits if d not in years]
    if named is not None:
        days = [str(named), *days]
    if month is None and (len(days) != 1 or years):
        return None
    if len(days) == 2 and not years and re.search(r"[a-z.]\W{0,2}\d\d$", written, re.IGNORECASE):
        years, days = days[1:], days[:1]  # 4 March 23
    if len(days) > 1 or len(years) > 1:
        return None
    return _partial(_year(years[0]) if years else None, month, int(days[0]) if days else None)


def _partial(year, month, day):
    """The ISO form of what is known; None where no calendar has it."""
    if month is None:
        return f"---{day:02d}" if day is not None and 1 <= day <= 31 else None
    if _whole(year or _LEAP, month, day or 1) is None:
        return None
    return (f"{year:04d}-" if year else "--") + f"{month:02d}" + (f"-{day:02d}" if day else "")


def _whole(year, month, day):
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def of_birth(text, start, end, value):
    """The value, a hundred years earlier where it is the date of a birth, of a year of two digits, that lies ahead."""
    if value is None or value[:4] in text[start:end] or value <= date.today().isoformat():
        return value
    return f"{int(value[:4]) - _CENTURY}{value[4:]}" if _BORN_BEFORE.search(text[max(0, start - _LOOK_BACK) : start]) else value


def is_numeric(written):
    """Whether it is figures alone, as the numbers of records are."""
    return _NUMERIC.fullmatch(written) is not None or _COMPACT.fullmatch(written) is not None


def is_one(text, start, end, value):
    """Whether what a rule of dates matched is a date: figures that a calendar has, and no score, blood pressure, dose or version."""
    written, after = text[start:end], text[end : end + 30]
    if not written[0].isdigit() or not _NUMERIC.fullmatch(written):
        return not (_COUNTED_AFTER if _ORDINAL.fullmatch(written) else _NO_HOLIDAY_AFTER).match(after)
    before = text[max(0, start - _LOOK_BACK) : start]
    if _UNIT_AFTER.match(after) or _VERSION_BEFORE.search(before):
        return False
    if _PART.fullmatch(written):
        if _GOES_ON.match(after):
            return False
        if _DURATION.fullmatch(written) and not _DATED_BEFORE.search(before):
            return False
        return _exists(written) and not _SCORED.search(before) and not _SCORED_AFTER.match(after)
    return value is not None or _exists(written) or _YEAR_IN_FULL.fullmatch(written) is not None


def _exists(written):
    """Whether the figures are a date in one order or the other."""
    match = _NUMERIC.fullmatch(written)
    return match is not None and any(_numeric(match, first) for first in ("day", "month"))
