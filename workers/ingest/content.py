"""A file's bytes become rows: its name says which reader, its first bytes whether that is so; packed files and archives are opened."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from workers.ingest import csvfile, eml, fhir, htmlfile, jsonl, parquet, pdf, sniff, textfile
from workers.ingest.archive import rows_of_members, tar_entries, zip_entries
from workers.ingest.encoding import NAME_IT, bad_mark, transcoded
from workers.ingest.files import escaped, told
from workers.ingest.options import UTF8, ReadOptions
from workers.ingest.packed import PACKINGS, Budget, size_of, unpacked
from workers.ingest.rows import NAME_CHARS, Reject, Row

Reader = Callable[[BinaryIO, str, ReadOptions], Iterator[Row]]

TEXTUAL: dict[str, Reader] = {
    ".jsonl": jsonl.rows,
    ".ndjson": fhir.rows,
    ".csv": csvfile.comma_rows,
    ".tsv": csvfile.tab_rows,
    ".txt": textfile.rows,
    ".text": textfile.rows,
}
PAGES = (".html", ".htm", ".xhtml")
READERS: dict[str, Reader] = {**TEXTUAL, ".parquet": parquet.rows, ".eml": eml.rows, ".pdf": pdf.rows, **dict.fromkeys(PAGES, htmlfile.rows)}
ARCHIVES = (".zip", ".tar")
SHORT = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".txz": ".tar.xz"}
SUPPORTED = f"{', '.join(READERS)}; each also packed ({', '.join(PACKINGS)}); many of them in a {' or '.join(ARCHIVES)} ({', '.join(SHORT)})"
MEMBER_BYTES = 64 << 20  # of what is packed and cannot be read from front to back: Parquet

_KINDS: dict[str, tuple[str, ...]] = {
    ".parquet": (sniff.PARQUET,),
    ".pdf": (sniff.PDF,),
    **dict.fromkeys(PAGES, (sniff.HTML, sniff.XML)),
    ".zip": (sniff.ZIP,),
    ".tar": (sniff.TAR,),
    ".gz": (sniff.GZIP,),
    ".bz2": (sniff.BZIP2,),
    ".xz": (sniff.XZ,),
    ".zst": (sniff.ZSTD,),
}
_ABOUT = ("readme", "license", "licence")  # stems of files that tell about a folder's documents and are none


@dataclass(frozen=True, slots=True)
class Form:
    """What a name says of a file: the suffix of its reader or archive, and how that is packed, "" for not at all."""

    suffix: str
    packing: str

    @property
    def is_archive(self) -> bool:
        return self.suffix in ARCHIVES


def form_of(name: str) -> Form | None:
    """The form of a file by its name; None where its suffix is not read."""
    lower = name.lower()
    if short := next((short for short in SHORT if lower.endswith(short)), ""):
        lower = lower.removesuffix(short) + SHORT[short]
    packing = next((suffix for suffix in PACKINGS if lower.endswith(suffix)), "")
    suffix = _suffix(lower.removesuffix(packing))
    is_read = suffix in READERS or suffix == ".tar" or (suffix == ".zip" and not packing)
    return Form(suffix, packing) if is_read else None


def _suffix(name: str) -> str:
    """What stands behind the last dot, with it; "" where there is none."""
    _, dot, suffix = name.rpartition(".")
    return dot + suffix if dot else ""


def is_about(name: str) -> bool:
    """Whether the stem is that of a README or licence. All of it: `license-2024-17.txt` may well be a document."""
    return name.lower().partition(".")[0] in _ABOUT


def about(label: str) -> Reject:
    """The reject of a README or licence that lies beside documents."""
    reason = "A README or licence in a folder is not read as a document."
    return Reject(label, "unsupported_format", reason, f"Supported: {SUPPORTED}. Give it by its own path.")


def rows(file: io.BufferedReader, name: str, label: str, options: ReadOptions, folder: Path | None = None) -> Iterator[Row]:
    """The rows of an opened file. Raises Refused, and Ended where it is packed and damaged or too large. `folder`: where it lies, if anywhere."""
    form = form_of(name)
    if form is None:
        yield _unsupported(file, name, label)
        return
    if refusal := _not_so(file, form.packing or form.suffix, label):
        yield refusal
        return
    if not form.packing and not form.is_archive:
        yield from _read(file, form.suffix, label, options, folder, is_stream=False)
        return
    budget = Budget(label, size_of(file))
    if form.packing:
        file = unpacked(file, form.packing, label, budget)
        if refusal := _not_so(file, form.suffix, label):
            yield refusal
            return
    if form.is_archive:
        entries = zip_entries(file, label, budget) if form.suffix == ".zip" else tar_entries(file, label)
        yield from rows_of_members(entries, label, partial(_member_rows, options))
    else:
        yield from _read(file, form.suffix, label, options, folder, is_stream=True)


def _member_rows(options: ReadOptions, file: io.BufferedReader, name: str, label: str) -> Iterator[Row]:
    """The rows of a member of an archive: as of a file, but that archives in archives are not opened."""
    form = form_of(name)
    base = name.rpartition("/")[2]
    if is_about(base):
        yield about(label)
    elif form and (form.packing or form.is_archive):
        yield Reject(label, "nested_archive", "It is packed inside an archive; one level is opened.", "Unpack the outer archive, and give what it holds.")
    else:
        yield from told(_plain_rows(file, base, form, label, options), label)


def _plain_rows(file: io.BufferedReader, name: str, form: Form | None, label: str, options: ReadOptions) -> Iterator[Row]:
    if form is None:
        yield _unsupported(file, name, label)
    elif refusal := _not_so(file, form.suffix, label):
        yield refusal
    else:
        yield from _read(file, form.suffix, label, options, None, is_stream=True)


def _read(file: io.BufferedReader, suffix: str, label: str, options: ReadOptions, folder: Path | None, *, is_stream: bool) -> Iterator[Row]:
    if suffix not in TEXTUAL:
        whole = _in_memory(file, label) if is_stream and suffix == ".parquet" else file
        return iter([whole]) if isinstance(whole, Reject) else READERS[suffix](whole, label, options)
    head = file.peek(sniff.HEAD_BYTES)[: sniff.HEAD_BYTES]
    if options.encoding == UTF8 and (found := sniff.unmarked_utf16(head)):
        return iter([Reject(label, "bad_encoding", f"It looks like {found.upper()} without a byte-order mark.", f"{NAME_IT[:-1]} {found}.")])
    reader = partial(fhir.rows, folder=folder) if TEXTUAL[suffix] is fhir.rows else TEXTUAL[suffix]
    if options.transcodes:
        refusal = bad_mark(head, label, options)
        return iter([refusal]) if refusal else reader(transcoded(file, label, options), label, options)
    return reader(file, label, options)


def _in_memory(file: io.BufferedReader, label: str) -> BinaryIO | Reject:
    data = file.read(MEMBER_BYTES + 1)
    if len(data) > MEMBER_BYTES:
        reason = f"It has more than {MEMBER_BYTES} bytes unpacked, and a packed Parquet file is read in memory."
        return Reject(label, "member_too_large", reason, "Unpack it, and give it by itself: Parquet packs its columns anyway.")
    return cast(BinaryIO, io.BytesIO(data))


def _not_so(file: io.BufferedReader, suffix: str, label: str) -> Reject | None:
    """A reject where the first bytes are those of something else than the suffix says."""
    found = sniff.kind(file.peek(sniff.HEAD_BYTES)[: sniff.HEAD_BYTES])
    if not found or found in _KINDS.get(suffix, ()):
        return None
    return Reject(label, "unsupported_format", f"Its content is {found}, and its name says '{suffix}'.", f"Name it as what it is, or convert it. {_READ}")


def _unsupported(file: io.BufferedReader, name: str, label: str) -> Reject:
    suffix = escaped(_suffix(name))[:NAME_CHARS]
    found = sniff.kind(file.peek(sniff.HEAD_BYTES)[: sniff.HEAD_BYTES])
    content = f"; its content is {found}" if found else ""
    return Reject(label, "unsupported_format", f"Files with the suffix '{suffix}' are not read{content}.", f"Convert it. {_READ}")


_READ = f"Supported: {SUPPORTED}."
