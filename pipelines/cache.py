"""Findings of texts that were read before: the same text under the same student has the same findings."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

from pipelines.tally import Seen
from suites.types import Finding

Kept = tuple[tuple[Finding, ...], Seen | None]


class Cache:
    """Findings by the hash of their text, of one student. It keeps no text. Those asked for longest ago go first.

    `limit` is how many findings are kept; a text without any counts as one. `hits` counts the texts that were answered.
    One thread may ask while another keeps.
    """

    def __init__(self, limit: int) -> None:
        self.hits = 0
        self._limit = limit
        self._n = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def get(self, text: str) -> Kept | None:
        """The findings of a text and what the encoder saw of it; None where it was not read, or long ago."""
        key = _key(text)
        with self._lock:
            if key not in self._kept:
                return None
            self.hits += 1
            self._kept.move_to_end(key)
            return self._kept[key]

    def put(self, text: str, findings: Sequence[Finding], seen: Seen | None = None) -> None:
        """Keeps the findings of a text; others go until there is room. More than there is room for at all are not kept."""
        key = _key(text)
        with self._lock:
            if _room(findings) > self._limit or key in self._kept:
                return
            self._kept[key] = (tuple(findings), seen)
            self._n += _room(findings)
            while self._n > self._limit:
                _, gone = self._kept.popitem(last=False)
                self._n -= _room(gone[0])


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _room(findings: Sequence[Finding]) -> int:
    return max(1, len(findings))
