"""Written identifiers of standards in one form: `GRI 305-1`, `ESRS E1-6 para 44`, `SASB TC-SC-140a.1`, `CDP C6.1`, `SDG 13`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MAX_CHARS = 60
_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")  # no database takes these as text
_NAMES = {
    "science based targets initiative": "SBTi",
    "science-based targets initiative": "SBTi",
    "task force on climate-related financial disclosures": "TCFD",
    "global reporting initiative": "GRI",
    "carbon disclosure project": "CDP",
    "global compact": "UNGC",
    "un global compact": "UNGC",
    "greenhouse gas protocol": "GHG Protocol",
    "ghg protocol": "GHG Protocol",
    "sustainable development goals": "SDGs",
}
_GRI = re.compile(r"GRI[ -]?(\d{1,3})(?:[-–](\d{1,2}))?")
_ESRS = re.compile(r"ESRS[ -]?([ESG]\d|[12])(?:[-–](\d{1,2}))?(?:\W+(para|AR|§)[a-z]*\.? ?(\d{1,3})(?: ?(\([a-z]\)))?)?")
_SASB = re.compile(r"(?:SASB )?([A-Z]{2}-[A-Z]{2}-\d{3}[a-z]\.\d{1,2})")
_CDP = re.compile(r"CDP (?:question )?(C\d{1,2}\.\d{1,2}[a-z]?)")
_SDG = re.compile(r"SDGs? (\d{1,2})")
_SCOPES = re.compile(r"(?i)scopes?[ -]?[123]")
# in an index the identifiers stand alone where a cell or a line begins: topics and disclosures of the GRI Standards 2021, requirements of the ESRS
_BARE_GRI = re.compile(r"(?:^|[\n\f]|\| ?)((?:2-\d{1,2}|3-[123]|20[1-7]-\d|30[1-8]-\d|4(?:0[1-9]|1[0-8])-\d))(?= [A-Z])")
_BARE_ESRS = re.compile(r"(?:^|[\n\f]|\| ?)((?:E[1-5]|S[1-4]|G1)-\d{1,2})(?= [A-Z])")


def normalised(written: str) -> str | None:
    """The one form of a standard's name or a scope; None where it is longer than such names are."""
    text = _UNSTORABLE.sub("", " ".join(written.split()))
    if _SCOPES.match(text):
        return "+".join(sorted(set(re.findall(r"[123]", text))))
    for form in (_gri, _esrs, _sasb, _cdp, _sdg):
        if known := form(text):
            return known
    return _NAMES.get(text.lower(), text if len(text) <= MAX_CHARS else None)


def identifiers_of(text: str, taken: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """Identifiers that stand without their standard's name, in a text that names it elsewhere."""
    known: set[int] = set()
    for start, end in taken:
        known.update(range(start, min(end, start + MAX_CHARS)))
    for name, pattern in (("GRI", _BARE_GRI), ("ESRS", _BARE_ESRS)):
        for match in pattern.finditer(text) if re.search(rf"\b{name}\b", text) else ():
            if match.start(1) not in known:
                yield match.start(1), match.end(1), f"{name} {match[1]}"


def _gri(text: str) -> str | None:
    match = _GRI.match(text)
    return f"GRI {match[1]}{f'-{match[2]}' if match[2] else ''}" if match else None


def _esrs(text: str) -> str | None:
    match = _ESRS.match(text)
    if match is None:
        return None
    requirement = f"ESRS {match[1]}{f'-{match[2]}' if match[2] else ''}"
    place = "AR" if match[3] == "AR" else "para"
    return f"{requirement} {place} {match[4]}{match[5] or ''}" if match[3] else requirement


def _sasb(text: str) -> str | None:
    match = _SASB.fullmatch(text)
    return f"SASB {match[1]}" if match else None


def _cdp(text: str) -> str | None:
    match = _CDP.match(text)
    return f"CDP {match[1]}" if match else None


def _sdg(text: str) -> str | None:
    match = _SDG.match(text)
    return f"SDG {match[1]}" if match else None
