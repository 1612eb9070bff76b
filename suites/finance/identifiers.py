"""Identifiers that rules found, checked and in the form in which they are compared; and telephone numbers that no rule writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .accounts import bic, card, iban, isin, lei
from .amounts import amount
from .crypto import address
from .links import has_scheme, is_domain, link, trimmed
from .phones import found_in, is_called, is_other, number_of, runs
from .plain import Plain

TASK = "identifiers"
# what is looked at before an identifier, in characters
_BEFORE_CHARS = 40


def checked(text: str, found: Sequence[Any]) -> list[Any]:
    """The identifiers that pass their check, in order, none over another."""
    kept = [good for finding in found if (good := _CHECKS[finding.label](text, finding)) is not None]
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
        if is_other(before) or (run.text.isdigit() and run.text[0] != "0" and not is_called(before)):
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
    if number is None or (run.text[0] != "+" and is_other(text[max(0, finding.start - _BEFORE_CHARS) : finding.start])):
        return None
    return replace(finding, value=number[0], unsure=not number[1])


def _amount(text: str, finding: Any) -> Any | None:
    good = amount(Plain(text, finding.start, finding.end).text)
    return None if good is None else replace(finding, number=good[0], unit=good[1])


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
    "AMOUNT": _amount,
    "IBAN": _iban,
    "CARD": _standard(card),
    "LINK": _link,
    "PHONE": _phone,
    "EMAIL": _email,
    "BIC": _standard(bic),
    "LEI": _standard(lei),
    "ISIN": _isin,
    "CRYPTO": _crypto,
    "DOMAIN": _domain,
}
