"""Parties: names of numbers and numbers are none; those who are named stay."""

from __future__ import annotations

import pytest

from suites.types import Finding

from .finance import read

TEXT = "Acme Ltd, IBAN DE89 3704 0044 0532 0130 00, BIC COBADEFFXXX; USD 5,000 to Berlin via https://paypal.com/x"


def said(label: str, words: str) -> Finding:
    start = TEXT.index(words)
    return Finding("parties", label, 0.8, start, start + len(words))


@pytest.mark.parametrize("words", ["IBAN", "DE89 3704", "IBAN DE89 3704 0044 0532 0130 00", "BIC", "COBADEFFXXX", "USD", "5,000"])
def test_numbers_and_their_names_are_no_parties(words: str) -> None:
    """What the student takes for a party is dropped where it is an identifier, or the word for one."""
    assert read(TEXT, [said("PLACE", words)], task="parties") == []


@pytest.mark.parametrize("words", ["Acme Ltd", "Berlin", "paypal"])
def test_parties_stay(words: str) -> None:
    """Names stay, in links too."""
    assert read(TEXT, [said("ORGANISATION", words)], task="parties") == [said("ORGANISATION", words)]
