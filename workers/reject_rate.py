"""The share of rows that may be rejected before a submit stops: a wrong file is told early, not after all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from suites.errors import RunError
from workers.ingest import Source
from workers.ingest.rows import Incoming, Reject

FEWEST_ROWS = 100  # of fewer rows no share is taken


class RejectRate:
    """Counts the rows of each file and of the job. `most`: the share, above 0; None for any."""

    def __init__(self, most: float | None) -> None:
        self._most = most
        self._seen: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def check(self, job_id: int, rows: Sequence[tuple[Source, Incoming | Reject | None]]) -> None:
        """Adds rows that were stored. Raises RunError where more than the share of a file, or of all files together, is rejected."""
        if self._most is None:
            return
        names = dict.fromkeys(["", *(source.label for source, _ in rows)])  # "": the job
        for source, row in rows:
            if row is not None:
                for name in ("", source.label):
                    self._seen[name] += 1
                    self._rejected[name] += isinstance(row, Reject)
        for name in reversed(names):
            if self._seen[name] >= FEWEST_ROWS and self._rejected[name] > self._most * self._seen[name]:
                raise RunError(self._told(job_id, name), "too_many_rejects")

    def _told(self, job_id: int, name: str) -> str:
        what = (
            f"{self._rejected[name]} of {self._seen[name]} rows {f'of {name}' if name else 'in all'} are rejected, more than --max-reject-rate {self._most:g}"
        )
        remedy = f"See `python manage.py failures {job_id}`, mend the files and submit them again; or `cancel {job_id}`"
        return f"{what}. Nothing more is submitted; what was stored stays, and job {job_id} stays open. {remedy}."
