"""Identifiers that rules found, checked and in the form in which they are compared; and telephone numbers that no rule writes down."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .accounts import bic, card, iban, isin, lei
from .amounts import amount, digits_of, is_code, is_scaled, range_end
from .crypto import address
from .leads import is_called, is_no_phone, is_other
from .links import has_scheme, is_domain, link, trimmed
from .marks import Mark, decimal_mark
from .phones import found_in, number_of, runs
from .plain import Plain

TASK = "identifiers"
# what is looked at before an identifier, in characters
_BEFORE_CHARS = 40
# what is looked at behind an amount
_AFTER_CHARS = 40
# a letter apart that may count an amount, "£10 K", and what shows that it begins another word: "£10 M&S"
_SPACED_LETTER = re.compile(r"\s[kKmMB]$")
_GOES_ON = re.compile(r"[&'’–-][A-Za-z]")
_NAME = re.compile(r"\.?\s[A-Z][a-z]")
# behind an amount they may count it, or make it a range: letters without a vowel that stand for no known word, and a number after a dash
_DOUBTS = re.compile(
    r"\s?[-–—]\s?\d|\s(?!(?i:p[mwhp]|pcm|cpm|hrs?|k[gmw]|kwh|[cm]m|m|ft|yrs?|vs?|x|tv|dvd|cd|sms|by|my|try|why|mr|mrs|ms|dr|st|plc|llc|ltd|cr|dr|n)\b)"
    r"(?i:[bcdfghjklmnpqrstvwxz]{1,4})\b(?![&'’/-])"
)
_PAIR_BEFORE = re.compile(r"(?<![A-Z])([A-Z]{3,4})\s?/\s?$")
_PAIR_AFTER = re.compile(r"\s?/\s?([A-Z]{3,4})(?![A-Z])")
_OF_CARDS = re.compile(
    r"(?i)\b(?:\w*cards?|visa|master\s?card|amex|american express|discover|maestro|jcb|diners|union\s?pay|cvv2?|cvc2?|exp(?:iry|ires?|\.)?|valid thru|pan)\b"
)
_BIC_NAMED = re.compile(r"(?i)\bbic\b|\bswift[\s/-]{0,2}(?:code|no\b|number)")
_OF_BANKS = re.compile(r"(?i)\b(?:\w*bank\w*|iban|accounts?|a/c|acct|transfers?|wires?|beneficiary|payee|sort code|routing|bic)\b")


def checked(text: str, found: Sequence[Any]) -> list[Any]:
    """The identifiers that pass their check, in order, none over another."""
    kept = [good for f in found if f.label != "AMOUNT" and (good := _CHECKS[f.label](text, f)) is not None]
    kept += _amounts(text, [f for f in found if f.label == "AMOUNT"])
    kept.sort(key=lambda f: (f.start, -f.end))
    apart: list[Any] = []
    for finding in kept:
        if not apart or finding.start >= apart[-1].end:
            apart.append(finding)
    return apart


def more_phones(text: str, found: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Telephone numbers in any usual way of writing, where nothing else was found; `found` are in order and apart."""
    later = iter(found)
    following = next(later, None)
    for start, end in runs(text):
        while following is not None and following.end <= start:
            following = next(later, None)
        if following is not None and following.start < end:
            continue
        run = Plain(text, start, end)
        before = text[max(0, start - _BEFORE_CHARS) : start]
        if is_no_phone(before) or (run.text.isdigit() and run.text[0] != "0" and not is_called(before)):
            continue
        for first, last, number in found_in(run.text):
            first_place, last_place = run.span(first, last)
            yield {"task": TASK, "label": "PHONE", "start": first_place, "end": last_place, "value": number}


def _iban(text: str, finding: Any) -> Any | None:
    run = Plain(text, finding.start, finding.end)
    good = iban(run.text)
    return None if good is None else replace(finding, end=run.span(0, good[1])[1], value=good[0])


def _standard(check: Callable[[str], str | None]) -> Callable[[str, Any], Any | None]:
    """A check of the whole of what was found."""

    def check_whole(text: str, finding: Any) -> Any | None:
        value = check(Plain(text, finding.start, finding.end).text)
        return None if value is None else replace(finding, value=value)

    return check_whole


def _card(text: str, finding: Any) -> Any | None:
    """A card's number; digits in a row, of which one number in ten passes, only where no other lead stands before them."""
    written = Plain(text, finding.start, finding.end).text
    value = card(written)
    before, after = text[max(0, finding.start - _BEFORE_CHARS) : finding.start], text[finding.end : finding.end + _BEFORE_CHARS]
    is_grouped = not written.isdigit()
    if value is None or (is_other(before) and not is_grouped):
        return None
    is_named = _OF_CARDS.search(before) is not None or _OF_CARDS.search(after) is not None
    return replace(finding, value=value, unsure=is_other(before) or not (is_grouped or is_named))


def _bic(text: str, finding: Any) -> Any | None:
    """A bank's code; after "Swift" alone, which has other meanings, a word in capitals is one only where the text speaks of banks."""
    value = bic(Plain(text, finding.start, finding.end).text)
    if value is None:
        return None
    before, after = text[max(0, finding.start - _BEFORE_CHARS) : finding.start], text[finding.end : finding.end + _BEFORE_CHARS]
    is_word = value.isalpha() and not value.endswith("XXX") and not _BIC_NAMED.search(before)
    return None if is_word and not (_OF_BANKS.search(before) or _OF_BANKS.search(after)) else replace(finding, value=value)


def _isin(text: str, finding: Any) -> Any | None:
    value = isin(Plain(text, finding.start, finding.end).text)
    named = "ISIN" in text[max(0, finding.start - _BEFORE_CHARS) : finding.start].upper()
    # one reference number in ten passes the check digit by chance
    return None if value is None else replace(finding, value=value, unsure=not named)


def _crypto(text: str, finding: Any) -> Any | None:
    good = address(Plain(text, finding.start, finding.end).text)
    return None if good is None else replace(finding, value=good[0], unit=good[1], unsure=not good[2])


def _phone(text: str, finding: Any) -> Any | None:
    run = Plain(text, finding.start, finding.end)
    number = number_of(run.text)
    if number is None or (run.text[0] != "+" and is_no_phone(text[max(0, finding.start - _BEFORE_CHARS) : finding.start])):
        return None
    return replace(finding, value=number[0], unsure=not number[1])


def _amounts(text: str, found: Sequence[Any]) -> Iterator[Any]:
    """Sums with number and currency, and the other ends of ranges; rates of one currency in another are none."""
    decimal = decimal_mark(text, (digits_of(Plain(text, f.start, f.end).text) for f in found))
    for finding in found:
        run = Plain(text, finding.start, finding.end)
        if not _is_rate(text, finding, run.text):
            yield from _amount(text, finding, run, decimal)


def _amount(text: str, finding: Any, run: Plain, decimal: Mark | None) -> Iterator[Any]:
    written, after = run.text, text[finding.end : finding.end + _AFTER_CHARS]
    if _SPACED_LETTER.search(written) and _GOES_ON.match(after):  # "£10 M&S voucher"
        written, after = written[:-2], ""
    other = range_end(written, after)
    good = amount(written, decimal, other["magnitude"] if other else "")
    if good is None:
        return
    doubted = other[1].isalpha() if other else _is_doubtful(written, after)
    yield replace(finding, end=run.span(0, len(written))[1], number=good.number, unit=good.unit, unsure=good.unsure or doubted)
    if other and (last := amount(other["end"], decimal)):
        start, end = (finding.end + place for place in other.span("end"))
        yield replace(finding, start=start, end=end, number=last.number, unit=good.unit, unsure=last.unsure or doubted)


def _is_doubtful(written: str, after: str) -> bool:
    """Whether what follows a sum may count it, or what was read as counting it may begin a name: "£20 B. Smith"."""
    if _SPACED_LETTER.search(written):
        return _NAME.match(after) is not None
    return not is_scaled(written) and _DOUBTS.match(after) is not None


def _is_rate(text: str, finding: Any, written: str) -> bool:
    """Whether the currency is one half of a pair: "GBP/USD 1.275"."""
    before, after = _PAIR_BEFORE.search(text[max(0, finding.start - 8) : finding.start]), _PAIR_AFTER.match(text[finding.end : finding.end + 8])
    return bool((before and is_code(before[1]) and written[0].isalpha()) or (after and is_code(after[1]) and written[-1].isalpha()))


def _link(text: str, finding: Any) -> Any | None:
    run = Plain(text, finding.start, finding.end)
    length = trimmed(run.text)
    found = link(text[finding.start : run.place(length)])
    if found is None or not (found.is_known or has_scheme(run.text)):
        return None
    return replace(finding, end=run.span(0, length)[1], value=found.domain)


def _domain(text: str, finding: Any) -> Any | None:
    written = text[finding.start : finding.end]
    if not is_domain(written, text[max(0, finding.start - _BEFORE_CHARS) : finding.start]):
        return None
    found = link(written)
    label = "LINK" if written[:4].lower() == "www." else finding.label
    return None if found is None else replace(finding, label=label, value=found.domain)


def _email(text: str, finding: Any) -> Any | None:
    written = Plain(text, finding.start, finding.end).text.lower()
    return replace(finding, value=written.replace("[at]", "@").replace("(at)", "@").replace("[.]", ".").replace("(.)", "."))


_CHECKS: dict[str, Callable[[str, Any], Any | None]] = {
    "IBAN": _iban,
    "CARD": _card,
    "LINK": _link,
    "PHONE": _phone,
    "EMAIL": _email,
    "BIC": _bic,
    "LEI": _standard(lei),
    "ISIN": _isin,
    "CRYPTO": _crypto,
    "DOMAIN": _domain,
}
