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
    ("1.234 BTC", 1.234, "BTC"),
    ("ETH 2.125", 2.125, "ETH"),
    ("1,250 USDC", 1250.0, "USDC"),
    ("$5.125bn", 5.125e9, "USD"),
    ("$1.250m", 1.25e6, "USD"),
    ("€1.375 million", 1.375e6, "EUR"),
    ("$1,250 million", 1.25e9, "USD"),
    ("EUR 2 Mrd", 2e9, "EUR"),
    ("€3 mrd", 3e9, "EUR"),
    ("£2 mil", 2e6, "GBP"),
    ("$1.5 mln", 1.5e6, "USD"),
    ("$2 Bil", 2e9, "USD"),
    ("$1.2 B", 1.2e9, "USD"),
    ("£10 K", 10_000.0, "GBP"),
    ("Rs 2 Cr", 2e7, "INR"),
    ("₹1.5 L", 150_000.0, "INR"),
    ("Rs 5 lacs", 500_000.0, "INR"),
    ("EUR 500 Tsd", 500_000.0, "EUR"),
    ("$27.500.000.00", 27_500_000.0, "USD"),
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


def sums(text: str) -> list[tuple[float | None, bool]]:
    """The numbers of all amounts, and which of them are unsure."""
    return [(f.number, f.unsure) for f in read(text, task="identifiers") if f.label == "AMOUNT"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The rent is 1.234 EUR", [(1234.0, True)]),
        ("It costs SEK 4.500", [(4500.0, True)]),
        ("EPS of $1.234", [(1.234, True)]),
        ("at £1.459 a litre", [(1.459, True)]),
        ("we want $5.000 now", [(5000.0, True)]),
        ("1.234 EUR, of it 5,50 EUR for post", [(1234.0, False), (5.5, False)]),
        ("1.234 EUR in all, 3,5 % less", [(1234.0, False)]),
        ("£1.459 a litre, £58.36 in all", [(1.459, False), (58.36, False)]),
        ("EUR 1,250 and EUR 12,50", [(1.25, True), (12.5, False)]),
        ("$1,250 and EUR 12,50", [(1250.0, False), (12.5, False)]),
        ("EUR 1,250, $3,400 and £9,999", [(1250.0, False), (3400.0, False), (9999.0, False)]),
        ("1.234 BTC or 0,5 BTC", [(1234.0, True), (0.5, False)]),
    ],
)
def test_one_mark_before_three_digits_is_read_as_the_document_writes_decimals(text: str, found: list[tuple[float, bool]]) -> None:
    """A dot before three digits is told by the document's other numbers; where none tells, the sum is unsure. A comma groups in English."""
    assert sums(text) == found


@pytest.mark.parametrize("text", ["GBP/USD 1.275", "1.275 GBP/USD", "EUR/CHF 0.9512 at noon", "USD / JPY 151.20"])
def test_a_rate_is_no_amount(text: str) -> None:
    """What one currency costs in another is no sum of money."""
    assert sums(text) == []


def test_both_ends_of_a_range_have_its_magnitude() -> None:
    """A magnitude behind a range is that of both ends, which are two amounts of one currency; with "to" a person should look."""
    for text in ("$1.5-2.0 million", "$1.5–2.0m", "$1.5 - 2.0 mln", "$1.5-$2.0 million"):
        assert sums(f"They lost {text}.") == [(1.5e6, False), (2e6, False)]
    assert sums("£10 to 20 million") == [(10e6, True), (20e6, True)]
    assert sums("from $500 to $1 million, $500-$1 million") == [(500.0, False), (1e6, False)] * 2
    assert sums("€5/€6 million") == [(5.0, False), (6e6, False)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("€50-100 a day", [(50.0, True)]),
        ("£5 xqz", [(5.0, True)]),
        ("£20 B. Smith", [(20e9, True)]),
        ("£10 M&S voucher", [(10.0, False)]),
        ("£5 K-pop", [(5.0, False)]),
        ("£20.00 CR", [(20.0, False)]),
        ("£500 pcm", [(500.0, False)]),
        ("£5 for tea", [(5.0, False)]),
        ("€5 - see below", [(5.0, False)]),
    ],
)
def test_what_may_count_an_amount_makes_it_unsure(text: str, found: list[tuple[float, bool]]) -> None:
    """Letters that are no word, and a number after a dash, may say how many; words, names of shops and credits on a statement do not."""
    assert sums(text) == found
