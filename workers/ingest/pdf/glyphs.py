"""The words of a PDF page with their places, as PDFium has its characters: what lines, columns and tables are made from."""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PAGE_GLYPHS = 200_000  # a page of a newspaper has 30,000; above it the text is taken in the file's own order
FARTHEST, LEAST = 1e6, 0.1  # points: a page has at most 14,400 each way (PDF 1.7, annex C.2); the least width and height of a character
HYPHEN = "\u00ad"  # what a word's end is given where the file says that a line's end has broken it
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_BROKEN = 0x02  # PDFium's mark of a hyphen at the end of a line
_QUARTER = math.pi / 2
# in heights of a character, which are some 1.15 of the font's size
_GAP, _BACK, _LEVEL, _SHIFT, _SMALLER = 0.2, 0.7, 0.1, 0.5, 0.85


@dataclass(slots=True)
class Word:
    """A word: its left and right end, its baseline and height, in points; x to the right and y up as its reader sees them."""

    text: str
    left: float
    right: float
    base: float
    height: float


@dataclass(frozen=True, slots=True)
class _Glyph:
    text: str
    left: float
    right: float
    base: float
    height: float
    turn: int


def words_of(textpage: Any) -> list[list[Word]]:
    """The words in the file's order: those that stand upright, then those turned by a quarter, a half, three quarters."""
    pieces: dict[int, list[Word]] = {}
    last: Word | None = None
    turn = -1
    for glyph in _glyphs(textpage):
        if glyph is None:
            last = None
        elif last is not None and glyph.turn == turn and _goes_on(last, glyph):
            last.text += glyph.text
            last.right = max(last.right, glyph.right)
        else:
            turn = glyph.turn
            last = Word(glyph.text, glyph.left, glyph.right, glyph.base, glyph.height)
            pieces.setdefault(turn, []).append(last)
    # a page in landscape has nearly all of its text turned: what most of it does is upright
    count = Counter({turn: sum(len(word.text) for word in words) for turn, words in pieces.items()})
    return [pieces[turn] for turn, _ in count.most_common()]


def _goes_on(word: Word, glyph: _Glyph) -> bool:
    """Whether the character belongs to the word: it begins where that ends, on its baseline, or is an index raised or lowered."""
    height = max(word.height, glyph.height)
    gap, rise = glyph.left - word.right, abs(glyph.base - word.base)
    is_level = rise <= _LEVEL * height or (rise <= _SHIFT * height and glyph.height <= _SMALLER * word.height)
    return is_level and -_BACK * height < gap < _GAP * height


def _glyphs(textpage: Any) -> Iterator[_Glyph | None]:
    """The visible characters; None where PDFium or the file has white space."""
    import pypdfium2.raw as raw

    raw_page = textpage.raw
    x, y, box = ctypes.c_double(), ctypes.c_double(), raw.FS_RECTF()
    to_x, to_y, to_box = ctypes.byref(x), ctypes.byref(y), ctypes.byref(box)
    high = 0
    for i in range(raw.FPDFText_CountChars(raw_page)):
        code = raw.FPDFText_GetUnicode(raw_page, i)
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        text = _text(code, high)
        high = 0
        if not text:
            yield None
        elif raw.FPDFText_GetCharOrigin(raw_page, i, to_x, to_y) and raw.FPDFText_GetLooseCharBox(raw_page, i, to_box):
            turn = _turn(raw.FPDFText_GetCharAngle(raw_page, i))
            glyph = _upright(text, turn, x.value, y.value, box)
            if glyph is not None:
                yield glyph


def _text(code: int, high: int = 0) -> str:
    """What stands for a character's code; "" for white space, controls and what is no character."""
    if code in _LIGATURES:
        return _LIGATURES[code]
    if code == _BROKEN:
        return HYPHEN
    if 0xDC00 <= code < 0xE000:
        return chr(0x10000 + ((high - 0xD800) << 10) + code - 0xDC00) if high else "\ufffd"
    if code > 0x10FFFF or code & 0xFFFE == 0xFFFE or code < 0x20 or 0x7F <= code < 0xA0:
        return ""
    text = chr(code)
    return "" if text.isspace() else text


def _turn(angle: float) -> int:
    """By how many quarters a character is turned, counter-clockwise."""
    return round(-angle / _QUARTER) % 4 if math.isfinite(angle) else 0


def _upright(text: str, turn: int, x: float, y: float, box: Any) -> _Glyph | None:
    """The character as it is seen when the page is turned so that it stands upright; None where it lies off every page."""
    left, right, bottom, top = box.left, box.right, box.bottom, box.top
    if turn == 1:
        left, right, bottom, top, y = bottom, top, -right, -left, -x
    elif turn == 2:
        left, right, bottom, top, y = -right, -left, -top, -bottom, -y
    elif turn == 3:
        left, right, bottom, top, y = -top, -bottom, left, right, x
    if not all(-FARTHEST < place < FARTHEST for place in (left, right, bottom, top, y)):
        return None
    return _Glyph(text, left, max(left + LEAST, right), y, max(abs(top - bottom), LEAST), turn)
