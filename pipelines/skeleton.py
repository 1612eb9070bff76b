"""A text as it looks: without invisible characters, in normal form, look-alike letters as the Latin ones that they are drawn like.

"paypal" with a Cyrillic "a" (U+0430) in it, or a zero-width space, or in full-width letters, becomes "paypal", and every place in it leads
back to the original. Rules are matched on both. It follows Unicode's skeleton (UTS 39), and leaves it where words would suffer:

- Invisible characters (Default_Ignorable_Code_Point, bidi controls among them) are dropped, but not where writing needs them: joiners
  inside Indic, Arabic and other joining scripts, emoji sequences, variants of ideographs.
- The rest is put into NFKC. What would then say something else stays: raised and lowered digits (ten squared is not 102), fractions,
  spacing accents, signs that become several signs (the ellipsis). So does a sign for a whole phrase: a text of these would become many
  times as long. Decimal digits of all scripts become 0 to 9, as their value says.
- Latin letters drawn like a to z (IPA, small capitals) become these. Letters of other scripts do so only inside words that deceive
  (mixed-script and whole-script confusables). A word mixes scripts to deceive where all its foreign letters look Latin, or where it goes
  from one script to the other and back; a Latin word with a Russian ending, TNF-alpha in one word, or micrograms do not. A word of two
  letters or more that all look Latin deceives in a text that is mainly Latin. So may a rare genuine word, such as Russian for "wasp",
  become Latin "oca": it is matched besides the original, not in its place. All other Russian or Greek stays what it is.
- Case stays, and so do accents.

The data of UTS 39 come from the package `confusable-homoglyphs`, scripts and properties from `regex`; both are loaded with the first text
that has such characters. An ASCII text is its own skeleton, at no cost.
"""

from __future__ import annotations

import re
import string
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from typing import Any, Literal

# Default_Ignorable_Code_Point of Unicode 17, as a part of a character class; a test compares it with the package `regex`
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# what one character may become: a ligature of three letters
MOST_LETTERS = 3
_IGNORABLE = re.compile(f"[{IGNORABLE}]")
IGNORABLES = re.compile(f"[{IGNORABLE}]+")
# they may become one with the character before them: vowels and final consonants of Hangul, voicing of half-width Kana; and so may marks
_JOINS = "\u1161-\u1175\u11a8-\u11c2\uff9e\uff9f"
_JOINED = re.compile(f"[{_JOINS}]")
# a character with what stands on it, no more than 30: sorting marks can be quadratic, and a hostile text has ever so many (UAX 15, stream-safe text)
_FOLLOWS = rf"\p{{M}}{_JOINS}{IGNORABLE}"
_UNIT = rf"[\x00-\x7f]+(?![{_FOLLOWS}])|\n|.[{_FOLLOWS}]{{0,30}}"  # nothing stands on a line end
_LINE = re.compile(r"[^\n]+")
# drawn from right to left or in one with their neighbours: a Latin word beside such letters deceives nobody
_OTHERWISE_DRAWN = r"[\p{Arabic}\p{Hebrew}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"
# where an invisible character is needed to write
_JOINING = "".join(
    rf"\p{{scx={name}}}"
    for name in (
        *("Arab", "Syrc", "Nkoo", "Mong", "Deva", "Beng", "Guru", "Gujr", "Orya", "Taml", "Telu", "Knda", "Mlym", "Sinh", "Khmr", "Mymr", "Tibt"),
        *("Bali", "Java", "Sund", "Thai", "Laoo", "Rohg", "Mand", "Adlm"),
    )
)
_PICTURE = r"\p{Extended_Pictographic}"
_NEEDED = "|".join(
    (
        rf"(?<=[{_JOINING}])[\u200c\u200d]",  # how Indic and Arabic letters join
        r"(?<=[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}\p{Han}\p{Hiragana}\p{Katakana}])\u200b",  # where lines may break
        rf"(?<=[{_PICTURE}\p{{EMod}}\ufe0f])\u200d(?={_PICTURE})",  # a family of emoji
        rf"(?<={_PICTURE})[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)",  # a sign as a picture, keycaps
        r"(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f",  # flags of regions
        r"(?<=\p{Han})[\ufe00-\ufe02\U000e0100-\U000e01ef]|(?<=\p{Sm})\ufe00",  # variants of ideographs and of signs
        r"(?<=\p{Mongolian})[\u180b-\u180f]|(?<=\p{Hangul})\u1160|\u115f(?=[\u1160-\u11a7])|(?<=\p{Khmer})[\u17b4\u17b5]|(?<=\p{M})\u034f",
        r"\A\ufeff",  # a byte order mark
    )
)

Range = tuple[int, int]
Deceit = Literal["mixed_script", "whole_script"]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A text as it looks. `starts[i]` and `ends[i]`: the place in the original that character i stands for, both in order."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def original(self, start: int, end: int) -> Range:
        """The place in the original that [start, end) covers; not empty unless [start, end) is."""
        if start >= end:
            at = self.starts[start] if start < len(self.starts) else (self.ends[-1] if self.ends else 0)
            return at, at
        return self.starts[start], self.ends[end - 1]


def skeleton(text: str) -> Skeleton:
    """The whole text as it looks."""
    if text.isascii():
        return Skeleton(text, range(len(text)), range(1, len(text) + 1))
    return shown(seen(text, 0, len(text)), is_latin(text))


def differing(text: str) -> Skeleton | None:
    """The lines that look different from what they are, one a line; None where none does. `original` leads to the places in the whole text."""
    if text.isascii() or not (changing := {c for c in set(text) if not _is_normal(c) or _looks_latin(c)}):
        return None
    latin = is_latin(text)
    parts = [
        view
        for line in _LINE.finditer(text)
        if not line.group().isascii() and not changing.isdisjoint(line.group())
        for view in [shown(seen(text, *line.span()), latin)]
        if view.text != line.group()
    ]
    if not parts:
        return None
    starts, ends = array("q"), array("q")
    for part in parts:
        starts.extend(part.starts)
        ends.extend(part.ends)
        at = ends[-1] if ends else 0
        starts.append(at)
        ends.append(at)
    return Skeleton("".join(part.text + "\n" for part in parts), starts, ends)


def seen(text: str, start: int, end: int) -> Skeleton:
    """[start, end) of a text without invisible characters and in normal form; letters are those of their script."""
    if all(map(_is_normal, set(text[start:end]))):
        return Skeleton(text[start:end], range(start, end), range(start + 1, end + 1))
    as_written = needed(text, start, end)
    parts: list[str] = []
    starts, ends = array("q"), array("q")
    for unit in _patterns().unit.finditer(text, start, end):
        kept: Sequence[int] = range(*unit.span())
        raw = folded = unit.group()
        if not raw.isascii():
            kept = [i for i in kept if i in as_written or not _IGNORABLE.match(text, i)]
            raw = "".join([text[i] for i in kept])
            folded = _folded(raw)
        parts.append(folded)
        if folded == raw or len(folded) == len(raw) == 1:
            starts.extend(kept)
            ends.extend([i + 1 for i in kept])
        else:  # each character stands for all that became it
            starts.extend([kept[0]] * len(folded))
            ends.extend([kept[-1] + 1] * len(folded))
    return Skeleton("".join(parts), starts, ends)


def shown(view: Skeleton, latin: bool) -> Skeleton:
    """What was `seen`, with the words that deceive in the letters that they show; `latin`: the text is mainly Latin."""
    parts, at = [], 0
    for start, end, _ in deceptive(view.text, latin):
        parts += [view.text[at:start], view.text[start:end].translate(_tables().letters)]
        at = end
    return Skeleton("".join([*parts, view.text[at:]]), view.starts, view.ends) if parts else view


def deceptive(text: str, latin: bool) -> Iterator[tuple[int, int, Deceit]]:
    """The words of a text in normal form that show other letters than they hold, and in which way."""
    if text.isascii() or not (latin or _patterns().latin.search(text)):
        return
    letters = _tables().looks
    for word in _patterns().word.finditer(text):
        found = set(word.group())
        if word.group().isascii() or letters.isdisjoint(found):
            continue
        others = {c for c in found if c.isalpha() and not _is_latin(c)}
        if any(c.isalpha() for c in found - others):
            if (others <= letters or _alternates(word.group(), others)) and not _is_formula(word.group(), others):
                yield *word.span(), "mixed_script"
        elif latin and others <= letters and sum(c in others for c in word.group()) > 1:
            yield *word.span(), "whole_script"


def is_latin(text: str) -> bool:
    """Whether more of a text's letters are Latin than are not."""
    patterns = _patterns()
    return len(text) - len(patterns.latin.sub("", text)) > len(text) - len(patterns.other.sub("", text))


def _alternates(word: str, others: set[str]) -> bool:
    """Whether a word goes from one script to another and back. A foreign ending does not."""
    return len(list(groupby(c in others for c in word if c.isalpha()))) > 2


def is_right_to_left(text: str) -> bool:
    """Whether a text holds a letter that runs from right to left."""
    return _patterns().right_to_left.search(text) is not None


def _is_formula(word: str, others: set[str]) -> bool:
    """Whether Greek letters stand in a word as symbols, as in TNF-alpha, microgram or delta-t: small ones among capitals, or one at an end of a short word."""
    if not all(_is_greek(c) for c in others):
        return False
    latin = [c for c in word if c.isalpha() and c not in others]
    if all(c.islower() for c in others) and all(c.isupper() for c in latin):
        return True
    return len(latin) <= 3 and sum(c in others for c in word) == 1 and (word[0] in others or word[-1] in others)


def needed(text: str, start: int, end: int) -> set[int]:
    """Where [start, end) of a text holds invisible characters that its writing needs."""
    if not _IGNORABLE.search(text, start, end):
        return set()
    return {i for found in _patterns().needed.finditer(text, start, end) for i in range(*found.span())}


@lru_cache(1 << 16)
def _is_normal(c: str) -> bool:
    """Whether a character is visible, itself in normal form, and joins none before it."""
    return c.isascii() or (_folded_alone(c) == c and not _IGNORABLE.match(c) and not _JOINED.match(c) and not unicodedata.category(c).startswith("M"))


@lru_cache(1 << 16)
def _looks_latin(c: str) -> bool:
    """Whether a letter of another script is drawn like a Latin one. Letters below U+0300 are Latin: European texts load no library here."""
    return c >= "\u0300" and c.isalpha() and not _is_latin(c) and c in _tables().looks


def _folded(unit: str) -> str:
    """The normal form of a character and the marks on it; nothing of nothing."""
    if not unit:
        return unit
    first = _folded_alone(unit[0])
    if len(unit) == 1:
        return first
    if first == unit[0] and unicodedata.normalize("NFKC", first) != first:  # it stays what it is, with marks too
        return first + unicodedata.normalize("NFKC", unit[1:])
    return unicodedata.normalize("NFKC", first + unit[1:])


@lru_cache(1 << 16)
def _folded_alone(c: str) -> str:
    if (digit := unicodedata.decimal(c, None)) is not None:
        return str(digit)
    if c.isalpha() and (letter := _ipa(c)):
        return letter
    normal = unicodedata.normalize("NFKC", c)
    how = unicodedata.decomposition(c).partition(" ")[0]
    if how == "<fraction>" or (how in ("<super>", "<sub>") and not (len(normal) == 1 and normal.isalpha())):
        return c
    if len(normal) > MOST_LETTERS or (len(normal) > 1 and not any(each.isalnum() for each in normal)):
        return c
    return normal


def _ipa(c: str) -> str:
    """The letter a to z that a Latin letter of phonetic writing is drawn like, or nothing."""
    if c < "\u0250" or not _is_latin(c):
        return ""
    name = unicodedata.name(c, "")
    capital = name.removeprefix("LATIN LETTER SMALL CAPITAL ")
    return capital.lower() if len(capital) == 1 else _tables().ipa.get(c, "")


@lru_cache(1 << 16)
def _is_latin(c: str) -> bool:
    return _patterns().latin.match(c) is not None


def _is_greek(c: str) -> bool:
    return _patterns().greek.match(c) is not None


@dataclass(frozen=True, slots=True)
class _Tables:
    """Letters drawn like those of ASCII: `letters` of other scripts, as `str.translate` takes them, `looks` the same as a set, `ipa` Latin ones."""

    letters: dict[int, str]
    looks: frozenset[str]
    ipa: dict[str, str]


@cache
def _tables() -> _Tables:
    from confusable_homoglyphs.confusables import confusables_data  # type: ignore[import-untyped]

    drawn: dict[str, str] = {}
    for letter in string.digits + string.ascii_letters:  # letters last: where a character looks like both it is a letter
        for other in confusables_data.get(letter, ()):
            if len(c := other["c"]) == 1 and not c.isascii() and c.isalpha() and unicodedata.normalize("NFKC", c) == c:
                # UTS 39 has one prototype for I and l; a capital stands for a capital
                drawn[c] = "I" if letter == "l" and c.isupper() else letter
    otherwise = _patterns().otherwise
    others = {c: letter for c, letter in drawn.items() if not _is_latin(c) and not otherwise.match(c)}
    return _Tables({ord(c): letter for c, letter in others.items()}, frozenset(others), {c: letter for c, letter in drawn.items() if _is_latin(c)})


@dataclass(frozen=True, slots=True)
class _Patterns:
    unit: Any
    word: Any
    latin: Any
    other: Any
    greek: Any
    otherwise: Any
    needed: Any
    right_to_left: Any


@cache
def _patterns() -> _Patterns:
    """Patterns over Unicode's properties, which the standard library does not know."""
    import regex  # type: ignore[import-untyped]

    return _Patterns(
        unit=regex.compile(_UNIT),
        word=regex.compile(r"[\p{L}\p{M}\p{N}]+"),
        latin=regex.compile(r"\p{Latin}+"),
        other=regex.compile(r"(?V1)[\p{L}--\p{Latin}]+"),
        greek=regex.compile(r"\p{Greek}"),
        otherwise=regex.compile(_OTHERWISE_DRAWN),
        needed=regex.compile(_NEEDED),
        right_to_left=regex.compile(r"[\p{bc=R}\p{bc=AL}]"),
    )
