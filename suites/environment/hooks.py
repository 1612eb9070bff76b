"""Gives quantities their number and unit as written; a range keeps its unit and no single number."""

import re
from dataclasses import replace

# a leading number: sign, thousands marks, decimals; then an optional magnitude; the rest is the unit
_QUANTITY = re.compile(r"(?P<before>[^\d+−-]*)(?P<number>[+−-]?\d[\d,]*(?:\.\d+)?)\s*(?P<times>thousand|million|billion|trillion|mn|bn)?\s*(?P<unit>.*)", re.S)
_RANGE = re.compile(r"\d\s*(?:-|–|—|to|and)\s*\d")
# a unit is made of these words; anything else is running text and is left out
_UNIT_WORDS = """
% ‰ ° °c °f c k kg g mg µg ug ng t kt mt gt lb lbs tonne tonnes ton tons kilogram kilograms kilogramme
kilogrammes gram grams tco2e tco2 co2e co2 kgco2e ktco2e mtco2e tco2-e ch4 n2o nox sox so2 no2 pm10 pm2.5 voc
wh kwh mwh gwh twh w kw mw gw kwp mwp j kj mj gj tj pj btu mmbtu therms l ml litre litres liter liters
megalitre megalitres gigalitres gallon gallons m3 m³ nm3 m2 m² km2 km² ha hectare hectares acre acres m mm cm
km metre metres meter meters kilometre kilometres mile miles µm ppm ppb ppt db dba db(a) ph ntu bar mbar pa
kpa mol mmol s sec second seconds minute minutes min h hour hours day days week weeks month months year years
quarter quarters decade decades percent percentage point points basis bps pp eur usd gbp chf sek nok dkk aud
cad jpy cny inr brl zar € $ £ ¥ us$ euro euros dollar dollars pounds of per a an and the square cubic metric
dry wet standard thousand million billion m³/h m3/h m3/day kg/m3 mg/l µg/l ug/l mg/m3 µg/m3 mg/nm3 g/km l/s
kwh/m2 kwh/t t/ha
"""
_UNITS = frozenset(_UNIT_WORDS.split())
_TIMES = {"thousand": 1e3, "million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}


def refine(text, findings):
    """The findings, quantities with `number` and `unit` where they can be read."""
    return [_quantity(f, text[f.start : f.end]) if f.task == "quantities" else f for f in findings]


def _quantity(finding, found):
    match = _QUANTITY.fullmatch(found.strip())
    if match is None:
        return finding
    words = (match["before"] + " " + match["unit"]).split()
    unit = " ".join(words)[:40] if words and all(word.lower() in _UNITS for word in words) else None
    if _RANGE.search(found):
        return replace(finding, unit=unit if unit and not re.search(r"\d", unit) else None)
    number = float(match["number"].replace(",", "").replace("−", "-")) * _TIMES.get(match["times"] or "", 1.0)
    return replace(finding, number=number, unit=unit)
