"""Cuts of emissions that are aimed at, in percent: never a result, never of water, waste, energy or money."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .commitments import FELL_BY, NET_ZERO, OF_NATION, REDUCE, Commitment, has_topic, is_other_topic
from .milestones import is_since
from .numerals import WRITTEN
from .quantities import Found, Quantity, read_quantity
from .rows import Figure
from .sentences import Sentence
from .years import Year

LEAD, TAIL = 150, 60  # what makes a percentage one stands no farther before and after it
_BY_BEFORE = re.compile(
    r"(?i)(?:reduc\w+|cut\w*|lower\w*|decreas\w+|\bdown|\bshrink\w*|\bdrop|\bfall|\befficiency\b)[^.;%ɋ]{0,110}$"
    r"|\b(?:target|goal)(?: of| is|:)?(?: a)?(?: at least| up to| about)? $|\btarget[^.;:%ɋ]{0,40}: $"
)
_BY_AFTER = re.compile(
    r"(?: or more)? (?:fewer|less|lower)\b(?! (?:energy|water|waste|power|fuel|material))|,? (?:down|below)\b(?! (?:on last|zero))"
    r"|(?: or more)? (?:absolute )?(?:emissions? |GHG |CO2 |carbon ){0,3}(?:reductions?|cuts?|decrease)\b"
)
_SIGNED = re.compile(r"(?:^|[\s(:|])(?:[-–−] ?|minus )$")
# "raised its target from 26 % to 50 %"
_FROM, _TO = re.compile(r"\bfrom $"), re.compile(r" to ɋ")
_RAISED = re.compile(r"(?i)\btarget[^.;]{0,90} from ɋ to $")
# of items of a list
_BARE = re.compile(
    r"(?i)(?:\b(?:term|target|goal|reduction|scope [123](?: ?[&+,] ?[123]){0,2}|emissions)\W{1,4}"
    r"|ɏ,? (?:and|then|, )?(?:and )?(?:by )?)$"
)
_UNTIL_AFTER = re.compile(r" ?(?:by|in|until)(?: the)?(?: end of)?(?: fiscal)? ?ɏ")
_COUNTED, _FOR_SCOPE = re.compile(r"(?:[:;,]|\bare|\band) $"), re.compile(r" for (?:our )?[Ss]copes? \d")
# between one cut and the next
_AND_THEN = re.compile(r"[^.;ɋɏ%]{0,25} (?:by|in|until)(?: the end of)? ɏ,? ?(?:(?:and|then)(?: by| to)? )?")
_AND_OTHER = re.compile(r"[^.;ɋɏ%|]{0,12}\b(?:scopes?|emissions?|GHG|and)\b[^.;ɋɏ%|]{0,70} | vs\.? ɏ; [a-z]+ [-–−]?")
# of water and then of emissions: "by 30 % by 2030 and CO2 emissions by 40 %"
_AND_OF = re.compile(r"(?:[^.;ɋɏ%]{0,25} (?:by|in|until)(?: the end of)? ɏ)?,? (?:and|then|while) [^.;ɋɏ%|]{3,60} ")
_CLAUSE = re.compile(r"[,;:|•(ɋ]| and (?!th(?:ose|at)\b)")
# of results and shares
_ACHIEVED = re.compile(r" (?:achieved|so far|to date|reached|of(?! (?:our )?(?:emissions|CO2|carbon|GHG)))\b")
_RESULT = re.compile(r"(?i)\b(?:results?|actual|status|achieved|stand at|stood at|progress|at|after)(?: ɏ)?[\s:–-]{0,4}$")
_LED_TO = re.compile(r"(?i)\b(?:resulted in|resulting in|led to|leading to|achieved|saw|recorded|showing|delivered)(?: an?)? [^.;ɋ]{0,25}$")
_IS_PAST = re.compile(
    r"(?i)^[^.;ɋ]{0,45}\b(?:since ɏ|since the|due (?:primarily |mainly |largely )?to|was (?:achieved|met|reached|exceeded)"
    r"|(?:than|over|from) (?:the )?(?:previous|last|prior) year)"
)
_RESULT_OF = re.compile(r"(?: result| actual)?:? ?[-–−]? ?")
_ANSWER = re.compile(rf"(?i)\btarget(?:ed)? (?:emissions? )?reduction[^:;.\d%]{{0,40}}\(%[^)]{{0,20}}\):? ({WRITTEN})(?![\d%])")
_RANGE = re.compile(r"(?<![\w.,-])(?<!cope )(?<!copes )(?<!& )(?<!from )(\d{1,2}(?:[.,]\d)? ?%?(?:[–-]| to )) ?$")
_SAME_TIME = re.compile(r"(?i)\bsame (?:time ?frame|period|year)\b")


def reductions_of(commitment: Commitment, until: Sequence[Year], before: Sequence[Figure]) -> Iterator[Figure]:
    """The cuts that a sentence aims at; `until` are its target years, `before` the targets of the paragraph so far."""
    sentence = commitment.sentence
    yield from _answers(sentence)
    if not (any(f.quantity.unit == "%" for f in sentence.quantities) and commitment.is_meant and commitment.about_emissions):
        return
    reduces = any(s is not None and REDUCE.search(s.words) for s in (sentence, sentence.before))
    last = None
    for found in sentence.quantities:
        lead, tail = _around(sentence, found)
        if not _may_be(sentence, found, lead, tail, until):
            continue
        follows = last is not None and any(chain.fullmatch(sentence.between(last, found.start)) for chain in (_AND_THEN, _AND_OTHER, _AND_OF))
        if follows or (reduces and _is_reduction(lead, tail)) or _is_listed(lead, tail):
            last = found.end
            if _is_of_other(lead, tail):
                continue
            start, quantity = _whole(sentence, found)
            yield Figure("REDUCTION_TARGET", start, found.end, quantity, _target_year(sentence, found, until, before))


def _answers(sentence: Sentence) -> Iterator[Figure]:
    """The number of a form: `Targeted reduction from base year (%): 58.8`."""
    for match in _ANSWER.finditer(sentence.words):
        quantity = read_quantity(match[1], sentence.convention, "%")
        if quantity is not None and quantity.unit == "%" and not quantity.unsure:
            yield Figure("REDUCTION_TARGET", sentence.start + match.start(1), sentence.start + match.end(1), quantity, None)


def _around(sentence: Sentence, found: Found) -> tuple[str, str]:
    """The masked words before and after a quantity."""
    lead = sentence.between(max(sentence.start, found.start - 2 * LEAD), found.start)[-LEAD:]
    return lead, sentence.between(found.end, min(sentence.end, found.end + TAIL))


def _may_be(sentence: Sentence, found: Found, lead: str, tail: str, until: Sequence[Year]) -> bool:
    """Whether a quantity is a percentage that is no result."""
    if found.quantity.unit != "%" or found.quantity.unsure:
        return False
    if (
        _LED_TO.search(lead)
        or _IS_PAST.search(tail)
        or _ACHIEVED.match(tail)
        or _RESULT.search(lead)
        or FELL_BY.search(lead)
        or OF_NATION.search(lead)
        or (_FROM.search(lead) and _TO.match(tail))
    ):
        return False
    return _BY_AFTER.match(tail) is not None or not _is_of_result(sentence, found, until)


def _is_of_other(lead: str, tail: str) -> bool:
    """Whether what a number is of is water, waste, energy or money: its own clause says it, else the nearest one before."""
    pieces = _CLAUSE.split(lead)
    after = _CLAUSE.split(tail)[0] if "ɋ" in tail else re.split(r"[,;:|•(]", tail)[0]
    clause = f"{pieces[-1]} {after}"
    return is_other_topic(clause if has_topic(clause) else next((piece for piece in reversed(pieces) if has_topic(piece)), ""))


def _is_of_result(sentence: Sentence, found: Found, until: Sequence[Year]) -> bool:
    """Whether the year right before is none of a target: `2023: -34 %`."""
    before = [y for y in sentence.years if y.end <= found.start]
    return bool(before) and before[-1] not in until and _RESULT_OF.fullmatch(sentence.between(before[-1].end, found.start)) is not None


def _is_reduction(lead: str, tail: str) -> bool:
    return _BY_AFTER.match(tail) is not None or any(said.search(lead) for said in (_BY_BEFORE, _SIGNED, _RAISED))


def _is_listed(lead: str, tail: str) -> bool:
    """Whether a line of a list gives it: `Medium term: 35 % by 2030`, `46 % for Scope 1 and 2`."""
    in_list = _BARE.search(lead) is not None and _UNTIL_AFTER.match(tail) is not None
    return in_list or (_COUNTED.search(lead) is not None and _FOR_SCOPE.match(tail) is not None)


def _whole(sentence: Sentence, found: Found) -> tuple[int, Quantity]:
    """Where a percentage begins: a range (`25 to 30 %`) with its first number, and it has no single one."""
    begin = max(sentence.start, found.start - 16)
    match = _RANGE.search(sentence.text[begin : found.start])
    return (begin + match.start(1), Quantity(None, "%", None)) if match else (found.start, found.quantity)


def _is_of_another(sentence: Sentence, found: Found, year: Year) -> bool:
    """Whether between a number and a year another goal is named, or a year that is none the number is compared with."""
    if NET_ZERO.search(sentence.between(found.end, year.start)):
        return True
    between = [y for y in sentence.years if found.end <= y.start < year.start]
    return any(not is_since(sentence.words[max(0, y.start - sentence.start - 60) : y.start - sentence.start]) for y in between)


def _target_year(sentence: Sentence, found: Found, until: Sequence[Year], before: Sequence[Figure]) -> str | None:
    """The year a reduction is to be reached in: the next one named, the last one before it, or that of the target before."""
    after = next((y for y in until if y.start >= found.end), None)
    past = [y for y in until if y.start < found.end]
    if after and _is_of_another(sentence, found, after):
        return past[-1].name if past else None
    if after or past:
        return (after or past[-1]).name
    told = [f.year for f in before if f.metric == "TARGET_YEAR"]
    return told[-1] if told and (_SAME_TIME.search(sentence.words) or re.match(r"(?i)\W*reduction target\b", sentence.words)) else None
