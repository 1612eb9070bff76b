"""PDF: the text layer of its pages, with a form feed between them, in reading order, tables as rows. Scans are not read."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from workers.ingest.files import Refused, unreadable
from workers.ingest.options import ReadOptions
from workers.ingest.pdf import client
from workers.ingest.pdf.reading import FILE_S, MEMORY_BYTES, PAGE_S, PAGES
from workers.ingest.rows import TOO_LONG, Reject, Row, checked

PDF_BYTES = 512 << 20
HELD_BYTES = 64 << 20  # of what is packed: PDF files are read from their end, and so it is held in memory
PAGE_BREAK = "\n\f"  # a line of its page never goes on behind it
_PIECE = 1 << 16
_REASONS = {
    "encrypted": ("encrypted", "It asks for a password.", "Save it without its password, and give that."),
    "pages": ("too_long", f"It has more than {PAGES} pages.", "Split it."),
    "cut": ("bad_pdf", "It is cut off, or no PDF file: its end is missing", "Copy or write it again from its source."),
    "damaged": ("bad_pdf", "It is damaged", "Write it again from its source, or print it into a new PDF."),
}


@dataclass(frozen=True, slots=True)
class Pages:
    """The text of a PDF file, `n_pages` of it that were read and how many of those have no text."""

    text: str
    n_pages: int
    n_without_text: int


def rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The file as one document whose key is the label."""
    with descriptor_of(file, label) as descriptor:
        pages = read(descriptor, label, options)
    yield document(label, label, pages, {}, options)


def document(place: str, key: object, pages: Pages, meta: dict[str, object], options: ReadOptions) -> Row:
    """The document of a PDF file's pages, or the reject of one whose pages have no text at all."""
    if pages.n_without_text == pages.n_pages:
        reason = f"None of its {pages.n_pages} pages has text: they are images, as a scan is."
        return Reject(place, "no_text", reason, "Give it a text layer by OCR (ocrmypdf does), and give that file.")
    return checked(place, key, pages.text, {**meta, "n_pages": pages.n_pages, "n_pages_without_text": pages.n_without_text}, options)


def read(descriptor: int, place: str, options: ReadOptions) -> Pages:
    """The text of an opened PDF file. Raises Refused."""
    texts: list[str] = []
    n_pages = n_chars = 0
    try:
        for frame in client.answers(descriptor, options.max_chars):
            if "refused" in frame:
                raise Refused(_refused(place, str(frame["refused"]), len(texts)))
            if "end" in frame and texts and not frame.keys() - {"end"}:
                return _whole(texts, n_pages, n_chars, place, options)
            if isinstance(count := frame.get("pages"), int):
                n_pages = count
                continue
            text = str(frame["text"])
            n_chars += len(text) + len(PAGE_BREAK) * bool(texts)
            if len(texts) >= n_pages or n_chars > options.max_chars + client.FRAME_BYTES:
                break
            texts.append(text)
            options.on_pages(place, len(texts), n_pages)
    except client.CannotAsk as error:
        raise Refused(unreadable(place, error)) from None
    except (OSError, ValueError, KeyError, RecursionError):
        pass  # the process ended, or what it wrote is no answer
    raise Refused(_ended(place, len(texts), n_pages))


def _whole(texts: list[str], n_pages: int, n_chars: int, place: str, options: ReadOptions) -> Pages:
    if n_chars > options.max_chars and not options.truncate:
        reason = f"The first {len(texts)} of its {n_pages} pages have {n_chars} characters > {options.max_chars}."
        raise Refused(Reject(place, "too_long", reason, TOO_LONG))
    return Pages(PAGE_BREAK.join(text.replace("\f", " ") for text in texts), len(texts), sum(not text.strip() for text in texts))


def _refused(place: str, why: str, n_read: int) -> Reject:
    code, reason, remedy = _REASONS.get(why, _REASONS["damaged"])
    return Reject(place, code, f"{reason}, at page {n_read + 1}." if why == "damaged" and n_read else f"{reason.rstrip('.')}.", remedy)


def _ended(place: str, n_read: int, n_pages: int) -> Reject:
    where = f"at page {n_read + 1} of {n_pages}" if n_pages else "before its first page"
    bounds = f"{PAGE_S:.0f} s a page, {FILE_S} s, or {MEMORY_BYTES >> 20} MiB"
    return Reject(place, "bad_pdf", f"The process that read it ended {where}: it is damaged, or asks for more than {bounds}.", _REASONS["damaged"][2])


@contextmanager
def descriptor_of(file: BinaryIO, label: str) -> Iterator[int]:
    """A descriptor of the whole file; what comes from an archive is held in memory. Raises Refused."""
    if isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO):
        if os.fstat(file.fileno()).st_size > PDF_BYTES:
            raise Refused(Reject(label, "too_long", f"It has more than {PDF_BYTES} bytes.", "Split it, or save it with smaller images."))
        yield file.fileno()
        return
    with _held() as held:
        n_bytes = 0
        while piece := file.read(_PIECE):
            n_bytes += len(piece)
            if n_bytes > HELD_BYTES:
                reason = f"It has more than {HELD_BYTES} bytes unpacked, and a packed PDF file is read in memory."
                raise Refused(Reject(label, "member_too_large", reason, "Unpack it, and give it by itself."))
            held.write(piece)
        held.flush()
        yield held.fileno()


def _held() -> BinaryIO:
    """A file that lies in memory alone; elsewhere than on Linux one without a name."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("pdf"), "w+b")
    return tempfile.TemporaryFile()  # type: ignore[return-value,unused-ignore]
