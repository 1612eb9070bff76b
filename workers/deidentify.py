"""Texts lose their identifiers on their way into the store, or into a file: what cannot be read is rejected, never kept as it is."""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.deidentify import Deidentifying, deidentified
from pipelines.predict import Predictor, Reading
from suites.discover import Pack
from suites.errors import PackError, UsageError
from suites.types import DeidentifyMode, Document
from workers.ingest.rows import Incoming, Reject

KEY_CHARS = 32
REMEDY = "See docs/operations.md, De-identification; or submit it without de-identification where it may be stored as it is."


def how(pack: Pack, mode: DeidentifyMode, secret: bytes, kept: Sequence[str]) -> Deidentifying:
    """How a pack's texts lose their identifiers. `secret` is not used itself: its keys serve nothing else. Raises PackError."""
    if pack.manifest.deidentify is None:
        raise PackError(f"Pack {pack.name!r} finds no identifiers: its pack.toml has no [deidentify]. Choose a pack that does, e.g. clinical.", "no_deidentify")
    return Deidentifying(pack.manifest.deidentify, mode, hmac.new(secret, b"deidentify", hashlib.sha256).digest(), frozenset(kept))


def secret_of(file: Path) -> bytes:
    """The secret in a key file. Raises UsageError for one too short to keep anything secret."""
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}. Expected a file with a secret, e.g. of: python manage.py keys new {file}") from None
    if len(secret) < KEY_CHARS:
        raise UsageError(f"{file}: holds {len(secret)} bytes, expected {KEY_CHARS} or more. Make one: python manage.py keys new {file}")
    return secret


class Deidentifier:
    """Makes of rows rows without identifiers; a row that could not be read becomes a reject."""

    def __init__(self, predictor: Predictor, how: Deidentifying) -> None:
        self._predictor, self._how = predictor, how

    @property
    def mode(self) -> str:
        return self._how.mode

    def rows(self, rows: Iterable[Incoming]) -> Iterator[Incoming | Reject]:
        """The rows in order."""
        waiting: deque[Incoming] = deque()

        def documents() -> Iterator[Document]:
            for row in rows:
                waiting.append(row)
                yield Document(row.key, row.text, row.meta)

        for made in deidentified(self._how, self._predictor, documents()):
            row = waiting.popleft()
            yield _reject(row, made) if isinstance(made, Reading) else replace(row, text=made.text, meta=made.meta)


def _reject(row: Incoming, reading: Reading) -> Reject:
    return Reject(row.place, "not_deidentified", f"It could not be read for identifiers ({reading.stage}: {reading.code}): nothing of it was stored.", REMEDY)
