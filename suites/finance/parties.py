"""Drops what the student takes for a party and is none: names of numbers, and numbers themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

TASK = "parties"
# written in capitals as organisations and places are, but what they name is a number or an amount
_TERMS = re.compile(r"(?:IBAN|BIC|SWIFT(?: code)?|ISIN|LEI|VAT|PIN|OTP|TAN|CVV|CVC|SMS|URL|ID|Ref|REF|EUR|USD|GBP|CHF|BTC|ETH|USDT|USDC|[\W\d])+")
# a link or address names whom it leads to; in these nobody is named
_NOBODY = frozenset(("AMOUNT", "IBAN", "CARD", "PHONE", "BIC", "LEI", "ISIN", "CRYPTO"))


def parties(text: str, findings: Sequence[Any], identifiers: Sequence[Any]) -> Iterator[Any]:
    """The parties but those; `identifiers` hold in their normal form."""
    taken = bytearray(len(text))
    for f in identifiers:
        if f.label in _NOBODY:
            taken[f.start : f.end] = b"\1" * (f.end - f.start)
    for f in findings:
        if f.task == TASK:
            words = "".join(" " if taken[i] else text[i] for i in range(f.start, f.end))
            if not _TERMS.fullmatch(words):
                yield f
