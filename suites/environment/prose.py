"""Key figures of sentences: a metric, and the number that the sentence says it was; never a change, a target or another's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .metrics import SCOPES, fits, scope_metric
from .numerals import WRITTEN
from .quantities import Found, read_quantity
from .rows import Figure
from .sentences import Sentence

WINDOW = 160  # a metric and its number stand no farther apart
_METHOD = r"(?:[Ll]ocation|[Mm]arket)[- ]based"
_MENTION = re.compile(
    rf"(?P<scope>(?:{_METHOD} (?:gross )?)?{SCOPES}(?: GHG| CO2e?| greenhouse gas| carbon)?(?: emissions?| total| figure)?"
    rf"(?: ?[,(] ?{_METHOD}(?: method)?\)?)?)"
    r"|(?P<energy>(?:[Tt]otal |[Gg]roup |[Oo]verall )?\b[Ee]nergy (?:consumption|use|usage)\b)"
    r"|(?P<renewable>\b(?:[Ss]hare of )?[Rr]enewable (?:energy|electricity|power|sources)(?: share)?\b)"
    r"|(?P<withdrawal>\b[Ww]ater (?:withdrawals?|abstraction)\b)|(?P<consumption>\b[Ww]ater consumption\b)|(?P<discharge>\b[Ww]ater discharges?\b)"
    r"|(?P<waste>\b[Ww]aste (?:generated|generation|produced)\b)"
    r"|(?P<recycled>\b[Ww]aste recycled\b|\b[Rr]ecycling rate\b)|(?P<landfilled>\b[Ww]aste (?:sent )?to landfill\b)"
    rf"|(?P<method>\b{_METHOD}(?: method)?\b)|(?P<footprint>\b(?:our|its) (?:[a-z]+ )?(?:carbon )?footprint\b)"
    r"|(?P<intensity>\b(?:[Cc]arbon|[Ee]missions?|GHG|CO2) intensity\b)|(?P<per>\b[Ee]missions per (?:[a-z]+ )?[a-z]{3,})"
)
_METRICS = {
    "energy": "ENERGY_USE",
    "renewable": "RENEWABLE_SHARE",
    "withdrawal": "WATER_WITHDRAWAL",
    "consumption": "WATER_CONSUMPTION",
    "discharge": "WATER_DISCHARGE",
    "waste": "WASTE_GENERATED",
    "recycled": "WASTE_RECYCLED",
    "landfilled": "WASTE_LANDFILLED",
    "intensity": "EMISSIONS_INTENSITY",
    "footprint": "EMISSIONS_INTENSITY",
    "per": "EMISSIONS_INTENSITY",
}
_ABOUT = r"(?:(?:about|approximately|roughly|around|nearly|almost|some|just over|just under|only|a total of|an estimated|approx\.?|ca\.) |[~≈])?"
_MOVED = r"(?:fell|rose|dropped|declined|decreased|increased|grew|went up|went down|had fallen|had risen|had dropped|were reduced|was reduced)"
_WAS = (
    rf"(?:were|was|are|is|amounted to|amount to|totall?ed|came to|came in at|stood at|stands at|reached|equall?ed|remained at"
    rf"|{_MOVED}(?: slightly| sharply| further)?"
    r"(?: by ɋ(?:,? or ɋ,?)?)? to|(?:we )?put at)"
)
_OF_WHOM = r"(?: (?:of|from|by|at|across) (?!an? )[^.;:ɋɏ]{2,50}?)?"
_IN_YEAR = r"(?:,? (?:in|for|during|of) (?:the (?:financial |fiscal |calendar )?year )?ɏ,?)?"
# between a metric and its number
_QUALIFIED = r"\)?(?: emissions)?(?: ?\([^()ɋ]{1,40}\))?(?: emissions)?"
_SAID = re.compile(
    rf"{_QUALIFIED}{_OF_WHOM}{_IN_YEAR}(?: together)? {_WAS} {_ABOUT}|{_QUALIFIED}{_IN_YEAR}(?:,|:| =| –| of| at| came to) {_ABOUT}| \({_ABOUT}"
    rf"|(?: emissions)?\)?(?: emissions)? {_ABOUT}"
)
# the sentence tells first the old figure, then the restated one
_RESTATED = re.compile(rf"{_IN_YEAR} (?:was|were|has been|have been) restated from ɋ to ")
# between one figure and another of the same metric
_AGAINST = r"(?:down from|up from|from|compared (?:with|to)|against|versus|vs\.?|after)"
_CHAIN = re.compile(rf"{_IN_YEAR},? ?\(?{_AGAINST} {_ABOUT}|{_IN_YEAR},? ?\((?:in )?ɏ ?:? ?")
_COMPARES = re.compile(r"(?:This|That|It) compares (?:with|to) ")
# between a number and the metric it is of
_OF = re.compile(r" (?:of|in|for) (?:our |its |the )?| ?\(")
_LESS = re.compile(r"(?i)\b(?:reduc\w+|cut|sav\w+|avoid\w*|offset\w*|less|fewer|lower|by|than|remov\w+|captur\w+)\b[^.;]{0,20}$")
_TO_COME = re.compile(
    r"(?i)\b(?:will|shall|should|would|could|must|aims?|targets?|goals?|plans?|intends?|wants?|commits?|expects?|forecasts?"
    r"|not exceed|exceeds?|permitted|permits?|limits?|allow(?:s|ed)?"
    r"|up to|budget|scenario)\b"
)
_YEAR_AFTER = re.compile(
    r"\)*(?:,? ?\(?(?:in|for|during) (?:the (?:financial |fiscal |calendar )?year )?(ɏ)|,? ?\((ɏ)ɏ*\)| of (?:waste|energy|water) (?:in|for|during) (ɏ))"
)
_YEAR_BEFORE = re.compile(r"(?i)\b(?:in|for|during|of|year|to 3\d \w+)(?: the)?(?: financial| fiscal| calendar)?(?: year)? $|^\W*$|\($")
_YEAR_EARLIER = re.compile(r" (?:a year earlier|the year before|(?:in )?the (?:previous|prior) year)")
_LAST_YEAR = re.compile(r"(?i)\bin the (?:previous|prior) year\b|\bthe year before\b")
_OF_THIS = re.compile(r"(?:Of this|Of these|Of that|Of it)\b")
# a number that is one by the verb beside it: before, after, metric, what the paragraph must speak of
_VERBS = tuple(
    (re.compile(rf"{before}{_ABOUT if before else ''}$"), re.compile(after), metric, about)
    for before, after, metric, about in (
        (r"\b(?:withdrew|withdrawn|abstracted) ", "", "WATER_WITHDRAWAL", "water"),
        (r"\bconsumed ", "", "WATER_CONSUMPTION", "water"),
        (r"\b(?:returned|discharged) ", "", "WATER_DISCHARGE", "water"),
        (r"\b(?:used|consumed) ", r" of energy\b", "ENERGY_USE", "energy"),
        (r"\b(?:generated|produced) ", r" of waste\b", "WASTE_GENERATED", "waste"),
        ("", r" (?:were|was) recycled\b", "WASTE_RECYCLED", "waste"),
        ("", r" (?:(?:were|was) (?:sent|taken) to|went to) landfill\b", "WASTE_LANDFILLED", "waste"),
        (r"\b[Rr]enewable (?:sources|energy|electricity|power) (?:covered|supplied|met|provided|made up|accounted for) ", "", "RENEWABLE_SHARE", ""),
        ("", r" of (?:our|its|all|the group's) (?:electricity|energy|power) (?:was|were|is|came from) renewable", "RENEWABLE_SHARE", ""),
    )
)
_SCOPE_2 = re.compile(r"\b[Ss]cope 2\b")
# a figure per something that is no unit is no total
_PER = re.compile(r" (?:per|for each|for every|each) (?!cent\b)[a-z]")
_PARTS = re.compile(rf"{WRITTEN} ?(?P<times>thousand|million|billion)? ?(?P<unit>.*)")
_EMITTED_PER = re.compile(r"\b[Pp]er ([a-z]{3,})(?: [a-z]+)?,? we (?:emitted|emit) $")


@dataclass(frozen=True, slots=True)
class Mention:
    """A metric named in a sentence."""

    start: int
    end: int
    metric: str
    per: str = ""


def figures_of(sentence: Sentence, last: Figure | None) -> Iterator[Figure]:
    """The key figures of a sentence; `last` is the one before it in the paragraph."""
    if not sentence.quantities:
        return
    mentions = tuple(_mentions(sentence))
    previous: Figure | None = None
    for found in sentence.quantities:
        if found.quantity.unsure or found.quantity.number is None or found.quantity.number < 0 or _PER.match(sentence.text, found.end):
            continue
        figure = _by_mention(sentence, mentions, found, previous) or _by_verb(sentence, found, last) or _compared(sentence, found, last)
        if figure is None and previous is not None:
            figure = _chained(sentence, found, previous)
        if figure is not None:
            previous = figure
            yield figure
    if "respectively" in sentence.words:
        yield from _respectively(sentence)


def _mentions(sentence: Sentence) -> Iterator[Mention]:
    for match in _MENTION.finditer(sentence.text, sentence.start, sentence.end):
        kind = match.lastgroup or ""
        if kind == "method":
            metric = scope_metric(f"Scope 2 {match.group()}") if _SCOPE_2.search(sentence.words) else None
        else:
            metric = scope_metric(match.group()) if kind == "scope" else _METRICS[kind]
        if metric:
            yield Mention(match.start(), match.end(), metric, match.group().split()[-1] if kind == "per" else "")


def _by_mention(sentence: Sentence, mentions: tuple[Mention, ...], found: Found, previous: Figure | None) -> Figure | None:
    """The figure of the metric named last before the number, or right after it."""
    before = next((m for m in reversed(mentions) if m.end <= found.start), None)
    if before is not None and found.start - before.end <= WINDOW and (previous is None or previous.end <= before.start or _moved(sentence, before, found)):
        gap = sentence.between(before.end, found.start)
        if (_SAID.fullmatch(gap) or _RESTATED.fullmatch(gap)) and _is_actual(sentence, before.start, found, previous):
            return _figure(sentence, found, before, before.end)
    after = next((m for m in mentions if m.start >= found.end), None)
    if after is not None and _OF.fullmatch(sentence.between(found.end, after.start)):
        lead = sentence.masked[max(0, found.start - sentence.start - 45) : found.start - sentence.start]
        if not _LESS.search(lead) and _is_actual(sentence, found.start, found, previous):
            return _figure(sentence, found, after, found.start, until=after.end)
    return None


def _moved(sentence: Sentence, mention: Mention, found: Found) -> bool:
    """Whether the numbers between metric and number are those of a change or of what was restated."""
    return "ɋ" in sentence.between(mention.end, found.start)


def _is_actual(sentence: Sentence, start: int, found: Found, previous: Figure | None) -> bool:
    """Whether what leads up to a number speaks of the reporter's own past."""
    clause = previous.end if previous is not None else sentence.start
    clause = min(clause, start)
    return not _TO_COME.search(sentence.words[clause - sentence.start : found.start - sentence.start]) and not sentence.is_of_others(clause, found.start)


def _figure(sentence: Sentence, found: Found, mention: Mention, since: int, until: int | None = None) -> Figure | None:
    quantity = found.quantity
    if mention.per and quantity.parsed is not None and quantity.parsed.is_emission:
        quantity = replace(quantity, unit=f"{quantity.unit}/{mention.per}")
    elif quantity.parsed is None or mention.per or not fits(mention.metric, quantity.parsed):
        return None
    return Figure(mention.metric, found.start, found.end, quantity, _year(sentence, found, until or found.end))


def _by_verb(sentence: Sentence, found: Found, last: Figure | None) -> Figure | None:
    """The figure that a verb makes one: `we withdrew 2.4 million m3`, `910 tonnes were sent to landfill`."""
    lead = sentence.between(max(sentence.start, found.start - WINDOW), found.start)
    tail = sentence.between(found.end, min(sentence.end, found.end + WINDOW))
    around = (sentence.before.words if sentence.before else "") + sentence.words
    if (per := _EMITTED_PER.search(lead)) and found.quantity.parsed and found.quantity.parsed.is_emission:
        return _figure(sentence, found, Mention(found.start, found.start, "EMISSIONS_INTENSITY", per[1]), found.start)
    for before, after, metric, about in _VERBS:
        if before.search(lead) and after.match(tail) and re.search(rf"(?i)\b{about}\b" if about else "", around) and _fitting(metric, found):
            if not _is_actual(sentence, found.start, found, None):
                return None
            year = _year(sentence, found, found.end) or _carried(sentence, last)
            return Figure(metric, found.start, found.end, found.quantity, year)
    return None


def _fitting(metric: str, found: Found) -> bool:
    return found.quantity.parsed is not None and fits(metric, found.quantity.parsed)


def _carried(sentence: Sentence, last: Figure | None) -> str | None:
    """The year that a sentence takes over from the one before: `Of this ...`, `In the previous year ...`."""
    if last is None or last.year is None:
        return None
    return earlier(last.year) if _LAST_YEAR.search(sentence.words) else last.year if _OF_THIS.match(sentence.words) else None


def _chained(sentence: Sentence, found: Found, previous: Figure) -> Figure | None:
    """The figure that the one before it is compared with: it must say its own year."""
    gap = sentence.between(previous.end, found.start)
    if not _CHAIN.fullmatch(gap):
        return None
    return _dated(sentence, found, previous, gap) if found.quantity.unit == previous.quantity.unit else _with_unit(sentence, found, previous)


def _with_unit(sentence: Sentence, found: Found, previous: Figure) -> Figure | None:
    """The figure of a number without a unit, which has that of the one it is compared with, as written; both or none have a number word."""
    own, other = (_PARTS.fullmatch(sentence.text[start:end]) for start, end in ((found.start, found.end), (previous.start, previous.end)))
    if found.quantity.unit is not None or own is None or other is None or bool(own["times"]) != bool(other["times"]):
        return None
    quantity = read_quantity(f"{own.group()} {other['unit']}", sentence.convention)
    if quantity is None or quantity.unsure or quantity.unit != previous.quantity.unit:
        return None
    return _dated(sentence, replace(found, quantity=quantity), previous, sentence.between(previous.end, found.start))


def _dated(sentence: Sentence, found: Found, previous: Figure, gap: str) -> Figure | None:
    """The figure with the year that stands beside it, or that is told as the one before; without one it is none."""
    inside = [y for y in sentence.years if previous.end <= y.start and y.end <= found.start] if re.search(r"\((?:in )?ɏ ?:? ?$", gap) else []
    year = inside[-1].name if inside else _after(sentence, found.end)
    if year is None and previous.year and _YEAR_EARLIER.match(sentence.between(found.end, min(sentence.end, found.end + WINDOW))):
        year = earlier(previous.year)
    return Figure(previous.metric, found.start, found.end, found.quantity, year) if year and year != previous.year else None


def _compared(sentence: Sentence, found: Found, last: Figure | None) -> Figure | None:
    """`That compares with 1.4 million tCO2e in 2022`: a figure of the metric of the sentence before."""
    if last is None or not _COMPARES.fullmatch(sentence.between(sentence.start, found.start)) or found.quantity.unit != last.quantity.unit:
        return None
    year = _after(sentence, found.end)
    return Figure(last.metric, found.start, found.end, found.quantity, year) if year and year != last.year else None


def _respectively(sentence: Sentence) -> Iterator[Figure]:
    """Two scopes and their two numbers: `Scope 1 and Scope 2 emissions were 310 and 455 tCO2e respectively`."""
    match = _RESPECTIVELY.search(sentence.words)
    last = next((f for f in sentence.quantities if match and f.start == sentence.start + match.start("second")), None)
    if match is None or last is None or last.quantity.unsure or last.quantity.parsed is None:
        return
    unit = sentence.text[sentence.start + match.end("second") : last.end]
    first = read_quantity(f"{match['first']}{unit}", sentence.convention)
    if first is None or first.unsure or sentence.is_of_others(sentence.start, last.start) or not fits("SCOPE1_EMISSIONS", last.quantity.parsed):
        return
    year = _year(sentence, last, last.end + len(" respectively"))
    start = sentence.start + match.start("first")
    yield Figure(f"SCOPE{match[1]}_EMISSIONS", start, start + len(match["first"]), first, year)
    yield Figure(f"SCOPE{match[2]}_EMISSIONS", last.start, last.end, last.quantity, year)


_RESPECTIVELY = re.compile(
    rf"[Ss]copes? ([123]) and (?:[Ss]cope )?([123]) emissions {_WAS.replace('ɋ', 'Q')} (?P<first>\d[\d.,]{{0,15}}) and "
    rf"(?P<second>\d[\d.,]{{0,15}})[^.;]{{1,40}}\brespectively"
)


def _year(sentence: Sentence, found: Found, end: int) -> str | None:
    """The year beside a number, else the one that the sentence has named before it."""
    if after := _after(sentence, end) or _after(sentence, found.end):
        return after
    for year in reversed([y for y in sentence.years if y.end <= found.start]):
        lead = sentence.masked[: year.start - sentence.start]
        # "from 310 t in 2021 to 290 t": the year is that of the number before
        moved = re.search(r"\bto $", sentence.between(year.end, found.start)) and re.search(r"\bfrom ɋ", sentence.between(sentence.start, year.start))
        if _YEAR_BEFORE.search(lead[-40:]) and not moved:
            return year.name
    return None


def _after(sentence: Sentence, end: int) -> str | None:
    """The year that stands right after a place."""
    match = _YEAR_AFTER.match(sentence.masked, end - sentence.start)
    at = sentence.start + match.start(match.lastindex or 0) if match else -1
    return next((y.name for y in sentence.years if y.start == at), None)


def earlier(year: str) -> str:
    """The year before: `2021` of `2022`, `2021/22` of `2022/23`."""
    first, split, _ = year.partition("/")
    return f"{int(first) - 1}/{first[2:]}" if split else str(int(first) - 1)
