"""The low-latency path beside the queue: a text in, its findings out, in process. Nothing is stored and nothing is logged of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.columns import Shown, row
from pipelines.predict import Predictor, Reading
from pipelines.release import released_student
from suites.discover import Pack, find_pack
from suites.types import Document
from workers.settings import Settings
from workers.students import predictor_of, usable_student

# texts that are read before the first one is asked for: libraries and tables load on first use
WARMING = ("Your parcel waits. Pay the fee of 1.99 EUR at http://example.org/pay or call +44 20 7946 0958.", "A second text. It has two sentences.")


@dataclass(frozen=True, slots=True)
class Scored:
    """What was read in one text: the row that the pack's results view would show, and the findings; or why it could not be read."""

    id: str
    row: dict[str, Shown]
    findings: list[dict[str, Any]]
    failure: dict[str, str] | None = None


class Scorer:
    """The released student of a pack, loaded and warm. Several threads may ask; they are answered one after another.

    With a queue's worker and the same student and engine the findings are the same in every digit.
    """

    def __init__(self, pack: Pack, student_id: str, predictor: Predictor) -> None:
        self.pack, self.student_id = pack, student_id
        self._predictor = predictor
        self._lock = threading.Lock()
        self.score_all([Document(str(i), text) for i, text in enumerate(WARMING)])

    @classmethod
    def of(cls, settings: Settings, pack_name: str, student_id: str | None = None, n_threads: int = 1) -> Scorer:
        """The pack's released student, or the one of that id. Raises StudentError or PackError."""
        pack = find_pack(pack_name, settings.pack_folders)
        chosen = student_id or released_student(settings.students_folder, pack.name)
        return cls(pack, chosen, predictor_of(settings, pack, usable_student(settings, pack.name, chosen), n_threads))

    def score(self, text: str, document_id: str = "") -> Scored:
        """What is read in one text."""
        (scored,) = self.score_all([Document(document_id, text)])
        return scored

    def score_all(self, documents: Iterable[Document]) -> list[Scored]:
        """What is read in each text, in order."""
        with self._lock:
            return self._all(documents)

    def score_now(self, documents: Iterable[Document]) -> list[Scored] | None:
        """As `score_all`; None where another thread is being answered."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._all(documents)
        finally:
            self._lock.release()

    def _all(self, documents: Iterable[Document]) -> list[Scored]:
        return [self._scored(reading) for reading in self._predictor.predict(documents)]

    def _scored(self, reading: Reading) -> Scored:
        if reading.failed:
            return Scored(reading.document_id, {}, [], {"stage": reading.stage, "code": reading.code, "reason": reading.reason})
        return Scored(reading.document_id, row(self.pack, reading.findings), plain(reading))


def plain(reading: Reading) -> list[dict[str, Any]]:
    """A reading's findings as plain values; what a finding does not have is left out."""
    return [_plain(asdict(finding)) for finding in reading.findings]


def _plain(finding: dict[str, Any]) -> dict[str, Any]:
    if not finding["other_end"]:
        del finding["other_start"], finding["other_end"]
    return {name: value for name, value in finding.items() if value is not None}
