"""Telephone numbers: their international form (E.164), by the numbering plans of Google's libphonenumber."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

# A number without a country code is read as one of these countries, the first whose plan has it. Numbers of all countries are read with "+" or "00".
REGIONS = ("GB", "US")
# a run that may be a number: seven digits or more with what stands between them on paper, no more than any number has
_RUN = re.compile(r"(?<![\w.,/+-])(?:\+|00 ?)?\(?\d(?:[ \u00a0\u202f().\-/]{0,3}\d){6,17}(?![\w,/-]|\.\d)")
# numbers of another kind say so before them
_OTHER = re.compile(
    r"(?i)\b(?:order|ref(?:erence)?|invoice|case|ticket|tracking|customer|account|acct|a/c|parcel|policy|booking|code|id|no|nr|number|iban|card)\b[\s.:#-]*"
    r"(?:(?:no|nr|number|id|code)\b[\s.:#-]*)?(?:is\s)?$"
)
_BEFORE_CHARS = 28
_CALLED = re.compile(r"(?i)\b(?:call|ring|phone|tel(?:ephone)?|mobile|fax|dial|text|sms|whatsapp|cell|contact)\b")


def runs(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers may stand."""
    for match in _RUN.finditer(text):
        yield match.span()


def is_other(before: str) -> bool:
    """Whether the words before a number say that it is one of another kind."""
    near = before[-_BEFORE_CHARS:]
    return _OTHER.search(near) is not None and not _CALLED.search(near)


def is_called(before: str) -> bool:
    """Whether the words before a number say that it is to be called."""
    return _CALLED.search(before[-_BEFORE_CHARS:]) is not None


@lru_cache(1 << 12)
def number_of(written: str) -> tuple[str, bool] | None:
    """A number's E.164 form and whether a numbering plan has it; None of what no plan's lengths allow."""
    import phonenumbers

    possible = None
    for region in (None,) if written.startswith(("+", "00")) else REGIONS:
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

    for region in (None,) if run.startswith("+") else REGIONS:
        matches = PhoneNumberMatcher(run, region, leniency=Leniency.STRICT_GROUPING)
        if numbers := tuple((m.start, m.end, format_number(m.number, PhoneNumberFormat.E164)) for m in matches):
            return numbers
    return ()
