"""Doses and how often they are given: what is drunk is none."""

from __future__ import annotations

import pytest

from pipelines.rules import Rules
from suites.discover import find_pack
from suites.hooks import load_hooks

PACK = find_pack("clinical")
RULES = Rules(PACK.folder, PACK.manifest.language)
REFINE = load_hooks(PACK).refine


def doses(text: str) -> list[str]:
    """What is found as a dose or a frequency, in order of place."""
    found = [f for f in REFINE(text, RULES.read(text).findings) if f.task == "doses"]
    return [text[f.start : f.end] for f in sorted(found, key=lambda f: f.start)]


@pytest.mark.parametrize(
    "text",
    [
        "Alcohol 20 units weekly.",
        "Drinks about 30-40 units a week.",
        "EtOH: 14 units per week.",
        "He has 20 units of red wine monthly.",
        "Alcohol, 6 units daily.",
        "One alcoholic drink per day.",
    ],
)
def test_what_somebody_drinks_is_no_dose(text: str) -> None:
    """Units of alcohol are no dose, and how often they are drunk is no frequency."""
    assert doses(text) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Insulin 20 units daily, drinks no alcohol.", ["20 units", "daily"]),
        ("Alcohol nil. Lantus 20 units nightly.", ["20 units", "nightly"]),
        ("Drinks rarely, on insulin 20 units nightly.", ["20 units", "nightly"]),
        ("Alcohol excess; heparin 5000 units bd.", ["5000 units", "bd"]),
        ("Alcohol withdrawal, given diazepam 10 mg daily.", ["10 mg", "daily"]),
    ],
)
def test_units_of_a_drug_beside_alcohol_are_doses(text: str, wanted: list[str]) -> None:
    """Insulin and heparin are given in units, whatever else stands near."""
    assert doses(text) == wanted
