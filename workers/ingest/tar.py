"""The members of a tar archive, as a stream: POSIX (ustar, pax) and GNU headers, no other bytes held than one header.

Not `tarfile`: it loads a pax header of any length that the archive claims, and its expressions take quadratic time over one
(CVE-2024-6232).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
EXTENDED_BYTES = 1 << 16  # of one pax or GNU header: far above any path
_FILES = (b"0", b"\0", b"7")
_KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"5": "a folder", b"6": "a FIFO", b"S": "a sparse file"}
_PIECE = 1 << 16


class TarError(Exception):
    """The bytes are no tar archive, or are damaged: the message says how, without quoting them."""


@dataclass(slots=True)
class Member:
    """One member: its name as the archive has it, its kind ("" for a regular file, else with an article), its size in bytes."""

    name: str
    kind: str
    size: int


class Tar:
    """Reads a tar archive once, from front to back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = 0  # bytes of the present member
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """The members in order; what is not read of one is passed over. Raises TarError."""
        name, size = "", None
        while header := self._header():
            kind = header[156:157]
            n_bytes = _number(header[124:136])
            if kind in (b"x", b"g", b"L", b"K"):
                data = self._extended(n_bytes)
                if kind == b"L":
                    name = _text(data.rstrip(b"\0"))
                elif kind == b"x":
                    said = _pax(data)
                    name = said.get("path", name)
                    size = _decimal(said["size"]) if "size" in said else size
                    if any(key.startswith("GNU.sparse.") for key in said):
                        header = header[:156] + b"S" + header[157:]
                continue
            n_bytes = n_bytes if size is None else size
            self._left, self._padding = n_bytes, -n_bytes % BLOCK
            yield Member(name or _name(header), _kind(header, name), n_bytes)
            self._skip()
            name, size = "", None

    def read(self, n_bytes: int) -> bytes:
        """Some bytes of the present member, at most `n_bytes`; none at its end. Raises EOFError where the archive ends before it."""
        if not self._left:
            return b""
        data = self._file.read(min(n_bytes, self._left))
        if not data:
            raise EOFError
        self._left -= len(data)
        return data

    def _header(self) -> bytes:
        """The next header; nothing at the end of the archive. Raises TarError."""
        block = self._file.read(BLOCK)
        if not block or block == b"\0" * BLOCK:
            return b""
        if len(block) < BLOCK:
            raise TarError("ends within a header")
        # the checksum counts its own field as spaces
        if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
            raise TarError("has a header whose checksum is wrong")
        return block

    def _extended(self, n_bytes: int) -> bytes:
        if n_bytes > EXTENDED_BYTES:
            raise TarError(f"has an extended header of more than {EXTENDED_BYTES} bytes")
        self._left, self._padding = n_bytes, -n_bytes % BLOCK
        data = self._file.read(n_bytes)
        self._left -= len(data)
        self._skip()
        return data

    def _skip(self) -> None:
        """Passes over the rest of the present member."""
        left = self._left + self._padding
        while left and (data := self._file.read(min(left, _PIECE))):
            left -= len(data)
        if left > self._padding:  # many tools leave the padding of the last member out
            raise TarError("ends within a member")
        self._left = self._padding = 0


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or in base 256 where the first bit is set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise TarError("has a number that is none in a header")
    return int(digits or b"0", 8)


def _decimal(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        raise TarError("has a size that is no number in an extended header")
    return int(digits)


def _pax(data: bytes) -> dict[str, str]:
    """The records of a pax header, `length key=value` each. Raises TarError."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        digits, space, _ = data[at : at + 8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise TarError("has an extended header that cannot be parsed")
        found[_text(key)] = _text(value[:-1])
        at += length
    return found


def _name(header: bytes) -> str:
    """The name in a header; POSIX archives may hold its first part elsewhere."""
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _kind(header: bytes, name: str) -> str:
    kind = header[156:157]
    if kind in _FILES:  # archives of before 1988 tell a folder by its name
        return _KINDS[b"5"] if kind != b"7" and (name or _name(header)).endswith("/") else ""
    return _KINDS.get(kind, "an entry of an unknown kind")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
