"""One reviewer at work: what waits for them, in turn, and what they decide, stored at once. Where it is shown is others' matter."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from suites.discover import Pack
from workers.audit import record
from workers.keys import Keys, Unopened
from workers.reviews.decisions import Said, begin, decide, put, said_of, undo
from workers.reviews.key import FindingKey
from workers.reviews.texts import stored_texts
from workers.reviews.waiting import Waiting, queue
from workers.store import Store, writable

# findings fetched at once
PORTION = 10
REASONS = {"doubt": "in doubt", "rule": "a rule in doubt", "check": "sure: a check", "second": "second reading", "disputed": "reviewers disagree"}
ERASED = Unopened("erased", "it was erased")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reviewer asked to see."""

    reviewer: str
    task: str | None = None
    second: bool = False
    disputed: bool = False
    check_sure: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of a finding. `one`: what was shown; None where it did not wait. `former`: what the reviewer had said of it before this sitting."""

    key: FindingKey
    verdict: str
    one: Waiting | None
    former: Said | None


class Sitting:
    """What waits and what was decided of it, since the reviewer sat down."""

    def __init__(self, store: Store, pack: Pack, student_id: str, keys: Keys, wanted: Wanted) -> None:
        self._store, self._pack, self._keys, self._wanted = store, pack, keys, wanted
        self.student_id = student_id
        self.decided: list[Decision] = []
        self.skipped: list[FindingKey] = []
        self._upcoming: list[Waiting] = []

    def begin(self) -> None:
        """Records that somebody sits down. Raises StoreError where they may not, UsageError for a name that cannot be kept."""
        self._store.write(lambda connection: begin(connection, self._pack, self.student_id, self._wanted.reviewer))

    def next(self) -> Waiting | None:
        """What is to be looked at now; None: nothing waits. Raises UsageError for a task that is not the pack's."""
        while self._upcoming and self._is_judged(self._upcoming[0].key):  # elsewhere meanwhile: at a terminal, or of another task's list
            del self._upcoming[0]
        self._upcoming = self._upcoming or self._fetched()
        return self._upcoming[0] if self._upcoming else None

    def _is_judged(self, key: FindingKey) -> bool:
        with self._store.reading() as connection:
            return said_of(connection, key, self._wanted.reviewer) is not None

    def _fetched(self) -> list[Waiting]:
        asked = self._wanted
        with self._store.reading() as connection:
            return queue(
                connection,
                self._pack,
                self.student_id,
                reviewer=asked.reviewer,
                limit=PORTION,
                task=asked.task,
                second=asked.second,
                disputed=asked.disputed,
                check_sure=asked.check_sure,
                skip=self.skipped,
            )

    def text(self, one: Waiting) -> str | Unopened:
        """The document's text; that it was opened is recorded with it."""
        number = one.key.document_id

        def step(connection: Connection) -> str | Unopened:
            writable(connection)
            text = stored_texts(connection, self._keys, [number]).get(number, ERASED)
            record(connection, "view", f"document {number}", {"pack": self._pack.name, "reviewer": self._wanted.reviewer, "for": "review"})
            return text

        return self._store.write(step)

    def decide(self, key: FindingKey, verdict: str, *, new_label: str | None = None, new_start: int | None = None, new_end: int | None = None) -> None:
        """Stores a decision. Raises UsageError for what cannot be said of it, also because it was erased meanwhile."""

        def step(connection: Connection) -> Said | None:
            writable(connection)
            return decide(connection, self._pack, key, self._wanted.reviewer, verdict, new_label=new_label, new_start=new_start, new_end=new_end)

        former, one = self._store.write(step), self._taken(key)
        # decided anew, as by a page that was sent twice: it takes the place of what was decided in this sitting
        before = next((decision for decision in self.decided if decision.key == key), None)
        if before is not None:
            self.decided.remove(before)
            former, one = before.former, one or before.one
        self.decided.append(Decision(key, verdict, one, former))

    def skip(self, key: FindingKey) -> None:
        """Passes over it: in this sitting it does not come again."""
        if key not in self.skipped:
            self.skipped.append(key)
        self._taken(key)

    def _taken(self, key: FindingKey) -> Waiting | None:
        one = next((one for one in self._upcoming if one.key == key), None)
        if one is not None:
            self._upcoming.remove(one)
        return one

    def undo(self) -> Decision | None:
        """Takes back the last decision of this sitting: what it was about comes next, and what was said of it before holds again. None: there is none."""
        if not self.decided:
            return None
        last = self.decided[-1]

        def step(connection: Connection) -> None:
            writable(connection)
            if last.former is not None:
                put(connection, last.key, self._wanted.reviewer, last.former)
            else:
                undo(connection, last.key.student_id, self._wanted.reviewer, last.key)

        self._store.write(step)
        self.decided.remove(last)
        if last.one is not None:
            self._upcoming.insert(0, last.one)
        return last
