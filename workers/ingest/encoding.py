"""Files in another encoding than UTF-8, read as UTF-8; what does not decode stays undecodable, so that its row is rejected."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, BinaryIO, cast

from workers.ingest.files import Refused
from workers.ingest.options import UTF8, ReadOptions
from workers.ingest.rows import Reject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NAME_IT = "Save the file as UTF-8, or name its encoding with --encoding."
_PIECE = 1 << 16
# longest first: UTF-32 little-endian begins with the mark of UTF-16
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_POISON = "stillhouse.poison"


def _poisoned(error: UnicodeError) -> tuple[str, int]:
    """A lone surrogate: it is written as three bytes that no one takes for UTF-8, and so its row is rejected where it stands."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(_POISON, _poisoned)


class _Transcoded(io.RawIOBase):
    """The file's bytes as UTF-8."""

    def __init__(self, file: BinaryIO, label: str, options: ReadOptions) -> None:
        self._file = file
        self._label = label
        self._decoder = codecs.getincrementaldecoder(options.encoding)("replace" if options.errors == "replace" else _POISON)
        self._ready = memoryview(b"")
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready and not self._has_ended:
            data = self._file.read(_PIECE)
            self._has_ended = not data
            try:
                text = self._decoder.decode(data, final=not data)
            except UnicodeError:  # handlers are asked for everything but a missing mark
                reason = "It does not begin with the byte-order mark that this encoding asks for."
                raise Refused(Reject(self._label, "bad_encoding", reason, "Give --encoding utf-16-le or utf-16-be (utf-32-le, utf-32-be).")) from None
            self._ready = memoryview(text.encode(UTF8, "surrogatepass"))
        into = memoryview(buffer).cast("B")
        n_bytes = min(len(into), len(self._ready))
        into[:n_bytes], self._ready = self._ready[:n_bytes], self._ready[n_bytes:]
        return n_bytes


def transcoded(file: BinaryIO, label: str, options: ReadOptions) -> BinaryIO:
    """The file as UTF-8; bytes that are not in the encoding stay undecodable, or become U+FFFD where that was asked for."""
    return cast(BinaryIO, io.BufferedReader(_Transcoded(file, label, options)))


def bad_mark(head: bytes, label: str, options: ReadOptions) -> Reject | None:
    """A reject where the file begins with the byte-order mark of another encoding than was named."""
    said = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if said is None or options.encoding.startswith(said):
        return None
    return Reject(label, "bad_encoding", f"The byte-order mark at byte 0 is that of {said.upper()}, and --encoding says {options.encoding}.", NAME_IT)


def undecodable(place: str, error: UnicodeDecodeError, where: str, options: ReadOptions) -> Reject:
    """The reject of a row whose bytes are not in its encoding. `where`: what the error's byte is counted in, as `line 3`."""
    if options.encoding == UTF8:
        return Reject(place, "bad_encoding", f"Byte {error.start} of {where} is not UTF-8.", NAME_IT)
    reason = f"What stands at byte {error.start} of {where}, written as UTF-8, is not in {options.encoding}."
    return Reject(place, "bad_encoding", reason, "Name the encoding that the file has, or give --errors replace.")
