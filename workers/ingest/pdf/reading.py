"""One PDF file read by PDFium, page by page. Runs in a process of its own (`server`), which these bounds or a crash may end."""

from __future__ import annotations

import io
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from workers.ingest.pdf.glyphs import PAGE_GLYPHS, words_of
from workers.ingest.pdf.page import text_of

# a page of a report takes 10 to 50 ms
PAGE_S, FILE_S = 20.0, 600
MEMORY_BYTES = 1 << 30  # of addresses: Python and PDFium take 60 MiB of them
PAGES = 20_000
END_BYTES = 1 << 16  # some writers leave zeros behind the end
_PASSWORD, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY of fpdfview.h

Frame = dict[str, object]


def confine() -> None:
    """From now on this process has bounded memory and time, writes no file, and starts none."""
    bounds = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_CPU": FILE_S, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NPROC": 0}
    for name, most in bounds.items():
        with suppress(AttributeError, ValueError, OSError):  # not every system has each of them
            _, allowed = resource.getrlimit(getattr(resource, name))
            bound = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
            resource.setrlimit(getattr(resource, name), (bound, bound))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside PDFium


def frames(file: IO[bytes], max_chars: int) -> Iterator[Frame]:
    """The number of pages, the text of each, and `end`; or `refused` with why. Ends early once the texts are over max_chars."""
    import pypdfium2

    _allow_time()
    if not _has_end(file):
        yield {"refused": "cut"}
        return
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        yield {"refused": "encrypted" if error.err_code in (_PASSWORD, _SECURITY) else "damaged"}
        return
    n_pages = len(document)
    if not 0 < n_pages <= PAGES:
        yield {"refused": "pages" if n_pages else "damaged"}
        return
    _stop_clock()
    yield {"pages": n_pages}
    n_chars = 0
    for number in range(n_pages):
        _allow_time()
        try:
            text = _page(document, number)
        except pypdfium2.PdfiumError:
            yield {"refused": "damaged"}
            return
        _stop_clock()  # to be waited for by who asked is no fault of the file's
        yield {"text": text}
        n_chars += len(text) + 2
        if n_chars > max_chars + 2:
            break
    yield {"end": True}


def _has_end(file: IO[bytes]) -> bool:
    """Whether the file has its end: of one that was cut off PDFium reads what is there, and the rest would be missing in silence."""
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(max(0, n_bytes - END_BYTES))
    has_end = b"startxref" in file.read()
    file.seek(0)
    return has_end


def _allow_time() -> None:
    signal.setitimer(signal.ITIMER_REAL, PAGE_S)


def _stop_clock() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def _page(document: Any, number: int) -> str:
    """The text of a page. What it holds of PDFium's is given back before the next."""
    page = document[number]
    try:
        textpage = page.get_textpage()
        try:
            if textpage.count_chars() > PAGE_GLYPHS:
                return _clean("\n".join(textpage.get_text_bounded().splitlines()))
            return _clean("\n\n".join(filter(None, map(text_of, words_of(textpage)))))
        finally:
            textpage.close()
    finally:
        page.close()


def _clean(text: str) -> str:
    """The text without lone surrogates, and with form feeds between pages alone."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\f", " ")
