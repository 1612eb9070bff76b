"""Reason codes: each with texts that show it, and texts that only look as if."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from suites.samples import read_samples, split_of
from suites.types import Example, Finding

from .finance import hooks, pack, read, rules, sentences

POSITIVE = {
    "CREDENTIAL_REQUEST": [
        "Please confirm your card number and PIN at the page below.",
        "Log in here with your user name and password.",
        "Reply with the six digit code that we sent.",
        "Enter your 12 word recovery phrase to restore the wallet.",
        "Send us a copy of your passport and a selfie.",
        "Kindly verify your account to keep using it.",
        "Just forward me the code you get by text.",
    ],
    "PAYMENT_REQUEST": [
        "Could you send £1,280 to the landlord?",
        "Please wire EUR 186,300.00 this morning.",
        "The fee of EUR 2,618.00 must be transferred.",
        "Please release the payment of USD 14,900.",
        "Move your savings to the safe account.",
        "From today all invoices are to be paid to IBAN DE89 3704 0044 0532 0130 00.",
        "The rent must be transferred to our new account.",
    ],
    "URGENCY": [
        "Act now.",
        "You have 30 minutes left.",
        "Reply within 24 hours.",
        "This is the final notice.",
        "Pay before midnight.",
        "We need it as soon as possible.",
    ],
    "IMPERSONATION": [
        "It's your CEO Martina, on my private number.",
        "Hello, this is Kevin from the IT desk.",
        "Call our fraud department on the number below.",
        "I am Barrister Emmanuel Osagie.",
    ],
    "ADVANCE_FEE": [
        "You must pay a processing fee of GBP 215 first.",
        "We want to present you as next of kin.",
        "Your inheritance fund of USD 6.2 million has been approved for release.",
        "Our agents have recovered your lost coins.",
    ],
    "GIFT_CARD": [
        "Buy five Steam cards of $200 each.",
        "Payment is accepted by Apple gift cards only.",
        "Scratch the backs and send the codes.",
        "I will need you to get five gift cards today.",
        "Police say you must pay the fine with gift cards.",
        "This is an urgent request to buy gift cards.",
    ],
    "PRIZE": [
        "Congratulations, you have won a new phone!",
        "You have been selected to receive a £900 reward.",
        "LOTTERY WINNING NOTIFICATION",
        "Claim your prize.",
    ],
    "THREAT": [
        "Your account will be closed permanently.",
        "A warrant for your arrest will be issued.",
        "I recorded you through your webcam.",
        "Pay to avoid a $50 late fine.",
        "Otherwise you lose access.",
    ],
    "REMOTE_ACCESS": ["Please install AnyDesk and give us the ID.", "Our technician will connect to your computer.", "Download the support tool."],
    "BANK_DETAIL_CHANGE": [
        "Our bank details have changed: new bank details are below.",
        "Please change our account to LU28 0019 4006 4475 0000.",
        "Redirect all future payments to our new account.",
        "I recently switched banks.",
        "Please note that our bank details have changed.",
        "Our IBAN has been updated.",
        "My account number is changing.",
    ],
    "SECRECY": ["Keep this between us.", "Do not tell anyone.", "Please treat this as confidential.", "Don't tell mum.", "Do not mention it to Stefan."],
    "CRYPTO_INVESTMENT": [
        "Our AI trading bot makes 3% profit every day.",
        "He turned $500 into $11,200 in three weeks.",
        "Earn 4% per day.",
        "It returns 5% a week.",
        "Join our VIP signals group.",
        "Airdrop live",
    ],
    "JOB_OFFER": [
        "We offer you a remote job.",
        "Earn $80 to $300 per day.",
        "We found your CV on a job board: noticed your resume there.",
        "You receive transfers on your own account and pass them on.",
    ],
    "DELIVERY_FEE": [
        "Your parcel is held at customs.",
        "A redelivery fee of £1.45 applies.",
        "We tried to deliver your item today.",
        "Your package could not be delivered.",
    ],
    "REFUND_BAIT": ["You are eligible for a tax refund of £412.60.", "Claim your refund.", "We owe you EUR 64.90.", "A rebate of $80 is waiting."],
    "FAMILY_EMERGENCY": [
        "Mum, I dropped my phone and this is my new number.",
        "Grandma, I am in custody.",
        "I am in hospital and cannot pay.",
        "I had an accident and need help.",
    ],
    "ACCOUNT_ALERT": [
        "Your account has been suspended.",
        "We noticed unusual activity on your card.",
        "Your password expires today.",
        "A new payee was added to your account.",
        "Your payment method has expired.",
    ],
}

# by the code that the words might suggest
HARD_NEGATIVE = [
    ("CREDENTIAL_REQUEST", "We will never ask for your PIN."),
    ("CREDENTIAL_REQUEST", "We will never ask you to enter your password or a one-time code."),
    ("CREDENTIAL_REQUEST", "Please do not send the full card number."),
    ("CREDENTIAL_REQUEST", "Never give your password to anyone."),
    ("CREDENTIAL_REQUEST", "Our staff will not ask you to confirm your card details."),
    ("CREDENTIAL_REQUEST", "Fraudsters send texts that ask you to enter your card number."),
    ("CREDENTIAL_REQUEST", "I'll send you my account number later."),
    ("CREDENTIAL_REQUEST", "Your card is enclosed."),
    ("PAYMENT_REQUEST", "You paid DKK 1,849.00 with your card."),
    ("PAYMENT_REQUEST", "There is nothing to pay."),
    ("PAYMENT_REQUEST", "Yara will pay the audit fee of EUR 12,000."),
    ("PAYMENT_REQUEST", "The bank has released the payment."),
    ("PAYMENT_REQUEST", "No bank will ask you to move your money to a safe account."),
    ("URGENCY", "No hurry, end of the month is fine."),
    ("URGENCY", "Please pay within 30 days."),
    ("IMPERSONATION", "The support team was friendly."),
    ("ADVANCE_FEE", "No fee is payable by you in advance."),
    ("GIFT_CARD", "No tax office will ever ask you to pay with gift cards."),
    ("GIFT_CARD", "I bought the gift card for Noor's leaving do."),
    ("GIFT_CARD", "The police say that victims were told to buy gift cards and send the codes."),
    ("GIFT_CARD", "An elderly man was persuaded to buy Steam cards worth £500."),
    ("GIFT_CARD", "How to recognise fraud: calls out of the blue, requests to buy gift cards."),
    ("GIFT_CARD", "I will buy gift cards for the team."),
    ("GIFT_CARD", "We'll get some Amazon gift cards for the raffle."),
    ("CREDENTIAL_REQUEST", "The police say that victims were told to send the codes."),
    ("CREDENTIAL_REQUEST", "Residents were asked to enter their PIN on a fake page."),
    ("CREDENTIAL_REQUEST", "Be wary of requests to confirm your password."),
    ("REMOTE_ACCESS", "Scam alert: they will ask you to install AnyDesk."),
    ("REMOTE_ACCESS", "Police warned that callers get people to install AnyDesk."),
    ("CRYPTO_INVESTMENT", "Earn 4% per annum on your ISA."),
    ("CRYPTO_INVESTMENT", "The bond yields 3.5% per annum."),
    ("CRYPTO_INVESTMENT", "It returns 5% a year."),
    ("PRIZE", "You won't believe it."),
    ("PRIZE", "Our team won the match."),
    ("THREAT", "The lower courts will be closed while the crane is there."),
    ("REMOTE_ACCESS", "Never install AnyDesk for a caller."),
    ("BANK_DETAIL_CHANGE", "Our bank details have not changed."),
    ("BANK_DETAIL_CHANGE", "Our bank has never changed its opening hours."),
    ("PAYMENT_REQUEST", "No invoice has to be paid to our account today."),
    ("SECRECY", "Never share this code with anyone, not even our staff."),
    ("SECRECY", "All information given is kept strictly confidential."),
    ("CRYPTO_INVESTMENT", "Bitcoin fell by 3% today."),
    ("JOB_OFFER", "I love working from home."),
    ("DELIVERY_FEE", "Your parcel is at locker 14."),
    ("REFUND_BAIT", "They only refund with a receipt."),
    ("FAMILY_EMERGENCY", "My phone is new and I love it."),
    ("ACCOUNT_ALERT", "My account was blocked again."),
]


def codes(text: str) -> set[str]:
    return {f.label for f in read(text, task="reasons")}


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in POSITIVE.items() for text in texts])
def test_a_text_shows_its_reason(code: str, text: str) -> None:
    """Each paraphrase is found, and its range lies in the text and is not all of the white space around it."""
    found = [f for f in read(text, task="reasons") if f.label == code]
    assert found
    assert all(text[f.start : f.end].strip() for f in found)


@pytest.mark.parametrize(("code", "text"), HARD_NEGATIVE)
def test_a_legitimate_look_alike_is_none(code: str, text: str) -> None:
    """Warnings, denials, what is done already and what others do are no reasons."""
    assert code not in codes(text)


def test_every_code_is_tried() -> None:
    """The texts above and those of links together show every label of the task."""
    assert {*POSITIVE, "LINK_MISMATCH", "LOOKALIKE_LINK", "HIDDEN_LINK"} == set(pack().tasks["reasons"].labels)


def test_one_code_once_a_sentence() -> None:
    """Of several signs of one code in a sentence the longest is given; the next sentence has its own."""
    text = "Enter your password now and confirm your card number and PIN. Enter your password."
    found = [f for f in read(text, sentences(text, "credentials"), task="reasons") if f.label == "CREDENTIAL_REQUEST"]
    assert len(found) == 2
    assert found[0].end <= text.index(". ") < found[1].start


def test_the_students_doubt_makes_a_rule_unsure() -> None:
    """Where the student is sure that a sentence asks for nothing, the rule's reason is for a person to look at; where it agrees, it is sure."""
    text = "Please confirm your card number and PIN."
    assert [f.unsure for f in read(text, sentences(text, "credentials"), task="reasons")] == [False]
    assert [f.unsure for f in read(text, sentences(text, "none", 0.99), task="reasons")] == [True]
    assert [f.unsure for f in read(text, sentences(text, "none", 0.6), task="reasons")] == [False]


def test_what_others_will_ask_for_is_unsure() -> None:
    """Who is told that others will ask may be warned, or prepared for it: a person should look."""
    (found,) = [f for f in read("Call now, and they will ask you to install AnyDesk.", task="reasons") if f.label == "REMOTE_ACCESS"]
    assert found.unsure


def spoken(text: str, asks: str, number: float, score: float = 0.9) -> list[Finding]:
    """The reasons of a sentence that no rule knows, of which the student says what it asks and how it speaks for phishing."""
    evidence = Finding("verdict_evidence", "phishing", 0.8, 0, len(text), number=number)
    return read(text, [*sentences(text, asks, score), evidence], task="reasons")


def test_a_sentence_that_speaks_for_phishing_is_a_reason_of_its_own() -> None:
    """Evidence of the verdict in a sentence that asks for secrets or money is a reason over the sentence, unsure; weaker signs are none."""
    text = "Kindly let us have what stands on the little plastic thing."
    (found,) = spoken(text, "credentials", 1.5)
    assert (found.label, found.start, found.end, found.unsure, found.source) == ("CREDENTIAL_REQUEST", 0, len(text), True, "rule")
    assert [f.label for f in spoken(text, "payment", 1.5)] == ["PAYMENT_REQUEST"]
    assert spoken(text, "credentials", 0.5) == spoken(text, "none", 3.0) == spoken(text, "credentials", 1.5, score=0.5) == []


def test_a_rules_reason_is_not_doubled_by_the_sentences() -> None:
    """Where a rule has found it, the sentence adds nothing."""
    text = "Please confirm your card number and PIN."
    assert [f.unsure for f in spoken(text, "credentials", 2.0)] == [False]


def by_sentence(example: Example, findings: Iterable[Finding]) -> Counter[tuple[str, int]]:
    """Reasons by code and sentence."""
    starts = sorted(f.start for f in example.gold if f.task == "ask")
    return Counter({(f.label, max((s for s in starts if s <= f.start), default=-1)): 1 for f in findings if f.task == "reasons"})


def score(examples: Iterable[Example]) -> tuple[float, float]:
    """Precision and recall of codes by sentence."""
    right = found = gold = 0
    for example in examples:
        known = [f for f in example.gold if f.task in ("ask", "parties")]
        mine = by_sentence(example, hooks().refine(example.document.text, [*rules().read(example.document.text).findings, *known]))
        wanted = by_sentence(example, example.gold)
        right, found, gold = right + (mine & wanted).total(), found + mine.total(), gold + wanted.total()
    return right / found, right / gold


def test_reasons_of_the_samples() -> None:
    """On all samples nine reasons in ten are right and nine in ten are found, by code and sentence."""
    precision, recall = score(read_samples(pack()))
    assert precision >= 0.9 and recall >= 0.9


def test_reasons_of_samples_that_no_rule_was_written_from() -> None:
    """So it is, a little lower, on the later samples of dev and test, which were set aside before the rules were written."""
    held = [e for e in read_samples(pack()) if int(e.document.id[-4:]) > 168 and split_of(e.document.id) != "train"]
    assert len(held) == 22
    precision, recall = score(held)
    assert precision >= 0.85 and recall >= 0.85
