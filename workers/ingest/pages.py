"""A document with pages as one document a page, where that is asked for: each is read, counted and retried by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from suites.types import PAGE_END
from workers.ingest.rows import Incoming, Reject, Row, checked_key

# each page's text holds the page ends before it: their number squared is what they cost
MOST_PAGES = 10_000


def by_page(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, of a text with form feeds one a page; pages without anything visible are passed over.

    A page's key is that of the document with `#page=N` (RFC 8118, section 3), and its text begins with the form feeds before it: its
    findings have their page.
    """
    for row in rows:
        if isinstance(row, Incoming) and PAGE_END in row.text:
            yield from _pages(row)
        else:
            yield row


def _pages(row: Incoming) -> Iterator[Row]:
    if (n_pages := row.text.count(PAGE_END) + 1) > MOST_PAGES:
        yield Reject(row.place, "too_long", f"The text has {n_pages} pages > {MOST_PAGES}.", "Split it, or submit it without --by-page.")
        return
    for number, page in enumerate(row.text.split(PAGE_END), start=1):
        if page.strip():
            made = replace(row, place=f"{row.place}#page={number}", key=f"{row.key}#page={number}", text=PAGE_END * (number - 1) + page)
            yield checked_key(made)
