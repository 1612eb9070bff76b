"""The words before a number, which say what kind of number it is."""

from __future__ import annotations

import re

_BEFORE_CHARS = 28
# numbers of another kind say so right before them; "number" and "no." alone say nothing, "order no." does
_NUMBER = r"\b[\s.:#-]*(?:(?:no|nr|num|number|id|code)\b[\s.:#-]*)?(?:is\s)?$"
_OTHER = re.compile(
    r"(?i)\b(?:order|ref(?:erence)?|invoice|case|ticket|tracking|shipment|consignment|customer|account|acct|a/c|parcel|policy|booking|code|id"
    r"|imei|meid|iccid|serial|s/n|isbn|ean|barcode|vat|tax|utr|registration|licen[cs]e|passport|membership|contract|claim|complaint|crime|receipt|transaction"
    rf"|batch|model|item|meter|sort\s?code|iban){_NUMBER}"
)
_CARD = re.compile(rf"(?i)\bcard{_NUMBER}")
_CALLED = re.compile(r"(?i)\b(?:call|ring|phone|tel(?:ephone)?|mobile|fax|dial|text|sms|whatsapp|cell|contact)\b")


def is_other(before: str) -> bool:
    """Whether the words before a number say that it is neither a telephone's nor a card's."""
    return _OTHER.search(before[-_BEFORE_CHARS:]) is not None


def is_called(before: str) -> bool:
    """Whether the words before a number say that it is to be called."""
    return _CALLED.search(before[-_BEFORE_CHARS:]) is not None


def is_no_phone(before: str) -> bool:
    """Whether the words before a number say that it is not to be called."""
    return (is_other(before) or _CARD.search(before[-_BEFORE_CHARS:]) is not None) and not is_called(before)
