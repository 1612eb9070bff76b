"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import re
from collections.abc import Callable

HEAD_BYTES = 1_024

GZIP, BZIP2, XZ, ZSTD, ZIP, TAR, PARQUET = "gzip data", "bzip2 data", "xz data", "Zstandard data", "a ZIP archive", "a tar archive", "a Parquet file"
PDF, HTML, XML = "a PDF document", "an HTML page", "XML"
_OFFICE = "an Office document (DOCX, XLSX, PPTX)"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", PDF),
    (b"\x1f\x8b\x08", GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "LZ4 data"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document of the old kind (DOC, XLS, MSG)"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "a program (Java or Mach-O)"),
    (b"\x00asm", "a program (WebAssembly)"),
    (b"PAR1", PARQUET),
    (b"PARE", "an encrypted Parquet file"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
    (b"OggS\x00", "sound or video (Ogg)"),
    (b"fLaC\x00", "sound (FLAC)"),
    (b"ID3", "sound (MP3)"),
    (b"RIFF", "sound, video or an image (RIFF)"),
)
# magic of letters alone may begin a text: only where bytes follow that no text has
_WEAK = (b"BZh", b"MZ", b"GIF87a", b"GIF89a", b"PAR1", b"PARE", b"ID3", b"RIFF", b"Obj\x01")
_NO_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_BEGINNINGS = tuple(magic for magic, _ in _MAGIC)
_AT: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "video or an image (MP4, HEIC)"),
    (128, b"DICM", "a DICOM image"),
    (257, b"ustar", TAR),
)
_MARKUP = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s*(?:(<!doctype\s+html|<html[\s>])|(<\?xml\s))")
# the first member of an Office file, or the member by which the others name their kind
_IN_ZIP: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda head: head[30:].startswith((b"[Content_Types].xml", b"_rels/.rels")), _OFFICE),
    (lambda head: head[30:].startswith(b"mimetypeapplication/vnd.oasis.opendocument"), "an OpenDocument file (ODT, ODS, ODP)"),
    (lambda head: head[30:].startswith(b"mimetypeapplication/epub+zip"), "an EPUB book"),
    (lambda head: head[30:].startswith(b"META-INF/"), "a Java archive"),
)


def kind(head: bytes) -> str:
    """What begins with these bytes, with its article; "" for text and all that is not known.

    `head`: the first HEAD_BYTES of a file, or all of a shorter one.
    """
    for magic, name in _MAGIC if head.startswith(_BEGINNINGS) else ():
        if head.startswith(magic) and (magic not in _WEAK or _NO_TEXT.search(head)):
            return _in_zip(head) if name == ZIP else name
    for at, magic, name in _AT:
        if head[at : at + len(magic)] == magic and _NO_TEXT.search(head):
            return name
    if markup := _MARKUP.match(head):
        return HTML if markup[1] else XML
    return ""


def unmarked_utf16(head: bytes) -> str:
    """The encoding of what looks like UTF-16 without its mark, "" for all else.

    Such bytes decode as UTF-8 where the letters are English, with a NUL beside each: no one means that.
    """
    pairs = len(head) // 2
    if pairs < 4 or head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return ""
    first, second = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if min(first, second) * 10 > pairs or max(first, second) * 10 < pairs * 7:
        return ""
    return "utf-16-be" if first > second else "utf-16-le"


def _in_zip(head: bytes) -> str:
    return next((name for is_one, name in _IN_ZIP if is_one(head)), ZIP)
