"""Files opened without blocking or following links, their lines within bounds, and labels that are safe to print."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workers.ingest.rows import Reject, Row

UTF8_BOM = codecs.BOM_UTF8
# UTF-32 little-endian begins with the mark of UTF-16
FOREIGN_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
SKIP_BYTES = 1 << 30  # a line that goes on for longer than this is no line: sparse files and gzip bombs
AS_UTF8 = "Save the file as UTF-8."

# controls, line separators, marks that turn the writing direction, bytes that are not UTF-8, and what already looks escaped
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\udc80-\udcff]|%(?=[0-9A-Fa-f]{2})")
_TYPES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Refused(Exception):
    """Ends the reading of a file, or of one member of an archive; carries the reject to yield. Never leaves `rows_of`."""

    def __init__(self, reject: Reject) -> None:
        super().__init__(reject.code)
        self.reject = reject


class Ended(Refused):
    """Ends the reading of the whole file, whichever member was read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its 1-based number. A line over the bound has no data, only its length and the parity of its quotes."""

    number: int
    data: bytes
    n_bytes: int
    is_cut: bool = False
    has_odd_quotes: bool = False


def line_bytes(max_chars: int) -> int:
    """The longest line that is loaded: a text of max_chars, each escaped as \\uXXXX, and 64 KiB for the rest of its row."""
    return max_chars * 6 + 65_536


def rows_of(path: Path, label: str, rows: Callable[[io.BufferedReader], Iterator[Row]]) -> Iterator[Row]:
    """The rows of a file, and one reject where it cannot be opened, cannot be read on, or has no row at all."""
    try:
        with opened(path, label) as file:
            yield from told(rows(file), label)
    except Refused as refused:
        yield refused.reject


def told(rows: Iterator[Row], label: str) -> Iterator[Row]:
    """The rows, and one reject where they cannot be read on or there are none. Raises Ended alone."""
    n_rows = 0
    try:
        for row in rows:
            n_rows += 1
            yield row
    except Ended:
        raise
    except Refused as refused:
        yield refused.reject
    except OSError as error:
        yield unreadable(label, error)
    else:
        if not n_rows:
            yield Reject(label, "empty_file", "The file has no rows.", "Leave it out, or write it again from its source.")


@contextmanager
def opened(path: Path, label: str) -> Iterator[io.BufferedReader]:
    """The file for reading bytes. Raises Refused: no link is followed and a FIFO without a writer does not block."""
    try:
        # O_NONBLOCK and O_NOFOLLOW before the check of the type: a check before the opening could be overtaken
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise Refused(_not_opened(label, error)) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise Refused(not_a_file(label, mode))
    with os.fdopen(descriptor, "rb") as file:
        yield file


def lines(file: BinaryIO, label: str, max_bytes: int) -> Iterator[Line]:
    """The lines of a file, ended by \\n alone, the UTF-8 mark removed. Raises Refused for another mark or an endless line."""
    number = 0
    while data := file.readline(max_bytes + 1):
        number += 1
        if number == 1 and data.startswith(FOREIGN_BOMS):
            raise Refused(Reject(label, "bad_encoding", "The byte-order mark at byte 0 is that of UTF-16 or UTF-32.", AS_UTF8))
        if len(data) > max_bytes and not data.endswith(b"\n"):
            yield _skipped(file, f"{label}:{number}", number, data)
        else:
            yield Line(number, data.removeprefix(UTF8_BOM) if number == 1 else data, len(data))


def line_too_long(place: str, n_bytes: int, max_bytes: int) -> Reject:
    """The reject of a line over the bound."""
    return Reject(place, "line_too_long", f"The line has {n_bytes} bytes > {max_bytes}.", "Split the document, or raise max_chars in the pack's [text].")


def not_a_file(label: str, mode: int) -> Reject:
    """The reject of a link, FIFO, socket or device."""
    return not_regular(label, of_mode(mode))


def of_mode(mode: int) -> str:
    """What a file is by its mode, with its article."""
    return _TYPES.get(stat.S_IFMT(mode), "no regular file")


def not_regular(label: str, kind: str) -> Reject:
    """The reject of what is no regular file, on disk or in an archive. `kind`: what it is, with its article."""
    return Reject(label, "not_a_file", f"It is {kind}, and only regular files are read.", "Give the file itself.")


def unreadable(label: str, error: OSError) -> Reject:
    """The reject of a file or folder that the system does not let us read."""
    return Reject(label, "unreadable", f"It cannot be read: {os.strerror(error.errno or errno.EIO)}.", "Check that it exists and that this user may read it.")


def escaped(path: Path | str) -> str:
    """A path as printable text: bytes that are not UTF-8, control characters and a % that looks like an escape become %XX."""
    return _UNSAFE.sub(_percent, os.fsencode(path).decode("utf-8", "surrogateescape"))


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))


def _not_opened(label: str, error: OSError | ValueError) -> Reject:
    if isinstance(error, ValueError):  # a NUL in the path
        return unreadable(label, OSError(errno.ENOENT, ""))
    if error.errno == errno.ELOOP:
        return not_a_file(label, stat.S_IFLNK)
    if error.errno == errno.ENXIO:
        return not_a_file(label, stat.S_IFSOCK)
    return unreadable(label, error)


def _skipped(file: BinaryIO, place: str, number: int, data: bytes) -> Line:
    """The rest of the line is passed over piece by piece. Raises Refused where it does not end."""
    n_bytes, n_quotes = len(data), data.count(b'"')
    while piece := file.readline(1 << 16):
        n_bytes, n_quotes = n_bytes + len(piece), n_quotes + piece.count(b'"')
        if piece.endswith(b"\n"):
            break
        if n_bytes > SKIP_BYTES:
            raise Refused(Reject(place, "line_too_long", f"The line goes on after {SKIP_BYTES} bytes; the file is not read further.", "Check the file."))
    return Line(number, b"", n_bytes, is_cut=True, has_odd_quotes=n_quotes % 2 == 1)
