"""An amount of money as a number and a currency (ISO 4217, or the ticker of a crypto-currency)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NUMBER = re.compile(r"\d(?:[\d.,'’\s]*\d)?|(?<![^\W\d_])\.\d+")
# more than all the money there is, in any currency: a row of digits
_TOO_MUCH = 1e18
_WORD = re.compile(r"[^\W\d_]+\.?|[^\w\s.,'’/+\-–]+")


def amount(written: str) -> tuple[float, str | None] | None:
    """Number and currency of an amount; None where there is no number, or one beyond all money. A currency that is not known is None."""
    match = _NUMBER.search(written)
    if match is None:
        return _spelled(written)
    unit, factor = _unit(written[: match.start()] + " " + written[match.end() :])
    value = _value(match.group()) * factor
    return (round(value, 8), unit) if value < _TOO_MUCH else None


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
    return _Known(frozenset(lists["codes"].split()), inverted("signs"), inverted("words"), inverted("hundredths"), lists["qualified"], times, numerals)


def _value(digits: str) -> float:
    """1,234.50 and 1.234,50, 9 400 and 1'250.- as numbers: the last mark is the decimal one unless groups of three stand behind it."""
    digits = re.sub(r"[\s'’]", "", digits)
    if digits.startswith("."):
        return float(digits)
    match = re.fullmatch(r"(.*)([.,])(\d+)", digits)
    if match is None:
        return float(digits)
    before, mark, last = match[1], match[2], match[3]
    others = set(before) & {".", ","}
    is_decimal = len(last) != 3 or (others and others != {mark}) or before in ("0", "00")
    whole = re.sub(r"[.,]", "", before)
    return float(f"{whole}.{last}") if is_decimal and others != {mark} else float(whole + last)


def _spelled(written: str) -> tuple[float, str | None] | None:
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
    return (round(value, 8), unit) if seen and value < _TOO_MUCH else None
