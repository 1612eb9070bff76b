"""Written quantities of environmental reports as canonical ones: numbers of several locales, units, and what is in doubt."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.environment.numerals import Convention, convention_of, read_number
from suites.environment.quantities import UNSURE_NUMBER, find_quantities, read_quantity
from suites.environment.units import AMBIGUOUS, CANONICAL, UNKNOWN, read_unit

# as written, number, unit
READ = [
    ("1,234.5 kt", 1_234_500, "t"),
    ("1 234,5 t", 1234.5, "t"),
    ("1\u00a0234,5 t", 1234.5, "t"),
    ("1\u202f234 567 t", 1_234_567, "t"),
    ("1.234,5 MWh", 1234.5, "MWh"),
    ("1'234.5 t", 1234.5, "t"),
    ("1’234’567 m3", 1_234_567, "m3"),
    ("12,34,567 t", 1_234_567, "t"),
    ("1,23,456.7 kWh", 123.4567, "MWh"),
    ("1.234.567 t", 1_234_567, "t"),
    ("0,123 t", 0.123, "t"),
    ("0.123 t", 0.123, "t"),
    ("12,5 %", 12.5, "%"),
    ("12 thousand tonnes", 12_000, "t"),
    ("3.2 million m3", 3_200_000, "m3"),
    ("1.2m tonnes", 1_200_000, "t"),
    ("4 lakh tonnes", 400_000, "t"),
    ("3 crore litres", 30_000, "m3"),
    ("INR 2.9 billion", 2.9e9, "INR"),
    ("~40%", 40, "%"),
    ("about 40 %", 40, "%"),
    ("∼35%", 35, "%"),
    ("<0.1 %", 0.1, "%"),
    ("≤ 5 mg/l", 5e-6, "t/m3"),
    ("more than 300 t", 300, "t"),
    ("up to 90 %", 90, "%"),
    ("(1,234)", -1234, None),
    ("(1,234) t", -1234, "t"),
    ("(5.2) %", -5.2, "%"),
    ("(5.2 %)", -5.2, "%"),
    ("−5 °C", -5, "degC"),
    ("-5 °C", -5, "degC"),
    ("+6 pp", 6, "pp"),
    ("32 °F", 0, "degC"),
    ("212 °F", 100, "degC"),
    ("12 ± 3 %", 12, "%"),
    ("Five per cent", 5, "%"),
    ("twenty-five per cent", 25, "%"),
    ("two-year", 2, "year"),
    ("nineteen days", 456, "h"),
    ("16 hours", 16, "h"),
    ("90 minutes", 1.5, "h"),
    ("six months", 0.5, "year"),
    ("1,284.6 kt of CO2", 1_284_600, "tCO2"),
    ("12,345 tCO2e", 12_345, "tCO2e"),
    ("12,345 tCO₂e", 12_345, "tCO2e"),
    ("12,345 t CO2-eq", 12_345, "tCO2e"),
    ("12,345 t CO2eq", 12_345, "tCO2e"),
    ("88,120 tonnes of CO2e", 88_120, "tCO2e"),
    ("14,800 metric tons of CO2e", 14_800, "tCO2e"),
    ("7 tonnes of carbon dioxide equivalent", 7, "tCO2e"),
    ("1.5 tonnes of carbon dioxide", 1.5, "tCO2"),
    ("2.9 MtCO2e", 2_900_000, "tCO2e"),
    ("96.4 ktCO2e", 96_400, "tCO2e"),
    ("9.7 kgCO2e", 0.0097, "tCO2e"),
    ("0.9 Mt CO2e", 900_000, "tCO2e"),
    ("1.3 GtCO2e", 1.3e9, "tCO2e"),
    ("9.8 GWh", 9_800, "MWh"),
    ("300 TWh", 3e8, "MWh"),
    ("61,230,000 kWh", 61_230, "MWh"),
    ("127.5 TJ", 35_416.6666667, "MWh"),
    ("3.6 GJ", 1, "MWh"),
    ("1 PJ", 277_777.777778, "MWh"),
    ("300,000 MMBtu", 87_921.3210517, "MWh"),
    ("1 toe", 11.63, "MWh"),
    ("10 therms", 0.293071070172, "MWh"),
    ("8.4 MW", 8.4, "MW"),
    ("40 kW", 0.04, "MW"),
    ("1.8 MWp", 1.8, "MW"),
    ("2 GW", 2_000, "MW"),
    ("3,412 megalitres", 3_412_000, "m3"),
    ("2,016 ML", 2_016_000, "m3"),
    ("8.9 litres", 0.0089, "m3"),
    ("20 ml", 0.00002, "m3"),
    ("4.6 Mm3", 4_600_000, "m3"),
    ("2 hm3", 2_000_000, "m3"),
    ("1 km3", 1e9, "m3"),
    ("16,000 m³", 16_000, "m3"),
    ("5 cubic metres", 5, "m3"),
    ("3 hl", 0.3, "m3"),
    ("1,000 US gallons", 3.785411784, "m3"),
    ("1,000 imperial gallons", 4.54609, "m3"),
    ("100 cubic feet", 2.8316846592, "m3"),
    ("1 acre-foot", 1233.48183755, "m3"),
    ("62 hectares", 62, "ha"),
    ("3 km2", 300, "ha"),
    ("400 m²", 0.04, "ha"),
    ("10 acres", 4.0468564224, "ha"),
    ("500 square feet", 0.004645152, "ha"),
    ("9 km", 9_000, "m"),
    ("3 metres", 3, "m"),
    ("12 mm", 0.012, "m"),
    ("10 miles", 16_093.44, "m"),
    ("500 kg", 0.5, "t"),
    ("180 g", 0.00018, "t"),
    ("10 short tons", 9.0718474, "t"),
    ("10 long tons", 10.160469088, "t"),
    ("18,240 tonnes of waste", 18_240, "t"),
    ("46 tonnes NOx", 46, "t"),
    ("41 dB", 41, "dB"),
    ("55 dB(A)", 55, "dB(A)"),
    ("1,350 ppm", 1350, "ppm"),
    ("20 ppb", 0.02, "ppm"),
    ("3 ‰", 0.3, "%"),
    ("140 basis points", 1.4, "pp"),
    ("3.1 percentage points", 3.1, "pp"),
    ("EUR 140 million", 1.4e8, "EUR"),
    ("€12m", 1.2e7, "EUR"),
    ("€3bn", 3e9, "EUR"),
    ("US$ 5m", 5e6, "USD"),
    ("US$1.2bn", 1.2e9, "USD"),
    ("GBP 45,000", 45_000, "GBP"),
    ("£180,000", 180_000, "GBP"),
    ("EUR 0.85", 0.85, "EUR"),
    ("EUR 80/t", 80, "EUR/t"),
    ("EUR 70 per tonne", 70, "EUR/t"),
    ("USD 5 per kg", 5_000, "USD/t"),
    ("21.3 kg CO2e per room night", 0.0213, "tCO2e/room_night"),
    ("412 g CO2e per kWh", 0.412, "tCO2e/MWh"),
    ("0.57 tCO2e per tonne of steel", 0.57, "tCO2e/t"),
    ("588 kg CO2/t cementitious", 0.588, "tCO2/t"),
    ("4.1 kg CO2e per hl", 0.041, "tCO2e/m3"),
    ("11.4 tCO2e/£m", 1.14e-5, "tCO2e/GBP"),
    ("8.9 kg CO2e/boe", 0.0089, "tCO2e/boe"),
    ("62 g CO2e per tonne-km", 6.2e-5, "tCO2e/tkm"),
    ("98 g CO2 per passenger km", 9.8e-5, "tCO2/pkm"),
    ("2.4 tCO2e/FTE", 2.4, "tCO2e/FTE"),
    ("9.7 kg CO2e per occupied room", 0.0097, "tCO2e/room"),
    ("98 kWh/m2", 980, "MWh/ha"),
    ("350 litres per second", 1260, "m3/h"),
    ("40 m3 per hour", 40, "m3/h"),
    ("30 km/h", 30_000, "m/h"),
    ("4 m/s", 14_400, "m/h"),
    ("10 mg/Nm3", 1e-8, "t/Nm3"),
    ("4.1 hl per hectolitre", 4.1, "m3/m3"),
    ("1,234", 1234, None),
    ("7.9 million", 7.9e6, None),
]


@pytest.mark.parametrize(("written", "number", "unit"), READ, ids=[w for w, _, _ in READ])
def test_a_quantity_is_read(written: str, number: float, unit: str | None) -> None:
    """A quantity has the number and the canonical unit that its words say, and no doubt."""
    quantity = read_quantity(written)
    assert quantity is not None
    assert quantity.number == pytest.approx(number, rel=1e-9)
    assert (quantity.unit, quantity.unsure) == (unit, False)


RANGES = [
    ("5–7 %", "%", "5–7 %"),
    ("5 to 7 %", "%", "5–7 %"),
    ("5 % to 7 %", "%", "5–7 %"),
    ("between 9 and 12 °C", "degC", "9–12 °C"),
    ("-19 to 5 °C", "degC", "-19–5 °C"),
    ("3 to 5 million tonnes", "t", "3000000–5000000 tonnes"),
    ("between EUR 9 and EUR 12 per tonne", "EUR/t", "9–12 EUR per tonne"),
    ("three to five weeks", "h", "3–5 weeks"),
    ("10–12 m2", "ha", "10–12 m2"),
    ("4.5 kg and 13 kg", "t", "4.5 and 13 kg"),
]


@pytest.mark.parametrize(("written", "unit", "value"), RANGES, ids=[w for w, _, _ in RANGES])
def test_a_range_has_no_single_number(written: str, unit: str, value: str) -> None:
    """A range keeps its unit; both its numbers are in the value, none is the number."""
    quantity = read_quantity(written)
    assert quantity is not None
    assert (quantity.number, quantity.unit, quantity.value, quantity.unsure) == (None, unit, value, False)


DOUBTFUL = [
    ("22,400 tons", 22_400, "tons", AMBIGUOUS),
    ("22,400 tons of CO2e", 22_400, "tons of CO2e", AMBIGUOUS),
    ("3 MT", 3, "MT", AMBIGUOUS),
    ("3 MT CO2e", 3, "MT CO2e", AMBIGUOUS),
    ("3 mt CO2e", 3, "mt CO2e", AMBIGUOUS),
    ("3 MMT CO2e", 3, "MMT CO2e", AMBIGUOUS),
    ("12 m", 12, "m", AMBIGUOUS),
    ("12 M", 12, "M", AMBIGUOUS),
    ("5 k", 5, "k", AMBIGUOUS),
    ("300 K", 300, "K", AMBIGUOUS),
    ("310,000 gallons", 310_000, "gallons", AMBIGUOUS),
    ("52 barrels", 52, "barrels", AMBIGUOUS),
    ("52 bbl", 52, "bbl", AMBIGUOUS),
    ("140 units", 140, "units", AMBIGUOUS),
    ("2 MWh per unit", 2, "MWh per unit", AMBIGUOUS),
    ("5 MBtu", 5, "MBtu", AMBIGUOUS),
    ("5 mWh", 5, "mWh", AMBIGUOUS),
    ("40 pounds", 40, "pounds", AMBIGUOUS),
    ("160 degrees", 160, "degrees", AMBIGUOUS),
    ("9 points", 9, "points", AMBIGUOUS),
    ("3 ppt", 3, "ppt", AMBIGUOUS),
    ("$5 million", 5e6, "$", AMBIGUOUS),
    ("¥300", 300, "¥", AMBIGUOUS),
    ("400 kr", 400, "kr", AMBIGUOUS),
    ("7 tCO2e/$m", 7, "tCO2e/$m", AMBIGUOUS),
    ("12 m tonnes", 12, "m tonnes", AMBIGUOUS),
    ("14 people", 14, "people", UNKNOWN),
    ("3 widgets", 3, "widgets", UNKNOWN),
    ("4 foo/t", 4, "foo/t", UNKNOWN),
    ("5 kg CO2e per widget", 5, None, UNKNOWN),
    ("5 EUR per square metre and month", 5, None, UNKNOWN),
    ("6 litres per 100 km", 6, None, UNKNOWN),
    ("5 hits on the north shore of the lake", 5, None, UNKNOWN),
]


@pytest.mark.parametrize(("written", "number", "unit", "doubt"), DOUBTFUL, ids=[w for w, *_ in DOUBTFUL])
def test_a_unit_in_doubt_is_never_converted(written: str, number: float, unit: str | None, doubt: str) -> None:
    """A unit that is none, or may be several, stays as written; the finding is unsure and says why; no running text is kept as a unit."""
    quantity = read_quantity(written)
    assert quantity is not None
    assert quantity.unsure
    assert quantity.value == doubt
    assert quantity.number == pytest.approx(number)
    if unit is not None or written.startswith(("5 EUR", "6 litres", "5 hits")):
        assert quantity.unit == unit


def test_every_canonical_unit_is_read_as_itself() -> None:
    """What this pack writes it also reads: a canonical unit is canonical already."""
    for name in CANONICAL.values():
        if name not in ("m", "degC", "pH"):  # "m" alone is in doubt, "°C" is how degrees are written
            assert (read_unit(name).name, read_unit(name).factor) == (name, 1.0)


LOCALES: list[tuple[str, Convention, float | None]] = [
    ("1.234", "dot", 1.234),
    ("1.234", "comma", 1234),
    ("1.234", "mixed", None),
    ("1,234", "dot", 1234),
    ("1,234", "comma", 1.234),
    ("1,234", "mixed", None),
    ("12,34", "mixed", 12.34),
    ("0.500", "comma", 0.5),
    ("1234.567", "comma", 1234.567),
    ("1.2.3", "dot", None),
    ("12.05.2023", "dot", None),
    ("1,2345,67", "dot", None),
    ("1,234.567,8", "dot", None),
]


@pytest.mark.parametrize(("written", "convention", "number"), LOCALES)
def test_marks_mean_what_the_text_means_by_them(written: str, convention: Convention, number: float | None) -> None:
    """A mark before three digits is read as the text writes decimals; where it does both, such a number is none."""
    assert read_number(written, convention) == number


def test_a_text_tells_how_it_writes_decimals() -> None:
    """Numbers that can be read in one way alone tell the convention; none tell nothing, both kinds are mixed."""
    assert convention_of("1,234.5 and 12.5 %") == "dot"
    assert convention_of("1.234,5 and 12,5 %") == "comma"
    assert convention_of("1 234,5") == "comma"
    assert convention_of("1,234 and 5 and 2,500") is None
    assert convention_of("1,234 and 5 and 1.234") == "mixed"
    assert convention_of("12.5 and 12,5") == "mixed"


def test_a_number_in_doubt_is_none() -> None:
    """Where a text writes decimals both ways, a number that may be two is unsure and has none."""
    quantity = read_quantity("1.234 t", "mixed")
    assert quantity is not None
    assert (quantity.number, quantity.unit, quantity.value, quantity.unsure) == (None, "t", UNSURE_NUMBER, True)


FINITE = st.floats(min_value=0, max_value=1e9, allow_nan=False).map(lambda x: round(x, 2))


@given(FINITE, st.sampled_from(["dot", "comma", "space", "swiss"]))
def test_numbers_written_and_read_agree(number: float, locale: str) -> None:
    """A number of two decimals is read back from how four locales write it."""
    english = f"{number:,.2f}"
    marks = {"dot": (",", "."), "comma": (".", ","), "space": ("\u00a0", ","), "swiss": ("'", ".")}[locale]
    written = english.translate({ord(","): marks[0], ord("."): marks[1]})
    quantity = read_quantity(f"{written} t", "comma" if locale in ("comma", "space") else "dot")
    assert quantity is not None
    assert quantity.number == pytest.approx(number, rel=1e-9)


@given(FINITE, st.sampled_from(["t", "kt", "tCO2e", "MWh", "TJ", "m3", "ML", "ha", "%", "EUR million", "kg CO2e per tonne", "kWh/m2"]))
def test_conversion_is_multiplication(number: float, written: str) -> None:
    """A quantity's number is the written one times the unit's factor, to 12 digits."""
    unit = read_unit(written)
    quantity = read_quantity(f"{number:.2f} {written}")
    assert quantity is not None
    assert unit.doubt is None
    assert quantity.number == pytest.approx(number * unit.factor, rel=1e-11)


@given(st.text(max_size=60))
def test_any_text_is_read_or_left(written: str) -> None:
    """Whatever a range holds, reading it raises nothing, and what is read can be stored."""
    for convention in ("dot", "comma", "mixed"):
        quantity = read_quantity(written, convention)
        if quantity is not None:
            assert quantity.number is None or math.isfinite(quantity.number)
            assert quantity.unit is None or (len(quantity.unit) <= 40 and "\x00" not in quantity.unit)


def test_quantities_are_found_in_a_sentence() -> None:
    """A number with a unit after it or a currency before it is found with both; the number of a scope is none."""
    text = "Scope 1 412 t aside, we emitted 1.32 million tonnes of CO2e, 21.3 kg CO2e per room night, paid EUR 140 million for 46 % and counted 5 apples."
    found = [text[f.start : f.end] for f in find_quantities(text, 0, len(text))]
    assert found == ["1.32 million tonnes of CO2e", "21.3 kg CO2e per room night", "EUR 140 million", "46 %"]
