"""Gives quantities their number and unit as written; a range keeps its unit and no single number."""

import re
from dataclasses import replace

# a leading number: sign, thousands marks, decimals; then an optional magnitude; the rest is the unit
_QUANTITY = re.compile(r"(?P<before>[^\d+−-]*)(?P<number>[+−-]?\d[\d,]*(?:\.\d+)?)\s*(?P<times>thousand|million|billion|trillion|mn|bn)?\s*(?P<unit>.*)", re.S)
_RANGE = re.compile(r"\d\s*(?:-|–|—|to|and)\s*\d")
_TIMES = {"thousand": 1e3, "million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}


def refine(text, findings):
    """The findings, quantities with `number` and `unit` where they can be read."""
    return [_quantity(f, text[f.start : f.end]) if f.task == "quantities" else f for f in findings]


def _quantity(finding, found):
    match = _QUANTITY.fullmatch(found.strip())
    if match is None:
        return finding
    unit = " ".join((match["before"] + " " + match["unit"]).split())[:40] or None
    if _RANGE.search(found):
        return replace(finding, unit=unit if unit and not re.search(r"\d", unit) else None)
    number = float(match["number"].replace(",", "").replace("−", "-")) * _TIMES.get(match["times"] or "", 1.0)
    return replace(finding, number=number, unit=unit)
