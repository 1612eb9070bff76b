"""The identifiers of the finance pack: found, checked, and in the form in which they are compared."""

from __future__ import annotations

import json
import re

import pytest
from stdnum import numdb

from pipelines.metrics import score_task
from suites.samples import read_samples

from .finance import hooks, pack, read, rules

BTC, SCRIPT = "13faPLdspKp7zzha82uYTNT9Cdr17ophK2", "34MbJt8KNE8W6AQ1F8a8szp5MA8id16VUs"
SEGWIT, TAPROOT = "bc1qasvw4jxhtzc7hffd8sgd8xkudhvcqerj5nputu", "bc1p2yhjdtdrc0trftpudvft0veuk59mp93u8akejfpyzcvusnk83leq5k57a5"
ETH = "0x8b5Cc4df7eeC7d32A7814eCa4af047Ae33b2d523"

# how it stands in a text, the part that is found, its label, and its value
VALID = [
    ("Pay to DE89 3704 0044 0532 0130 00 today", "DE89 3704 0044 0532 0130 00", "IBAN", "DE89370400440532013000"),
    ("IBAN: GB82WEST12345698765432.", "GB82WEST12345698765432", "IBAN", "GB82WEST12345698765432"),
    ("iban de89370400440532013000", "de89370400440532013000", "IBAN", "DE89370400440532013000"),
    ("NL91-ABNA-0417-1643-00, thanks", "NL91-ABNA-0417-1643-00", "IBAN", "NL91ABNA0417164300"),
    ("FR14 2004 1010 0505 0001 3M02 606 by noon", "FR14 2004 1010 0505 0001 3M02 606", "IBAN", "FR1420041010050500013M02606"),
    ("to BE68 5390\n0754 7034", "BE68 5390\n0754 7034", "IBAN", "BE68539007547034"),
    ("card 4111 1111 1111 1111 expired", "4111 1111 1111 1111", "CARD", "4111111111111111"),
    ("card 4012888888881881.", "4012888888881881", "CARD", "4012888888881881"),
    ("5500-0000-0000-0004", "5500-0000-0000-0004", "CARD", "5500000000000004"),
    ("amex 3782 822463 10005 used", "3782 822463 10005", "CARD", "378282246310005"),
    ("BIC: COBADEFFXXX, please", "COBADEFFXXX", "BIC", "COBADEFFXXX"),
    ("SWIFT/BIC code is DEUTDEFF", "DEUTDEFF", "BIC", "DEUTDEFF"),
    ("send to BUKBGB22 now", "BUKBGB22", "BIC", "BUKBGB22"),
    ("LEI 5493ABCDEFGHIJKLMN81 of the payee", "5493ABCDEFGHIJKLMN81", "LEI", "5493ABCDEFGHIJKLMN81"),
    ("ISIN XS1234506787 pays", "XS1234506787", "ISIN", "XS1234506787"),
    (f"send it to {BTC}.", BTC, "CRYPTO", BTC),
    (f"wallet:{SCRIPT}", SCRIPT, "CRYPTO", SCRIPT),
    (f"to {SEGWIT.upper()} now", SEGWIT.upper(), "CRYPTO", SEGWIT),
    (f"({TAPROOT})", TAPROOT, "CRYPTO", TAPROOT),
    (f"ETH {ETH}, today", ETH, "CRYPTO", ETH),
    ("TRC20 TJxG5nquT49X9deNVE91qhVxaCL6d9eKHX", "TJxG5nquT49X9deNVE91qhVxaCL6d9eKHX", "CRYPTO", "TJxG5nquT49X9deNVE91qhVxaCL6d9eKHX"),
    ("LTC LNsYxXCXz54JAX7KSSuyPGNSDFdhibxkF9", "LNsYxXCXz54JAX7KSSuyPGNSDFdhibxkF9", "CRYPTO", "LNsYxXCXz54JAX7KSSuyPGNSDFdhibxkF9"),
    ("ring 0161 496 0217.", "0161 496 0217", "PHONE", "+441614960217"),
    ("ring 0161-496-0217", "0161-496-0217", "PHONE", "+441614960217"),
    ("tel.: (0161) 496 0217", "(0161) 496 0217", "PHONE", "+441614960217"),
    ("call +44 (0)161 496 0217", "+44 (0)161 496 0217", "PHONE", "+441614960217"),
    ("call 00 44 161 496 0217", "00 44 161 496 0217", "PHONE", "+441614960217"),
    ("call +49 (30) 23125-123", "+49 (30) 23125-123", "PHONE", "+493023125123"),
    ("call (202) 555-0125 now", "(202) 555-0125", "PHONE", "+12025550125"),
    ("text 2025550125", "2025550125", "PHONE", "+12025550125"),
    ("call 1-800-555-0199", "1-800-555-0199", "PHONE", "+18005550199"),
    ("call 800-555-0199", "800-555-0199", "PHONE", "+18005550199"),
    ("call +1 (770) 555-0123", "+1 (770) 555-0123", "PHONE", "+17705550123"),
    ("ask at (207) 555-0123", "(207) 555-0123", "PHONE", "+12075550123"),
    ("ring 1 (770) 555-0123", "1 (770) 555-0123", "PHONE", "+17705550123"),
    ("ring +44 (161) 496 0217", "+44 (161) 496 0217", "PHONE", "+441614960217"),
    ("Helpline no: 0800 123 4567", "0800 123 4567", "PHONE", "+448001234567"),
    ("her number 0161 496 0217", "0161 496 0217", "PHONE", "+441614960217"),
    ("New number is 0161 496 0217", "0161 496 0217", "PHONE", "+441614960217"),
    ("SWIFT code DEUTDEFF", "DEUTDEFF", "BIC", "DEUTDEFF"),
    ("SWIFT COBADEFFXXX", "COBADEFFXXX", "BIC", "COBADEFFXXX"),
    ("beneficiary's bank, SWIFT: DEUTDEFF", "DEUTDEFF", "BIC", "DEUTDEFF"),
    ("mail Anna.Lee@Bank.Example, please", "Anna.Lee@Bank.Example", "EMAIL", "anna.lee@bank.example"),
    ("see https://my.bank.example/a?b=1.", "https://my.bank.example/a?b=1", "LINK", "bank.example"),
    ("(http://a.co.uk/x_(y))", "http://a.co.uk/x_(y)", "LINK", "a.co.uk"),
    ("hxxps://evil[.]example/p", "hxxps://evil[.]example/p", "LINK", "evil.example"),
    ("go to www.shop.example!", "www.shop.example", "LINK", "shop.example"),
    ("shop.example/sale, now", "shop.example/sale", "LINK", "shop.example"),
    ("http://me.github.io/", "http://me.github.io/", "LINK", "me.github.io"),
    ("visit evil-bank.com today", "evil-bank.com", "DOMAIN", "evil-bank.com"),
]


@pytest.mark.parametrize(("text", "part", "label", "value"), VALID, ids=[f"{label}-{i}" for i, (_, _, label, _) in enumerate(VALID)])
def test_an_identifier_is_found_whole_and_normalised(text: str, part: str, label: str, value: str) -> None:
    """Each usual way to write an identifier gives one finding with its exact range and its comparable form."""
    (found,) = read(text, task="identifiers")
    assert (found.label, text[found.start : found.end], found.value, found.source) == (label, part, value, "rule")


INVALID = {
    "IBAN with a wrong digit": "DE89 3704 0044 0532 0130 01",
    "IBAN too short": "DE89 3704 0044 0532",
    "IBAN of no country": "XX89 3704 0044 0532 0130 00",
    "IBAN of another structure": "GB82 1234 1234 5698 7654 32",
    "card with a wrong digit": "4111 1111 1111 1112",
    "card of no issuer": "9111 1111 1111 1111",
    "BIC of no country": "BIC: COBAXXFFXXX",
    "words in capitals": "DEAR CUSTOMER, THIS IS IMPORTANT",
    "LEI with a wrong digit": "5493ABCDEFGHIJKLMN82",
    "ISIN with a wrong digit": "ISIN XS1234506788",
    "address with a changed letter": "13faPLdspKp7zzha82uYTNT9Cdr17ophK3",
    "segwit with a changed letter": "bc1qasvw4jxhtzc7hffd8sgd8xkudhvcqerj5nputa",
    "segwit in both cases": "bc1qasvw4jxhtzc7hffd8sgd8xkudhvcqerj5nPUTU",
    "ethereum with a changed case": "0x8b5Cc4df7eeC7d32A7814eCa4af047Ae33b2D523",
    "an order number": "order no. 2025550125",
    "a reference in groups": "reference 0161 4960 217 22",
    "an order's number": "order number is 0161 496 0217",
    "an account's number": "account no: 0161 496 0217",
    "a serial number": "IMEI 490154203237518",
    "an order's digits that pass Luhn": "order no. 4111111111111111",
    "an invoice's digits that pass Luhn": "Invoice 6011000990139424",
    "swift as a name": "Taylor SWIFT CONCERTS",
    "swift as a word": "Swift: DELIVERY",
    "a date": "2024-05-12 14:30",
    "a version": "version 10.12.2024",
    "a file": "Salary.pdf and notes.md and backup.zip",
    "two sentences": "I paid.Me too",
    "abbreviations": "e.g. in the U.S. or at 9 a.m.",
    "a fraction": "and/or 24/7",
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_what_fails_its_check_is_dropped(text: str) -> None:
    """What has the look of an identifier and not its checksum, or is something else, is not found."""
    assert read(text, task="identifiers") == []


# a text, and what is found in it: glued to words, side by side, or followed by what a rule might run into
TRIMMED = [
    ("IBANDE89370400440532013000and", [("IBAN", "DE89370400440532013000")]),
    ("DE89 3704 0044 0532 0130 00 COBADE3FXXX", [("IBAN", "DE89 3704 0044 0532 0130 00"), ("BIC", "COBADE3FXXX")]),
    ("DE89 3704 0044 0532 0130 00 0161 496 0217", [("IBAN", "DE89 3704 0044 0532 0130 00"), ("PHONE", "0161 496 0217")]),
    ("DE89370400440532013000 GB82WEST12345698765432", [("IBAN", "DE89370400440532013000"), ("IBAN", "GB82WEST12345698765432")]),
    ("[www.a.example](https://b.example/x)", [("LINK", "www.a.example"), ("LINK", "https://b.example/x")]),
    ('<a href="https://a.example/x">here</a>', [("LINK", "https://a.example/x")]),
    ("“https://a.example/x”, he said", [("LINK", "https://a.example/x")]),
    ("a@b.example,c@d.example", [("EMAIL", "a@b.example"), ("EMAIL", "c@d.example")]),
    ("Call 0161 496 0217 or 0161 496 0218", [("PHONE", "0161 496 0217"), ("PHONE", "0161 496 0218")]),
]


@pytest.mark.parametrize(("text", "parts"), TRIMMED)
def test_the_range_ends_where_the_identifier_ends(text: str, parts: list[tuple[str, str]]) -> None:
    """What stands directly beside an identifier is no part of it, and a second one behind it is found too."""
    assert [(f.label, text[f.start : f.end]) for f in read(text, task="identifiers")] == parts


DISGUISED = [
    ("GB\u200b82 WE\u00adST 12\u206034 56\ufeff98 76\u200d54 32", "IBAN", "GB82WEST12345698765432"),
    ("ＤＥ８９３７０４００４４０５３２０１３０００", "IBAN", "DE89370400440532013000"),
    ("D\u0415\u00a089\u00a0", None, None),
    ("4111\u00a01111\u202f1111 1111", "CARD", "4111111111111111"),
    ("٤١١١ 1111 1111 ١١١١", "CARD", "4111111111111111"),
    ("＋４４ １６１ ４９６ ０２１７", "PHONE", "+441614960217"),
    ("0161\u00a0496\u200b 0217", "PHONE", "+441614960217"),
    ("https://pay\u200b.example/a", "LINK", "pay.example"),
    ("https://раураl.com/a", "LINK", "xn--l-7sba6dbr.com"),
]


@pytest.mark.parametrize(("text", "label", "value"), DISGUISED)
def test_a_disguise_changes_neither_value_nor_range(text: str, label: str | None, value: str | None) -> None:
    """Full-width letters, digits of other scripts, invisible characters and odd spaces: the value is plain, the range is of the text as written."""
    found = read(f"Über: {text}\n", task="identifiers")
    if label is None:
        assert found == []
        return
    (only,) = found
    assert (only.label, only.value) == (label, value)
    assert only.start == 6 and only.end == 6 + len(text)


def test_a_form_without_a_checksum_is_unsure() -> None:
    """An Ethereum address in one case, an ISIN that nothing names, and a number that no plan knows are for a person to look at."""
    texts = [ETH.lower(), "XS1234506787", "07700 900142", ETH, "ISIN XS1234506787", "0161 496 0217"]
    assert [read(text, task="identifiers")[0].unsure for text in texts] == [True, True, True, False, False, False]


def test_a_cards_number_is_sure_where_something_says_that_it_is_one() -> None:
    """Digits in a row pass Luhn by chance: they are sure beside a word for a card, or grouped as on one; after another lead never."""
    texts = ["Visa 4111111111111111", "4111111111111111, exp. 04/29", "4111 1111 1111 1111", "4111111111111111", "order 4111 1111 1111 1111"]
    assert [read(text, task="identifiers")[0].unsure for text in texts] == [False, False, False, True, True]


def test_a_number_of_no_plan_is_american_by_its_groups() -> None:
    """Three, three and four digits without a nought are no British number, though no American plan has them."""
    (found,) = read("(123) 456-7890", task="identifiers")
    assert (found.label, found.value, found.unsure) == ("PHONE", "+11234567890", True)


def test_a_new_number_is_a_telephones() -> None:
    """The number that a relative writes from is found."""
    for text in ("Mum, this is my new number 07700 900142", "New number: 07700 900142", "my no. 07700 900142"):
        assert [(f.label, f.value) for f in read(text, task="identifiers")] == [("PHONE", "+447700900142")]


def test_a_coin_is_the_unit_of_its_address() -> None:
    """The unit of an address is the coin whose checksum it has."""
    texts = [BTC, SEGWIT, TAPROOT, ETH, "TJxG5nquT49X9deNVE91qhVxaCL6d9eKHX", "MLVS93WvpUd4zaJcANzdj5HcjhJwp6rjLb", "D7PZ6ageS8nXWE1P8WCB21d9kXqN9hXGAS"]
    assert [read(text, task="identifiers")[0].unit for text in texts] == ["BTC", "BTC", "BTC", "ETH", "TRX", "LTC", "DOGE"]


def test_lengths_of_ibans_are_the_registrys() -> None:
    """The rule knows each country's IBAN at just the length that the registry of python-stdnum gives."""
    (rule,) = [r for r in map(json.loads, (pack().folder / "rules.jsonl").read_text(encoding="utf-8").splitlines()) if r["id"] == "iban"]
    parts = re.findall(r"\(\?:([A-Z|]+)\)\\d\\d\(\?:[^)]*?\)\{(\d+)\}", rule["regex"])
    stated = {country: int(n) + 4 for countries, n in parts for country in countries.split("|")}
    registry = numdb.get("iban")
    assert len(stated) > 80
    for country, length in stated.items():
        structure = registry.info(country)[0][1]["bban"]
        assert length == 4 + sum(map(int, re.findall(r"(\d+)!", structure)))


def test_the_samples_identifiers_are_found_exactly() -> None:
    """On all samples no identifier is missed and none is found beside them."""
    examples = read_samples(pack())
    found = [hooks().refine(e.document.text, rules().read(e.document.text).findings) for e in examples]
    assert score_task(pack().tasks["identifiers"], [e.gold for e in examples], found).score == 1.0
