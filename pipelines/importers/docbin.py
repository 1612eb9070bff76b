"""spaCy's DocBin (.spacy): entities, every group of `doc.spans`, and `doc.cats`. Nothing of it is run: no user data is read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.importers.labelled import Columns, Fault, Item, Labelled, Span, bad_text
from pipelines.importers.lines import whole_file
from pipelines.importers.rows import GIVEN
from pipelines.rules import light_spacy
from suites.errors import DataError

if TYPE_CHECKING:
    from spacy.tokens import Doc

ENTITIES, CATS = "entities", "cats"
MAX_BYTES = 256_000_000  # packed
MAX_UNPACKED = 2_000_000_000  # zlib packs a thousandfold at most


def read_docbin(path: Path, label: str, columns: Columns) -> Iterator[Item]:
    """The documents of a DocBin."""
    data = whole_file(path, label, MAX_BYTES)
    _check_size(data, label)
    with light_spacy():
        from spacy.tokens import DocBin
        from spacy.vocab import Vocab
    try:
        box = DocBin().from_bytes(data)
        box.store_user_data = False
        docs = box.get_docs(Vocab())
        for number, doc in enumerate(docs, start=1):
            yield _document(doc, f"{label}:{number}")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, zlib.error) as error:
        raise DataError(f"{label}: is no DocBin that this spaCy reads ({type(error).__name__}). Write it with DocBin.to_disk.", "bad_docbin") from None


def _check_size(data: bytes, label: str) -> None:
    """Raises DataError for what is not packed as a DocBin is, or would fill the memory."""
    unpacking, n_bytes = zlib.decompressobj(), 0
    try:
        while data and not unpacking.eof:
            n_bytes += len(unpacking.decompress(data, 1 << 24))
            data = unpacking.unconsumed_tail
            if n_bytes > MAX_UNPACKED:
                raise DataError(f"{label}: unpacks to more than {MAX_UNPACKED:,} bytes. Write several smaller files.", "too_large")
    except zlib.error:
        raise DataError(f"{label}: is no DocBin: it is not packed by zlib. Write it with DocBin.to_disk.", "bad_docbin") from None


def _document(doc: Doc, place: str) -> Labelled | Fault:
    if refusal := bad_text(place, doc.text):
        return refusal
    groups = {name: tuple(Span(s.label_, s.start_char, s.end_char) for s in group if s.label_) for name, group in doc.spans.items()}
    if doc.has_annotation("ENT_IOB"):
        groups[ENTITIES] = tuple(Span(s.label_, s.start_char, s.end_char) for s in doc.ents)
    fields = {CATS: tuple(name for name, number in doc.cats.items() if number >= GIVEN)} if doc.cats else {}
    return Labelled(place, doc.text, None, fields, groups)
