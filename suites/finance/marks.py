"""The marks in written numbers: which of "." and "," is the decimal one, in a number and in a document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Mark = Literal[".", ","]

_GROUPS = re.compile(r"[\s'’]")
_LAST_MARK = re.compile(r"([\d.,]*)([.,])(\d+)")
# shares and changes in per cent have one or two decimals
_PER_CENT = re.compile(r"(?<![\w.,])\d{1,3}([.,])\d{1,2}\s?%")


def read_number(written: str, decimal: Mark | None, *, is_fine: bool, is_by_comma: bool) -> tuple[float, bool]:
    """1,234.50 and 1.234,50, 9 400 and 1'250.- as numbers, and whether it may be another one.

    One mark before three digits is told by what the number counts (`is_fine`: thousandths of it are usual), by the document's decimals, and last by
    the language: in English the comma groups; the dot does where the currency is written with decimals by comma at home (`is_by_comma`).
    """
    digits = _GROUPS.sub("", written)
    match = _LAST_MARK.fullmatch(digits)
    if match is None:
        return float(digits), False
    before, mark, last = match.groups()
    others = set(before) & {".", ","}
    whole = re.sub(r"[.,]", "", before)
    decimals, thousands = float(f"{whole or 0}.{last}"), float(whole + last)
    if others:
        # 1.250.00 is no way to write a number, but somebody's
        return (thousands, False) if others == {mark} and len(last) == 3 else (decimals, others == {mark})
    if not _is_doubtful(before, last):
        return decimals, False
    if mark == ",":
        return (decimals, True) if decimal == "," and is_by_comma else (thousands, False)
    if decimal == ",":
        return thousands, is_fine
    if is_fine:
        return decimals, False
    # prices by the litre and rates have thousandths, which are seldom nought; sums in euros seldom any
    is_round = last.endswith("0")
    return (thousands, True) if is_round or (decimal is None and is_by_comma) else (decimals, decimal is None)


def _is_doubtful(before: str, last: str) -> bool:
    return len(last) == 3 and 0 < len(before) <= 3 and not before.startswith("0")


def decimal_mark(text: str, numbers: Iterable[str]) -> Mark | None:
    """The mark that a document writes decimals with, by its percentages and these numbers; None where none tells, or both are."""
    told = {m[1] for m in _PER_CENT.finditer(text)} | {mark for number in numbers if (mark := _told(number))}
    return "." if told == {"."} else "," if told == {","} else None


def _told(written: str) -> str | None:
    """The decimal mark of one number, where it is beyond doubt."""
    match = _LAST_MARK.fullmatch(_GROUPS.sub("", written))
    if match is None:
        return None
    before, mark, last = match.groups()
    others = set(before) & {".", ","}
    if others == {mark}:  # 1,234,567
        return {".": ",", ",": "."}[mark] if len(last) == 3 else None
    return None if not others and _is_doubtful(before, last) else mark
