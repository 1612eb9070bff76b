"""The years of a commitment: those it is to be reached in, and those it is measured from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .commitments import CUE, EMISSION, FELL_BY, NET_ZERO, OF_NATION, PAST, REDUCE, Commitment, is_other_topic
from .sentences import Sentence
from .years import Year

LEAD = 110  # what makes a year one stands no farther before it
_PERIOD = r"(?: the)?(?: (?:end|close|beginning|start) of)?(?: the)?(?: (?:calendar|fiscal|financial|business))?(?: year)? ?$"
# right before a target year
_NAMED_BY = re.compile(
    r"(?i)\b(?:targets?|goals?|visions?|programme?|horizon|challenge|strategy|commitment|action plan|ambition|milestone"
    r"|net[- ]zero(?: carbon)?|(?:climate|carbon|CO2)[- ](?:neutral(?:ity)?|positiv\w+)|fossil[- ]free \w+"
    r"|final year|(?:near|medium|mid|long|short)[- ]term|phase[- ]out of [^.;:ɋɏ]{1,40}:)"
    r"(?: ?years?)?\W{0,3}(?:fiscal )?$"
)
_UNTIL = re.compile(rf"(?i)(?:\b|(?<=ɋ))(?:by|until|till|up to|before|(?:no|not) later than|as of|as from|as early as){_PERIOD}")
_ZERO_IN = re.compile(r"(?i)\b(?:net[- ]zero|neutral\w*|(?:carbon|fossil)[- ]free|climate positiv\w+)\b[^.;ɋɏ]{0,60}\b(?:in|for|of|from|to)" + _PERIOD)
_ENDS = re.compile(r"(?i)\b(?:ends?|phased? out|exit|closed?|retired?)\b[^.;ɋɏ]{0,20} in $")
_AIMED_AT = re.compile(
    r"(?i)\b(?:targets?|goals?|objectives?|ambitions?|milestones?|steps|date)\b[^.;ɋɏ]{0,50}\b(?:for|to|at|in|of|is|forward from ɏ to)" + _PERIOD
)
_TARGET_OF = re.compile(r"(?i)\b(?:targets?|goals?|aims?|will)\b[^.;]{0,90}?\b(?:to|is|of|at) ɋ in(?: fiscal)? $")
_SHARE_IN = re.compile(r"ɋ[^.;,ɋɏ]{0,70}(?<!than) in(?: fiscal)? $|ɋ[^.;ɋ]{0,60}\($|(?i:emissions in $)")
_FOR = re.compile(r"(?:^|\W)(?:For|By)(?: fiscal)? $")
_FROM = re.compile(r"(?i)\bfrom(?: the year)? $")
_FROM_FIRST = re.compile(r"^\W*From(?: the year)? $")
_MOVED_TO = re.compile(r"(?i)\bfrom ɏ to $")
_ITEM = re.compile(r"(?:^|[;:|•▪●\n])\W{0,3}$")
_OF_TARGETS = re.compile(r"(?i)\btargets?\b(?!.*\b(?:results?|actual|progress)\b)")
_AND_IN = re.compile(r"(?:, | and |, and )(?:[^.;ɋɏ]{0,40}\bin )?")
# right after one
_TARGET_AFTER = re.compile(
    r"(?i)(?:,? (?:and|or|&) ɏ)?(?: is (?:our|the)(?: next| first| final)?)?,? "
    r"(?:(?:emissions?|climate|greenhouse gas|GHG|CO2|carbon|reduction|net[- ]zero|environmental|sustainability"
    r"|decarboni[sz]ation|interim|absolute|science[- ]based|SBTi?|group|corporate|energy|and) ){0,4}"
    r"(?:targets?|goals?|ambitions?|objectives?|commitments?|programme?|visions?|pledges?|milestones?)\b"
)
_OUR_TARGET = re.compile(r"(?i),? (?:we have set |we have |our |the )[a-z -]{0,25}\b(?:target|goal|ambition)\b")
_AS_TARGET = re.compile(r"(?i) as (?:the |our |a |its )?target\b")
_ITEM_AFTER = re.compile(r" ?[:–—-] ?(?=[A-Za-z])")
_ITEM_CUT = re.compile(r" ?: ?(?:[-–−] ?|minus )ɋ")
_THEN_END = re.compile(r"[.;,]?$|[.;,] | on(?:wards?)?\b")
_ONWARDS = re.compile(r" (?:on|onwards?)\b")
# of years that are none
_HAD = re.compile(
    r"(?i)[^.;:,ɏ]{0,45}\b(?:had|was|were|fell|stood|(?:has|have) been)\b(?! (?:submitted|validated|approved|set|confirmed|verified|adopted|agreed))"
)
_SET_IN = re.compile(
    r"(?i)\b(?:approved|validated|set|adopted|confirmed|announced|updated|publish(?:ed)?|launched|formulated|established|signed|joined|presented)\b"
    r"[^.;ɋɏ]{0,60} in $"
)
_INVESTED = re.compile(r"(?i)\b(?:invest\w*|spend) (?:up to |about |some |over )?ɋ[^.;]{0,20}$|\b(?:used|valid|applied) until $")
_REDUCED = re.compile(r"(?i)\breduced\b")
# since the year, item or clause before
_PIECE = re.compile(r"[;•|ɏ]| – ")
# of base years
_SINCE = re.compile(
    r"(?i)\b(?:from|against|compared (?:with|to)|relative to|with respect to|versus|vs\.?|on|than (?:in|it was in)|below|over|as of|as against|reference:?"
    r"|in comparison (?:with|to))(?: (?:a|an|the|our))?(?: level in)?(?: (?:calendar|fiscal|financial))?(?: year)? $"
)
_IS_BASE = re.compile(r"(?i)\b(?:base(?:line)?|reference|benchmark|comparison)(?: year)?(?: of|:| is| was| \(|,)?(?: fiscal)? ?$")
_IS_REFERENCE = re.compile(r"(?i)\b(?:reference|benchmark|comparison)(?: of|:| is| was| \(|,)? ?$")
_BASE_AFTER = re.compile(
    r"(?i),? \(?(?:as )?(?:the |a |our )?(?:base ?year|baseline|base(?! of| case| salar| ?year)|reference year|benchmark year)\b"
    r"(?!\W{0,3}(?:is |of |in )?(?:FY)?[\dɏ])"
)
_LEVEL = re.compile(r"(?i) ?levels?\b")
_MOVES = re.compile(r" to (?:FY)?\d")
_DATES = re.compile(r"(?i)\b(?:dates?|stems?|data|figures) from $")


def target_years(commitment: Commitment, years: Sequence[Year]) -> list[Year]:
    """The years that what the reporter commits itself to is to be reached in."""
    if not years or commitment.is_of_others:
        return []
    found: list[Year] = []
    for year in years:
        if _is_target(commitment.sentence, year, found) if commitment.is_meant else _says_target_year(commitment.sentence, year):
            found.append(year)
    return found


def base_years(commitment: Commitment, years: Sequence[Year], until: Sequence[Year]) -> list[Year]:
    """The years that a commitment or an inventory is measured from; `until` are the target years."""
    return [y for y in years if y not in until and _is_base(commitment, y, until)]


def is_since(lead: str) -> bool:
    """Whether what leads up to a year makes it one that others are compared with."""
    return _SINCE.search(lead) is not None


def _is_target(sentence: Sentence, year: Year, until: Sequence[Year]) -> bool:
    lead, tail = _lead(sentence, year), sentence.between(year.end, min(sentence.end, year.end + 120))[:90]
    if _HAD.match(tail) or FELL_BY.search(lead) or tail.startswith(" to ɏ") or OF_NATION.search(lead) or _INVESTED.search(lead):
        return False
    if _TARGET_AFTER.match(tail) or _NAMED_BY.search(lead):
        return not _BASE_AFTER.match(tail)
    if is_other_topic(_PIECE.split(lead)[-1]):
        return False
    if any(said.search(lead) for said in (_UNTIL, _ZERO_IN, _ENDS)):
        return not _BASE_AFTER.match(tail)
    if _AS_TARGET.match(tail) or _begins(sentence, lead, tail):
        return True
    return not _BASE_AFTER.match(tail) and not _LEVEL.match(tail) and (_is_aimed_at(sentence, year, lead, tail, until) or _is_next(sentence, year, until))


def _begins(sentence: Sentence, lead: str, tail: str) -> bool:
    """Whether something begins in the year, or an item of a list is of it: `from 2030 on`, `2030: net zero`."""
    if _FROM.search(lead) and "%" not in sentence.words and _THEN_END.match(tail) and not REDUCE.search(sentence.words):
        return True
    if _FROM_FIRST.search(lead):
        return _ONWARDS.match(tail) is not None
    return _ITEM.search(lead) is not None and bool(_ITEM_AFTER.match(tail) or (_ITEM_CUT.match(tail) and _OF_TARGETS.search(lead)))


def _is_aimed_at(sentence: Sentence, year: Year, lead: str, tail: str, until: Sequence[Year]) -> bool:
    """Whether a target is said to be of the year by a weak word: `a target of 20 % in 2030`, never the first of the years named."""
    if _FOR.search(lead) and _OUR_TARGET.match(tail):
        return True
    if _MOVED_TO.search(lead) and (NET_ZERO.search(sentence.words) or (CUE.search(sentence.words) and REDUCE.search(lead) and "%" in sentence.words)):
        return True
    if _SET_IN.search(lead):
        return False
    later = len(sentence.years) == 1 or any(y.number < year.number for y in sentence.years)
    if _AIMED_AT.search(lead):
        return later or bool(until)
    last = next((f for f in reversed(sentence.quantities) if f.end <= year.start), None)
    shares = REDUCE.search(sentence.words) is not None and last is not None and last.quantity.unit == "%"
    return later and _SHARE_IN.search(lead) is not None and bool(shares or _TARGET_OF.search(lead)) and not (PAST.search(lead) or _REDUCED.search(lead))


def _is_next(sentence: Sentence, year: Year, until: Sequence[Year]) -> bool:
    """Whether a list of target years goes on: `in 2029, gas in 2040`, `for 2025, 2030 and 2040`."""
    previous = until[-1] if until else None
    return previous is not None and previous.number < year.number and _AND_IN.fullmatch(sentence.between(previous.end, year.start)) is not None


def _says_target_year(sentence: Sentence, year: Year) -> bool:
    return re.search(r"(?i)^\W*(?:target|net[- ]zero) year\W{1,3}$", sentence.words[: year.start - sentence.start]) is not None


def _is_base(commitment: Commitment, year: Year, until: Sequence[Year]) -> bool:
    sentence, meant = commitment.sentence, commitment.is_meant
    at = year.start - sentence.start
    lead, tail = sentence.words[max(0, at - 60) : at], sentence.words[year.end - sentence.start :][:30]
    if (_IS_BASE.search(lead) and (meant or not _IS_REFERENCE.search(lead))) or _BASE_AFTER.match(tail):
        return True
    if not meant or _ONWARDS.match(tail) or _DATES.search(lead) or (_MOVES.match(tail) and NET_ZERO.search(sentence.words)):
        return False
    cuts = bool(until) or "%" in sentence.words or REDUCE.search(sentence.words) is not None
    since = is_since(lead) or (_LEVEL.match(tail) is not None and EMISSION.search(sentence.words) is not None)
    return cuts and since and all(year.number < y.number for y in until)


def _lead(sentence: Sentence, year: Year) -> str:
    return sentence.between(max(sentence.start, year.start - 2 * LEAD), year.start)[-LEAD:]
