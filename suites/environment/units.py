"""Written units as canonical ones: `kt CO2e` is 1,000 tCO2e, `TJ` 277.8 MWh, `kg CO2e per hl` 0.01 tCO2e/m3."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

UNKNOWN, AMBIGUOUS = "unknown_unit", "ambiguous_unit"
# the store's column `unit` is so wide
MAX_CHARS = 40
MAX_WORDS = 3
# no database takes these as text
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# what analysts add up in, one unit a dimension; ratios are ratios of these
CANONICAL = {
    "tonne_co2e": "tCO2e",
    "tonne_co2": "tCO2",
    "tonne": "t",
    "megawatt_hour": "MWh",
    "megawatt": "MW",
    "cubic_metre": "m3",
    "normal_cubic_metre": "Nm3",
    "hectare": "ha",
    "metre": "m",
    "hour": "h",
    "year": "year",
    "percent": "%",
    "percentage_point": "pp",
    "part_per_million": "ppm",
    "degree_celsius": "degC",
    "decibel": "dB",
    "decibel_a": "dB(A)",
    "acidity": "pH",
    "bar": "bar",
    "mole": "mol",
    "tonne_kilometre": "tkm",
    "passenger_kilometre": "pkm",
    "oil_barrel_equivalent": "boe",
}
# how units are written; where case tells two apart it counts, words are also found in other case
_WRITTEN = """
gram: g|gram|grams|gramme|grammes
kilogram: kg|KG|Kg|kilo|kilos|kilogram|kilograms|kilogramme|kilogrammes
milligram: mg|milligram|milligrams
microgram: µg|ug|mcg|microgram|micrograms
tonne: t|te|tonne|tonnes|metric ton|metric tons|metric tonne|metric tonnes
kilotonne: kt|Kt|ktonnes|ktonne|kilotonne|kilotonnes|kiloton|kilotons
megatonne: Mt|megatonne|megatonnes
gigatonne: Gt|gigatonne|gigatonnes
short_ton: short ton|short tons|US ton|US tons
long_ton: long ton|long tons
pound_avoirdupois: lb|lbs
watt_hour: Wh|watt-hour|watt-hours|watt hours
kilowatt_hour: kWh|KWh|KWH|kwh|Kwh|kilowatt-hour|kilowatt-hours|kilowatt hour|kilowatt hours
megawatt_hour: MWh|MWH|megawatt-hour|megawatt-hours|megawatt hour|megawatt hours
gigawatt_hour: GWh|GWH|Gwh|gigawatt-hour|gigawatt-hours|gigawatt hour|gigawatt hours
terawatt_hour: TWh|TWH|terawatt-hour|terawatt-hours|terawatt hour|terawatt hours
joule: J|joule|joules
kilojoule: kJ|KJ|kilojoule|kilojoules
megajoule: MJ|megajoule|megajoules
gigajoule: GJ|Gj|gigajoule|gigajoules
terajoule: TJ|Tj|terajoule|terajoules
petajoule: PJ|Pj|petajoule|petajoules
btu: Btu|BTU
megabtu: MMBtu|MMBTU|mmBtu|mmbtu|million Btu
therm: therm|therms
oil_tonne: toe
kilooil_tonne: ktoe
megaoil_tonne: Mtoe
watt: W|watt|watts
kilowatt: kW|KW|kWp|kilowatt|kilowatts
megawatt: MW|MWp|megawatt|megawatts
gigawatt: GW|GWp|gigawatt|gigawatts
terawatt: TW
cubic_metre: m3|m^3|cbm|cu m|cubic metre|cubic metres|cubic meter|cubic meters
megacubic_metre: Mm3|hm3
cubic_kilometre: km3
normal_cubic_metre: Nm3|normal cubic metre|normal cubic metres
litre: l|L|litre|litres|liter|liters
millilitre: ml|mL|millilitre|millilitres
centilitre: cl|cL
hectolitre: hl|hL|hectolitre|hectolitres|hectoliter|hectoliters
kilolitre: kl|kL|KL|kilolitre|kilolitres
megalitre: ML|Ml|megalitre|megalitres|megaliter|megaliters
gigalitre: GL|Gl|gigalitre|gigalitres
us_gallon: US gallon|US gallons|US gal
imperial_gallon: imperial gallon|imperial gallons|UK gallon|UK gallons
cubic_foot: ft3|cubic foot|cubic feet|cu ft
acre_foot: acre-foot|acre-feet|acre feet|acre foot
square_metre: m2|m^2|sqm|square metre|square metres|square meter|square meters
square_centimetre: cm2|square centimetre|square centimetres
square_kilometre: km2|square kilometre|square kilometres
square_foot: ft2|sq ft|sq. ft|square foot|square feet
hectare: ha|hectare|hectares
acre: acre|acres
metre: metre|metres|meter|meters
kilometre: km|kilometre|kilometres|kilometer|kilometers
centimetre: cm|centimetre|centimetres
millimetre: mm|millimetre|millimetres|millimeter|millimeters
micrometre: µm|um
mile: mile|miles
foot: ft|foot|feet
inch: inch|inches
second: s|sec|second|seconds
minute: min|minute|minutes
hour: h|hr|hrs|hour|hours
day: d|day|days
week: week|weeks
month: month|months
quarter: quarter|quarters
year: yr|yrs|year|years|annum
decade: decade|decades
percent: %|percent|per cent|pct
permille: ‰|per mille
percentage_point: percentage point|percentage points|pp|p.p.|%-points
basis_point: basis point|basis points|bps
part_per_million: ppm
part_per_billion: ppb
degree_celsius: °C|ºC|° C|degrees Celsius|degree Celsius|degrees C|deg C
degree_fahrenheit: °F|degrees Fahrenheit|degree Fahrenheit
decibel: dB|decibel|decibels
decibel_a: dB(A)|dBA
acidity: pH
bar: bar
millibar: mbar
pascal: Pa
kilopascal: kPa
megapascal: MPa
mole: mol
millimole: mmol
tonne_kilometre: tkm|t-km|tonne-km|tonne km|tonne-kilometre|tonne-kilometres|tonne kilometre|tonne kilometres
passenger_kilometre: pkm|passenger-km|passenger km|passenger kilometre|passenger-kilometre|passenger-kilometres
oil_barrel_equivalent: boe
kilooil_barrel_equivalent: kboe
"""
# each may be two units that differ: short, long or metric tons; metric tons or megatonnes; metres or millions; US or imperial gallons ...
_AMBIGUOUS = frozenset(
    re.findall(
        r"\S+",
        "ton tons mt MT MMT mmt T m M MM gallon gallons gal barrel barrels bbl unit units K C k pound pounds MBtu mwh mWh mW mw mj degree degrees °"
        " ppt cf point points tonne-mile",
    )
)
# ISO 4217. A symbol that several currencies share is none of them; "£" is read as sterling, the only one of its currencies that reports are written in
_CODES = frozenset(
    re.findall(
        r"\w+",
        "AED ARS AUD BDT BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW KZT LKR MAD MXN MYR NGN NOK NZD PEN PHP"
        " PKR PLN QAR RON RSD RUB SAR SEK SGD THB TRY TWD UAH USD UYU VND ZAR",
    )
)
_CURRENCIES = {"€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₦": "NGN", "US$": "USD", "A$": "AUD", "C$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD"}
_CURRENCIES |= {"R$": "BRL", "euro": "EUR", "euros": "EUR", "sterling": "GBP", "rupees": "INR", "US dollars": "USD"} | {code: code for code in _CODES}
_SHARED = frozenset(("$", "¥", "kr", "Rs", "Rs.", "dollar", "dollars", "yen", "krona", "kroner", "francs", "peso", "pesos"))
TIMES = {
    **dict.fromkeys(("k", "K", "thousand", "thousands", "'000", "’000", "000", "1000", "1,000", "1 000", "tsd"), 1e3),
    **dict.fromkeys(("m", "M", "mn", "mln", "mio", "Mio", "Mio.", "MM", "mm", "million", "millions"), 1e6),
    **dict.fromkeys(("b", "B", "bn", "bln", "billion", "billions"), 1e9),
    **dict.fromkeys(("tn", "trillion"), 1e12),
    **dict.fromkeys(("lakh", "lakhs"), 1e5),
    **dict.fromkeys(("crore", "crores"), 1e7),
}
# beside a unit that is no money these letters are not sure to be a number
_LOOSE = frozenset(("m", "M", "k", "K", "MM", "mm", "b", "B", "tn"))
# what is counted below the line of a ratio; the singular is the unit
_COUNTED = {
    name: written.split("|")[0].replace(" ", "_")
    for written in (
        "FTE|FTEs|full-time equivalent|full-time equivalents",
        "employee|employees|head",
        "person|persons|people|capita",
        "product|products",
        "vehicle|vehicles|car",
        "passenger|passengers",
        "student|students",
        "household|households|home",
        "customer|customers",
        "room night|room nights|occupied room night",
        "guest night|guest nights",
        "bed night|bed nights|overnight stay",
        "room|rooms|occupied room",
        "cover|covers",
        "meal|meals",
        "shipment|shipments",
        "parcel|parcels",
        "wafer|wafers",
        "bottle|bottles",
        "pair|pairs",
        "share|shares",
    )
    for name in written.split("|")
}
_PLAIN = str.maketrans({"₂": "2", "₃": "3", "²": "2", "³": "3", "μ": "µ", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "⁄": "/", "∕": "/"})
_GAS = re.compile(
    r"[ _-]?\(?(?:of )?(?:(CO2[- ]?(?:e|eq|equiv|equivalents?)\.?|carbon dioxide[- ]equivalents?)|CO2|carbon dioxide)\)?$",
    re.IGNORECASE,
)
_RATIO = re.compile(r" per | ?/ ?|/")
# what a mass, a volume or a turnover is of, left out of the unit: "tonnes of waste", "tonne of milk solids", "EUR revenue"
_QUALIFIER = re.compile(r" (?:of )?[a-z][a-z-]*(?: [a-z][a-z-]*){0,2}$")
_SUBSTANCES = re.compile(
    r" (?:of )?(?:NOx|SOx|SO2|NO2|N2O|CH4|VOC|VOCs|NMVOC|PM10|PM2\.5|dust|methane|waste|water|steel|plastic|product|paper|cement|clinker)$"
)
_NO_QUALIFIER = frozenset(("and", "or", "per", "to", "by", "times", "nights", "night", "hour", "cubed", "squared", "equivalent", "equivalents", "each"))
_WORD = 4  # from this length on a unit is a word, which may be written in any case


@dataclass(frozen=True, slots=True)
class Unit:
    """A written unit: its canonical name and what a number is multiplied with; `doubt` says why it has none, and `name` is then as written."""

    name: str
    factor: float = 1.0
    offset: float = 0.0
    doubt: str | None = None

    def of(self, number: float) -> float:
        """The number in the canonical unit, to 12 digits: what is beyond them is rounding."""
        exact = number * self.factor + self.offset
        return round(exact, 9) if self.offset else float(f"{exact:.12g}")

    @property
    def is_emission(self) -> bool:
        return self.name in ("tCO2e", "tCO2")

    @property
    def is_emission_ratio(self) -> bool:
        return self.name.startswith(("tCO2e/", "tCO2/"))


def plain(written: str) -> str:
    """Sub- and superscript digits and special spaces as ordinary ones; the length stays."""
    return written.translate(_PLAIN)


@lru_cache(maxsize=4096)
def read_unit(written: str) -> Unit:
    """The unit that is written, with `doubt` where it is none or may be several."""
    text = " ".join(plain(written).split())
    unit = _ratio(text) if 0 < len(text) <= MAX_CHARS * 2 else None
    if unit is None or unit.doubt:
        # what is no unit may be the document's words: no more of it is kept than a unit has
        short = _UNSTORABLE.sub("", text) if text.count(" ") < MAX_WORDS and len(text) <= MAX_CHARS else ""
        return Unit(short, doubt=unit.doubt if unit else UNKNOWN)
    return unit


def _ratio(text: str) -> Unit | None:
    whole = _single(text, below=False)
    if whole is not None and not whole.doubt:
        return whole
    parts = _RATIO.split(text)
    if len(parts) != 2 or not all(parts):
        return whole
    # "m/s" and "W/mK" leave no doubt about the m
    above = _single(parts[0], below=False) if (parts[0], parts[1]) != ("m", "s") else _named("metre")
    below = _single(parts[1], below=True)
    if above is None or below is None:
        return None
    if above.doubt or below.doubt:
        return Unit(text, doubt=UNKNOWN if UNKNOWN in (above.doubt, below.doubt) else AMBIGUOUS)
    if above.offset or below.offset or below.name == "%":
        return None
    return Unit(f"{above.name}/{below.name}", above.factor / below.factor)


def _single(text: str, *, below: bool) -> Unit | None:
    """A unit that is no ratio, with its number word and what it is of."""
    text = text.strip().removeprefix("one ").removeprefix("a ") if below else text.strip()
    for candidate in dict.fromkeys((text, _SUBSTANCES.sub("", text), *_qualified(text))):
        unit = _atom(candidate) or _money(candidate) or _times(candidate)
        if unit is None and below:
            unit = Unit("year") if candidate in ("a", "p.a.") else Unit(_COUNTED[candidate]) if candidate in _COUNTED else None
        if unit is not None and (candidate == text or below or text[len(candidate) :].startswith(" of ") or candidate == _SUBSTANCES.sub("", text)):
            return unit
    return None


def _qualified(text: str) -> tuple[str, ...]:
    """The text without what it is of, unless a unit is among that: a tonne kilometre is no tonne."""
    match = _QUALIFIER.search(text)
    if match is None or any(word in _NO_QUALIFIER or _name(word) or word in _COUNTED for word in match.group().split()):
        return ()
    return (text[: match.start()],)


def _times(text: str) -> Unit | None:
    """A unit after a number word: `million m3`, `'000 t`."""
    for word, rest in ((text[:at], text[at + 1 :]) for at in (text.find(" "), text.find(" ", text.find(" ") + 1)) if at > 0):
        if word in TIMES:
            unit = _atom(rest)
            if unit is None or unit.doubt:
                return unit
            return Unit(text, doubt=AMBIGUOUS) if word in _LOOSE else Unit(unit.name, unit.factor * TIMES[word], unit.offset)
    return None


def _atom(text: str) -> Unit | None:
    """One measured unit, of a greenhouse gas where it says so."""
    gas = _GAS.search(text)
    if gas is None or gas.start() == 0:
        name = _name(text)
        return Unit(text, doubt=AMBIGUOUS) if name == AMBIGUOUS else _named(name) if name else None
    name = _name(text[: gas.start()].strip())
    if name == AMBIGUOUS:
        return Unit(text, doubt=AMBIGUOUS)
    of_gas = f"{name}_{'co2e' if gas[1] else 'co2'}"
    return _named(of_gas) if name and name.endswith(("gram", "tonne")) else None


def _name(text: str) -> str | None:
    """The unit's name in units.txt; AMBIGUOUS where it may be several."""
    forms = (text, text.lower()) if len(text) >= _WORD else (text,)
    for form in forms:
        if form in _AMBIGUOUS:
            return AMBIGUOUS
        if form in _surfaces():
            return _surfaces()[form]
    return None


def _money(text: str) -> Unit | None:
    """A currency with its number word on either side, spaced or not: `EUR million`, `€m`, `k€`, `m EUR`."""
    text = _QUALIFIER.sub("", text) if text.endswith((" revenue", " turnover", " sales", " revenues")) else text
    for name in dict.fromkeys((text, *text.split(" "))) if len(text) < MAX_CHARS else ():
        for start in (0, *(range(1, len(name)) if name[-1:] in "€£$₹" else ())):
            code, rest = name[start:], (text.replace(name, name[:start], 1)).strip()
            if code in _CURRENCIES or code in _SHARED:
                return _of_currency(code, rest, text)
        for end in range(1, min(len(name), 4)) if name == text else ():
            if (name[:end] in _CURRENCIES or name[:end] in _SHARED) and name[end:] in TIMES:
                return _of_currency(name[:end], name[end:], text)
    return None


def _of_currency(code: str, rest: str, text: str) -> Unit | None:
    if rest and rest not in TIMES:
        return None
    return Unit(text, doubt=AMBIGUOUS) if code in _SHARED else Unit(_CURRENCIES[code], TIMES.get(rest, 1.0))


@cache
def _surfaces() -> dict[str, str]:
    """Names of units by how they are written."""
    found = {}
    for line in _WRITTEN.strip().splitlines():
        name, written = line.split(": ")
        found |= dict.fromkeys(written.split("|"), name)
    return found


def surfaces() -> list[str]:
    """All ways in which units and currencies are written, longest first."""
    return sorted({*_surfaces(), *_AMBIGUOUS, *_CURRENCIES, *_SHARED}, key=lambda s: (-len(s), s))


@cache
def _registry() -> Any:
    """Pint's registry with the units of units.txt. Made on first use: it is 0.15 s that a worker which meets no unit never waits for."""
    import pint

    return pint.UnitRegistry(str(Path(__file__).with_name("units.txt")), cache_folder=None)


@cache
def _canonical() -> dict[Any, str]:
    """The canonical unit's name in units.txt by dimension."""
    return {_registry().Unit(name).dimensionality: name for name in CANONICAL}


@cache
def _named(name: str) -> Unit:
    """The unit of that name in units.txt."""
    quantity, target = _registry().Quantity, _canonical()[_registry().Unit(name).dimensionality]
    offset = float(quantity(0, name).to(target).magnitude)
    return Unit(CANONICAL[target], float(quantity(1, name).to(target).magnitude) - offset, offset)
