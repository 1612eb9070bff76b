"""Numbers of accounts, banks, cards, securities and companies: the compact form of what passes its standard's check."""

from __future__ import annotations

import re
from functools import cache

_SEPARATORS = re.compile(r"[\s.\-]")
# first digits of card numbers by scheme: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay, Maestro (ISO/IEC 7812 and the schemes' own lists)
_ISSUERS = re.compile(r"4|5[0-8]|2[2-7]|3[0478]|35|6")
_DIGITS = range(13, 20)


def compact(written: str) -> str:
    """Without what groups are set apart by, in capitals."""
    return _SEPARATORS.sub("", written).upper()


def iban(written: str) -> tuple[str, int] | None:
    """The IBAN that a text begins with, by its country's length, structure and check digits (ISO 13616), and how long it is as written."""
    from stdnum import iban as standard

    length = iban_length(compact(written[:2]))
    ends = [i for i, c in enumerate(written, start=1) if not _SEPARATORS.match(c)]
    if not length or len(ends) < length:
        return None
    end = ends[length - 1]
    whole = compact(written[:end])
    return (whole, end) if standard.is_valid(whole, check_country=False) else None


@cache
def iban_length(country: str) -> int:
    """How long IBANs of a country are; 0 of a country that has none."""
    from stdnum import numdb

    if len(country) != 2 or not country.isalpha():
        return 0
    (_, info), *_ = numdb.get("iban").info(country)
    structure = info.get("bban", "")
    return 4 + sum(map(int, re.findall(r"(\d+)!", structure))) if structure else 0


def bic(written: str) -> str | None:
    """The BIC (ISO 9362): its form and a country that exists."""
    from stdnum import bic as standard

    code = compact(written)
    return code if standard.is_valid(code) else None


def card(written: str) -> str | None:
    """The digits of a payment card: an issuer's first digits, 13 to 19 of them, Luhn's check digit (ISO/IEC 7812-1)."""
    from stdnum import luhn

    digits = compact(written)
    return digits if len(digits) in _DIGITS and _ISSUERS.match(digits) and len(set(digits)) > 1 and luhn.is_valid(digits) else None


def lei(written: str) -> str | None:
    """The LEI (ISO 17442) by its check digits; one without a letter is another number."""
    from stdnum import lei as standard

    code = compact(written)
    return code if len(code) == 20 and not code.isdigit() and standard.is_valid(code) else None


def isin(written: str) -> str | None:
    """The ISIN (ISO 6166) by its country and check digit."""
    from stdnum import isin as standard

    code = compact(written)
    return code if standard.is_valid(code) else None
