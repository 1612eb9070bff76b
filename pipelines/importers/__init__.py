"""Importers of labelled data: JSON lines, CSV, TSV, CoNLL, brat, spaCy's DocBin, Label Studio. One reader a format, chosen by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.importers.brat import read_brat
from pipelines.importers.conll import read_conll
from pipelines.importers.docbin import read_docbin
from pipelines.importers.label_studio import read_json
from pipelines.importers.labelled import Columns, Fault, Item, Labelled, Note, Reader, Span
from pipelines.importers.rows import read_jsonl
from pipelines.importers.tabular import read_csv, read_tsv
from suites.errors import UsageError

__all__ = ["READERS", "Columns", "Fault", "Item", "Labelled", "Note", "Span", "read_labelled"]

READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".conll": read_conll,
    ".iob": read_conll,
    ".bio": read_conll,
    ".spacy": read_docbin,
    ".json": read_json,
}


def read_labelled(path: Path, columns: Columns) -> Iterator[Item]:
    """What lies in a file, or in a folder of brat, one item after another. Raises UsageError for what no reader takes."""
    if path.is_dir():
        return read_brat(path, path.name, columns)
    reader = READERS.get(path.suffix.lower())
    if not path.is_file():  # a pipe cannot be read more than once
        raise UsageError(f"{path}: no such file or folder. Give labelled data that exists, as a regular file.", "no_such_path")
    if reader is None:
        known = ", ".join(READERS)
        raise UsageError(f"{path}: files with the suffix {path.suffix!r} are not read. Known: {known}, or a folder of brat (.txt with .ann).", "bad_format")
    return reader(path, path.name, columns)
