"""Command-line arguments of the verbs that read files: how they are read."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.ingest import ReadOptions


def add_read_options(parser: ArgumentParser) -> None:
    """Adds --encoding, --errors, --truncate and --by-page."""
    parser.add_argument(
        "--encoding", metavar="NAME", default="utf-8", help="of text, CSV, JSON lines and HTML, where it is not UTF-8: latin-1, cp1252, utf-16 ..."
    )
    parser.add_argument("--errors", choices=("strict", "replace"), default="strict", help="bytes not in the encoding: reject the row, or put U+FFFD there")
    parser.add_argument("--truncate", action="store_true", help="cut texts over the pack's max_chars, marked `truncated` in their metadata, not reject them")
    parser.add_argument(
        "--by-page", action="store_true", help="a document of each page of a PDF, ID#page=N (default: one, its findings paged); not both: each would count"
    )


def read_options(options: Namespace, max_chars: int) -> ReadOptions:
    """What was asked for. Raises UsageError where the encoding is not known."""
    from workers.ingest.options import ReadOptions, charset

    return ReadOptions(max_chars, charset(options.encoding), options.errors, options.truncate, by_page=options.by_page)
