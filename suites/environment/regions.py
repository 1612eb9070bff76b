"""Parts of the world by name: a figure of one is not the reporter's whole."""

from __future__ import annotations

import re

NATIONS = (
    r"EU|Europe|UK|U\.K\.|US|USA|U\.S\.|United (?:Kingdom|States|Arab Emirates)|China|Canada|Japan|India|Germany|France|Singapore|Australia|Korea|Brazil"
    r"|Spain|Italy|Norway|Sweden|Denmark|Finland|Netherlands|Switzerland|Austria|Belgium|Ireland|Portugal|Poland|Czechia|Hungary|Romania|Greece|Turkey|Russia|Ukraine"
    r"|Taiwan|Malaysia|Thailand|Indonesia|Vietnam|Philippines|Mexico|Chile|Argentina|Colombia|Peru|South Africa|Nigeria|Kenya|Egypt|Morocco|Israel|Saudi Arabia"
    r"|Hong Kong|New Zealand"
)
_WIDE = (
    r"(?:North(?:ern)?|South(?:ern)?|East(?:ern)?|West(?:ern)?|Central|Latin) (?:America|Africa|Asia|Europe)|Americas?|Africa|Asia(?:[- ]Pacific)?|APAC|EMEA"
    r"|LATAM|Middle East|Nordics?|DACH|Benelux|Oceania|Rest of (?:the )?[Ww]orld"
)
_REGION = re.compile(rf"\b(?:{_WIDE}|{NATIONS})(?![\w.]?\w)")
_ONLY = re.compile(rf"(?:(?:{_WIDE}|{NATIONS}|and|&|only|other|Other)(?:[\s,/]+|$))+")


def names_region(text: str) -> bool:
    """Whether a region is named."""
    return _REGION.search(text) is not None


def is_region(text: str) -> bool:
    """Whether a text is nothing but regions: `EMEA`, `UK and Ireland`."""
    return names_region(text) and _ONLY.fullmatch(text.strip(" :–-,")) is not None
