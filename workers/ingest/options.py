"""How files are read: the bounds of a text, and what the user asked for."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from suites.errors import UsageError

UTF8 = "utf-8"
# codecs of Python that are called text and are no encoding of files
_NO_CHARSETS = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem")

Errors = Literal["strict", "replace"]
# (label of a file that takes a while, its pages read so far, all its pages)
OnPages = Callable[[str, int, int], None]


def _no_pages(label: str, n_read: int, n_pages: int) -> None:
    """Shows nothing."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """`max_chars`: code points of the longest text. `encoding`: of text, CSV and JSON lines, as `charset` gives it.

    `errors`: bytes that are not in the encoding reject their row, or become U+FFFD with "replace".
    `truncate`: a text over max_chars is cut and flagged instead of rejected.
    `on_pages`: is called after each page of a PDF file. `by_page`: a text with pages becomes a document a page.
    """

    max_chars: int
    encoding: str = UTF8
    errors: Errors = "strict"
    truncate: bool = False
    on_pages: OnPages = field(default=_no_pages, compare=False)
    by_page: bool = False

    @property
    def transcodes(self) -> bool:
        """Whether bytes have to be decoded before lines can be told apart: all but UTF-8 as it is."""
        return (self.encoding, self.errors) != (UTF8, "strict")


def charset(name: str) -> str:
    """The encoding's own name in Python. Raises UsageError where it is none that a file can have."""
    try:
        info = codecs.lookup(name)
        info.incrementaldecoder().decode(b"", final=True).encode(UTF8)
    except (LookupError, ValueError, TypeError, AttributeError):  # unknown; a NUL; bytes to bytes, as "zlib"; text to text, as "rot13"
        known = False
    else:
        known = info.name.replace("-", "_") not in _NO_CHARSETS
    if not known:
        raise UsageError(f"{name[:40]!r} is no encoding of text. Give one of Python's names: utf-8, utf-16, latin-1, cp1252, shift_jis.", "bad_encoding")
    return info.name
