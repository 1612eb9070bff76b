"""Key figures of sentences: a metric, and the number that the sentence says it was; never a change, a target or another's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .metrics import METHOD, SCOPES, fits, is_part, scope_metric
from .numerals import WRITTEN
from .quantities import Found, read_quantity
from .regions import names_region
from .rows import Figure
from .sentences import Sentence

WINDOW = 160  # a metric and its number stand no farther apart
_MENTION = re.compile(
    rf"(?P<scope>(?:{METHOD} (?:gross )?)?{SCOPES}(?: GHG| CO2e?| greenhouse gas| carbon)?(?: emissions?| total| figure)?"
    rf"(?: ?[,(] ?{METHOD}(?: method)?\)?)?)"
    r"|(?P<energy>(?:[Tt]otal |[Gg]roup |[Oo]verall )?\b[Ee]nergy (?:consumption|use|usage)\b)"
    r"|(?P<renewable>\b(?:[Ss]hare of )?[Rr]enewable (?:energy|electricity|power|sources)(?: share)?\b)"
    r"|(?P<withdrawal>\b[Ww]ater (?:withdrawals?|abstraction)\b)|(?P<consumption>\b[Ww]ater consumption\b)|(?P<discharge>\b[Ww]ater discharges?\b)"
    r"|(?P<waste>\b[Ww]aste (?:generated|generation|produced)\b)"
    r"|(?P<recycled>\b[Ww]aste recycled\b|\b[Rr]ecycling rate\b)|(?P<landfilled>\b[Ww]aste (?:sent )?to landfill\b)"
    rf"|(?P<method>\b{METHOD}(?: method)?\b)|(?P<footprint>\b(?:our|its) (?:[a-z]+ )?(?:carbon )?footprint\b)"
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
_OF_WHOM = r"(?: (?P<of>of|from|by|at|across) (?P<whom>(?!an? )[^.;:ɋɏ]{2,50}?))?"
_IN_YEAR = r"(?:,? (?:in|for|during|of) (?:the (?:financial |fiscal |calendar )?year )?ɏ,?)?"
# between a metric and its number
_QUALIFIED = r"\)?(?: emissions)?(?: ?\([^()ɋ]{1,40}\))?(?: emissions)?"
_SAID = re.compile(
    rf"{_QUALIFIED}{_OF_WHOM}{_IN_YEAR}(?: together)? {_WAS} {_ABOUT}|{_QUALIFIED}{_IN_YEAR}(?:,|:| =| –| of| at| came to) {_ABOUT}| \({_ABOUT}"
    rf"|(?: emissions)?\)?(?: emissions)? {_ABOUT}"
)
# the whole reporter in other words than its name; and what stands beside a metric or number that is one of a part
_WHOLE = frozenset(
    re.findall(
        r"\w+",
        "the our its all own owned and or of by we us whole entire total global worldwide combined consolidated controlled continuing reporting under within"
        " group groups company corporation organisation organization operation operations activities business businesses undertaking firm bank airline utility"
        " university hospital insurer retailer plc operational financial control boundary value chain sources entities direct indirect",
    )
)
# all of Scope 2
_PURCHASED = re.compile(
    r"^\)?(?: emissions)? from (?:our |the )?(?:purchased|bought|imported) (?:electricity|energy|power)(?:,? (?:(?:and|or) )?(?:heat(?:ing)?|steam|cooling))*$"
)
_COMPANY = re.compile(r"(?:[Gg]roup|[Cc]ompany|[Cc]orporation|[Hh]oldings?|plc|PLC|AG|SE|SA|NV|ASA|AB|Inc\.?|Ltd\.?|Corp\.?|GmbH)$")
_BRACKETS = re.compile(r"\(([^()]*)\)")
_ADJECTIVES = re.compile(r"(?:(?<=[ (])|^)((?:[\w/-]+ ){1,2})$")
_WHERE = re.compile(
    r"\)*(?: (?:of|in) (?:waste|energy|water|CO2e?|Scopes? [123]))?(?: emissions)?"
    r"(?:,? \(?(?:in|for|during) (?:the (?:financial |fiscal |calendar )?year )?ɏ\)?)? (from|at|in|by|across) ([^.,;:()ɋɏ]{2,50})"
)
# per something, or after offsets: no gross total
_RELATIVE = re.compile(r"(?<!as )\b[Pp]er (?!cent\b|annum\b|year\b|the\b)[a-z]|\b[Ff]or (?:each|every) [a-z]")
_NOT_GROSS = re.compile(
    r"(?i)\bnet of\b|\bnet (?:scopes?|GHG|CO2|carbon|emissions?|greenhouse)\b|\(net\)|\bexclud\w+|\bexcl\b|\bnot including\b"
    r"|\b(?:after|less|minus|deducting) (?:[a-z]+ ){0,3}(?:offset\w*|credits|removals|compensation)\b"
)
# the method said after the number, with a year before or after it
_BY_METHOD = (
    rf"(?:(?:on|under|by|using|with|following|calculated (?:by|with|using|on)) (?:an? |the )?)?(?P<method>{METHOD})(?: (?:method|approach|basis|accounting))?"
)
_METHOD_AFTER = re.compile(
    rf"(?:,? ?\(?(?:in |for )?(?P<before>ɏ)ɏ*\)?)?,? ?\(?{_BY_METHOD}(?:[,;] (?:in )?(?P<after>ɏ)ɏ*)?\)?"
    rf"(?! ?:|{_ABOUT}ɋ| {_ABOUT}ɋ| ?(?:and|or|&|/) ?(?:the )?{METHOD}(?!:? {_ABOUT}ɋ)| (?:was|were|is|are|it|stood|came|amounted|emissions?|figure|scope)\b)"
)
_METHOD_LEAD = re.compile(rf"(?:\b[Oo]n|\b[Uu]sing|\b[Uu]nder|\b[Bb]y) (?:an? |the ){METHOD}(?: (?:method|approach|accounting))?,? [^.;ɋ]{{0,40}}$")
_BESIDE = 80  # characters after a number that may say of what it is
# the sentence tells first the old figure, then the restated one
_RESTATED = re.compile(rf"{_IN_YEAR} (?:was|were|has been|have been) restated from ɋ to ")
# between one figure and another of the same metric
_AGAINST = r"(?:down from|up from|from|compared (?:with|to)|against|versus|vs\.?|after)"
_CHAIN = re.compile(rf"(?: ?\({METHOD}\))?{_IN_YEAR},? ?\(?{_AGAINST} {_ABOUT}|{_IN_YEAR},? ?\((?:in )?ɏ ?:? ?")
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
# what is compared with a year is of another
_AS_IN = re.compile(
    r"(?i)\b(?:as|like|unlike|than|since|with|to|against|over|below|above)(?: (?:those|that|the levels?|levels))?"
    r" (?:in|of|for|during)(?: the)?(?: \w+)?(?: year)? $"
)
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
_PER = re.compile(r"(?:,? \(?in ɏ+\)?)? \(?(?:per|for each|for every|each) (?!cent\b)[a-z]")
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
        if found.quantity.unsure or found.quantity.number is None or found.quantity.number < 0 or _PER.match(sentence.masked, found.end - sentence.start):
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
    before = None if before is not None and _is_taken(sentence, before) else before
    if before is not None and found.start - before.end <= WINDOW and (previous is None or previous.end <= before.start or _moved(sentence, before, found)):
        gap = sentence.between(before.end, found.start)
        said = _SAID.fullmatch(gap)
        whole = _is_whole(before.metric, gap, said["of"], said["whom"]) if said else _RESTATED.fullmatch(gap)
        if whole and _is_actual(sentence, before.start, found, previous):
            return _figure(sentence, found, before)
    after = next((m for m in mentions if m.start >= found.end), None)
    if after is not None and _OF.fullmatch(sentence.between(found.end, after.start)):
        lead = sentence.masked[max(0, found.start - sentence.start - 45) : found.start - sentence.start]
        if not _LESS.search(lead) and _is_actual(sentence, found.start, found, previous):
            return _figure(sentence, found, after, until=after.end)
    return None


def _is_taken(sentence: Sentence, mention: Mention) -> bool:
    """Whether a metric is that of the number right before it: `500 t (Scope 1), 300 t (Scope 2)`, not `(Scope 1: 500 t)`."""
    if sentence.text[mention.end : mention.end + 2].lstrip().startswith((":", "=")):
        return False
    last = next((f for f in reversed(sentence.quantities) if f.end <= mention.start), None)
    return last is not None and _fitting(mention.metric, last) and _OF.fullmatch(sentence.between(last.end, mention.start)) is not None


def _moved(sentence: Sentence, mention: Mention, found: Found) -> bool:
    """Whether the numbers between metric and number are those of a change or of what was restated."""
    return "ɋ" in sentence.between(mention.end, found.start)


def _is_actual(sentence: Sentence, start: int, found: Found, previous: Figure | None) -> bool:
    """Whether what leads up to a number speaks of the reporter's own past."""
    clause = previous.end if previous is not None else sentence.start
    clause = min(clause, start)
    return not _TO_COME.search(sentence.words[clause - sentence.start : found.start - sentence.start]) and not sentence.is_of_others(clause, found.start)


def _is_whole(metric: str, gap: str, of: str | None, whom: str | None) -> bool:
    """Whether what stands between a metric and its number names no part of the reporter, of the gases, of the sources."""
    beside = re.sub(rf" {_WAS} {_ABOUT}$", "", gap)
    if metric.startswith("SCOPE2") and _PURCHASED.search(beside):
        return True
    if is_part(metric, beside) or any(names_region(inside) for inside in _BRACKETS.findall(beside)):
        return False
    return of is None or whom is None or metric.startswith(("EMISSIONS", "RENEWABLE")) or _is_reporter(of, whom)


def _is_reporter(of: str, whom: str) -> bool:
    """Whether `of our operations`, `of Northwind`, `across the Ardal group` is the whole reporter; a name after `at` may be that of a place."""
    if names_region(whom):
        return False
    named = of in ("of", "by") or _COMPANY.search(whom) is not None
    return all(word.lower() in _WHOLE or (named and word[0].isupper()) for word in re.findall(r"\w+", re.sub(r"['’]s?\b", "", whom)))


def _is_beside_part(sentence: Sentence, found: Found, mention: Mention, end: int) -> bool:
    """Whether the words before the metric, or those after it or its number, make the figure one of a part, a ratio or no gross one."""
    lead = sentence.between(max(sentence.start, mention.start - _BESIDE), mention.start)
    if (adjectives := _ADJECTIVES.search(lead)) and is_part(mention.metric, adjectives[1].replace("of which ", "")):
        return True
    for place in (found.end, end):
        where = _WHERE.match(sentence.between(place, min(sentence.end, place + _BESIDE)))
        if where and (is_part(mention.metric, where[2]) or (where[1] in ("at", "in") and (re.match(r"[A-Z](?!cope)", where[2]) or names_region(where[2])))):
            return True
    said = re.split(r"[;ɋ]", lead)[-1] + sentence.between(mention.start, max(mention.start, found.start))
    tail = re.split(r"[.;ɋ]", sentence.between(found.end, min(sentence.end, found.end + _BESIDE)))[0]
    ratio = mention.metric != "EMISSIONS_INTENSITY" and _RELATIVE.search(said) is not None
    return ratio or _NOT_GROSS.search(said) is not None or _NOT_GROSS.search(tail) is not None


def _figure(sentence: Sentence, found: Found, mention: Mention, until: int | None = None) -> Figure | None:
    """The figure of a metric, of Scope 2 by the method that is said after the number or before the metric."""
    end = until or found.end
    if _is_beside_part(sentence, found, mention, end):
        return None
    method = _METHOD_AFTER.match(sentence.masked, found.end - sentence.start) if mention.metric.startswith("SCOPE") and until is None else None
    metric = _by_method(sentence, mention, method["method"] if method else None)
    if metric is None:
        return None
    figure = _made(sentence, found, replace(mention, metric=metric), sentence.start + method.end() if method else end)
    at = sentence.start + method.start("before" if method["before"] else "after") if method and (method["before"] or method["after"]) else -1
    return replace(figure, year=next(y.name for y in sentence.years if y.start == at)) if figure and at >= 0 else figure


def _by_method(sentence: Sentence, mention: Mention, method: str | None) -> str | None:
    """The metric with the method of Scope 2; None where another one was said before."""
    if not mention.metric.startswith("SCOPE2"):
        return mention.metric
    if method is None and mention.metric == "SCOPE2_EMISSIONS":
        lead = _METHOD_LEAD.search(sentence.between(max(sentence.start, mention.start - _BESIDE), mention.start))
        method = lead.group() if lead else None
    metric = scope_metric(f"Scope 2 {method}") if method else mention.metric
    # "4,000 t (location-based), 3,000 t (market-based)": the method before is that of another number
    of_scope = _SCOPE_2.search(sentence.text, mention.start, mention.end) is not None
    return metric if mention.metric in ("SCOPE2_EMISSIONS", metric) or not of_scope else None


def _made(sentence: Sentence, found: Found, mention: Mention, end: int) -> Figure | None:
    quantity = found.quantity
    if mention.per and quantity.parsed is not None and quantity.parsed.is_emission:
        quantity = replace(quantity, unit=f"{quantity.unit}/{mention.per}")
    elif quantity.parsed is None or mention.per or not fits(mention.metric, quantity.parsed):
        return None
    return Figure(mention.metric, found.start, found.end, quantity, _year(sentence, found, end))


def _by_verb(sentence: Sentence, found: Found, last: Figure | None) -> Figure | None:
    """The figure that a verb makes one: `we withdrew 2.4 million m3`, `910 tonnes were sent to landfill`."""
    lead = sentence.between(max(sentence.start, found.start - WINDOW), found.start)
    tail = sentence.between(found.end, min(sentence.end, found.end + WINDOW))
    around = (sentence.before.words if sentence.before else "") + sentence.words
    if (per := _EMITTED_PER.search(lead)) and found.quantity.parsed and found.quantity.parsed.is_emission:
        return _figure(sentence, found, Mention(found.start, found.start, "EMISSIONS_INTENSITY", per[1]))
    for before, after, metric, about in _VERBS:
        if before.search(lead) and after.match(tail) and re.search(rf"(?i)\b{about}\b" if about else "", around) and _fitting(metric, found):
            if not _is_actual(sentence, found.start, found, None) or _is_beside_part(sentence, found, Mention(found.start, found.start, metric), found.end):
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
        if _YEAR_BEFORE.search(lead[-40:]) and not _AS_IN.search(lead[-40:]) and not moved:
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
