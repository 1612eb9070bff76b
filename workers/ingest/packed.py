"""Packed bytes, unpacked in passing: gzip, bzip2, xz and Zstandard, within a budget of bytes that a whole file shares."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from workers.ingest.files import Ended
from workers.ingest.rows import Reject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# text packs to a third or a tenth, logs to a fiftieth; deflate can reach a thousandth, bzip2 a millionth
RATIO = 100
SMALL_BYTES = 64 << 20  # may be unpacked from however little
UNPACKED_BYTES = 16 << 30
XZ_MEMORY = 256 << 20  # what xz asks for is its sender's choice, up to 4 GiB; -9 asks for 65 MiB
_PIECE = 1 << 16

ReadSome = Callable[[int], bytes]


class Budget:
    """The bytes that may still be unpacked from one file."""

    def __init__(self, label: str, packed_bytes: int) -> None:
        self._label = label
        self._bound = min(UNPACKED_BYTES, max(SMALL_BYTES, RATIO * packed_bytes))
        self._n_bytes = 0

    def take(self, n_bytes: int) -> None:
        """Raises Ended where more has been unpacked than the file may hold."""
        self._n_bytes += n_bytes
        if self._n_bytes > self._bound:
            reason = f"It unpacks to more than {self._bound} bytes, the bound for a file of its size; it is not read further."
            raise Ended(Reject(self._label, "archive_too_large", reason, "Split it, or unpack it and give what it holds."))


class Unpacked(io.RawIOBase):
    """What `read_some` gives, counted where there is a budget. `damaged` is raised where the packed bytes are no longer what they should be."""

    def __init__(self, read_some: ReadSome, budget: Budget | None, damaged: Exception) -> None:
        self._read_some = read_some
        self._budget = budget
        self._damaged = damaged

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer).cast("B")
        try:
            data = self._read_some(min(len(into), _PIECE))
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk's, not the archive's
                raise
            raise self._damaged from None
        if self._budget:
            self._budget.take(len(data))
        into[: len(data)] = data
        return len(data)


class _Streams:
    """Streams of bzip2 or xz behind each other, never more unpacked than is asked for."""

    def __init__(self, file: BinaryIO, start: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._file = file
        self._start = start
        self._one = start()

    def read(self, n_bytes: int) -> bytes:
        """Some bytes, at most `n_bytes`; none at the end. Raises EOFError where the last stream is cut off."""
        while True:
            packed = b""
            if self._one.eof:
                packed = self._one.unused_data or self._file.read(_PIECE)
                if not packed:
                    return b""
                self._one = self._start()
            elif self._one.needs_input and not (packed := self._file.read(_PIECE)):
                raise EOFError
            if data := self._one.decompress(packed, n_bytes):
                return data


def _gzip(file: BinaryIO) -> ReadSome:
    return gzip.GzipFile(fileobj=file, mode="rb").read1


def _bzip2(file: BinaryIO) -> ReadSome:
    return _Streams(file, bz2.BZ2Decompressor).read


def _xz(file: BinaryIO) -> ReadSome:
    return _Streams(file, partial(lzma.LZMADecompressor, format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)).read


def _zstd(file: BinaryIO) -> ReadSome:
    import pyarrow

    return cast(ReadSome, pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd").read)


PACKINGS: dict[str, Callable[[BinaryIO], ReadSome]] = {".gz": _gzip, ".bz2": _bzip2, ".xz": _xz, ".zst": _zstd}


def unpacked(file: BinaryIO, packing: str, label: str, budget: Budget) -> io.BufferedReader:
    """The unpacked bytes, forward only. Reading raises Ended where they are damaged, cut off or too many."""
    code = "bad_gzip" if packing == ".gz" else "bad_archive"
    reason = f"The {packing[1:]} data is damaged or cut off; the rows before this point were read."
    damaged = Ended(Reject(label, code, reason, "Copy or pack the file again."))
    return io.BufferedReader(Unpacked(PACKINGS[packing](file), budget, damaged), _PIECE)


def size_of(file: BinaryIO) -> int:
    """The bytes of an opened file on disk."""
    return os.fstat(file.fileno()).st_size
