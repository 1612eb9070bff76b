"""A text file is one document: UTF-8, UTF-16 with its byte-order mark, or the encoding that was named."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from workers.ingest.encoding import NAME_IT, undecodable
from workers.ingest.files import UTF8_BOM
from workers.ingest.options import UTF8, ReadOptions
from workers.ingest.rows import TOO_LONG, Reject, Row, checked

_BYTES_PER_CHAR = 4  # at most, in UTF-8 as in UTF-16


def rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The file as one document whose key is the label."""
    yield _document(file, label, options)


def _document(file: BinaryIO, label: str, options: ReadOptions) -> Row:
    bound = options.max_chars * _BYTES_PER_CHAR + len(UTF8_BOM)
    data = file.read(bound + 1)
    is_whole = len(data) <= bound
    if not is_whole and not options.truncate:
        return Reject(label, "too_long", f"The text has more than {bound} bytes and so > {options.max_chars} characters.", TOO_LONG)
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return Reject(label, "bad_encoding", "The byte-order mark at byte 0 is that of UTF-32.", NAME_IT)
    encoding, mark = _encoding(data)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data[mark:], final=is_whole)
    except UnicodeDecodeError as error:
        if encoding != UTF8:
            return Reject(label, "bad_encoding", f"Byte {mark + error.start} is not {encoding.upper()}.", NAME_IT)
        error.start += mark
        return undecodable(label, error, "the file", options)
    return checked(label, label, text, {}, options)


def _encoding(data: bytes) -> tuple[str, int]:
    """The encoding that the byte-order mark says and the mark's length; UTF-8 without one."""
    if data.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le", len(codecs.BOM_UTF16_LE)
    if data.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be", len(codecs.BOM_UTF16_BE)
    return UTF8, len(UTF8_BOM) if data.startswith(UTF8_BOM) else 0
