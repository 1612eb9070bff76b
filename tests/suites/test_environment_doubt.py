"""Key figures that look like the reporter's whole, of this year, gross, and are not: none is given as sure, and what resembles them is."""

from __future__ import annotations

import pytest

from suites.discover import find_pack
from suites.environment.years import ahead
from suites.hooks import load_hooks
from suites.types import Finding

REFINE = load_hooks(find_pack("environment")).refine
Short = tuple[str, float | None, str | None]


def shorts(text: str) -> list[Short]:
    """Label without its ending, number and value of the key figures of a text, in its order."""
    found = sorted((f for f in REFINE(text, []) if f.task == "kpi"), key=lambda f: f.start)
    return [(f.label.removesuffix("_EMISSIONS"), f.number, f.value) for f in found]


def same(text: str, expected: list[Short]) -> bool:
    return shorts(text) == [(label, pytest.approx(number, rel=1e-9) if number is not None else None, value) for label, number, value in expected]


METHODS: dict[str, list[Short]] = {
    "Scope 2 emissions were 3,000 tCO2e (market-based) in 2023.": [("SCOPE2_MARKET", 3000, "2023")],
    "Our Scope 2 emissions stood at 3,000 tCO2e (market-based method) for 2023.": [("SCOPE2_MARKET", 3000, "2023")],
    "Scope 2: 4,000 tCO2e (location-based)": [("SCOPE2_LOCATION", 4000, None)],
    "Scope 2 emissions were 4,000 tCO2e on a location basis in 2022.": [("SCOPE2_LOCATION", 4000, "2022")],
    "Scope 2 emissions were 4,000 tCO2e in 2023 (market-based).": [("SCOPE2_MARKET", 4000, "2023")],
    "Scope 2 emissions were 4,000 tCO2e (2023, location-based).": [("SCOPE2_LOCATION", 4000, "2023")],
    "On a market basis, Scope 2 emissions were 3,000 tCO2e in 2023.": [("SCOPE2_MARKET", 3000, "2023")],
    "Scope 2 emissions were 4,000 tCO2e (location-based) and 3,000 tCO2e (market-based) in 2023.": [
        ("SCOPE2_LOCATION", 4000, None),
        ("SCOPE2_MARKET", 3000, "2023"),
    ],
    "Scope 2: 4,000 tCO2e (location-based), 3,000 tCO2e (market-based)": [("SCOPE2_LOCATION", 4000, None), ("SCOPE2_MARKET", 3000, None)],
    "Scope 2 emissions were 412 tCO2e (market-based) in 2023, down from 431 tCO2e in 2022.": [("SCOPE2_MARKET", 412, "2023"), ("SCOPE2_MARKET", 431, "2022")],
    "Scope 1 and 2 emissions were 9,000 tCO2e (market-based) in 2023.": [("SCOPE12", 9000, "2023")],
    "In 2023 we emitted 500 tCO2e (Scope 1), 300 tCO2e (Scope 2, market-based) and 9,000 tCO2e (Scope 3).": [
        ("SCOPE1", 500, "2023"),
        ("SCOPE2_MARKET", 300, "2023"),
        ("SCOPE3", 9000, "2023"),
    ],
    # the method of the next number, both methods, or another than was said before
    "Scope 2 emissions were 4,000 tCO2e (market-based: 3,000 tCO2e).": [("SCOPE2", 4000, None), ("SCOPE2_MARKET", 3000, None)],
    "Scope 2 emissions were 14,800 tCO2e in 2022, location-based and market-based alike.": [("SCOPE2", 14_800, "2022")],
    "Scope 2 (location-based) emissions were 4,000 tCO2e (market-based).": [],
    # in tables
    "Emissionen (t CO2e) | 2023\nScope 2 (marktbasiert) | 567,5\nScope 2 (standortbasiert) | 667,5": [
        ("SCOPE2_MARKET", 567.5, "2023"),
        ("SCOPE2_LOCATION", 667.5, "2023"),
    ],
    "tCO2e | 2023 (market-based) | 2023 (location-based)\nScope 2 | 567 | 667": [("SCOPE2_MARKET", 567, "2023"), ("SCOPE2_LOCATION", 667, "2023")],
    "tCO2e | 2023\nMarket-based | \nScope 2 | 567\nLocation-based | \nScope 2 | 667": [("SCOPE2_MARKET", 567, "2023"), ("SCOPE2_LOCATION", 667, "2023")],
}


@pytest.mark.parametrize(("text", "expected"), METHODS.items(), ids=METHODS)
def test_scope_2_has_the_method_that_is_said_of_its_number(text: str, expected: list[Short]) -> None:
    """The method may stand before or after the number, with the year on either side; that of another number does not count."""
    assert same(text, expected)


PARTS = [
    "Scope 3 emissions from purchased goods were 80,000 tCO2e in 2023.",
    "Scope 3 emissions from business travel: 1,200 tCO2e",
    "Scope 3 emissions (categories 1, 4 and 6) were 90,000 tCO2e in 2023.",
    "Scope 1 emissions of methane were 300 tCO2e.",
    "Scope 1 emissions from our fleet were 300 tCO2e.",
    "We emitted 300 tCO2e of Scope 1 emissions from company cars in 2023.",
    "Scope 1 emissions were 300 tCO2e from our fleet in 2023.",
    "Fugitive Scope 1 emissions were 300 tCO2e.",
    "Scope 1 emissions at Port Talbot were 300,000 tCO2e.",
    "Scope 1 emissions were 300 tCO2e in 2023 at Port Talbot.",
    "Scope 1 emissions (Germany) were 300 tCO2e.",
    "Scope 1 emissions (Germany): 300 tCO2e",
    "Water withdrawal from groundwater was 30,000 m3.",
    "We withdrew 30,000 m3 of water from rivers.",
    "Energy use by data centres was 200 GWh.",
    "Data centre energy use was 200 GWh.",
    "Energy consumption across our warehouses totalled 20 GWh in 2023.",
    "Hazardous waste generated was 312 tonnes in 2023.",
    "Our subsidiary in Poland emitted 500 tCO2e (Scope 1).",
    "The joint venture emitted 500 tCO2e (Scope 1) in 2023.",
    # per something, or after offsets
    "Per tonne of cement, Scope 1 emissions were 0.62 tCO2e.",
    "For every tonne of steel, our Scope 1 emissions were 1.8 tCO2e.",
    "Scope 1 emissions were 0.62 tCO2e in 2023 per tonne of cement.",
    "Scope 1 emissions were 5,000 tCO2e net of offsets.",
    "Scope 1 emissions: 5,000 tCO2e, net of offsets",
    "After offsets, our Scope 1 emissions were 5,000 tCO2e.",
    "Net Scope 1 emissions were 5,000 tCO2e.",
    "Scope 1 emissions were 500 tCO2e excluding the port in 2023.",
]


@pytest.mark.parametrize("text", PARTS)
def test_a_part_a_ratio_and_a_net_figure_are_no_total(text: str) -> None:
    """What is of a gas, a category, a source, a place or a subsidiary, per something or after offsets is no figure of the reporter."""
    assert shorts(text) == []


WHOLES: dict[str, list[Short]] = {
    "Scope 1 emissions of the Ardal Group were 300 tCO2e.": [("SCOPE1", 300, None)],
    "Scope 1 emissions of Northwind plc amounted to 300 tCO2e.": [("SCOPE1", 300, None)],
    "Scope 1 emissions from our own operations were 300 tCO2e.": [("SCOPE1", 300, None)],
    "Scope 1 emissions from all entities under operational control were 500 tCO2e in 2023.": [("SCOPE1", 500, "2023")],
    "Scope 3 emissions across our value chain were 90,000 tCO2e.": [("SCOPE3", 90_000, None)],
    "Scope 2 emissions from purchased electricity were 3,000 tCO2e in 2023.": [("SCOPE2", 3000, "2023")],
    "Indirect emissions from purchased electricity (Scope 2) were 3,000 tCO2e.": [("SCOPE2", 3000, None)],
    "Total emissions were 900 tCO2e, of which Scope 1 emissions were 500 tCO2e.": [("SCOPE1", 500, None)],
    "Water withdrawal by the company was 30,000 m3 in 2023.": [("WATER_WITHDRAWAL", 30_000, "2023")],
    "The group and its subsidiaries emitted 500 tCO2e (Scope 1) in 2023.": [("SCOPE1", 500, "2023")],
    # a year that is only compared with
    "As in 2019, our Scope 1 emissions are 500 tCO2e.": [("SCOPE1", 500, None)],
    "Lower than in 2019, Scope 1 emissions were 500 tCO2e.": [("SCOPE1", 500, None)],
    "In 2019, our Scope 1 emissions were 500 tCO2e.": [("SCOPE1", 500, "2019")],
}


@pytest.mark.parametrize(("text", "expected"), WHOLES.items(), ids=WHOLES)
def test_the_reporter_in_other_words_is_the_whole(text: str, expected: list[Short]) -> None:
    """The reporter's own name, its operations, all of its entities are the whole; a year that is compared with is not the figure's."""
    assert same(text, expected)


DECIMALS: dict[str, list[Short]] = {
    "Treibhausgase (t CO2e) | 2022 | 2023\nScope 1 | 1.234 | 1.198\nScope 2 | 567 | 512\nScope 3 | 12.345 | 11.111": [
        ("SCOPE1", 1234, "2022"),
        ("SCOPE1", 1198, "2023"),
        ("SCOPE2", 567, "2022"),
        ("SCOPE2", 512, "2023"),
        ("SCOPE3", 12_345, "2022"),
        ("SCOPE3", 11_111, "2023"),
    ],
    "Wasser (m3) | 2023\nWater withdrawal | 1.234\nWater discharge | 987": [("WATER_WITHDRAWAL", 1234, "2023"), ("WATER_DISCHARGE", 987, "2023")],
    "Scope 2: 1.234 t CO2e": [],
    "3.1 Emissionen\nScope 2: 1.234 t CO2e": [],
    "GHG (tCO2e) | 2022 | 2023\nScope 1 | 1.234 | 1.198": [],
    "Stand: 03.2024, Tabelle 3.1\nScope 2: 1.234 t CO2e": [],
    # what is of another kind or unit tells nothing
    "GHG (ktCO2e) | 2023\nScope 1 | 1.234\nEmployees | 567": [],
    "Item | Unit | 2023\nScope 1 | ktCO2e | 1.234\nScope 2 | tCO2e | 567": [("SCOPE2", 567, "2023")],
    "Scope 2: 1,234 t CO2e": [("SCOPE2", 1234, None)],
    "Scope 2: 1.234 kt CO2e. Recycling rate: 0.5 %": [("SCOPE2", 1234, None), ("WASTE_RECYCLED", 0.5, None)],
}


@pytest.mark.parametrize(("text", "expected"), DECIMALS.items(), ids=DECIMALS)
def test_a_point_before_three_digits_is_no_decimal_mark_unless_something_tells(text: str, expected: list[Short]) -> None:
    """`1.234` alone is no number; beside whole numbers of like metrics in its column it is in thousands; headings' numbers tell nothing."""
    assert same(text, expected)


def test_a_quantity_with_a_doubtful_point_is_unsure() -> None:
    """A quantity `1.234 ha` in a text without another decimal has no number and is unsure; `1,234 ha` is a thousand and more."""
    given = [Finding("quantities", "QUANTITY", 0.9, 13, 21)]
    found = [REFINE(f"The wood has {written} ha", given)[0] for written in ("1.234", "1,234")]
    assert [(f.number, f.value, f.unsure) for f in found] == [(None, "ambiguous_number", True), (1234.0, "1234 ha", False)]


TABLES: dict[str, tuple[str, list[Short]]] = {
    "a site": ("Hamburg site\nEmissions (tCO2e) | 2023\nScope 1 | 50,000", []),
    "a division": ("Steel division\nEmissions (tCO2e) | 2023\nScope 1 | 50,000", []),
    "a business unit, further up": ("The Retail business unit\nEmissions\ntCO2e | 2023\nScope 1 | 50,000", []),
    "what is financed": ("Table 3. Financed emissions\nEmissions (tCO2e) | 2023\nScope 1 | 50,000", []),
    "a country": ("tCO2e | 2023\nScope 1 | 900\nScope 1 Germany | 500", [("SCOPE1", 900, "2023")]),
    "a region": ("tCO2e | 2023\nEurope | \nScope 1 | 500", []),
    "columns": ("tCO2e | Group 2023 | Steel 2023 | Cement 2023\nScope 1 | 900 | 500 | 400", [("SCOPE1", 900, "2023")]),
    "columns without the whole": ("tCO2e | Steel 2023 | Cement 2023\nScope 1 | 500 | 400", []),
    "a column of a country": ("tCO2e | Total 2023 | UK 2023\nScope 1 | 900 | 500", [("SCOPE1", 900, "2023")]),
    "sections": ("tCO2e | 2023\nRetail | \nScope 1 | 500\nWholesale | \nScope 1 | 400\nGroup | \nScope 1 | 900", [("SCOPE1", 900, "2023")]),
    "sections without the whole": ("tCO2e | 2023\nRetail | \nTotal Scope 1 | 500\nWholesale | \nTotal Scope 1 | 400", []),
    "by site": ("Emissions by site\nSite | Scope 1 (tCO2e)\nHarwick | 1,190\nGroup total | 8,140", [("SCOPE1", 8140, None)]),
    "sites with their sum": ("Terminals in 2023\nTerminal | Scope 1 (tCO2e)\nHarwick | 1,190\nGroup total | 8,140", [("SCOPE1", 8140, None)]),
    "a site with its sum": ("Harwick terminal\nSource | Scope 1 (tCO2e)\nBoilers | 1,190\nTotal | 8,140", []),
    "all sites": ("All sites (tCO2e)\n | 2023\nScope 1 | 500", [("SCOPE1", 500, "2023")]),
    "said twice": ("tCO2e | 2023\nScope 1 | 500\nScope 1 | 500", [("SCOPE1", 500, "2023"), ("SCOPE1", 500, "2023")]),
    # years to come
    "a year ahead": ("tCO2e | 2023 | 2030\nScope 1 | 800 | 400", [("SCOPE1", 800, "2023")]),
    "a year beyond a gap": ("tCO2e | 2021 | 2022 | 2026\nScope 1 | 500 | 600 | 300", [("SCOPE1", 500, "2021"), ("SCOPE1", 600, "2022")]),
    "a base year": ("tCO2e | 2015 | 2022 | 2023\nScope 1 | 9 | 8 | 7", [("SCOPE1", 9, "2015"), ("SCOPE1", 8, "2022"), ("SCOPE1", 7, "2023")]),
    "years as rows": ("Year | Scope 1 (tCO2e)\n2022 | 800\n2023 | 700\n2030 | 400", [("SCOPE1", 800, "2022"), ("SCOPE1", 700, "2023")]),
    "a target as a row": ("Year | Scope 1 (tCO2e)\n2023 | 700\n2025 target | 400", [("SCOPE1", 700, "2023")]),
    "a forecast": ("Forecast\ntCO2e | 2024 | 2025\nScope 1 | 1,000 | 900", []),
    # without cells
    "a flat forecast": ("Forecast\n2024 2025\nScope 1 (tCO2e) 1,000 900", []),
    "flat suppliers": ("Suppliers 2023 2022\nScope 1 (tCO2e) 1,000 900", []),
    "a flat division": ("Steel division\n2023 2022\nScope 1 (tCO2e) 1,000 900", []),
    "flat rows without the whole": ("2023 2022\nScope 1 Steel (tCO2e) 500 400\nScope 1 Cement (tCO2e) 300 200", []),
    "flat rows with the whole": ("2023 2022\nScope 1 Steel (tCO2e) 5 4\nScope 1 group (tCO2e) 8 7", [("SCOPE1", 8, "2023"), ("SCOPE1", 7, "2022")]),
    "a unit above": ("Energy (GWh) 2023 2022\nTotal energy consumption 1.5 2.5", [("ENERGY_USE", 1500, "2023"), ("ENERGY_USE", 2500, "2022")]),
    "a flat group": ("Our emissions\nGroup 2023 2022\nScope 1 (tCO2e) 1,000 900", [("SCOPE1", 1000, "2023"), ("SCOPE1", 900, "2022")]),
}


@pytest.mark.parametrize(("text", "expected"), TABLES.values(), ids=TABLES)
def test_a_table_of_a_part_or_of_years_to_come_gives_none(text: str, expected: list[Short]) -> None:
    """Caption, section and column may say that figures are of a part, of others or to come; of several of one year the whole's is given, or none."""
    assert same(text, expected)


def test_years_ahead_of_a_run() -> None:
    """Years beyond a gap lie ahead where targets are set for them or two years before them are consecutive."""
    assert ahead({2019, 2023}) == set()
    assert ahead({2015, 2022, 2023}) == set()
    assert ahead({2023, 2030, 2040}) == {2030, 2040}
    assert ahead({2021, 2022, 2026, 2027}) == {2026, 2027}
