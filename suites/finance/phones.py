"""Telephone numbers: their international form (E.164), by the numbering plans of Google's libphonenumber."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

# A number without a country code is read as one of these countries, the first whose plan has it, if it begins as numbers do there: in Britain with a
# nought or, the "+" forgotten, with 44; in America with neither. Numbers of all countries are read with "+" or "00".
REGIONS = {"GB": re.compile(r"\(?0|44(?:\D{0,3}\d){10}(?!\d)"), "US": re.compile(r"\(?[1-9]")}
# a run that may be a number: seven digits or more with what stands between them on paper, no more than any number has
_RUN = re.compile(r"(?<![\w.,/+-])(?:\+|00 ?)?\(?\d(?:[ \u00a0\u202f().\-/]{0,3}\d){6,17}(?![\w,/-]|\.\d)")


def runs(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers may stand."""
    for match in _RUN.finditer(text):
        yield match.span()


def _regions(written: str) -> list[str]:
    """The countries whose national number it may be."""
    return [region for region, begins in REGIONS.items() if begins.match(written)]


@lru_cache(1 << 12)
def number_of(written: str) -> tuple[str, bool] | None:
    """A number's E.164 form and whether a numbering plan has it; None of what no plan's lengths allow."""
    import phonenumbers

    possible = None
    for region in (None,) if written.startswith(("+", "00")) else _regions(written):
        try:
            parsed = phonenumbers.parse("+" + written[2:] if written.startswith("00") else written, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164), True
        if possible is None and phonenumbers.is_possible_number(parsed):
            possible = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None if possible is None else (possible, False)


@lru_cache(1 << 12)
def found_in(run: str) -> tuple[tuple[int, int, str], ...]:
    """The valid numbers in a run of digits, each with its place and E.164 form."""
    from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher, format_number

    for region in (None,) if run.startswith("+") else _regions(run):
        matches = PhoneNumberMatcher(run, region, leniency=Leniency.STRICT_GROUPING)
        if numbers := tuple((m.start, m.end, format_number(m.number, PhoneNumberFormat.E164)) for m in matches):
            return numbers
    return ()
