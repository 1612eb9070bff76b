"""Unlabelled texts for training, read from the same files that `submit` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from suites.errors import DataError
from workers.ingest import Incoming, read_paths


def texts_of(paths: Sequence[Path], max_chars: int) -> tuple[str, ...]:
    """The texts of all documents in the files and folders. Rows that are no documents are passed over; a path without any is an error."""
    texts: list[str] = []
    for path in paths:
        found = [row.text for _, rows in read_paths([path], max_chars) for row in rows if isinstance(row, Incoming)]
        if not found:
            raise DataError(f"{path}: holds no document that can be read. `python manage.py submit --help` tells which files are.", "no_data")
        texts += found
    return tuple(texts)
