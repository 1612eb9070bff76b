"""What a sentence says of commitments: whose they are, whether they concern the climate, and whether they lie ahead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from .regions import NATIONS
from .sentences import Sentence

ITEM_CHARS = 90  # an item of a list is no longer
_CARBON = r"carbon(?![- ](?:pric\w+|tax\w*|costs?|fib\w+|steel|black|markets?|credits?)\b)"
_CO2 = r"CO[2₂](?:[- ]?e)?(?! (?:allowances?|pric\w+|certificates?|tax\w*|costs?)\b)"
EMISSION = re.compile(rf"(?i)\b(?:(?<!trading )emissions?|emit\w*|GHGs?|greenhouse|{_CARBON}|{_CO2}|footprint|scopes?|methane|decarboni[sz]\w+)\b")
# other gases and dust
_OTHER_AIR = re.compile(r"(?i)\b(?:SO2|SO[xX]|NO[xX]|sulphur|sulfur|nitrogen oxides?|dust|particulates?|VOCs?|noise)\b")
_GAS = re.compile(rf"(?i)\b(?:GHGs?|greenhouse|{_CARBON}|CO2e?|CO₂e?|climate|scopes?)\b")
NET_ZERO = re.compile(
    r"(?i)\bnet[- ]zero\b|\b(?:climate|carbon|CO2|GHG|emissions?)[- ](?:neutral(?:ity)?|positiv\w+|negative)\b"
    r"|\b(?:carbon|fossil|emissions?|CO2)[- ](?:fuel[- ])?free\b|\bzero[- ](?:carbon|emissions?)\b"
    r"|\bemissions? to (?:zero|nil)\b|\bno (?:net|more) (?:carbon|emissions?)\b"
)
_CLIMATE = re.compile(
    r"(?i)\bclimate\b(?! change adaptation)|\b(?:renewable|green|clean) (?:electricity|energy|power|sources)\b|\belectricity green\b|\bRE100\b"
    r"|\bscience[- ]based\b|\bSBTi?\b|\b(?:coal|lignite|flaring|fossil[- ]fuels?)\b"
    r"|\b(?:environmental|sustainability) (?:programme?s?|challenges?|visions?|plans?|targets?|goals?|objectives?|commitments?|ambitions?|strategy)\b"
)
# what stands above may also say it so
_WARMING = re.compile(r"(?i)\bbase(?:line|[- ]year)\b|\bParis\b|\b[1-4](?:[.,]\d)?[ -]?(?:°|degrees?\b)")
_ENVIRONMENT = re.compile(r"(?i)\benvironmental (?:\w+ )?(?:programme?s?|challenges?|visions?|plans?|targets?|goals?|objectives?|commitments?|ambitions?)\b")
CUE = re.compile(
    r"(?i)\b(?:will|shall|should be|aim(?:s|ed|ing)?|commit\w*|target(?:s|ed|ing)?|goals?|wants?|intend\w*|intention|plan(?:s|ned)?|ambitions?|objectives?"
    r"|pledg\w+|seeks?|undertakes?|striv\w+|visions?|milestones?|road ?maps?|promis\w+|programmes?|resolved|oblige\w*|determined|working towards|deadline"
    r"|contemplates|calls for|foresees|envisages|provides for|aspir\w+|expects? of us|to be (?:achieved|reached|met|attained)|is set to|are set to"
    r"|(?:is|are|has|have) to (?!date\b)[a-z]+)\b"
)
_IMPERATIVE = re.compile(
    r"(?i)^\W*(?:cut|cutting|reduc(?:e|ing)|halv(?:e|ing)|lower(?:ing)?(?! than)|reach(?:ing)?|achiev(?:e|ing)|becom(?:e|ing)|decarboni[sz](?:e|ing)"
    r"|eliminat(?:e|ing)|sourc(?:e|ing)|switch(?:ing)?|phas(?:e|ing) out)\b"
)
PAST = re.compile(
    r"(?i)\b(?:was|were|had|fell|rose|dropped|decreased|declined|came|went|stood|has (?:been|fallen|declined)|have (?:been|fallen|declined)"
    r"|achieved|we reduced|it reduced|reduced its|reduced our|so far|to date|took place|already)\b"
)
# a year or percentage after these is one of the past
FELL_BY = re.compile(r"(?i)\b(?:fell|dropped|decreased|declined|rose|had|(?:have|has|we|already) (?:reduced|cut|lowered|halved))\b[^.;]{0,80}$")
REDUCE = re.compile(
    r"(?i)\b(?:reduc\w+|cut\w*|lower\w*|halv\w+|decreas\w+|fewer|less|down|shrink\w*|drop|fall|diminish\w*|minus|below|decarboni[sz]\w+|efficiency)\b"
    r"|(?<![\w–-])[-–−] ?\d"
)
_AHEAD = re.compile(r"(?i)(?:\b|(?<=ɋ))(?:by|until|before)(?: the)?(?: end of)?(?: the)?(?: fiscal| financial| calendar)?(?: year)? ?ɏ")
# commitments of these are not the reporter's
_OTHERS = re.compile(
    r"(?i)\b(?:competitors?|peers?|predecessor|minist(?:ry|er)|governments?|parliament|European (?:Commission|Union|Green Deal)|the Union|Fit for 55"
    r"|EU(?:'s|’s| wants| aims| plans)|(?:the|new) law|directive|national|countr(?:y|ies)|nations|municipality|city council|regulator|permits?"
    r"|analysts?|scientists?|researchers|(?:steel|cement|aviation|shipping|chemical|energy|power|oil|gas|building|transport|automotive|textile"
    r"|whole|entire|our|the) (?:industry|sector)|(?:route|site|plant|mill|terminal|ship|building)(?:'s|’s) emissions"
    r"|according to|says the|global (?:emissions|demand)|the world|IMO|United Nations|customers can|households)\b"
)
_ALWAYS_OTHERS = re.compile(r"(?i)\b(?:competitors?|predecessor|says the|according to|global demand|minist(?:ry|er))\b")
_OWN = re.compile(r"(?i)\b(?:we|our|us|ours)\b")
# of a nation's own goal, in a sentence of the reporter: "in line with Canada's commitments to reduce"
OF_NATION = re.compile(
    rf"\b(?:nations?|countr(?:y|ies)|governments?|{NATIONS})"
    r"(?:'s?|’s?) [^.;]{0,90}$|\b(?i:national|government) (?:\w+ )?(?:goals?|targets?|commitments?|ambition)\b[^.;]{0,60}$"
)
_GOES_ON = re.compile(r"(?:Its|Their|It|They|That|This|Neither|Whether|These)\b")
_TARGET_WORD = re.compile(
    r"(?i)\b(?:targets?|goals?|aims?|reduc\w+|milestones?|base ?year|baseline|reference year|net[- ]zero|pledge|minus|cuts?|way ?points?"
    r"|(?:medium|long|short|near)[- ]term|should be|neutral)\b"
)
_OTHER_TOPIC = re.compile(
    r"(?i)\b(?:water|waste|recycl\w+|energy|packaging|plastics?|debt|revenue|sales|prices?|costs?|employees?|women|accidents?|dividend|bottles?|trees|EBITDA"
    r"|population|loans?|investments?|expenditure|capital|set aside|allowances?|allocation|certificates?)\b"
)
# commitments that were given up, replaced or will not be kept
_PLEDGE = r"(?:targets?|goals?|commitments?|pledges?|ambitions?|aims?|objectives?|net[- ]zero|neutrality)"
_GIVEN_UP = re.compile(
    r"(?i)\b(?:abandon\w*|scrap\w*|(?:we|it|has|have|had|board|company|group) dropped|dropping|withdr[ae]w\w*|g[ai]ve(?:n|s)? up|giving up|revok\w+|cancel\w+"
    r"|rescind\w*|suspend\w*|shelv\w+|ditch\w*|water\w* down|walk\w* (?:back|away from)|back\w* away from|miss(?:ed|es|ing)?)"
    rf" (?:our|its|the|their|an?|all|any|this|these|both)\b[^.;,]{{0,60}}\b{_PLEDGE}\b"
    rf"|\b{_PLEDGE}\b[^.;]{{0,90}} (?:was|were|has been|have been|had been|is|are|being) (?:since |now |then |later )?(?:abandoned|dropped|scrapped|withdrawn"
    r"|given up|replaced|superseded|revoked|cancelled|canceled|rescinded|suspended|shelved|missed|lifted|discontinued)\b"
    r"|\bno longer (?:aim|commit|target|plan|intend|pursu|expect|seek|striv|want|hold|believe|be |valid|appl|achiev|attain|feasible|realistic|possible|within"
    r"|in reach|stand)"
    r"|\b(?:(?:will|shall|can|could|would|may|do|does|did) not|cannot|won['’]t|unable to|not (?:be )?able to|fail(?:ed|s)? to) (?:be able to |expect to )?"
    rf"(?:reach|meet|achieve|attain|hit|fulfil|deliver|keep)\w*\b[^.;]{{0,80}}\b(?:{_PLEDGE}|neutral\w*)\b"
    rf"|\b(?:former|old|earlier|previous|original) (?:[\w-]+ ){{0,3}}{_PLEDGE} (?:was|were|had been|of)\b"
    r"|\bno (?:\w+ )?(?:targets?|commitments?|pledges?|plans?) (?:to|of|for)\b|\bnot (?:yet )?committed (?:itself |ourselves )?to\b"
)
_RESULTS = re.compile(r"(?i)\W*(?:status|progress|results?|achieve\w+|performance|actuals?|where we stand)\b[^.]{0,40}$")
_VERB = re.compile(r"(?i)\b(?:we|is|are|have|has|will|may|can|must|date|dates|lies|runs?)\b")


@dataclass(frozen=True)
class Commitment:
    """A sentence as one of commitments; `above` are the sentences that stand before it on its page, the nearest last."""

    sentence: Sentence
    above: tuple[Sentence, ...] = ()

    @cached_property
    def is_of_others(self) -> bool:
        words = self.sentence.words
        if _ALWAYS_OTHERS.search(words):
            return True
        if _OTHERS.search(words) and not _OWN.search(words):
            return True
        before = self.sentence.before
        return bool(before and _GOES_ON.match(words) and not _OWN.search(words) and _OTHERS.search(before.words) and not _OWN.search(before.words))

    @cached_property
    def context(self) -> str:
        """What stands above, as far as it may say what the sentence is about."""
        return "\n".join(s.words for s in self.above)

    @cached_property
    def about_emissions(self) -> bool:
        return _emits(self.sentence.words) or (self._continues and _emits(self.context))

    @cached_property
    def about_climate(self) -> bool:
        words = self.sentence.words
        own = _emits(words) or NET_ZERO.search(words) or _CLIMATE.search(words)
        return bool(own) or (self._continues and any(said(self.context) for said in (_emits, NET_ZERO.search, _CLIMATE.search, _WARMING.search)))

    @cached_property
    def is_meant(self) -> bool:
        """Whether the reporter states what it will reach for the climate."""
        return self.about_climate and not self.is_of_others and not _GIVEN_UP.search(self.sentence.words) and self._is_ahead

    @cached_property
    def _is_ahead(self) -> bool:
        words = self.sentence.words
        if CUE.search(words) or _IMPERATIVE.search(words) or _ENVIRONMENT.search(words):
            return True
        return not PAST.search(words) and bool(_AHEAD.search(self.sentence.between(self.sentence.start, self.sentence.end)) or self._is_short)

    @property
    def _is_item(self) -> bool:
        return len(self.sentence.words) <= ITEM_CHARS and _VERB.search(self.sentence.words) is None

    @property
    def _is_short(self) -> bool:
        """A line of a list: without a verb, it says what is to be where what stands above speaks of targets."""
        if any(_RESULTS.match(s.words) for s in self.above[-2:]):
            return False
        return self._is_item and bool(_TARGET_WORD.search(self.context) or NET_ZERO.search(self.sentence.words))

    @cached_property
    def _continues(self) -> bool:
        """Whether the sentence may go on with what stands above."""
        words = self.sentence.words
        if _OTHER_TOPIC.search(words) or _OTHER_AIR.search(words):
            return False
        return bool(_TARGET_WORD.search(words) or (self._is_item and _TARGET_WORD.search(self.context)))


def _emits(words: str) -> bool:
    return EMISSION.search(words) is not None and (_OTHER_AIR.search(words) is None or _GAS.search(words) is not None)


def has_topic(words: str) -> bool:
    """Whether words speak of emissions, or of water, waste, energy, money."""
    return any(topic.search(words) for topic in (EMISSION, NET_ZERO, _OTHER_TOPIC, _OTHER_AIR))


def is_other_topic(words: str) -> bool:
    """Whether words speak of water, waste, energy, money and not of emissions."""
    return bool(_OTHER_TOPIC.search(words) or _OTHER_AIR.search(words)) and not EMISSION.search(words) and not NET_ZERO.search(words)
