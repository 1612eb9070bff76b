"""An amount of money as a number and a currency (ISO 4217, or the ticker of a crypto-currency)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .marks import Mark, read_number

_NUMBER = re.compile(r"\d(?:[\d.,'’\s]*\d)?|(?<![^\W\d_])\.\d+")
# more than all the money there is, in any currency: a row of digits
_TOO_MUCH = 1e18
# from here on a word says how many there are of what the number counts
_SCALED = 1000.0
_WORD = re.compile(r"[^\W\d_]+\.?|[^\w\s.,'’/+\-–]+")


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum, its currency, None where that is not known, and whether it may be another sum."""

    number: float
    unit: str | None
    unsure: bool = False


def amount(written: str, decimal: Mark | None = None, magnitude: str = "") -> Amount | None:
    """The sum that is written; None where there is no number, or one beyond all money.

    `decimal` is the mark that the document writes decimals with, where that is known; `magnitude` is said behind the other end of a range.
    """
    match = _NUMBER.search(written)
    if match is None:
        return _spelled(written)
    unit, factor = _unit(f"{written[: match.start()]} {written[match.end() :]} {magnitude}")
    known = _known()
    # the one mark of 1.25 million and of 1.234 BTC is the decimal one; sums of a million have no thousandths
    is_fine, is_by_comma = factor >= _SCALED or unit in known.coins, unit in known.by_comma or unit in known.coins
    number, unsure = read_number(match.group(), decimal, is_fine=is_fine, is_by_comma=is_by_comma)
    value = number * factor
    return Amount(round(value, 8), unit, unsure) if value < _TOO_MUCH else None


def digits_of(written: str) -> str:
    """The digits and marks of an amount, nothing of one in words."""
    match = _NUMBER.search(written)
    return match.group() if match else ""


def is_scaled(written: str) -> bool:
    """Whether an amount says thousands, millions or the like."""
    return any(word.lower() in _known().times for word in _tokens(written))


@cache
def _range_end() -> re.Pattern[str]:
    words = "|".join(sorted(_known().times, key=len, reverse=True))
    return re.compile(rf"(?i)\s?([-–—]|to\b)\s?(?:[A-Z]{{0,3}}[$£€₹]|[A-Z]{{3}}\s)?\s?(?P<end>(?P<digits>\d[\d.,]{{0,20}})\s?(?P<magnitude>{words}))(?!\w)")


def range_end(written: str, after: str) -> re.Match[str] | None:
    """The other `end` of a range where it alone says the `magnitude`: the "-2.0 million" after "$1.5"; from $500 to $1 million is another thing."""
    other = None if is_scaled(written) else _range_end().match(after)
    first, last = amount(written), amount(other["digits"]) if other else None
    return other if first and last and first.number <= last.number else None


def is_code(word: str) -> bool:
    return word in _known().codes


def _unit(words: str) -> tuple[str | None, float]:
    """The currency that stands around a number and what the number counts."""
    known = _known()
    unit, factor = None, 1.0
    for word in _tokens(words):
        lower = word.lower()
        if lower in known.hundredths and unit is None:
            unit, factor = known.hundredths[lower], factor / 100
        elif lower in known.times:
            factor *= known.times[lower]
        elif word in known.codes:
            unit = word  # a code says more than the sign before it: "$500 CAD"
        elif unit is None:
            unit = known.signs.get(lower) or known.words.get(lower)
    lower = words.lower()
    return next((better[unit] for name, better in known.qualified.items() if unit in better and name in lower), unit), factor


@cache
def _signs() -> re.Pattern[str]:
    """Signs that a run of letters and marks begins with, the longest first."""
    marked = sorted((sign for sign in _known().signs if not sign.isalpha()), key=len, reverse=True)
    return re.compile("|".join(re.escape(s) for s in marked), re.IGNORECASE)


def _tokens(words: str) -> list[str]:
    """Signs, codes and words in order."""
    found, at = [], 0
    while at < len(words):
        match = _signs().match(words, at) or _WORD.match(words, at)
        if match is None:
            at += 1
            continue
        found.append(match.group())
        at = match.end()
    return [word if word.lower() in _known().signs else word.rstrip(".") for word in found]


@dataclass(frozen=True, slots=True)
class _Known:
    codes: frozenset[str]
    coins: frozenset[str]
    by_comma: frozenset[str]
    signs: dict[str, str]
    words: dict[str, str]
    hundredths: dict[str, str]
    qualified: dict[str, dict[str, str]]
    times: dict[str, float]
    numerals: dict[str, float]


@cache
def _known() -> _Known:
    """What `currencies.toml` beside this file lists."""
    lists = tomllib.loads((Path(__file__).parent / "currencies.toml").read_text(encoding="utf-8"))

    def inverted(name: str) -> dict[str, str]:
        return {written: meant for meant, ways in lists[name].items() for written in ways}

    times, numerals = ({written: float(n) for written, n in inverted(name).items()} for name in ("times", "numerals"))
    codes, coins, by_comma = (frozenset(lists[name].split()) for name in ("codes", "coins", "by_comma"))
    return _Known(codes, coins, by_comma, inverted("signs"), inverted("words"), inverted("hundredths"), lists["qualified"], times, numerals)


def _spelled(written: str) -> Amount | None:
    """Five hundred dollars: number words in a row, then what they count."""
    known = _known()
    total = group = 0.0
    seen = False
    rest = []
    for word in re.findall(r"[^\W\d_]+", written):
        lower = word.lower()
        n = known.numerals.get(lower)
        if n is not None and not (group and lower in ("a", "an")):  # half a million
            group, seen = (group * n if 0 < n < 1 and group else group + n), True
        elif lower == "hundred" and seen:
            group = (group or 1.0) * 100
        elif lower in known.times and seen:
            total, group = total + (group or 1.0) * known.times[lower], 0.0
        elif n is None:
            rest.append(word)
    unit, factor = _unit(" ".join(rest))
    value = (total + group) * factor
    return Amount(round(value, 8), unit) if seen and value < _TOO_MUCH else None
