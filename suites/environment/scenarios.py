"""Climate scenarios and temperature goals that are named: `1.5 °C`, `two-degree`, `RCP 8.5`, `Paris Agreement`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .commitments import Commitment
from .quantities import Quantity
from .rows import Figure

_UNIT = r"[  -]?(?:(?:°|º|˚)\s?C?\b|(?:°|º|˚)|degrees?\b(?:[  -]?C(?:elsius|entigrade)?\b)?|C\b)"
_DEGREES = rf"(?:\d(?:[.,]\d{{1,2}})?{_UNIT}|(?:one and a half|one point five|two|three|four)[ -]degrees?\b(?: Celsius\b)?)"
_NAMED = re.compile(
    r"(?P<rcp>\bRCP ?-?\d(?:\.\d)?)"
    r"|(?P<ssp>\bSSP ?\d-\d\.\d)|(?P<nze>\bNet[- ]Zero Emissions by 2050\b|\bNZE(?: 2050)?\b)|(?P<steps>\bStated Policies\b|\bSTEPS\b)"
    r"|(?P<aps>\bAnnounced Pledges\b|\bAPS\b)|(?P<nps>\bNew Policies Scenario\b)"
    r"|(?P<sds>\bSustainable Development Scenario\b|\bSDS\b)|(?P<delayed>\bDelayed Transition\b)|(?P<current>\bCurrent Policies\b)"
    r"|(?P<hot>\b[Hh]ot [Hh]ouse [Ww]orld\b)|(?P<ngfs>\bNet Zero 2050\b)|(?P<etp>\bB?[1-6]DS\b)"
    r"|(?P<paris>\bParis[- ](?:aligned|compatible|compliant|consistent)\b|\b(?:COP ?21 )?Paris (?:Climate )?(?:Agreement|Accords?|Protocol|Treaty)\b"
    r"|\bParis\b(?= (?:climate )?(?:goals?|targets?|objectives?|pathway|ambition|trajectory))"
    r"|(?<=in )Paris\b|(?<=at )Paris\b|(?<=of )Paris\b)"
    rf"|(?P<wb>\b[Ww]ell[- ](?:below|under) {_DEGREES})|(?P<warm>(?<![\d.,–-])\b{_DEGREES})"
)
_NAMES = {
    "nze": "IEA NZE",
    "steps": "IEA STEPS",
    "aps": "IEA APS",
    "sds": "IEA SDS",
    "nps": "IEA NPS",
    "delayed": "NGFS Delayed Transition",
    "current": "NGFS Current Policies",
    "hot": "NGFS Hot House World",
    "ngfs": "NGFS Net Zero 2050",
    "paris": "Paris",
}
_IN_WORDS = {"one and a half": 1.5, "one point five": 1.5, "two": 2.0, "three": 3.0, "four": 4.0}
# temperatures that are goals or scenarios are spoken of with these words
_WARMING = re.compile(
    r"(?i)\b(?:scenarios?|pathways?|trajector(?:y|ies)|warming|align(?:s|ed|ment)?|consistent|compatible|Paris|ambition|temperatures? of the planet"
    r"|global temperatures?|temperature (?:rise|increase|goal|target)s?|rises? (?:of|in) (?:the )?(?:global |average |mean )*temperatures?"
    r"|pre-?industrial|IPCC|science[- ]based|on (?:course|track) (?:for|to)|SBTi|climate (?:goals?|targets?|science)"
    r"|(?:degrees?|°C) (?:goals?|targets?|limit|world))\b"
)
_DEGREE_GOAL = re.compile(r"(?i)^[ -]?(?:goals?|targets?|limit|objective|world|scenarios?|pathways?|trajectory|aligned)\b")
# the second number of a range is no scenario
_SPAN = re.compile(r"\d(?:[.,]\d)? ?(?:°C?)? ?(?:to|-|–) $")
_SCENARIO = re.compile(r"(?i)\bscenarios?\b|\bIEA\b|\bNGFS\b|\bpathways?\b")
_ALIGNED = re.compile(
    r"(?i)\b(?:align\w*|in(?:to)? line|consistent|compatib\w+|support\w*|back(?:s|ed)?|commit\w*|accordance|compl(?:y|iance|iant)|conform\w*"
    r"|contribut(?:e|es|ing|ion to)|meet(?:s|ing)?|achiev\w+|goals?|objectives?|aims?|targets?|ambitions?|under)\b"
)
_ADOPTED = re.compile(r"(?i)\b(?:goals?|targets?|objectives?|agreement|agreed)\b[^.;]{0,40}\b(?:in|at|of) $")


def scenarios_of(commitment: Commitment) -> Iterator[Figure]:
    """The scenarios of a sentence; `year` holds their normalised name. Paris counts where its goals are aligned with and no temperature is named."""
    sentence = commitment.sentence
    found = tuple(_NAMED.finditer(sentence.text, sentence.start, sentence.end))
    if not found:
        return
    spoken = _WARMING.search(sentence.words) is not None
    warm = any(m.lastgroup in ("wb", "warm") for m in found)
    others = commitment.is_of_others
    for match in found:
        kind = match.lastgroup or ""
        if kind == "paris":
            said = not warm and not others and _is_aligned(commitment, match)
        elif kind in ("rcp", "ssp"):
            said = True
        elif kind in ("wb", "warm") and _SPAN.search(sentence.text[max(sentence.start, match.start() - 12) : match.start()]):
            said = False
        elif kind in ("wb", "warm"):
            said = not others and (spoken or _DEGREE_GOAL.match(sentence.text[match.end() : min(sentence.end, match.end() + 20)]) is not None)
        else:
            said = _SCENARIO.search(sentence.words) is not None and (kind != "ngfs" or "cenario" in sentence.words)
        if said and (figure := _figure(match, kind)):
            yield figure


def _is_aligned(commitment: Commitment, match: re.Match[str]) -> bool:
    sentence = commitment.sentence
    if match.group() == "Paris" and not _ADOPTED.search(sentence.text[max(sentence.start, match.start() - 70) : match.start()]):
        return re.match(r" (?:climate )?(?:goals?|targets?|objectives?|pathway|ambition|trajectory)", sentence.text[match.end() : match.end() + 20]) is not None
    return "lign" in match.group() or _ALIGNED.search(sentence.words) is not None


def _figure(match: re.Match[str], kind: str) -> Figure | None:
    written = match.group()
    number = None
    name = _NAMES.get(kind)
    if name is None:
        digits = re.sub(r"[^\d.-]", "", written.replace(",", ".")).strip("-")
        degrees = _degrees(written)
        number = degrees if kind == "warm" else None
        if kind in ("warm", "wb") and not 1 <= degrees <= 6:
            return None
        name = {"rcp": f"RCP{digits}", "ssp": f"SSP{digits}", "etp": f"IEA {written}", "wb": f"WB{degrees:g}C", "warm": f"{degrees:g}C"}[kind]
    end = match.start() + len(written.rstrip())
    return Figure("CLIMATE_SCENARIO", match.start(), end, Quantity(number, "degC" if number is not None else None, None), name)


def _degrees(written: str) -> float:
    """The degrees of a temperature, 0 where none are written."""
    if digits := re.search(r"\d(?:[.,]\d{1,2})?", written):
        return float(digits.group().replace(",", "."))
    return next((number for words, number in _IN_WORDS.items() if re.search(rf"(?i)\b{words}\b", written)), 0.0)
