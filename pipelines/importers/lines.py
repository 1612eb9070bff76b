"""The lines of a text file within bounds: one that is too long or not in the encoding is a fault, not an exception."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.importers.labelled import MAX_CHARS, Fault
from suites.errors import DataError, UsageError

MAX_LINE = MAX_CHARS * 8  # a text of MAX_CHARS, each written as \uXXXX, and its labels
_ESCAPED = re.compile("[\udc80-\udcff]")


def text_lines(path: Path, label: str, encoding: str = "utf-8", *, newline: str = "\n") -> Iterator[tuple[int, str | Fault]]:
    """Each line with its 1-based number, without a byte-order mark. Raises DataError where nothing can be read at all."""
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    number = 0
    try:
        with path.open(encoding=name, errors="surrogateescape", newline=newline) as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    yield number, Fault(f"{label}:{number}", f"The line has more than {MAX_LINE} characters.", "Split the document.")
                    while (rest := file.readline(MAX_LINE)) and not rest.endswith(("\n", "\r")):
                        pass
                elif _ESCAPED.search(line):
                    yield number, Fault(f"{label}:{number}", f"The line is not {encoding}.", _REMEDY)
                else:
                    yield number, line
    except UnicodeError:
        raise DataError(f"{label}:{number + 1}: the file is not {encoding}. {_REMEDY}", "bad_encoding") from None
    except OSError as error:
        raise DataError(f"{label}: cannot be read: {error.strerror or type(error).__name__}. Check that it exists and that this user may read it.") from None


_REMEDY = "Save it as UTF-8, or name its encoding: --encoding cp1252."


def encoding_name(written: str) -> str:
    """The encoding's own name in Python. Raises UsageError where it is none of text."""
    try:
        "".encode(written)
        return codecs.lookup(written).name
    except (LookupError, ValueError, TypeError):
        raise UsageError(f"--encoding {written[:40]!r} is no encoding of text. Expected one of Python's names: utf-8, cp1252, latin-1, utf-16.") from None


def whole_file(path: Path, label: str, most: int) -> bytes:
    """The content of a file that cannot be read in parts. Raises DataError for one that is larger than `most` bytes."""
    try:
        size = path.stat().st_size
        if size > most:
            raise DataError(f"{label}: has {size:,} bytes; such a file is read in memory, {most:,} at most. Export it in parts.", "too_large")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{label}: cannot be read: {error.strerror or type(error).__name__}. Check that it exists and that this user may read it.") from None
