"""Commitments in running prose, lists and flattened tables: what is found of invented paragraphs whose key figures are marked by hand.

`environment_commitments.txt` has them, an empty line after each: `[T:2030]` is a target year, `B` a base year, `R` a reduction, `S` a scenario, `1`, `2L`, `12`
and the like emissions of a scope. Its parts say how the rules came to know them: those of `development` were before the author's eyes, `held out` were written
with them and set aside, and the `unseen` ones were written after the rules, each part measured once before what it showed was mended.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from suites.discover import find_pack
from suites.hooks import load_hooks

REFINE = load_hooks(find_pack("environment")).refine
MARKED = re.compile(r"\[(\w{1,3}):([^\[\]]+)\]")
LABELS = {
    "T": "TARGET_YEAR",
    "B": "BASE_YEAR",
    "R": "REDUCTION_TARGET",
    "S": "CLIMATE_SCENARIO",
    "1": "SCOPE1_EMISSIONS",
    "2": "SCOPE2_EMISSIONS",
    "2L": "SCOPE2_LOCATION_EMISSIONS",
    "2M": "SCOPE2_MARKET_EMISSIONS",
    "3": "SCOPE3_EMISSIONS",
    "12": "SCOPE12_EMISSIONS",
    "123": "SCOPE123_EMISSIONS",
}
Marks = set[tuple[str, int, int]]


def unmarked(paragraph: str) -> tuple[str, Marks]:
    """The paragraph without its marks, and what they mark."""
    text, gold, at = "", set(), 0
    for match in MARKED.finditer(paragraph):
        text += paragraph[at : match.start()]
        gold.add((LABELS[match[1]], len(text), len(text) + len(match[2])))
        text += match[2]
        at = match.end()
    return text + paragraph[at:], gold


def found_in(text: str) -> Marks:
    return {(f.label, f.start, f.end) for f in REFINE(text, []) if f.task == "kpi" and f.label in LABELS.values()}


def paragraphs() -> list[str]:
    blocks = Path(__file__).with_name("environment_commitments.txt").read_text(encoding="utf-8").strip().split("\n\n")
    return [block for block in blocks if not block.startswith("== ")]


@pytest.mark.parametrize("label", ["TARGET_YEAR", "BASE_YEAR", "REDUCTION_TARGET", "CLIMATE_SCENARIO"])
def test_commitments_are_found_and_little_else(label: str) -> None:
    """Over all paragraphs a label of commitments has a precision of 0.95 and a recall of 0.85 or more, exact ranges counted."""
    counts: Counter[str] = Counter()
    for text, gold in map(unmarked, paragraphs()):
        of_gold, of_found = ({m for m in marks if m[0] == label} for marks in (gold, found_in(text)))
        counts += Counter(right=len(of_gold & of_found), found=len(of_found), gold=len(of_gold))
    assert counts["gold"] > 40
    assert counts["right"] / counts["found"] >= 0.95
    assert counts["right"] / counts["gold"] >= 0.85


def test_what_is_no_commitment_gives_nothing() -> None:
    """Of the paragraphs without a mark, results, history, others' pledges and other targets, at most one gives a key figure."""
    plain = [p for p in paragraphs() if not MARKED.search(p)]
    assert len(plain) > 40
    assert sum(bool(found_in(p)) for p in plain) <= 1


ROWS: dict[str, tuple[str, list[tuple[str, float | None, str | None]]]] = {
    "a range has no single number": ("We will cut CO2 emissions by 25–30 % by 2030.", [("REDUCTION_TARGET", None, "2030"), ("TARGET_YEAR", 2030, "2030")]),
    "spaces lost": (
        "Wewill reduce emissions by 33%by 2030compared to 2015levels.",
        [("REDUCTION_TARGET", 33, "2030"), ("TARGET_YEAR", 2030, "2030"), ("BASE_YEAR", 2015, "2015")],
    ),
    "a degree in words": ("Our goal is in line with the two-degree target.", [("CLIMATE_SCENARIO", 2, "2C")]),
    "a hyphen after the number": ("We follow a 1.5-degree pathway.", [("CLIMATE_SCENARIO", 1.5, "1.5C")]),
    "Paris, without a digit": ("Our strategy supports the goals of the Paris Agreement.", [("CLIMATE_SCENARIO", None, "Paris")]),
    "a temperature goes before Paris": ("We are aligned with the Paris Agreement's 1.5 °C goal.", [("CLIMATE_SCENARIO", 1.5, "1.5C")]),
    "a form": ("Base year: 2016. Targeted reduction from base year (%): 58.8.", [("BASE_YEAR", 2016, "2016"), ("REDUCTION_TARGET", 58.8, None)]),
    "an old target and a new one": (
        "We raised our target for cutting emissions from 26 % to 50 % by 2030.",
        [("REDUCTION_TARGET", 50, "2030"), ("TARGET_YEAR", 2030, "2030")],
    ),
    "years in the line": ("Scope 1 emissions 2022 2023 (kt CO2e) 310 298", [("SCOPE1_EMISSIONS", 310_000, "2022"), ("SCOPE1_EMISSIONS", 298_000, "2023")]),
    "years in the line above": (
        "2023 2022\nScope 1 emissions tCO2e 48,210 50,911\nScope 3 tCO2e 9 10",
        [("SCOPE1_EMISSIONS", 48_210, "2023"), ("SCOPE1_EMISSIONS", 50_911, "2022"), ("SCOPE3_EMISSIONS", 9, "2023"), ("SCOPE3_EMISSIONS", 10, "2022")],
    ),
    "more numbers than years": ("2023 2022\nScope 1 emissions tCO2e 48 210 50 911", []),
    "a row of a table": (
        "KPI | Unit | Target 2030\nReduction of Scope 1 emissions vs 2018 | % | 40",
        [("TARGET_YEAR", 2030, "2030"), ("BASE_YEAR", 2018, "2018"), ("REDUCTION_TARGET", 40, "2030")],
    ),
}


@pytest.mark.parametrize(("text", "expected"), ROWS.values(), ids=ROWS.keys())
def test_what_a_commitment_says(text: str, expected: list[tuple[str, float | None, str | None]]) -> None:
    """Number and value are those of the words, also where spaces, cells or digits are missing."""
    found = sorted((f for f in REFINE(text, []) if f.task == "kpi"), key=lambda f: f.start)
    assert [(f.label, f.number, f.value) for f in found] == [
        (label, pytest.approx(number) if number is not None else None, value) for label, number, value in expected
    ]


TOPICS: dict[str, list[tuple[float | None, str | None]]] = {
    "We will cut water use by 30% by 2030 and CO2 emissions by 40% by 2035.": [(40, "2035")],
    "Cut water use by 30% by 2030 and CO2 emissions by 40% by 2035.": [(40, "2035")],
    "We aim to reduce waste 20% and emissions 40% by 2030.": [(40, "2030")],
    "We will lower energy use 15% and Scope 1 emissions 30% by 2030.": [(30, "2030")],
    "By 2035 we want to use 25% less water and emit 45% less CO2.": [(45, "2035")],
    "We target a 30% reduction in energy use and a 50% reduction in GHG emissions by 2030.": [(50, "2030")],
    "We will cut Scope 1 and 2 emissions by 30% and water use by 20% by 2030.": [(30, "2030")],
    "We will cut energy use and emissions by 20% by 2030.": [(20, "2030")],
    "We will bring direct emissions and those from purchased energy down by 30 % by 2030.": [(30, "2030")],
    "We aim to cut emissions by 20 % by 2030 and 50 % by 2040.": [(20, "2030"), (50, "2040")],
    "By 2030 we will cut emissions by 30% and reach net zero by 2050.": [(30, "2030")],
    "We will cut emissions by 30 % from 2019 by 2030.": [(30, "2030")],
}


@pytest.mark.parametrize(("text", "expected"), TOPICS.items(), ids=TOPICS)
def test_a_percentage_is_of_its_own_topic_and_year(text: str, expected: list[tuple[float | None, str | None]]) -> None:
    """Of water, waste and energy no percentage becomes a cut of emissions, and none takes the year of another goal."""
    assert [(f.number, f.value) for f in REFINE(text, []) if f.task == "kpi" and f.label == "REDUCTION_TARGET"] == expected


GIVEN_UP = [
    "We abandoned our target of net zero by 2040.",
    "We no longer aim for net zero by 2040; instead 2050.",
    "We will not reach our target to cut emissions 50% by 2030.",
    "We cannot meet our goal of net zero by 2040.",
    "Our former target of a 30% cut in emissions by 2030 has been replaced.",
    "We withdrew our commitment to net zero by 2040.",
    "In March the board scrapped the 2030 target of cutting emissions by 30%.",
    "Our pledge to be carbon neutral by 2030 was withdrawn.",
    "It is no longer possible to be net zero by 2030.",
    "We have given up our goal of climate neutrality by 2035.",
]
KEPT = {
    "We will not only cut emissions by 30 % by 2030 but be net zero by 2040.": {2030, 2040},
    "We have abandoned coal and will be net zero by 2040.": {2040},
    "We raised our previous target and will cut emissions by 50 % by 2030.": {2030},
    "We will no longer burn coal and will cut emissions by 40% by 2030.": {2030},
    "We remain committed to net zero by 2040.": {2040},
    "We will not stop until we are net zero in 2040.": {2040},
}


@pytest.mark.parametrize("text", GIVEN_UP)
def test_a_commitment_that_was_given_up_is_none(text: str) -> None:
    """What was abandoned, withdrawn, replaced or will not be reached is no commitment."""
    assert found_in(text) == set()


@pytest.mark.parametrize(("text", "years"), KEPT.items(), ids=KEPT)
def test_a_commitment_beside_words_of_giving_up_is_kept(text: str, years: set[int]) -> None:
    """What else is abandoned, or not done, leaves the commitment as it is."""
    assert {f.number for f in REFINE(text, []) if f.task == "kpi" and f.label == "TARGET_YEAR"} == years


@pytest.mark.parametrize(
    "words", ["We target net zero by 2030 ", "2021 2022 2023\n", "emissions 5% 5% 2030 2040 ", "well below two degrees two 1.5- degree Paris "]
)
def test_time_is_linear_in_the_text(words: str) -> None:
    """Ten times the text takes at most thirty times as long, where a quadratic reader would take a hundred times; the machine may be busy."""

    def seconds(n_chars: int) -> float:
        text = (words * (n_chars // len(words) + 1))[:n_chars]
        start = time.process_time()
        REFINE(text, [])
        return time.process_time() - start

    REFINE("Emissions fell by 3 t by 2030.", [])
    short, long = (min(seconds(n_chars) for _ in range(3)) for n_chars in (10_000, 100_000))
    assert long <= 30 * max(short, 0.01)
