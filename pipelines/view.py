"""A text as the encoder reads it: as it looks to a person, with digits and signs that stand for letters inside known words put back.

"paypal" with Cyrillic letters or invisible characters inside, "p4ssw0rd" and "c@sh" become what a reader takes them for, and each place leads
back to the text as it was written. A text without such words is read as it is.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

from pipelines.skeleton import differing, skeleton

# what digits and signs stand for inside a word; for a 1 two letters are tried
LETTERS = dict(zip("0123456789@$!|+", ("o", "il", "z", "e", "a", "s", "g", "t", "b", "g", "a", "s", "i", "l", "t"), strict=True))
# shorter words are too often something else: mp3, 4pm, i5
MIN_CHARS = 4
MAX_SIGNS = 6
# a run of letters with digits or signs among them, no part of an address; signs stand inside (a handle begins with @, a sentence ends with !), $ may begin
_CANDIDATE = re.compile(r"(?<![\w@$./:&#-])(?:[A-Za-z0-9]|\$(?=[A-Za-z]))(?:[A-Za-z0-9$]|[@!|+](?=[A-Za-z0-9$])){3,24}(?![\w@/:-]|\.\w)")
_DIGITS_AT_ONE_END = re.compile(r"\d{2,}[A-Za-z]+|[A-Za-z]+\d{2,}|\d+")


@dataclass(frozen=True, slots=True)
class View:
    """A text as it is read. Character i stands for the places [starts[i], ends[i]) of the original; None: for itself."""

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None


def view(text: str, words: Collection[str], known: Collection[str] = ()) -> View:
    """The text as it is read; `words` are those, in small letters, that signs may be taken for.

    Characters in `known`, such as a raised 2, have pieces of their own in the vocabulary: they are read as they are.
    """
    if differing(text) is None:
        return View(_spelled(text, words))
    shown = skeleton(text)
    parts: list[str] = []
    starts, ends = array("q"), array("q")
    at = 0
    while at < len(shown.text):
        start, end = shown.starts[at], shown.ends[at]
        last = at + 1
        while last < len(shown.text) and shown.starts[last] == start:
            last += 1
        read = shown.text[at:last]
        if end - start == 1 and text[start] in known:
            read = text[start]
        parts.append(read)
        starts.extend([start] * len(read))
        ends.extend([end] * len(read))
        at = last
    return View(_spelled("".join(parts), words), starts, ends)


def _spelled(text: str, words: Collection[str]) -> str:
    """The text with letters for the digits and signs in words that are known so spelled; its length stays."""
    return _CANDIDATE.sub(lambda found: _word(found.group(), words), text)


def _word(written: str, words: Collection[str]) -> str:
    signs = [i for i, c in enumerate(written) if c in LETTERS]
    if not signs or len(signs) > min(MAX_SIGNS, len(written) // 2) or len(written) < MIN_CHARS or _DIGITS_AT_ONE_END.fullmatch(written):
        return written
    for letters in product(*(LETTERS[written[i]] for i in signs)):
        spelled = list(written)
        for i, letter in zip(signs, letters, strict=True):
            spelled[i] = letter
        if (word := "".join(spelled)).lower() in words:
            return word
    return written
