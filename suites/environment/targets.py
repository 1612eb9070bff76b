"""Reduction targets of emissions, their base and target years, and the climate scenarios that are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .metrics import is_intensity, metric_of
from .numerals import Convention
from .quantities import Found, Quantity, read_quantity
from .rows import Figure
from .sentences import Sentence
from .tables import Table
from .years import Year, find_years

_CUE = re.compile(
    r"(?i)\b(?:will|aims?|aiming|commit\w*|targets?|goals?|wants?|intend\w*|plans?|ambitions?|objectives?|pledge\w*|seeks?)\b|^\W*(?:cut|reduce|halve|lower)\b"
)
_REDUCE = re.compile(r"(?i)\b(?:reduc\w+|cut\w*|lower\w*|halv\w+|decreas\w+|fewer|less|down)\b")
_EMISSION = re.compile(r"(?i)\b(?:emissions?|GHG|greenhouse|carbon|CO2e?|footprint|scopes?)\b")
_NET_ZERO = re.compile(r"(?i)\bnet[- ]zero\b|\b(?:climate|carbon)[- ]neutral(?:ity)?\b")
_BY_BEFORE = re.compile(r"(?i)(?:reduc\w+|cut\w*|lower\w*|decreas\w+|\bdown)\b[^.;%ɋ]{0,90}$|\breduction target[^.;%ɋ]{0,40}: $|\b(?:target|goal)(?: of)? $")
_BY_AFTER = re.compile(
    r" (?:fewer|less|lower) (?:absolute |GHG |greenhouse gas )?(?:[Ss]copes? |emissions|carbon|CO2|GHG)"
    r"| (?:absolute )?(?:emissions? |GHG |carbon )*(?:reduction|cut)\b"
)
_AND_THEN = re.compile(r" (?:by|in|until)(?: the end of)? ɏ,? (?:and|then)(?: by| to)? ")
_ACHIEVED = re.compile(r" (?:achieved|so far|to date|reached)\b")
_UNTIL = re.compile(
    r"(?i)\b(?:by|until|before|no later than)(?: the)?(?: end of)?(?: the year)? $"
    r"|\bnet[- ]zero[^.;ɋ]{0,40}\b(?:for|of|in) $|\b(?:target|net[- ]zero) (?:year)?\W{0,3}$"
)
_THEN = re.compile(r"\bemissions in $")
_SINCE = re.compile(
    r"(?i)\b(?:from|against|compared (?:with|to)|relative to|versus|vs\.?|on|than in|below)(?: (?:a|an|the|our))? $"
    r"|\bbase(?:line)?(?: year)?(?: of|:| is| was| \()? ?$"
)
_IS_BASE = re.compile(r"(?i)\bbase(?:line)?(?: year)?(?: of|:| is| was| \(|,)? ?$")
_BASE_AFTER = re.compile(r"(?i) \(?(?:as )?(?:the |a |our )?(?:base ?year|baseline|base)\b")
_TARGET_AFTER = re.compile(r"(?i) (?:emissions? |climate |GHG |carbon |reduction |net[- ]zero )*(?:targets?|goals?|ambitions?)\b")
_ONWARDS = re.compile(r" (?:on|onwards?)\b")
_SAME_TIME = re.compile(r"(?i)\bsame (?:time ?frame|period|year)\b")
_DEGREES = r"\d(?:[.,]\d)?[ -]?(?:°|º|degrees?)[ ]?(?:C(?:elsius)?\b)?"
_SCENARIO = re.compile(
    rf"(?P<rcp>\bRCP ?-?\d(?:\.\d)?)"
    r"|(?P<ssp>\bSSP ?\d-\d\.\d)|(?P<nze>\bNet Zero Emissions by 2050\b|\bNZE(?: 2050)?\b)|(?P<steps>\bStated Policies\b|\bSTEPS\b)"
    r"|(?P<aps>\bAnnounced Pledges\b|\bAPS\b)"
    r"|(?P<sds>\bSustainable Development Scenario\b|\bSDS\b)|(?P<delayed>\bDelayed Transition\b)|(?P<current>\bCurrent Policies\b)"
    rf"|(?P<wb>\b[Ww]ell[- ]below {_DEGREES})|(?P<warm>(?<![\d.,–-])\b{_DEGREES})"
)
_NAMES = {"nze": "IEA NZE", "steps": "IEA STEPS", "aps": "IEA APS", "sds": "IEA SDS", "delayed": "NGFS Delayed Transition", "current": "NGFS Current Policies"}
# temperatures that are goals or scenarios are spoken of with these words
_WARMING = re.compile(r"(?i)\b(?:scenarios?|pathways?|trajector(?:y|ies)|warming|align(?:s|ed|ment)?|consistent|Paris|ambition)\b")


def targets_of(sentence: Sentence, before: Sequence[Figure]) -> Iterator[Figure]:
    """Targets, their years and scenarios of a sentence; `before` are those of the paragraph so far."""
    scenarios = tuple(_scenarios(sentence))
    yield from scenarios
    years = [y for y in sentence.years if not any(s.start <= y.start < s.end for s in scenarios)]
    words = sentence.words
    about = (_EMISSION.search(words) and _REDUCE.search(words)) or _NET_ZERO.search(words)
    meant = bool(about and _CUE.search(words)) and not sentence.is_of_others(sentence.start, sentence.start)
    until = [y for y in years if meant and _is_target(sentence, y)] + [y for y in years if not meant and _says_target_year(sentence, y)]
    yield from (_of_year("TARGET_YEAR", y) for y in until)
    yield from (_of_year("BASE_YEAR", y) for y in years if y not in until and _is_base(sentence, y, meant=meant, until=until))
    if meant and _REDUCE.search(words):
        last = None
        for found in sentence.quantities:
            if _is_reduction(sentence, found) or (last is not None and _AND_THEN.fullmatch(sentence.between(last, found.start))):
                last = found.end
                yield Figure("REDUCTION_TARGET", found.start, found.end, found.quantity, _target_year(sentence, found, until, before))


def of_table(table: Table, convention: Convention) -> Iterator[Figure]:
    """Targets in a table: of a column of targets the reduction, in the header and labels the years."""
    labels = [row.cells[0].text for row in table.rows]
    if not any((metric_of(label) or "").endswith("EMISSIONS") or is_intensity(label) or _reduces(label) for label in labels):
        return
    for column in table.columns[1:]:
        if column.year and (column.target or _is_base_header(column.cell.text)):
            yield _of_year("TARGET_YEAR" if column.target else "BASE_YEAR", column.year)
    for row in table.rows:
        label = row.cells[0]
        if _reduces(label.text):
            for year in find_years(label.text):
                if _SINCE.search(label.text[: year.start]):
                    yield _of_year("BASE_YEAR", Year(label.start + year.start, label.start + year.end, year.name))
        for cell, column in zip(row.cells[1:], table.columns[1:], strict=False):
            quantity = read_quantity(cell.bare, table.convention(convention)) if column.target and _reduces(label.text) else None
            if quantity and quantity.unit == "%" and quantity.number is not None:
                year = column.year.name if column.year else None
                yield Figure("REDUCTION_TARGET", cell.start, cell.start + len(cell.bare), _positive(quantity), year)


def _reduces(label: str) -> bool:
    return re.search(r"(?i)\breduc", label) is not None and _EMISSION.search(label) is not None


def _is_base_header(text: str) -> bool:
    return re.search(r"(?i)\bbase(?:line)?\b", text) is not None


def _positive(quantity: Quantity) -> Quantity:
    return Quantity(abs(quantity.number or 0.0), quantity.unit, quantity.value, parsed=quantity.parsed)


def _of_year(metric: str, year: Year) -> Figure:
    return Figure(metric, year.start, year.end, Quantity(float(year.number), "year", None), year.name)


def _is_target(sentence: Sentence, year: Year) -> bool:
    lead = sentence.words[: year.start - sentence.start][-60:]
    if _TARGET_AFTER.match(sentence.words, year.end - sentence.start):
        return True
    return _UNTIL.search(lead) is not None or (_THEN.search(lead) is not None and _BY_AFTER.search(sentence.words) is not None)


def _says_target_year(sentence: Sentence, year: Year) -> bool:
    return re.search(r"(?i)^\W*(?:target|net[- ]zero) year\W{1,3}$", sentence.words[: year.start - sentence.start]) is not None


def _is_base(sentence: Sentence, year: Year, *, meant: bool, until: Sequence[Year]) -> bool:
    lead, tail = sentence.words[: year.start - sentence.start][-60:], sentence.words[year.end - sentence.start :][:30]
    if _IS_BASE.search(lead) or _BASE_AFTER.match(tail):
        return True
    return meant and bool(_SINCE.search(lead)) and not _ONWARDS.match(tail) and all(year.number < y.number for y in until)


def _is_reduction(sentence: Sentence, found: Found) -> bool:
    if found.quantity.unit != "%" or found.quantity.unsure or found.quantity.number is None:
        return False
    lead, tail = sentence.between(sentence.start, found.start)[-150:], sentence.between(found.end, min(sentence.end, found.end + 60))
    return (_BY_BEFORE.search(lead) is not None or _BY_AFTER.match(tail) is not None) and not _ACHIEVED.match(tail)


def _target_year(sentence: Sentence, found: Found, until: Sequence[Year], before: Sequence[Figure]) -> str | None:
    """The year a reduction is to be reached in: the next one named, the last one before it, or that of the target before."""
    after = [y for y in until if y.start >= found.end]
    if after or until:
        return (after[0] if after else until[-1]).name
    told = [f.year for f in before if f.metric == "TARGET_YEAR"]
    return told[-1] if told and (_SAME_TIME.search(sentence.words) or re.match(r"(?i)\W*reduction target\b", sentence.words)) else None


def _scenarios(sentence: Sentence) -> Iterator[Figure]:
    """The scenarios that are named; `year` holds their normalised name."""
    spoken = _WARMING.search(sentence.words) is not None
    for match in _SCENARIO.finditer(sentence.text, sentence.start, sentence.end):
        kind = match.lastgroup or ""
        if kind in ("wb", "warm", "steps", "aps", "sds", "delayed", "current", "nze") and not spoken:
            continue
        digits = re.sub(r"[^\d.-]", "", match.group().replace(",", "."))
        number = float(digits) if kind in ("warm",) else None
        if number is not None and not 1 <= number <= 6:
            continue
        name = _NAMES.get(kind) or {"rcp": f"RCP{digits.lstrip('-')}", "ssp": f"SSP{digits}", "wb": f"WB{digits}C", "warm": f"{digits}C"}[kind]
        end = match.start() + len(match.group().rstrip())
        yield Figure("CLIMATE_SCENARIO", match.start(), end, Quantity(number, "degC" if number is not None else None, None), name)
