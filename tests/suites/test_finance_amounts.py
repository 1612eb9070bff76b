"""Amounts of money: number and currency of hard cases, and their ranges in a text."""

from __future__ import annotations

import pytest

from .finance import read

# as written, number, currency
CASES = [
    ("$4,500.00", 4500.0, "USD"),
    ("€1.234,50", 1234.5, "EUR"),
    ("EUR 1.200,50", 1200.5, "EUR"),
    ("1.450,00 EUR", 1450.0, "EUR"),
    ("SEK 9 400", 9400.0, "SEK"),
    ("CHF 1'250.-", 1250.0, "CHF"),
    ("CHF 1’234’567.80", 1234567.8, "CHF"),
    ("£26.4 million", 26400000.0, "GBP"),
    ("USD 8,700,000.00", 8700000.0, "USD"),
    ("EUR 1.9 billion", 1900000000.0, "EUR"),
    ("€3.5bn", 3500000000.0, "EUR"),
    ("$25k", 25000.0, "USD"),
    ("£11m", 11000000.0, "GBP"),
    ("0.08 BTC", 0.08, "BTC"),
    ("0.4 ETH", 0.4, "ETH"),
    ("10,000 USDT", 10000.0, "USDT"),
    ("₹1,50,000", 150000.0, "INR"),
    ("Rs. 5,000", 5000.0, "INR"),
    ("Rs 2,50,000.75", 250000.75, "INR"),
    ("Rs.4 lakh", 400000.0, "INR"),
    ("3.6 crore rupees", 36000000.0, "INR"),
    ("US$1.2m", 1200000.0, "USD"),
    ("A$ 99.95", 99.95, "AUD"),
    ("HK$1,299", 1299.0, "HKD"),
    ("R$ 1.299,90", 1299.9, "BRL"),
    ("NZ$20", 20.0, "NZD"),
    ("500 Canadian dollars", 500.0, "CAD"),
    ("75 Australian dollars", 75.0, "AUD"),
    ("80 zloty", 80.0, "PLN"),
    ("1 299,00 zł", 1299.0, "PLN"),
    ("1.299,- €", 1299.0, "EUR"),
    ("€ 50,-", 50.0, "EUR"),
    ("12 000 kr", 12000.0, "SEK"),
    ("450 Danish kroner", 450.0, "DKK"),
    ("DKK 1.849,00", 1849.0, "DKK"),
    ("JPY 1,200,000", 1200000.0, "JPY"),
    ("¥120000", 120000.0, "JPY"),
    ("₦250,000", 250000.0, "NGN"),
    ("KES 3,500", 3500.0, "KES"),
    ("30p", 0.3, "GBP"),
    ("75 cents", 0.75, "USD"),
    ("99 pence", 0.99, "GBP"),
    ("$.99", 0.99, "USD"),
    ("£0.40", 0.4, "GBP"),
    ("$0.18", 0.18, "USD"),
    ("0,99 €", 0.99, "EUR"),
    ("EUR1,500", 1500.0, "EUR"),
    ("1500EUR", 1500.0, "EUR"),
    ("USD5,000", 5000.0, "USD"),
    ("five hundred dollars", 500.0, "USD"),
    ("two thousand pounds", 2000.0, "GBP"),
    ("a million euros", 1000000.0, "EUR"),
    ("half a million dollars", 500000.0, "USD"),
    ("twenty-five thousand dollars", 25000.0, "USD"),
    ("one hundred and fifty euros", 150.0, "EUR"),
    ("2 million US dollars", 2000000.0, "USD"),
    ("$1.000.000,00", 1000000.0, "USD"),
    ("$1,000", 1000.0, "USD"),
    ("€1.000", 1000.0, "EUR"),
    ("€1.000.000", 1000000.0, "EUR"),
    ("BTC 0.123", 0.123, "BTC"),
    ("0.125 BTC", 0.125, "BTC"),
    ("£2,3", 2.3, "GBP"),
    ("GBP 218,904.16", 218904.16, "GBP"),
    ("-£20.00", 20.0, "GBP"),
    ("£ 1,280", 1280.0, "GBP"),
    ("$14.5 mn", 14500000.0, "USD"),
    ("EUR 2,1 Mio", 2100000.0, "EUR"),
    ("300 quid", 300.0, "GBP"),
    ("50 bucks", 50.0, "USD"),
    ("₿0.5", 0.5, "BTC"),
    ("$ 5.000", 5000.0, "USD"),
    ("$1,234.567", 1234.567, "USD"),
    ("1 234 567,89 €", 1234567.89, "EUR"),
    ("RM4388.00", 4388.0, "MYR"),
    ("₺1.250,00", 1250.0, "TRY"),
    ("915,810 euros", 915810.0, "EUR"),
    ("S$45", 45.0, "SGD"),
    ("3 million naira", 3000000.0, "NGN"),
    ("$500 CAD", 500.0, "CAD"),
]


@pytest.mark.parametrize(("written", "number", "unit"), CASES, ids=[written for written, _, _ in CASES])
def test_an_amount_has_its_number_and_currency(written: str, number: float, unit: str) -> None:
    """However an amount is written, it is found whole, with number and currency."""
    text = f"We said {written} in all."
    (found,) = read(text, task="identifiers")
    assert (found.label, found.number, found.unit) == ("AMOUNT", pytest.approx(number), unit)
    assert text[found.start : found.end] == written.removeprefix("-")


@pytest.mark.parametrize(
    "text",
    [
        "in 2024 and 1999",
        "10 000 steps",
        "ALL 5 of us",
        "TRY 3 times",
        "TOP 10",
        "room 12b",
        "a pound of apples",
        "5 per cent",
        "1080p video",
        "page 30",
        "EUR and USD",
    ],
)
def test_a_number_without_money_is_no_amount(text: str) -> None:
    """Numbers that count no money, and currencies without a number, are no amounts."""
    assert [f for f in read(text, task="identifiers") if f.label == "AMOUNT"] == []


def test_amounts_side_by_side_stay_apart() -> None:
    """Each of several amounts is one finding."""
    text = "€5/€6, 7 € 8 € and $9 or EUR 1 000 EUR 2 000"
    assert [(f.number, f.unit) for f in read(text, task="identifiers")] == [
        *((n, "EUR") for n in (5.0, 6.0, 7.0, 8.0)),
        (9.0, "USD"),
        (1000.0, "EUR"),
        (2000.0, "EUR"),
    ]
