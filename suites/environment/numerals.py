"""Written numbers as numbers: `1,234.5`, `1 234,5`, `1.234,5`, `1'234`, `12,34,567`, `(1,234)`, `twelve`."""

from __future__ import annotations

import re
from typing import Literal

Convention = Literal["dot", "comma", "mixed"]
Decimal = Literal["dot", "comma"]

# a number with its groups; a space groups three digits alone, and only after one to three
WRITTEN = r"(?:\d{1,3}(?:[ \u00a0\u202f\u2009'’]\d{3}){1,4}(?![\d'’])(?:[.,]\d{1,6}(?!\d))?|\d{1,15}(?:[.,]\d{1,15}){0,6})"
NUMERAL = re.compile(rf"(?<![\w.,]){WRITTEN}(?![\d])")
_GROUPS = re.compile(r"[ \u00a0\u202f\u2009'’]")
_OF_THREE = re.compile(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*")
_DOUBTFUL = re.compile(r"[1-9]\d{0,2}([.,])\d{3}")
# numbers that count headings, notes and the like
_NEAR = 16
_LINE_BEGINS = re.compile(r"(?:^|[\n\f])[ #*|]{0,4}\Z")
_HEADING = re.compile(r"[.)]?[ \t]+[A-ZÄÖÜÅÉ](?![A-Z]{2}\b)")
_NUMBERED = re.compile(
    r"(?i)\b(?:section|chapter|clause|article|note|table|figure|fig\.|appendix|annex|page|version|scopes?|category|target|sdgs?|gri"
    r"|kapitel|abschnitt|tabelle|abbildung|ziffer)[ \u00a0]\Z"
)
_DAY = re.compile(r"\d\d?\.\d\d?")
_MONTH = re.compile(r"(?:0?[1-9]|1[0-2])\.(?:19|20)\d\d")
_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}")
_ONES = re.findall(r"\w+", "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
WORDS = {word: float(n) for n, word in enumerate(_ONES)} | {word: 10.0 * n for n, word in enumerate(_TENS, start=2)}
WORDS |= {f"{ten}-{one}": WORDS[ten] + WORDS[one] for ten in _TENS for one in _ONES[1:10]}


def read_number(written: str, convention: Convention = "dot") -> float | None:
    """The number, or None where the digits are no number or may be two: `1.234` in a text that writes both `0.5` and `0,5`."""
    digits = _GROUPS.sub("", written)
    if digits.isdigit():
        return float(digits)
    mark = _decimal_mark(digits, convention, grouped=digits != written)
    if mark is None:
        return None
    plain = digits.replace("," if mark == "." else ".", "").replace(mark, ".")
    return float(plain) if plain.count(".") <= 1 else None


def _decimal_mark(digits: str, convention: Convention, *, grouped: bool) -> str | None:
    """Which of the two marks is the decimal one in this number; None where that cannot be told, or it is no number."""
    dots, commas = digits.count("."), digits.count(",")
    if dots and commas:
        mark, other = (".", ",") if digits.rindex(".") > digits.rindex(",") else (",", ".")
        whole, _, _ = digits.partition(mark)
        good = _OF_THREE.fullmatch(whole) or (other == "," and _INDIAN.fullmatch(whole))
        return mark if digits.count(mark) == 1 and good else None
    own, other = (".", ",") if dots else (",", ".")
    if dots + commas > 1:
        return other if not grouped and (_OF_THREE.fullmatch(digits) or _INDIAN.fullmatch(digits)) else None
    whole, _, rest = digits.partition(own)
    if grouped or len(rest) != 3 or len(whole) > 3 or whole.startswith("0"):
        return own
    return {"dot": ".", "comma": ","}.get(convention)


def convention_of(text: str) -> Convention | None:
    """How a text writes decimals: `mixed` where it does both, or has `1.234` and nothing that tells; None where no number tells.

    `1,234` alone is none that tells: in English it is a thousand.
    """
    found = list(NUMERAL.finditer(text))
    seen = {told for match in found if (told := _told(match.group())) and not _is_named(text, match)}
    in_doubt = not seen and any(is_doubtful(match.group()) for match in found)
    return "mixed" if len(seen) == 2 or in_doubt else seen.pop() if seen else None


def is_doubtful(written: str) -> bool:
    """Whether the number is one with three decimals or in thousands, as others tell: `1.234`."""
    match = _DOUBTFUL.fullmatch(written)
    return match is not None and match[1] == "."


def _is_named(text: str, match: re.Match[str]) -> bool:
    """Whether the number is that of a heading, a note, a table, or a date: it says nothing of decimals."""
    start, end = match.span()
    heads = _LINE_BEGINS.search(text, max(0, start - _NEAR), start) and _HEADING.match(text, end)
    dates = _MONTH.fullmatch(match.group()) or (_DAY.fullmatch(match.group()) and text[end : end + 1] == ".")
    return bool(heads or dates or _NUMBERED.search(text, max(0, start - _NEAR), start))


def _told(written: str) -> Decimal | None:
    """What one number says of decimals beyond doubt."""
    digits = _GROUPS.sub("", written)
    if digits.isdigit():
        return None
    by_dot, by_comma = (_decimal_mark(digits, convention, grouped=digits != written) for convention in ("dot", "comma"))
    if by_dot != by_comma or by_dot is None:
        return None
    return "dot" if by_dot == "." else "comma"


def shown(number: float) -> str:
    """A number as short as it can be written without losing digits."""
    return f"{number:.12g}"
