"""Ways in which writers hide what a message says from machines, and not from people: to be trained against, and to be measured.

Each keeps the message's meaning for its reader: look-alike letters, invisible characters, digits and signs for letters, and harmless text around it
(the "good words" of Lowd & Meek 2005, CEAS).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from suites.types import Document, Example, Robustness

# (text, random numbers, harmless texts) -> the text attacked
Attack = Callable[[str, random.Random, Sequence[str]], str]

# Cyrillic, Greek and full-width letters drawn as the Latin ones beside them (Unicode's confusables.txt)
LOOK_ALIKES = {
    **dict(zip("aceijopsxy", "асеіјорѕху", strict=True)),
    **dict(zip("ABCEHIKMOPSTXY", "АВСЕНІКМОРЅТХУ", strict=True)),
    **dict(zip("vu", "νυ", strict=True)),
}
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
LEET = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1|", "o": "0", "s": "5$", "t": "7+", "z": "2"}
# an address stays: written otherwise it would lead nowhere
_RUN = re.compile(r"\S+")
# the share of the letters that are touched is drawn anew for each text, between these
SHARES = (0.1, 0.6)
BENIGN_CHARS = (100, 800)


def _letters(text: str, rng: random.Random, change: Callable[[str], str]) -> str:
    """The text with a share of its letters changed, addresses left alone."""
    share = rng.uniform(*SHARES)
    kept = {i for found in _RUN.finditer(text) if _is_address(found.group()) for i in range(*found.span())}
    return "".join(c if i in kept or not c.isalpha() or rng.random() > share else change(c) for i, c in enumerate(text))


def _is_address(run: str) -> bool:
    return "://" in run or "www." in run.lower() or "." in run.partition("@")[2]


def homoglyphs(text: str, rng: random.Random, benign: Sequence[str]) -> str:
    """Letters of other scripts that look the same."""
    return _letters(text, rng, lambda c: LOOK_ALIKES.get(c, c))


def invisible(text: str, rng: random.Random, benign: Sequence[str]) -> str:
    """Invisible characters after letters."""
    return _letters(text, rng, lambda c: c + rng.choice(INVISIBLE))


def leet(text: str, rng: random.Random, benign: Sequence[str]) -> str:
    """Digits and signs for letters."""
    return _letters(text, rng, lambda c: rng.choice(LEET.get(c.lower(), c)))


def benign_text(text: str, rng: random.Random, benign: Sequence[str]) -> str:
    """Harmless text before or after the message, or on both sides."""
    if not benign:
        return text
    pieces = [_piece(rng.choice(benign), rng) for _ in range(2)]
    before, after = rng.choice([(True, False), (False, True), (True, True)])
    return "\n\n".join([*([pieces[0]] if before else []), text, *([pieces[1]] if after else [])])


def _piece(text: str, rng: random.Random) -> str:
    n_chars = rng.randint(*BENIGN_CHARS)
    start = text.find(" ", rng.randrange(max(1, len(text) - n_chars + 1))) + 1 if len(text) > n_chars else 0
    return text[start : start + n_chars].strip()


ATTACKS: dict[str, Attack] = {"homoglyphs": homoglyphs, "invisible": invisible, "leet": leet, "benign_text": benign_text}


def harmless(examples: Sequence[Example], plan: Robustness) -> list[str]:
    """The texts of the harmless label."""
    return [e.document.text for e in examples if any(f.task == plan.task and f.label == plan.benign for f in e.gold)]


def attacked(examples: Sequence[Example], plan: Robustness, attack: str, seed: int, benign: Sequence[str]) -> list[Example]:
    """The examples that the plan's task has gold for, attacked, with that gold alone. The same text, attack and seed give the same.

    A harmless message stays as it is: nobody attacks to be taken for a fraud.
    """
    made = []
    for example in examples:
        gold = [f for f in example.gold if f.task == plan.task]
        if plan.task in example.tasks and gold:
            rng = random.Random(hashlib.sha256(f"{seed} {attack} {example.document.text}".encode(errors="surrogatepass")).digest())
            is_harmless = any(f.label == plan.benign for f in gold)
            text = example.document.text if is_harmless else ATTACKS[attack](example.document.text, rng, benign)
            document = Document(example.document.id, text, example.document.meta)
            found = tuple(replace(f, start=0, end=len(text)) for f in gold)
            made.append(Example(document, found, frozenset({plan.task}), example.source))
    return made


def hardening(examples: Sequence[Example], plan: Robustness | None, seed: int) -> list[Example]:
    """Attacked copies of the examples to be learned beside them: of each message that is not harmless `copies`, each with an attack drawn by chance."""
    if plan is None:
        return []
    benign, rng = harmless(examples, plan), random.Random(seed)
    hostile = [e for e in examples if any(f.task == plan.task and f.label != plan.benign for f in e.gold)]
    made: list[Example] = []
    for number in range(plan.copies):
        for example in hostile:
            made += attacked([example], plan, rng.choice(sorted(ATTACKS)), seed + number, benign)
    return made
