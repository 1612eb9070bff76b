"""Reason codes: by which words and links a message gives itself away. Each code needs evidence, and its range is that evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from .links import hidden, link, lookalike
from .sentences import Sentences

TASK = "reasons"
# what the student's answers about a sentence bear out
_BORNE_OUT = {"CREDENTIAL_REQUEST": {"credentials"}, "PAYMENT_REQUEST": {"payment", "credentials"}}
_ASKED = {"credentials": "CREDENTIAL_REQUEST", "payment": "PAYMENT_REQUEST"}
# from here on the student is sure enough of what a sentence asks to doubt a rule, or to stand in for one
_SURE, _LIKELY = 0.9, 0.7
# what a sentence must add to the verdict, in logits, to be a reason without a rule: its odds grow by e
_SPEAKS = 1.0
# a warning or report speaks of what others do, and of what was done to others
_TRICKED = r"told|tricked|conned|duped|persuaded|pressured"
_PEOPLE = r"victims?|he|she|they|people|customers?|clients?|residents?|users?|pensioners?|man|woman|couple"
_WARNING = re.compile(
    r"(?i)\b(?:fraudsters?|scammers?|criminals?|crooks|thieves|someone is|people who)\b[^.!?\n]{0,60}\b(?:pretend|send|sent|ask|text|call|use|try|claim)\w*"
    r"|\b(?:fake|forged|fraudulent|scam|phishing) (?:texts?|mails?|e-?mails?|messages?|calls?|letters?|invoices?|notices?)\b"
    r"|\bit'?s a fake\b|\b(?:mail|e-?mail|caller|letter|sender) (?:asked|told)\b|\bbeware of\b|\boften forged\b"
    r"|\bhow to (?:spot\b|(?:recogni[sz]e|avoid|detect|identify|report)\b[^.!?\n]{0,40}\b(?:fraud|scam|phishing|fakes?\b))"
    r"|\b(?:police|trading standards|action fraud|the fbi|the ftc) (?:say|said|warn|report|advise)\w*\b(?! (?:that )?your?\b)"
    r"|\b(?:scam|phishing) (?:alert|warning)\b[^.!?\n]{0,40}\b(?:they|he|she|callers?|it)(?:['’](?:ll|d))? (?:(?:will|may|might|then|would|could) )*"
    r"(?:ask|tell|want|urge|try)"
    rf"|\b(?!(?:you|i|we)\b)\w+ (?:was|were) (?:(?:then|later|often|first) )?(?:{_TRICKED}) (?:to|into)\b"
    rf"|\b(?:{_PEOPLE}) (?:was|were) (?:(?:then|later|often|first) )?(?:asked|instructed) to\b"
    rf"|\bvictims? (?:is|are|has been|have been|gets?|got|being) (?:(?:then|often|usually) )?(?:asked|instructed|{_TRICKED})\b"
)
# others will ask for it: a warning, or what the reader is prepared for
_THEY_WILL = re.compile(
    r"(?i)\b(?:they|he|she)(?:['’]ll| will| may| might| would) (?:then |also |probably )?(?:ask|tell|want|urge|get|instruct) (?:you|people|for)\b[^.!?;]{0,60}$"
)
# a list of what to be wary of names requests
_REQUESTS = re.compile(r"(?i)\b(?:requests|demands|attempts) (?:to|for|that you)(?: [\w’'-]+){0,2} ?$")
# who says what he will do himself asks nobody
_WILL_DO = re.compile(r"(?i)\b(?:i|we)(?:['’]ll| will| shall|['’]m going to| am going to|['’]re going to| are going to) (?:just |also |then )?$")
# who says that nobody will ask for it does not ask for it
_NEVER_ASKED = re.compile(
    r"(?i)\b(?:never|not|won['’]t|don['’]t|nobody|no one|no(?: [\w,]+){1,9}? (?:will|would|may|should))\b(?: [\w’']+){0,4}? "
    r"(?:ask|asks|asking|request|require|need|come|do that)\b"
)
# directly before the words: what they ask for is not to be done, or not now
_NEGATED = re.compile(
    r"(?i)(?:n['’]t|\b(?:never|not|dont|without|nobody|no need|nothing|need not|no longer|unable to|failed to|rather than|instead of|already)\b)"
    r"(?: [\w’'-]+){0,3} ?$|\bno $"
)
# what has been done, or what others will do, is not asked of the reader
_DONE = re.compile(r"(?i)\b(?:was|were|have|has|had|been|is) $")
_OTHERS_PAY = re.compile(r"(?i)\b(?!you\b)\w+ will $")
_OWN = re.compile(r"(?i)\bmy (?:\w+ )?$")
_CONDITION = re.compile(r"(?i)\b(?:if|unless|until|in case|when|or|as) [\w ’']{0,30}$|\bnot you\b")
_OF_A_SECRET = re.compile(r"(?i)\b(?:codes?|pass ?codes?|passwords?|pins?|otp|tan|e-?mails?|links?|messages?|documents?)\b")
_SHARING = re.compile(r"(?i)\b(?:share|give|tell|disclose|say)\b")
_NO_HURRY = re.compile(r"(?i)\b(?:no (?:great |big |need to )?|all )$")
_TO_OTHERS = re.compile(r"(?i)(?!could|can|would|will)\w+ (?:you|him|her|them)\b")
_PRIVACY = re.compile(r"(?i)\binformation (?:\w+ ){0,3}?(?:given|provided|kept|herein|is)\b")
_SECRET_CHARS = 90
# of a sentence without end so much is looked at on either side
_NEAR_CHARS = 400
# reasons that a negation before them undoes; the others carry their own
_NEGATABLE = frozenset(
    (
        *("CREDENTIAL_REQUEST", "PAYMENT_REQUEST", "ADVANCE_FEE", "GIFT_CARD", "REMOTE_ACCESS", "BANK_DETAIL_CHANGE", "CRYPTO_INVESTMENT", "JOB_OFFER"),
        *("DELIVERY_FEE", "REFUND_BAIT", "PRIZE", "THREAT"),
    )
)
# between the shown address and the one that it leads to: "www.bank.example (http://...)", markdown's "](", and what HTML puts before its text
_SHOWN_BEFORE = re.compile(r"\]?\s?[(<\[]\s?|\]\(<?|\s?(?:->|=>|→)\s?")
_TARGET_BEFORE = re.compile(r"[\"']?[^<>]{0,200}>\s?")
_IN_TAG = re.compile(r"(?i)href=[\"']?$")
_SHOWN_CHARS = 210
_LINKED = frozenset(("LINK", "DOMAIN", "EMAIL"))


def reasons(text: str, findings: Sequence[Any], identifiers: Sequence[Any]) -> list[Any]:
    """The reasons that hold, of rules, links and the student's answers about sentences, in order."""
    sentences = Sentences(text, [f for f in findings if f.task == "ask"])
    held = [good for f in findings if f.task == TASK and (good := _held(text, f, sentences)) is not None]
    kept = _once(held, sentences)
    organisations = tuple({text[f.start : f.end]: None for f in findings if f.task == "parties" and f.label == "ORGANISATION"})
    spoken = [f for f in findings if f.task == "verdict_evidence" and f.label == "phishing"]
    return [*kept, *_by_sentences(text, kept, spoken, sentences), *_of_links(text, identifiers, organisations), *_mismatches(text, identifiers)]


def _held(text: str, finding: Any, sentences: Sentences) -> Any | None:
    """The rule's reason, unless its sentence takes it back; unsure where others will ask, or the student is sure that it asks for nothing."""
    start, end = sentences.around(finding.start, finding.end)
    if finding.end > end or _is_taken_back(text, finding.label, start, finding.start, end):
        return None
    ask = sentences.ask(finding.start)
    doubted = _THEY_WILL.search(text, max(start, finding.start - _SECRET_CHARS), finding.start) is not None
    doubted |= ask is not None and ask.label not in _BORNE_OUT.get(finding.label, {ask.label}) and ask.label == "none" and ask.score >= _SURE
    return replace(finding, unsure=True) if doubted else finding


def _once(held: Sequence[Any], sentences: Sentences) -> list[Any]:
    """Of one code in one sentence the longest evidence."""
    longest: dict[tuple[str, int], Any] = {}
    for finding in held:
        key = finding.label, sentences.around(finding.start, finding.end)[0]
        if key not in longest or finding.end - finding.start > longest[key].end - longest[key].start:
            longest[key] = finding
    return list(longest.values())


def _is_taken_back(text: str, label: str, start: int, at: int, end: int) -> bool:
    """Whether a sentence [start, end) warns of what stands at a place, or negates it."""
    if label == "SECRECY":
        if _PRIVACY.search(text, max(start, at - _NEAR_CHARS), min(end, at + _NEAR_CHARS)):
            return True
        shares = _SHARING.search(text, at, min(end, at + 24))
        return shares is not None and _OF_A_SECRET.search(text, max(0, at - _SECRET_CHARS), min(end, at + _NEAR_CHARS)) is not None
    if label == "URGENCY":
        return _NO_HURRY.search(text[max(start, at - 12) : at]) is not None
    start, end = max(start, at - _NEAR_CHARS), min(end, at + _NEAR_CHARS)
    if _WARNING.search(text, start, end) or (label == "ACCOUNT_ALERT" and _OWN.search(text[max(start, at - _SECRET_CHARS) : at])):
        return True
    if label not in _NEGATABLE:
        return False
    before = text[max(start, at - 2 * _SECRET_CHARS) : at]
    if _NEVER_ASKED.search(before + text[at : min(end, at + 12)]):
        return True
    if (label in _ASKED.values() and (_DONE.search(before) or _TO_OTHERS.match(text, at))) or (label == "PAYMENT_REQUEST" and _OTHERS_PAY.search(before)):
        return True
    if label == "THREAT" and before.lower().endswith("if you "):
        return True
    if _REQUESTS.search(before) or (label == "GIFT_CARD" and _WILL_DO.search(before) and text[at : at + 4].lower() != "need"):
        return True
    clause = re.split(r"[,;:]\s", before)[-1]
    return _NEGATED.search(clause) is not None and not _CONDITION.search(clause)


def _by_sentences(text: str, kept: Sequence[Any], spoken: Sequence[Any], sentences: Sentences) -> Iterator[dict[str, Any]]:
    """Sentences without a rule's reason that ask for money or secrets and speak for phishing, both as the student has answered."""
    for evidence in spoken:
        ask = sentences.ask(evidence.start)
        if ask is None or ask.score < _LIKELY or (evidence.number or 0.0) < _SPEAKS:
            continue
        label = _ASKED.get(ask.label)
        if label is None or any(f.start < evidence.end and evidence.start < f.end and f.label in _ASKED.values() for f in kept):
            continue
        if not _is_taken_back(text, label, evidence.start, evidence.end, evidence.end):
            yield {"task": TASK, "label": label, "start": evidence.start, "end": evidence.end, "score": ask.score, "value": "sentence", "unsure": True}


def _of_links(text: str, identifiers: Sequence[Any], organisations: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Links and addresses that imitate a name, or hide where they lead; `value` says how."""
    for finding in identifiers:
        written = text[finding.start : finding.end].rpartition("@")[2] if finding.label == "EMAIL" else text[finding.start : finding.end]
        found = link(written) if finding.label in _LINKED else None
        if found is None:
            continue
        place = {"task": TASK, "start": finding.start, "end": finding.end}
        imitated = lookalike(found, organisations)
        if imitated and not (finding.label == "EMAIL" and imitated[0].startswith("bait_word")):
            yield {**place, "label": "LOOKALIKE_LINK", "value": imitated[0], "unsure": imitated[1]}
        hiding = "+".join(how for how in hidden(found) if not (imitated and how == "punycode"))
        if hiding and finding.label == "LINK":
            yield {**place, "label": "HIDDEN_LINK", "value": hiding}


def _mismatches(text: str, identifiers: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Links whose text shows another domain than the one they lead to; `value` is the domain shown."""
    for first, second in pairwise(f for f in identifiers if f.label in ("LINK", "DOMAIN")):
        if second.start - first.end > _SHOWN_CHARS or first.value == second.value:
            continue
        between = text[first.end : second.start]
        if _SHOWN_BEFORE.fullmatch(between):
            shown, target = first, second
        elif _TARGET_BEFORE.fullmatch(between) and _IN_TAG.search(text[max(0, first.start - 10) : first.start]):
            shown, target = second, first
        else:
            continue
        yield {"task": TASK, "label": "LINK_MISMATCH", "start": target.start, "end": target.end, "value": shown.value}
