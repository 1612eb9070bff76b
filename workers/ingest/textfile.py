"""A text file is one document: UTF-8, or UTF-16 with its byte-order mark."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from workers.ingest.files import AS_UTF8, rows_of
from workers.ingest.rows import Reject, Row, checked

_BYTES_PER_CHAR = 4  # at most, in UTF-8 as in UTF-16


def read(path: Path, label: str, max_chars: int) -> Iterator[Row]:
    """The file as one document whose key is the label."""
    return rows_of(path, label, lambda file: iter([_document(file, label, max_chars)]))


def _document(file: BinaryIO, label: str, max_chars: int) -> Row:
    bound = max_chars * _BYTES_PER_CHAR + len(codecs.BOM_UTF8)
    data = file.read(bound + 1)
    if len(data) > bound:
        reason = f"The text has more than {bound} bytes and so > {max_chars} characters."
        return Reject(label, "too_long", reason, "Split the document, or raise max_chars in the pack's [text].")
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return Reject(label, "bad_encoding", "The byte-order mark at byte 0 is that of UTF-32.", AS_UTF8)
    encoding, mark = _encoding(data)
    try:
        text = data[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        return Reject(label, "bad_encoding", f"Byte {mark + error.start} is not {encoding.upper()}.", AS_UTF8)
    return checked(label, label, text, {}, max_chars)


def _encoding(data: bytes) -> tuple[str, int]:
    """The encoding that the byte-order mark says and the mark's length; UTF-8 without one."""
    if data.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le", len(codecs.BOM_UTF16_LE)
    if data.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be", len(codecs.BOM_UTF16_BE)
    return "utf-8", len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
