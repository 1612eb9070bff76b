"""Key figures of environmental reports: what sentences and tables give, and what they only seem to give."""

from __future__ import annotations

import pytest

from suites.discover import find_pack
from suites.environment.metrics import FITTING
from suites.hooks import load_hooks
from suites.types import Finding

REFINE = load_hooks(find_pack("environment")).refine
Found = tuple[str, str, float | None, str | None, str | None]


def kpis(text: str) -> list[Found]:
    """Label, words, number, unit and value of the key figures of a text, in its order."""
    found = sorted((f for f in REFINE(text, []) if f.task == "kpi"), key=lambda f: f.start)
    return [(f.label, text[f.start : f.end], f.number, f.unit, f.value) for f in found]


def shorts(text: str) -> list[tuple[str, float | None, str | None]]:
    return [(label, number, value) for label, _, number, _, value in kpis(text)]


SENTENCES: dict[str, list[tuple[str, float | None, str | None]]] = {
    "Scope 1 emissions were 12,345 tCO2e in 2023.": [("SCOPE1_EMISSIONS", 12_345, "2023")],
    "In 2023 our Scope 1 emissions amounted to 12.3 kt CO2e.": [("SCOPE1_EMISSIONS", 12_300, "2023")],
    "Scope 1 emissions of the Ardal group came to 1.2 million tonnes of CO2 in FY2022.": [("SCOPE1_EMISSIONS", 1.2e6, "2022")],
    "Scope 1 emissions in 2022/23 totalled 900 tCO2e.": [("SCOPE1_EMISSIONS", 900, "2022/23")],
    "Direct emissions (Scope 1) stood at 900 tCO2e.": [("SCOPE1_EMISSIONS", 900, None)],
    "We emitted 640 tCO2e in Scope 1 and 2,110 tCO2e in Scope 2.": [("SCOPE1_EMISSIONS", 640, None), ("SCOPE2_EMISSIONS", 2110, None)],
    "Scope 2 emissions (market-based) were 9,640 tCO2e.": [("SCOPE2_MARKET_EMISSIONS", 9640, None)],
    "Location-based Scope 2 emissions reached 31,884 tCO2e.": [("SCOPE2_LOCATION_EMISSIONS", 31_884, None)],
    "Scope 2 is stated by the location-based method (18,420 tCO2e) and the market-based method (11,975 tCO2e).": [
        ("SCOPE2_LOCATION_EMISSIONS", 18_420, None),
        ("SCOPE2_MARKET_EMISSIONS", 11_975, None),
    ],
    "Scope 3 emissions were 9.7 million tCO2e.": [("SCOPE3_EMISSIONS", 9.7e6, None)],
    "Scope 1 and 2 emissions were 48,300 tCO2e.": [("SCOPE12_EMISSIONS", 48_300, None)],
    "In 2023, Scope 1, Scope 2 and Scope 3 emissions totalled 742,000 tCO2e.": [("SCOPE123_EMISSIONS", 742_000, "2023")],
    "Scope 1 and Scope 2 emissions were 31,000 and 45,500 tCO2e respectively in 2023.": [
        ("SCOPE1_EMISSIONS", 31_000, "2023"),
        ("SCOPE2_EMISSIONS", 45_500, "2023"),
    ],
    "In 2022 our Scope 1, 2 (market-based) and 3 emissions were 1.2 MtCO2e.": [("SCOPE123_EMISSIONS", 1.2e6, "2022")],
    "Scope 1, 2 (location-based), and 3 emissions: 4,500 tCO2e (2022)": [("SCOPE123_EMISSIONS", 4_500, "2022")],
    "Scope 3 emissions of 2022 amounted to 45,000 tCO2e.": [("SCOPE3_EMISSIONS", 45_000, "2022")],
    # without a number that tells which mark is the decimal one, neither is guessed
    "Scope 1 emissions were 1.234 tCO2e in 2021 and 1,234 tCO2e in 2022.": [],
    # the year before has its own year or is no figure
    "Scope 1 emissions were 412 tCO2e in 2023, down from 431 tCO2e in 2022.": [("SCOPE1_EMISSIONS", 412, "2023"), ("SCOPE1_EMISSIONS", 431, "2022")],
    "Scope 1 emissions were 412 tCO2e in 2023 (2022: 431 tCO2e).": [("SCOPE1_EMISSIONS", 412, "2023"), ("SCOPE1_EMISSIONS", 431, "2022")],
    "Scope 1 emissions fell to 412 tCO2e in 2023 from 431 tCO2e a year earlier.": [("SCOPE1_EMISSIONS", 412, "2023"), ("SCOPE1_EMISSIONS", 431, "2022")],
    "Scope 1 emissions were 412 tCO2e in 2023, down from 431 tCO2e before the sale.": [("SCOPE1_EMISSIONS", 412, "2023")],
    "Scope 1 emissions were 412 tCO2e in 2023. That compares with 431 tCO2e in 2022.": [("SCOPE1_EMISSIONS", 412, "2023"), ("SCOPE1_EMISSIONS", 431, "2022")],
    "Scope 1 emissions fell by 19 tCO2e to 412 tCO2e.": [("SCOPE1_EMISSIONS", 412, None)],
    "The Scope 1 figure for 2021 was restated from 18,400 tCO2e to 19,150 tCO2e.": [("SCOPE1_EMISSIONS", 19_150, "2021")],
    # other metrics
    "Total energy consumption was 143.2 GWh in 2023, against 147.9 GWh in 2022.": [("ENERGY_USE", 143_200, "2023"), ("ENERGY_USE", 147_900, "2022")],
    "We used 84,300 MWh of energy in 2023.": [("ENERGY_USE", 84_300, "2023")],
    "Renewable sources covered 46 % of it.": [("RENEWABLE_SHARE", 46, None)],
    "Renewable electricity: 93 % in 2023": [("RENEWABLE_SHARE", 93, "2023")],
    "Carbon intensity came to 21.3 kg CO2e per room night.": [("EMISSIONS_INTENSITY", 0.0213, None)],
    "Per student we emitted 0.87 tCO2e.": [("EMISSIONS_INTENSITY", 0.87, None)],
    "We withdrew 2.45 million m3 of water in 2023.": [("WATER_WITHDRAWAL", 2.45e6, "2023")],
    "Water consumption was 1,120 megalitres.": [("WATER_CONSUMPTION", 1.12e6, None)],
    "In 2022 the group generated 18,240 tonnes of waste. Of this 14,100 tonnes were recycled and 910 tonnes were sent to landfill.": [
        ("WASTE_GENERATED", 18_240, "2022"),
        ("WASTE_RECYCLED", 14_100, "2022"),
        ("WASTE_LANDFILLED", 910, "2022"),
    ],
    "Scope 1 emissions (tonnes CO2e): 1 120 450": [("SCOPE1_EMISSIONS", 1_120_450, None)],
    # targets
    "We will cut Scope 1 and 2 emissions by 30 % by 2030 from a 2020 baseline.": [
        ("REDUCTION_TARGET", 30, "2030"),
        ("TARGET_YEAR", 2030, "2030"),
        ("BASE_YEAR", 2020, "2020"),
    ],
    "We aim to reduce emissions by 20 % by 2030 and 50 % by 2040 compared with 2016.": [
        ("REDUCTION_TARGET", 20, "2030"),
        ("TARGET_YEAR", 2030, "2030"),
        ("REDUCTION_TARGET", 50, "2040"),
        ("TARGET_YEAR", 2040, "2040"),
        ("BASE_YEAR", 2016, "2016"),
    ],
    "The bank will be net zero by 2050.": [("TARGET_YEAR", 2050, "2050")],
    "The 2021 base year was restated.": [("BASE_YEAR", 2021, "2021")],
    "The targets are consistent with a 1.5 °C pathway.": [("CLIMATE_SCENARIO", 1.5, "1.5C")],
    "We tested SSP5-8.5 and RCP 4.5.": [("CLIMATE_SCENARIO", None, "SSP5-8.5"), ("CLIMATE_SCENARIO", None, "RCP4.5")],
    "The plan keeps warming well below 2 °C.": [("CLIMATE_SCENARIO", None, "WB2C")],
}


@pytest.mark.parametrize(("text", "expected"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_sentence_gives_its_key_figures(text: str, expected: list[tuple[str, float | None, str | None]]) -> None:
    """A sentence gives the figures it says were so, with number in canonical units and year, and no other."""
    assert shorts(text) == [(label, pytest.approx(number, rel=1e-9) if number is not None else None, value) for label, number, value in expected]


NONE = [
    "We achieved a reduction of 1,200 t.",
    "We reduced our Scope 1 emissions by 3,220 tCO2e, or 3.5 %.",
    "Scope 1 emissions fell by 3,220 tCO2e in 2023.",
    "Scope 1 emissions will be 400 tCO2e in 2030.",
    "Our target is Scope 1 emissions of 400 tCO2e.",
    "The permit limits Scope 1 emissions to 120,000 tCO2e a year.",
    "Our suppliers' Scope 1 emissions came to 43,507 tCO2e in 2023.",
    "The sector's Scope 1 emissions were 43 MtCO2e in 2023.",
    "The site's Scope 1 emissions were 4,310 tCO2e in 2023.",
    "The terminal is one of nine sites. Its Scope 1 emissions were 4,310 tCO2e in 2023.",
    "Scope 1 emissions of a gas boiler are about 3 tCO2e a year.",
    "Scope 1 emissions were 22,400 tons of CO2e.",
    "Scope 1 emissions were 22,400 MT CO2e.",
    "Scope 1 emissions were 22,400.",
    "Scope 1 emissions cost us EUR 12 million.",
    "Scope 1 made up 62 % of emissions.",
    "Our gross emissions were 12,345 tCO2e.",
    "Each pump saves 48 tCO2e against a gas boiler.",
    "The heat pump avoids 690 tonnes of CO2 a year.",
    "We retired 85,000 tCO2e of credits in 2023.",
    "Energy consumption shall not exceed 45 GWh in a calendar year.",
    "Energy use was 9.81 TJ per plant on average.",
    "Energy use was 98 MJ per hectolitre.",
    "The site sent 1,200 t of slag to landfill in the first quarter.",
    "Hazardous waste amounted to 312 tonnes.",
    "We saved 16,000 m3 of water.",
    "By the end of 2023 we had cut Scope 1 and 2 emissions by 19 %.",
    "Scope 1 and 2 are down 9 % on last year.",
    "We plan to electrify the kiln by 2028.",
    "We target 15 % less water by 2028.",
    "Water at 31.5 °C killed part of the reef.",
    "The meeting in 2023 lasted 3 hours.",
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_key_figure_is_none(text: str) -> None:
    """A change, a target, another's figure, a part, an unknown unit: none is given as the reporter's own figure."""
    assert kpis(text) == []


TABLES: dict[str, tuple[str, list[tuple[str, float, str | None]]]] = {
    "unit in the caption": (
        "Table 7: Emissions (ktCO2e)\n | 2023 | 2022\nScope 1 | 48.2 | 50.9",
        [("SCOPE1_EMISSIONS", 48_200, "2023"), ("SCOPE1_EMISSIONS", 50_900, "2022")],
    ),
    "Markdown": (
        "| GHG (tCO2e) | 2021 | 2022 |\n|:---|---:|---:|\n| Scope 1 | 1,100 | 900 |",
        [("SCOPE1_EMISSIONS", 1_100, "2021"), ("SCOPE1_EMISSIONS", 900, "2022")],
    ),
    "scopes by one method": (
        "GHG (tCO2e) | 2022\nScope 1, 2 (market-based) and 3 | 4,400\nScope 1 | 900",
        [("SCOPE123_EMISSIONS", 4_400, "2022"), ("SCOPE1_EMISSIONS", 900, "2022")],
    ),
    "two ways of writing": (
        "GHG (tCO2e) | 2021 | 2022\nScope 1 | 1.100 | 1,900\nScope 2 | 12,5 | 13.5",
        [("SCOPE2_EMISSIONS", 12.5, "2021"), ("SCOPE2_EMISSIONS", 13.5, "2022")],
    ),
    "unit in a column": ("Item | Unit | FY23\nTotal energy consumption | TJ | 36", [("ENERGY_USE", 10_000, "2023")]),
    "unit in the label": ("Item | 2023\nWater withdrawal (million m3) | 17.2", [("WATER_WITHDRAWAL", 17.2e6, "2023")]),
    "unit after a comma": ("Item | 2023\nWaste generated, kt | 41.3", [("WASTE_GENERATED", 41_300, "2023")]),
    "unit in the header": ("Water | ML 2022\nTotal water discharged | 1,402", [("WATER_DISCHARGE", 1.402e6, "2022")]),
    "unit in the cell": ("Item | 2023\nScope 2 (market-based) | 6.2 ktCO2e", [("SCOPE2_MARKET_EMISSIONS", 6_200, "2023")]),
    "unit in the section": ("Item | 2023\nEnergy (GWh): | \nTotal energy consumed | 1,302", [("ENERGY_USE", 1_302_000, "2023")]),
    "thousands in the caption": ("(in thousand tonnes CO2e)\nItem | 2023\nScope 1 | 512.3", [("SCOPE1_EMISSIONS", 512_300, "2023")]),
    "method below a scope": (
        "Emissions (tCO2e)\nItem | 2023\nScope 2 | \nLocation-based | 5,120\nMarket-based | 611",
        [("SCOPE2_LOCATION_EMISSIONS", 5120, "2023"), ("SCOPE2_MARKET_EMISSIONS", 611, "2023")],
    ),
    "years as rows": (
        "Year | Scope 1 (tCO2e) | Renewable share\n2021 | 3,890 | 48 %\n2022 | 3,702 | 86 %",
        [("SCOPE1_EMISSIONS", 3890, "2021"), ("RENEWABLE_SHARE", 48, "2021"), ("SCOPE1_EMISSIONS", 3702, "2022"), ("RENEWABLE_SHARE", 86, "2022")],
    ),
    "only the total of sites": ("Site | Scope 1 (tCO2e)\nHarwick | 1,190\nGroup total | 8,140", [("SCOPE1_EMISSIONS", 8140, None)]),
    "footnotes": ("Item (tCO2e) | 2023\nScope 1 | 7,312*\nScope 3 | 9,871 (2)", [("SCOPE1_EMISSIONS", 7312, "2023"), ("SCOPE3_EMISSIONS", 9871, "2023")]),
    "decimal commas": (
        "Energie in MWh | 2023 | 2022\nTotal energy consumption | 214.350,5 | 221.908",
        [("ENERGY_USE", 214_350.5, "2023"), ("ENERGY_USE", 221_908, "2022")],
    ),
    "targets and changes are no actuals": (
        "Emissions (tCO2e) | 2023 | Change | Target 2030\nScope 1 | 97,610 | -3.1 % | 64,200",
        [("SCOPE1_EMISSIONS", 97_610, "2023"), ("TARGET_YEAR", 2030, "2030")],
    ),
    "restated, not as reported": ("Item (tCO2e) | 2022 (restated) | 2022 (as reported)\nScope 1 | 7,655 | 7,490", [("SCOPE1_EMISSIONS", 7655, "2022")]),
    "no quarters": ("GHG emissions (tCO2e) | Q1 2024 | FY 2023\nScope 1 | 1,204 | 5,110", [("SCOPE1_EMISSIONS", 5110, "2023")]),
    "no categories": ("Scope 3 by category (t CO2e)\nCategory | 2023\n6 Business travel | 3,118\nTotal Scope 3 | 9,999", [("SCOPE3_EMISSIONS", 9999, "2023")]),
    "no parts": (
        "Item | 2023\nTotal energy consumption (MWh) | 90\nof which natural gas (MWh) | 40\nWater withdrawal in areas of water stress (m3) | 7",
        [("ENERGY_USE", 90, "2023")],
    ),
    "no suppliers": ("Supplier group | Scope 1 (tCO2e)\nMills | 12,430\nTotal | 43,507", []),
    "no ambiguous units": ("Item | 2023\nScope 1 emissions (MT CO2e) | 9,455\nWaste generated, tons | 9,310\nWater withdrawal, gallons | 44", []),
    "intensity, not a total": ("Item | 2023\nScope 1 and 2 intensity (kg CO2e/t) | 412", [("EMISSIONS_INTENSITY", 0.412, "2023")]),
    "money below is money": ("Item | 2023\nIntensity (tCO2e per £m revenue) | 11.4", [("EMISSIONS_INTENSITY", 1.14e-5, "2023")]),
    "no unit, no figure": ("Item | 2023\nScope 1 | 48,210", []),
    "no negatives": ("Item (tCO2e) | 2023\nScope 1 | (1,234)", []),
    "a running head is no table": ("22 | Brackenridge Water | Annual Report 2023\nScope 1 and more", []),
    "a page of its own": ("Emissions (tCO2e)\fItem | 2023\nScope 1 | 48,210", []),
}


@pytest.mark.parametrize(("text", "expected"), TABLES.values(), ids=TABLES.keys())
def test_a_table_gives_its_key_figures(text: str, expected: list[tuple[str, float, str | None]]) -> None:
    """Rows give figures where metric, unit and year can be told from label, header, section or caption of the same page."""

    def place(figure: tuple[str, float | None, str | None]) -> tuple[str, str]:
        return figure[0], figure[2] or ""

    assert sorted(shorts(text), key=place) == [(label, pytest.approx(number, rel=1e-9), value) for label, number, value in sorted(expected, key=place)]


def test_a_cells_quantity_has_the_units_of_its_table() -> None:
    """A quantity that the student finds in a cell is converted by the unit that its row, column or cell says; without one it has none."""
    text = "Item | Unit | 2023\nCOD to water | kg | 4,210\nEmployees | | 310"
    cells = [text.index("4,210"), text.index("310")]
    found = REFINE(text, [Finding("quantities", "QUANTITY", 0.9, at, at + n) for at, n in zip(cells, (5, 3), strict=True)])
    assert [(f.number, f.unit) for f in found] == [(4.21, "t"), (310.0, None)]


def test_tonnes_of_an_unnamed_gas_are_unsure() -> None:
    """Emissions in plain tonnes are given as tonnes, unsure: the gas is not said."""
    (found,) = [f for f in REFINE("Scope 1 emissions were 900 tonnes in 2023.", []) if f.task == "kpi"]
    assert (found.unit, found.unsure) == ("t", True)


def test_every_figure_is_in_the_unit_of_its_metric() -> None:
    """The metrics that have a unit are labels of the task, and no other."""
    labels = set(find_pack("environment").tasks["kpi"].labels)
    assert labels - FITTING.keys() == {"EMISSIONS_INTENSITY", "REDUCTION_TARGET", "BASE_YEAR", "TARGET_YEAR", "CLIMATE_SCENARIO"}
    assert FITTING.keys() <= labels
