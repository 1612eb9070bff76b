"""What is written of a part beside its findings, in the same transaction: each document's row, counts by day, and the energy that it took."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from pipelines.tally import tally
from suites.discover import Pack
from workers.bulk import insert_rows
from workers.rows import row_values, rows_table
from workers.tallies import add_tallies

if TYPE_CHECKING:
    from pipelines.predict import Reading
    from workers.energy import JobMeter
    from workers.queue import Claim, Claims

# processes of one number share rows of `tallies`, and wait for each other's commits
SLOTS = 64


class Derived:
    """Of one pack, in this process."""

    def __init__(self, pack: Pack, meter: JobMeter | None = None) -> None:
        self._pack = pack
        self._meter = meter
        self._columns = tuple(rows_table(pack).columns)
        self._slot = os.getpid() % SLOTS

    def write(self, connection: Connection, claims: Claims, read: Sequence[tuple[Claim, Reading, float]]) -> None:
        """Writes it for documents that were read, each with the time of its end."""
        rows = [row_values(self._pack, c.document_id, claims.student_id, c.key, claims.job, at, len(c.text), r.findings) for c, r, at in read]
        insert_rows(connection, self._columns, rows)
        counts: Counter[tuple[str, str, str]] = Counter()
        for c, r, at in read:
            day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
            for (measure, bucket), n in tally(self._pack, r.findings, r.seen, len(c.text)).items():
                counts[day, measure, bucket] += n
        add_tallies(connection, claims.student_id, self._slot, counts)

    def count(self, connection: Connection, claims: Claims, done: Sequence[tuple[Claim, Reading]], n_documents: int) -> None:
        """Adds what the part took to the job's row of this process."""
        if self._meter is not None:
            self._meter.add(connection, claims, done, n_documents)
