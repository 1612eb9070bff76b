"""Numbers of persons: a patient's is the number of the first document of theirs that the export holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

# a document whose patient is not known; documents are numbered from 1
NOBODY = 0


class Persons:
    """The map, kept in a file: there may be more patients than memory holds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._map = sqlite3.connect(file, isolation_level=None)
        # lost with the draft that it lies in, so nothing of it need be safe
        self._map.execute("PRAGMA journal_mode=OFF")
        self._map.execute("PRAGMA synchronous=OFF")
        self._map.execute("CREATE TABLE persons (patient TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID")

    def number(self, patient: str | None, document: int) -> int:
        """The person's number. Documents come in the order of their numbers, so a patient's first is the smallest."""
        if patient is None:
            return NOBODY
        self._map.execute("INSERT OR IGNORE INTO persons VALUES (?, ?)", (patient, document))
        return int(self._map.execute("SELECT id FROM persons WHERE patient = ?", (patient,)).fetchone()[0])

    def rows(self) -> Iterator[tuple[int, str]]:
        """Number and patient, in the order of the numbers."""
        yield from self._map.execute("SELECT id, patient FROM persons ORDER BY id")

    def close(self) -> None:
        self._map.close()
        self._file.unlink(missing_ok=True)
