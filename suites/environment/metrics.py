"""Which key figure a phrase names: `Gross Scope 1 GHG emissions`, `Total water withdrawn`, `Landfilled` under a caption on waste."""

from __future__ import annotations

import re
from functools import lru_cache

from .regions import names_region
from .units import Unit

KEPT = 1024  # labels that are remembered: the cells of a row ask for the same one
# `Scope 1`, `Scopes 1, 2 and 3`, `Scope 1+2`, `Scope 1 and Scope 2`, `Scope 1, 2 (market-based) and 3`
_WORD = r"[Ss](?:cope|COPE)[sS]?"
_JOINED = r"\s?(?:,|and|&|\+|-|–|/|to|plus|, and)\s?"
METHOD = r"(?:(?:[Ll]ocation|[Mm]arket)[- ]bas(?:ed|is)|(?:[Ss]tandort|[Mm]arkt)(?:basiert|bezogen)(?:e[nrs]?)?)"
SCOPES = rf"{_WORD}[ \u00a0-]?[123]\b(?:(?: \({METHOD}\))?{_JOINED}(?:{_WORD} ?)?[123]\b(?![.,]?\d)){{0,2}}"
_SCOPES = re.compile(SCOPES)
_LOCATION = re.compile(r"(?i)\blocation\b|\bstandort(?:basiert|bezogen)")
_MARKET = re.compile(r"(?i)\bmarket\b|\bmarkt(?:basiert|bezogen)")
_BARE_METHOD = re.compile(rf"(?i)\W*(?:scope 2 )?{METHOD}(?: method| approach)?\W*")
_EMISSION = re.compile(r"(?i)\b(?:emissions?|GHG|greenhouse|CO2e?|carbon|footprint|scopes?)\b")
_INTENSITY = re.compile(r"(?i)\bintensit(?:y|ies)\b|\bper\b|\bspecific\b|\bratio\b")
_ENERGY = re.compile(r"(?i)\benergy (?:consumption|consumed|use|used|usage|demand)\b|\bconsumption of energy\b")
_RENEWABLE = re.compile(
    r"(?i)\b(?:share|proportion|percentage|%) (?:of )?renewables?(?: energy| electricity| power)?\b|\brenewable (?:energy|electricity|power)\b"
    r"|\brenewables? share\b"
)
_WATER = {
    "WATER_WITHDRAWAL": re.compile(r"(?i)\bwithdraw(?:n|als?)\b|\babstract(?:ed|ion)\b|\bwater intake\b"),
    "WATER_CONSUMPTION": re.compile(r"(?i)\bconsum(?:ed|ption)\b"),
    "WATER_DISCHARGE": re.compile(r"(?i)\bdischarged?s?\b"),
}
_WASTE = {
    "WASTE_RECYCLED": re.compile(r"(?i)\brecycl(?:ed|ing)\b"),
    "WASTE_LANDFILLED": re.compile(r"(?i)\blandfill(?:ed|ing)?\b"),
    "WASTE_GENERATED": re.compile(r"(?i)\bwaste (?:generated|produced|generation)\b|\b(?:generated|total) waste\b|^total(?: waste)?$"),
}


def _words(*lists: str) -> re.Pattern[str]:
    """Any of the words and phrases of comma-separated lists, as whole words; `*` stands for the rest of a word."""
    words = [word.strip() for words in lists for word in words.split(",")]
    return re.compile(rf"(?i)\b(?:{'|'.join(words)})\b".replace("*", r"\w*"))


# what makes a figure one of a part, of others, of a change, or of something saved
_NEVER = (
    "of which, thereof, of it, suppliers?, customers?, reduc(?:e|ed|tions?|ing), decrease, increase, change, avoided, saved, "
    "savings?, targets?, goals?, budget, offsets?, credits?, "
    " removals?, biogenic, exclud*, excl, sites?, plants?, per cent of, coverage, category, categories, financed, sector, industry, "
    "estimate*, outside, limit, permit*, allowances?, "
    " potential, verified, divisions?, segments?, business units?, subsidiar(?:y|ies), joint ventures?, "
    "fleets?, cars, trucks, aircraft, data ?cent(?:re|er)s?, offices?, buildings?, stores?, warehouses?, factory, factories, mills?, "
    "forecasts?, outlook, projected, projections?, planned, expected"
)
_RELATIVE = "intensity, per, specific, ratio"
_PART_OF_EMISSIONS = _words(
    _NEVER,
    "methane, CH4, N2O, HFCs?, SF6, NOx, SOx, upstream(?! carbon), downstream, travel, commut*, purchased, sold products, "
    "transport*, fuels?, diesel, natural gas, refrigerants?, "
    "fugitive, vehicles?, process emissions, employees with, share",
)
_PART_OF_ENERGY = _words(
    _NEVER,
    _RELATIVE,
    "electric*, gas, fuels?, diesel, heat*, steam, cooling, non-renewable, renewable, self-generated, sold, exported, direct energy, indirect energy, from",
)
_PART_OF_RENEWABLE = _words(_NEVER, "non-renewable, capacity, heat, product, materials?, fuels?")
_PART_OF_WATER = _words(
    _NEVER,
    _RELATIVE,
    "areas?, stress*, surface, ground ?water, sea ?water, municipal, third[- ]party, from, to (?:the )?(?:river|sea|sewer), "
    "rivers?, lakes?, wells?, aquifers?, mains, "
    "recycl*, reused?, cooling, fresh ?water, process water, "
    "rain ?water, quality",
)
_PART_OF_WASTE = _words(
    _NEVER,
    _RELATIVE,
    "hazardous, electronic, food, packaging, plastics?, diverted, incinerat*, radioactive, construction, water, compost*, reused?, "
    "content, materials?, paper, steel, gas, sludge, scrap",
)
_OTHER_SUBJECT = _words("energy, emissions?, scope, electricity, paper, wood")

MASS, VOLUME, ENERGY, SHARE = ("t",), ("m3",), ("MWh",), ("%",)
EMISSION = ("tCO2e", "tCO2", "t")
FITTING = {
    **dict.fromkeys(("SCOPE1_EMISSIONS", "SCOPE2_EMISSIONS", "SCOPE2_LOCATION_EMISSIONS", "SCOPE2_MARKET_EMISSIONS"), EMISSION),
    **dict.fromkeys(("SCOPE3_EMISSIONS", "SCOPE12_EMISSIONS", "SCOPE123_EMISSIONS"), EMISSION),
    "ENERGY_USE": ENERGY,
    "RENEWABLE_SHARE": SHARE,
    **dict.fromkeys(("WATER_WITHDRAWAL", "WATER_CONSUMPTION", "WATER_DISCHARGE"), VOLUME),
    "WASTE_GENERATED": MASS,
    **dict.fromkeys(("WASTE_RECYCLED", "WASTE_LANDFILLED"), (*MASS, *SHARE)),
}
# by the first word of the metric
_PARTS = {
    **dict.fromkeys(("SCOPE1", "SCOPE2", "SCOPE3", "SCOPE12", "SCOPE123", "EMISSIONS"), _PART_OF_EMISSIONS),
    "ENERGY": _PART_OF_ENERGY,
    "RENEWABLE": _PART_OF_RENEWABLE,
    "WATER": _PART_OF_WATER,
    "WASTE": _PART_OF_WASTE,
}
_BY_SCOPES = {"1": "SCOPE1", "2": "SCOPE2", "3": "SCOPE3", "12": "SCOPE12", "123": "SCOPE123"}


@lru_cache(maxsize=KEPT)
def metric_of(label: str, context: str = "") -> str | None:
    """The key figure that a row's or column's label names, None where it is none or in doubt; `context` is its section and caption."""
    if names_region(label):
        return None
    for named in (_emissions, _renewable, _energy, _water, _waste):
        if metric := named(label, context):
            return metric
    return None


def is_part(metric: str, words: str) -> bool:
    """Whether words beside a metric make its figure one of a part."""
    return _PARTS[metric.split("_")[0]].search(words) is not None


@lru_cache(maxsize=KEPT)
def is_intensity(label: str) -> bool:
    """Whether a label may name emissions per something: its unit decides."""
    return not _PART_OF_EMISSIONS.search(label) and (_EMISSION.search(label) or _INTENSITY.search(label)) is not None


def fits(metric: str, unit: Unit) -> bool:
    """Whether a figure in that unit can be the metric."""
    if metric == "EMISSIONS_INTENSITY":
        return unit.is_emission_ratio
    return unit.doubt is None and unit.name in FITTING.get(metric, ())


def scope_metric(text: str) -> str | None:
    """The metric of the scopes a phrase names; of Scope 2 by its method where one is said."""
    match = _SCOPES.search(text)
    if match is None:
        return None
    digits = "".join(sorted(set(re.findall(r"[123]", match.group()))))
    if digits == "13" and re.search(r"1 ?(?:-|–|to) ?3", match.group()):
        digits = "123"
    scopes = _BY_SCOPES.get(digits)
    location, market = _LOCATION.search(text), _MARKET.search(text)
    if scopes is None or (location and market):
        return None
    method = "_LOCATION" if location else "_MARKET" if market else ""
    return f"{scopes}{method if scopes == 'SCOPE2' else ''}_EMISSIONS"


def _emissions(label: str, context: str) -> str | None:
    if _PART_OF_EMISSIONS.search(label) or _INTENSITY.search(label):
        return None
    section = context.split("\n")[0]
    if _SCOPES.search(label):
        metric = None if len(_SCOPES.findall(label)) > 1 else scope_metric(label)
        # "Scope 2" in the section "Location-based"
        return scope_metric(f"{label} {section}") if metric == "SCOPE2_EMISSIONS" and _BARE_METHOD.fullmatch(section) else metric
    # "Location-based" in the section "Scope 2"
    return scope_metric(f"{section} {label}") if _BARE_METHOD.fullmatch(label) else None


def _energy(label: str, context: str) -> str | None:
    return "ENERGY_USE" if _ENERGY.search(label) and not _PART_OF_ENERGY.search(label) else None


def _renewable(label: str, context: str) -> str | None:
    return "RENEWABLE_SHARE" if _RENEWABLE.search(label) and not _PART_OF_RENEWABLE.search(label) else None


def _water(label: str, context: str) -> str | None:
    return _part_of(label, context, "water", _WATER, _PART_OF_WATER)


def _waste(label: str, context: str) -> str | None:
    return _part_of(label, context, "waste", _WASTE, _PART_OF_WASTE)


def _part_of(label: str, context: str, subject: str, metrics: dict[str, re.Pattern[str]], part: re.Pattern[str]) -> str | None:
    if part.search(label) or _OTHER_SUBJECT.search(label) or not re.search(rf"(?i)\b{subject}\b", f"{label}\n{context}"):
        return None
    for metric, named in metrics.items():
        if named.search(label):
            return metric
    return None
