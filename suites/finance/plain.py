"""A piece of text as it looks, in plain characters, with the way back to its places."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# letters of other scripts begin here; those below are Latin
_OTHER_SCRIPTS = 0x370


class Plain:
    """What a reader sees: `text`, and of each of its characters the place it has in the document."""

    __slots__ = ("_end", "_places", "_start", "text")

    def __init__(self, document: str, start: int, end: int) -> None:
        raw = document[start:end]
        self._start, self._end = start, end
        self._places: list[int] | None = None
        self.text = raw
        if not raw.isascii():
            shown = [(plain, start + i) for i, c in enumerate(raw) for plain in _looks(c)]
            self.text = "".join(plain for plain, _ in shown)
            self._places = [place for _, place in shown]

    def place(self, at: int) -> int:
        """The place in the document of character `at`, or the piece's end."""
        if at >= len(self.text):
            return self._end
        return self._start + at if self._places is None else self._places[at]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The range in the document of characters [start, end), which is not empty."""
        return self.place(start), self.place(end - 1) + 1


@lru_cache(1 << 14)
def _looks(c: str) -> str:
    """The plain characters that one character shows; nothing where it shows none."""
    if c.isascii():
        return c
    if (digit := unicodedata.decimal(c, None)) is not None:
        return str(digit)
    if unicodedata.category(c) in ("Cf", "Mn", "Me"):
        return ""
    if unicodedata.category(c) == "Zs":
        return " "
    normal = unicodedata.normalize("NFKC", c)
    if ord(c) >= _OTHER_SCRIPTS and len(normal) == 1 and normal.isalpha() and not normal.isascii():
        return _letter(normal)
    return normal


def _letter(c: str) -> str:
    """The Latin letter that a letter of another script is drawn like (Unicode's UTS 39), or itself."""
    from confusable_homoglyphs.confusables import confusables_data  # type: ignore[import-untyped]

    looks = [other["c"] for other in confusables_data.get(c, ()) if len(other["c"]) == 1 and other["c"].isascii() and other["c"].isalpha()]
    if not looks:
        return c
    # UTS 39 has one prototype for I and l: a capital shows a capital
    return "I" if c.isupper() and looks == ["l"] else str(looks[0])
