"""A saved page is one document: what a reader of it would see, line by line, tables as rows."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from workers.ingest.encoding import NAME_IT
from workers.ingest.files import Refused
from workers.ingest.options import UTF8, ReadOptions
from workers.ingest.rows import Reject, Row, checked
from workers.ingest.visible import Endless, page_text

HTML_BYTES = 48 << 20  # reports that hold their images and fonts have 10 to 30 MB
_LOOKED_AT = 1_024  # bytes in which a page must say its charset (HTML, section 4.2.5.4)
_DECLARED = re.compile(
    rb"""(?i)<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}["']?\s{0,9}([\w.:-]{1,40})|^\s{0,99}<\?xml[^>]{0,99}encoding\s{0,9}=\s{0,9}["']([\w.:-]{1,40})"""
)
_MARKS = ((codecs.BOM_UTF8, UTF8), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# what browsers read where these are declared (Encoding Standard, section 4.2)
MEANT = {"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254"}
_NO_CHARSETS = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf_7")


def rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The page as one document whose key is the label."""
    data = file.read(HTML_BYTES + 1)
    if len(data) > HTML_BYTES:
        yield Reject(label, "too_long", f"The page has more than {HTML_BYTES} bytes.", "Save it without its images, or as text.")
        return
    yield checked(label, label, text_of(data, label, options, options.encoding if options.transcodes else ""), {}, options)


def text_of(data: bytes, place: str, options: ReadOptions, charset: str = "") -> str:
    """The visible text of a page. `charset`: what is said of it from outside. Raises Refused."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", ""))
    encoding = encoding or charset or _declared(data[:_LOOKED_AT], place)
    try:
        html = data[len(mark) :].decode(encoding, options.errors)
    except UnicodeDecodeError as error:
        reason = f"Byte {len(mark) + error.start} of the page is not {encoding.upper()}."
        raise Refused(Reject(place, "bad_encoding", reason, NAME_IT)) from None
    try:
        return page_text(html)
    except Endless as error:
        raise Refused(Reject(place, "bad_html", f"It has {error}.", "Save the page again, or its text as .txt.")) from None


def encoding_of(charset: str, meant: Mapping[str, str] = MEANT) -> str:
    """The encoding of a charset's name, or what is meant by it; "" where it is not known."""
    try:
        name = codecs.lookup(charset).name
        "".encode(name)
    except (LookupError, ValueError, TypeError):  # unknown; a NUL; bytes to bytes, as "zlib"
        return ""
    return "" if name.replace("-", "_") in _NO_CHARSETS else meant.get(name, name)


def _declared(head: bytes, place: str) -> str:
    """The encoding that the page declares; UTF-8 where it declares none."""
    found = _DECLARED.search(head)
    if not found:
        return UTF8
    encoding = encoding_of((found[1] or found[2]).decode("ascii"))
    if not encoding:
        raise Refused(Reject(place, "bad_encoding", "The page declares a charset that is not known.", NAME_IT))
    # who could read the declaration has no UTF-16 before him (HTML, section 13.2.3.2)
    return UTF8 if encoding.startswith("utf-16") else encoding
