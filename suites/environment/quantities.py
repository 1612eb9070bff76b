"""What a written quantity says: its number and unit in canonical form, or why they are in doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from .numerals import NUMERAL, WORDS, WRITTEN, Convention, read_number, shown
from .units import TIMES, Unit, plain, read_unit, surfaces

UNSURE_NUMBER = "ambiguous_number"
KEPT = 4096  # quantities that are remembered: a cell is read as a quantity and as a key figure
MAX_CHARS = 120  # a longer range is no quantity
_SIGNED = re.compile(r"[+−–-]\s?(?=\d)")
_ABOUT = {"~": "~", "≈": "~", "c.": "~", "ca.": "~", "ca": "~", "circa": "~", "about": "~", "around": "~", "approximately": "~", "approx.": "~"}
_ABOUT |= {"roughly": "~", "some": "~", "nearly": "~", "almost": "~", "<": "<", "≤": "≤", ">": ">", "≥": "≥", "less than": "<", "below": "<"}
_ABOUT |= {"more than": ">", "over": ">", "above": ">", "at least": "≥", "at most": "≤", "up to": "≤", "±": "±", "between": "", "from": "", "the": ""}
_ABOUT |= {"∼": "~", "⩽": "≤", "⩾": "≥", "greater than": ">", "higher than": ">", "fewer than": "<", "lower than": "<", "as much as": "≤", "as high as": "≤"}
_ABOUT |= {
    "as low as": "≥",
    "range of": "",
    "range from": "",
    "on average": "",
    "average": "",
    "an average of": "",
    "after": "",
    "last": "",
    "within": "",
    "before": "",
}
N_BEFORE = 3  # words before a number that are looked at: "the last about"
_BEFORE = re.compile(rf"\s*({'|'.join(sorted(map(re.escape, _ABOUT), key=len, reverse=True))})(?![A-Za-z])\s*", re.IGNORECASE)
_WORDED = re.compile(rf"({'|'.join(sorted(WORDS, key=len, reverse=True))})(?![A-Za-z])", re.IGNORECASE)
_DIGITS = re.compile(WRITTEN)
_CURRENCY = r"(?:US\$|A\$|C\$|NZ\$|HK\$|S\$|R\$|[€£$¥₹₩₦]|[A-Z]{3}(?![A-Za-z]))"
_BRACKETED = re.compile(rf"\(\s*(?:{_CURRENCY}\s?)?{WRITTEN}\s*%?\s*\)")
_MONEY = re.compile(rf"{_CURRENCY}\s?")
_TO = re.compile(r"\s*(–|—|−|-|to|and|±|\+/-)\s*(?:[~∼]|about |around )?(?=[\d+−–-]|[€£$¥₹]|[A-Z]{3} \d|[a-z])")
# "5 % to 7 %", "4.5 kg and 13 kg": the unit is the same both times
_UNIT_TWICE = re.compile(
    r"\s?([%‰]|°C|°F|[A-Za-zµ]{1,12}[23]?)(?=\s*(?:–|—|-|±|to|and)[^%‰°A-Za-z]{1,30}(?:about |around )?[^%‰°A-Za-z]{0,30}\s?\1(?![A-Za-z0-9]))"
)
_MAGNITUDE = re.compile(r"\s?(thousand|million|billion|trillion|lakhs?|crores?|mn|mln|bn)(?![A-Za-z])")
# a letter is a number word only where it is written to the digits: `EUR 12m`, `1.2m tonnes`
_LETTER = re.compile(r"(k|K|m|M|bn|B)(?![A-Za-z0-9/²³])")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity read: `number` and `unit` are canonical; `value` is how it was written, in short, or why it is in doubt."""

    number: float | None
    unit: str | None
    value: str | None
    unsure: bool = False
    parsed: Unit | None = None


@lru_cache(maxsize=KEPT)
def read_quantity(written: str, convention: Convention = "dot", unit: str | None = None) -> Quantity | None:
    """What a range of text says as a quantity; None where there is no number in it. `unit` is that of its table, taken where it has none of its own."""
    text = plain(written.strip())
    if len(text) > MAX_CHARS:
        return None
    between = text.lower().startswith("between")
    prefix, text = _prefix(text)
    negative = text.startswith("(") and _bracketed(text)
    text = text[1:].replace(")", "", 1) if negative else text
    money, text = _money(text)
    read = _number(text, convention)
    if read is None:
        return None
    first, rest = read
    number = -first if negative and first is not None else first
    first_times, rest = _times(rest, money)
    second, rest = _second(rest, convention)
    last_times, rest = _times(rest, money) if second is not None else (first_times, rest)
    # in "3 to 5 million" both are millions
    first_times = last_times if second is not None and first_times == 1.0 else first_times
    own = _joined(money, rest.strip(" .,-"))
    if second is not None and second[0] == "and" and not between:
        second = (" and ", second[1])
    return _made(prefix, number, first_times, second, last_times, own or unit)


def _made(prefix: str, number: float | None, times: float, second: tuple[str, float | None] | None, last_times: float, written: str | None) -> Quantity:
    """The quantity of what was read: one number or two, and the unit as written."""
    unit = read_unit(written) if written else None
    name = unit.name or None if unit else None
    if unit is not None and unit.doubt:
        return Quantity(number * times if number is not None and second is None else None, name, unit.doubt, True, unit)
    if number is None or (second is not None and second[1] is None):
        return Quantity(None, name, UNSURE_NUMBER, True, unit)
    of = unit.of if unit else float
    short = f" {_short(written)}" if written else ""
    if second is None:
        return Quantity(of(number * times), name, f"{prefix}{shown(number * times)}{short}", parsed=unit)
    mark, other = second
    wide = mark in ("±", "+/-")
    between = " ± " if wide else mark if mark == " and " else "–"
    value = f"{shown(number * times)}{between}{shown((other or 0.0) * last_times)}{short}"
    return Quantity(of(number * times) if wide else None, name, value, parsed=unit)


def _short(written: str) -> str:
    """The unit as written without what it is of, which would be the document's words."""
    unit, of, what = written.partition(" of ")
    return unit if of and not re.match(r"CO2|carbon dioxide", what) else written


def _joined(money: str, rest: str) -> str:
    return f"{money}{'' if rest.startswith('/') else ' '}{rest}".strip()


def _prefix(text: str) -> tuple[str, str]:
    """What stands before the number, as a sign, and the rest."""
    sign = ""
    for _ in range(N_BEFORE):
        if (match := _BEFORE.match(text)) is None:
            break
        sign, text = sign or _ABOUT[match[1].lower()], text[match.end() :]
    return sign, text


def _bracketed(text: str) -> bool:
    """Whether brackets stand around a number, which makes it negative in accounts."""
    return _BRACKETED.match(text) is not None


def _money(text: str) -> tuple[str, str]:
    match = _MONEY.match(text)
    return (match.group().strip(), text[match.end() :]) if match else ("", text)


def _number(text: str, convention: Convention) -> tuple[float | None, str] | None:
    """The number a text begins with, None where it is in doubt, and what comes after it."""
    sign = _SIGNED.match(text)
    body = text[sign.end() :] if sign else text
    digits = _DIGITS.match(body)
    if digits:
        number = read_number(digits.group(), convention)
        minus = sign is not None and sign.group()[0] != "+"
        return (-number if minus and number is not None else number), body[digits.end() :]
    word = _WORDED.match(body)
    return (WORDS[word[1].lower()], body[word.end() :]) if word else None


def _times(text: str, money: str) -> tuple[float, str]:
    """What a number word after the number multiplies it with."""
    match = _MAGNITUDE.match(text)
    if match is None and (letter := _LETTER.match(text)) and (money or re.match(r"\s[A-Za-z]", text[letter.end() :])):
        match = letter
    return (TIMES[match[1]], text[match.end() :]) if match else (1.0, text)


def _second(text: str, convention: Convention) -> tuple[tuple[str, float | None] | None, str]:
    """The second number of a range, with the mark between."""
    unit = _UNIT_TWICE.match(text)
    # the same unit must follow the second number
    match = _TO.match(text, unit.end() if unit else 0)
    if match is None:
        return None, text
    _, rest = _money(text[match.end() :])
    read = _number(rest, convention)
    return ((match[1], read[0]), read[1]) if read else (None, text)


@dataclass(frozen=True, slots=True)
class Found:
    """A quantity with its place in the text."""

    start: int
    end: int
    quantity: Quantity


@cache
def _unit_after() -> re.Pattern[str]:
    """A unit right after a number: words and signs that units.py knows, with their gas and what they are per."""
    words = sorted((w for w in surfaces() if w not in ("a", "C", "c", "k", "°", "the")), key=len, reverse=True)
    atom = "(?:" + "|".join(map(re.escape, words)) + ")(?![A-Za-z0-9])"
    glued = r"(?:kt|Mt|Gt|kg|MT|mt|t|g)(?=CO[2₂])"
    gas = r"(?:[ \u00a0-]?(?:of )?(?:CO[2₂](?:[- ]?eq?(?:uivalents?)?)?(?![A-Za-z0-9])|carbon dioxide(?: equivalents?)?))?"
    times = r"(?:(?:thousand|million|billion|mn|bn|lakh|crore) ?)?"
    counted = r"(?:room night|guest night|employee|FTE|student|passenger|product|vehicle|person|household)s?"
    below = rf"(?:(?: per | ?/ ?){times}(?:{atom}{gas}|{counted})|-?%)?"
    superscript = r"[²³]?"
    return re.compile(rf"[ \u00a0\u202f-]?(?:{times}(?:{glued}|{atom}|%(?=by|in|from|compared|reduction)){superscript}{gas}{below}|{times.rstrip('?')})")


_FIRST = re.compile(r"[ \u00a0\u202f-]?[A-Za-z%°‰€£$¥₹µ'’]")
_MONEY_BEFORE = re.compile(rf"{_CURRENCY}\s?$")
_SCOPE_BEFORE = re.compile(r"(?i)\bscopes?[ \u00a0-]?$")
_WINDOW = 80  # a unit is no longer


def find_quantities(text: str, start: int, end: int, convention: Convention = "dot") -> Iterator[Found]:
    """The quantities of a range that have a unit, in order. A number after the word Scope is none."""
    for match in NUMERAL.finditer(text, start, end):
        if _SCOPE_BEFORE.search(text, max(start, match.start() - 12), match.start()):
            continue
        window = plain(text[match.end() : min(end, match.end() + _WINDOW)])
        money = _MONEY_BEFORE.search(text, max(start, match.start() - 4), match.start())
        after = _unit_after().match(window) if _FIRST.match(window) else None
        if money is None and after is None:
            continue
        first, last = money.start() if money else match.start(), match.end() + (len(after.group().rstrip()) if after else 0)
        quantity = read_quantity(text[first:last], convention)
        if quantity is not None:
            yield Found(first, last, quantity)
