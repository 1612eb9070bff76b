"""What reviewers said of each finding, taken together: settled, or disputed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Connection, select

from workers.bulk import among, listed
from workers.reviews.key import FindingKey, key_of
from workers.tables import reviews

ACCEPTED, CORRECTED, REJECTED, ADDED = "accept", "correct", "reject", "add"
VERDICTS = (ACCEPTED, CORRECTED, REJECTED, ADDED)

# what a finding should be: label, start and end; None: there is nothing to be found
Judgement = tuple[str, int, int] | None


@dataclass(frozen=True)
class Judged:
    """A finding with what each reviewer holds it to be. `is_added`: a reviewer added it, the student had missed it."""

    key: FindingKey
    by: dict[str, Judgement] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)

    @property
    def is_added(self) -> bool:
        return ADDED in self.verdicts.values()

    @cached_property
    def _commonest(self) -> tuple[Judgement, int]:
        return Counter(self.by.values()).most_common(1)[0]

    @property
    def is_settled(self) -> bool:
        """Whether more than half of those who judged it hold it to be the same: a third look settles what two see otherwise."""
        return 2 * self._commonest[1] > len(self.by)

    @property
    def outcome(self) -> Judgement:
        """What it is held to be, where that is settled."""
        return self._commonest[0]

    @property
    def is_kept(self) -> bool:
        """Whether it is held to be as it was given."""
        return self.outcome == (self.key.label, self.key.start, self.key.end)


def judged(connection: Connection, student_id: str, document_ids: Iterable[int] | None = None) -> list[Judged]:
    """All findings of a student that somebody judged, or those of some documents, in the order in which they were first judged."""
    query, given = select(reviews).where(reviews.c.student_id == student_id).order_by(reviews.c.id), {}
    if document_ids is not None:
        query, given = query.where(among(reviews.c.document_id, "ids")), {"ids": listed(document_ids)}
    found: dict[FindingKey, Judged] = {}
    for row in connection.execute(query, given):
        key = key_of(row)
        one = found.setdefault(key, Judged(key))
        one.by[row.reviewer] = _judgement(key, row.verdict, row.new_label, row.new_start, row.new_end)
        one.verdicts[row.reviewer] = row.verdict
        one.at[row.reviewer] = row.reviewed_at
    return list(found.values())


def _judgement(key: FindingKey, verdict: str, label: str | None, start: int | None, end: int | None) -> Judgement:
    if verdict == REJECTED:
        return None
    return label or key.label, key.start if start is None else start, key.end if end is None else end
