"""Archives: the members of a ZIP or tar file one after another, never extracted; their names are labels and nothing else."""

from __future__ import annotations

import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

from workers.ingest.files import Ended, Refused, escaped, not_regular, of_mode
from workers.ingest.packed import Budget, Unpacked
from workers.ingest.rows import Reject, Row
from workers.ingest.tar import Tar, TarError

MEMBERS = 100_000
DIRECTORY_BYTES = 16 << 20  # of a ZIP file: it is loaded whole, at some ten times its size
NAME_CHARS = 1_000
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # the data, strongly, the names too
_BUFFER = 1 << 16
_DRIVE = re.compile(r"[A-Za-z]:")

# a member's bytes, its name and its label to its rows
ReadMember = Callable[[io.BufferedReader, str, str], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as its archive has it: `fault` takes a label and gives the reject of what is no file to read; `open` raises Refused."""

    name: str
    is_folder: bool
    fault: Callable[[str], Reject] | None
    open: Callable[[str], io.BufferedReader]


def rows_of_members(entries: Iterator[Entry], label: str, read: ReadMember) -> Iterator[Row]:
    """The rows of all members, each read by itself. Raises Ended where the archive is damaged or has too many."""
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        if number > MEMBERS:
            reason = f"It has more than {MEMBERS} members; it is not read further."
            raise Ended(Reject(label, "archive_too_large", reason, "Split it."))
        name = _safe_name(entry.name)
        place = f"{label}/{escaped(entry.name if name is None else name)[:NAME_CHARS]}"
        if name is None:
            reason = "Its name is absolute, leads out of the archive, is empty or too long."
            yield Reject(place, "unsafe_name", reason, "Pack it again under a relative name without '..'.")
        elif entry.is_folder or any(part.startswith(".") for part in name.split("/")):
            continue  # hidden as in a folder: what macOS adds to an archive is
        elif (folded := unicodedata.normalize("NFC", name).casefold()) in seen:
            yield Reject(place, "name_collision", "A member before it has the same name, but for case at most.", "Rename one of them.")
        else:
            seen.add(folded)
            if entry.fault:
                yield entry.fault(place)
            else:
                yield from _rows(entry, name, place, read)


def _rows(entry: Entry, name: str, place: str, read: ReadMember) -> Iterator[Row]:
    try:
        file = entry.open(place)
    except Ended:
        raise
    except Refused as refused:
        yield refused.reject
        return
    with file:
        yield from read(file, name, place)


def _safe_name(raw: str) -> str | None:
    """The name without what means nothing in it; None where it leads out of the archive or is no name."""
    every = re.split(r"[/\\]", raw)
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if not parts or ".." in every or not every[0] or _DRIVE.match(raw) or "\0" in raw or len(raw) > NAME_CHARS:
        return None
    return "/".join(parts)


# ── ZIP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Guarded:
    """The file for `zipfile`, which reads a directory of any length that the file claims."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self._label = label
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, n_bytes: int = -1) -> bytes:
        if n_bytes > DIRECTORY_BYTES:
            reason = f"Its directory has more than {DIRECTORY_BYTES} bytes."
            raise Ended(Reject(self._label, "archive_too_large", reason, "Split it."))
        return self._file.read(n_bytes if n_bytes >= 0 else DIRECTORY_BYTES)


def zip_entries(file: BinaryIO, label: str, budget: Budget) -> Iterator[Entry]:
    """The members of a ZIP file. Raises Ended where it is none, is damaged, or its directory is too long."""
    try:
        archive = zipfile.ZipFile(cast(Any, _Guarded(file, label)))
    except Ended:
        raise
    except Exception as error:  # zipfile answers damaged bytes with many types, whose messages may quote them
        reason = f"It cannot be read as a ZIP archive ({type(error).__name__}): damaged or cut off."
        raise Ended(_bad(label, reason)) from None
    for info in archive.infolist():
        yield Entry(info.orig_filename, info.orig_filename.endswith("/"), _zip_fault(info), partial(_open_zipped, archive, info, budget))


def _zip_fault(info: zipfile.ZipInfo) -> Callable[[str], Reject] | None:
    mode = info.external_attr >> 16
    if info.flag_bits & _ENCRYPTED:
        return partial(Reject, code="encrypted_member", reason="It is encrypted.", remedy="Pack it again without a password.")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return partial(not_regular, kind=of_mode(mode))
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile unpacks bzip2 and LZMA without a bound
        reason = f"It is packed by method {info.compress_type}; only 0 (stored) and 8 (deflated) are read."
        return partial(Reject, code="unsupported_format", reason=reason, remedy="Pack the archive again with deflate.")
    return None


def _open_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget, place: str) -> io.BufferedReader:
    damaged = Refused(_bad(place, "It is damaged or cut off; the rows before this point were read."))
    try:
        packed = cast(zipfile.ZipExtFile, archive.open(info))
    except Exception:  # as above
        raise damaged from None
    return io.BufferedReader(Unpacked(packed.read1, budget, damaged), _BUFFER)


# ── tar ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tar_entries(file: BinaryIO, label: str) -> Iterator[Entry]:
    """The members of a tar archive, to be read before the next is asked for. Raises Ended where it is none or is damaged."""
    tar = Tar(file)
    damaged = Ended(_bad(label, "The archive ends within a member; the rows before this point were read."))

    def open_member(place: str) -> io.BufferedReader:
        return io.BufferedReader(Unpacked(tar.read, None, damaged), _BUFFER)

    try:
        for member in tar.members():
            fault = partial(not_regular, kind=member.kind) if member.kind else None
            yield Entry(member.name, member.kind == "a folder", fault, open_member)
    except TarError as error:
        raise Ended(_bad(label, f"The archive {error}; the rows before this point were read.")) from None


def _bad(label: str, reason: str) -> Reject:
    return Reject(label, "bad_archive", reason, "Pack it again from its source.")
