"""One reviewer at a terminal: a finding in its text, one key, the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from suites.discover import Pack
from suites.errors import UsageError
from suites.types import Task
from workers.audit import record
from workers.keys import Keys, Unopened
from workers.reviews.decisions import begin, decide, undo
from workers.reviews.judged import ACCEPTED, CORRECTED, REJECTED
from workers.reviews.key import FindingKey
from workers.reviews.keyboard import END
from workers.reviews.texts import stored_texts
from workers.reviews.waiting import Waiting, queue
from workers.show import printable
from workers.store import Store, writable

# findings fetched at once
PORTION = 10
# characters shown before and after what was found; of what is longer, and of an answer about a whole document, at most
AROUND, WHOLE = 300, 4000
LEGEND = "a accept   c correct   r reject   s skip   u undo   q quit"
REASONS = {"doubt": "in doubt", "rule": "a rule in doubt", "check": "sure: a check", "second": "second reading", "disputed": "reviewers disagree"}
ERASED = Unopened("erased", "it was erased")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reviewer asked to see; `limit` None: all that waits."""

    reviewer: str
    task: str | None = None
    second: bool = False
    disputed: bool = False
    check_sure: float = 0.0
    limit: int | None = None


@dataclass(slots=True)
class Done:
    """What came of a sitting: how often each verdict, and how many findings were passed over."""

    verdicts: Counter[str] = field(default_factory=Counter)
    n_skipped: int = 0


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a sitting takes place: `read_key` waits for a key, `show` prints, `mark` makes words stand out."""

    read_key: Callable[[], str]
    show: Callable[[str], object]
    mark: Callable[[str], str]


class Sitting:
    """Shows what waits and stores what is decided, each decision at once."""

    def __init__(self, store: Store, pack: Pack, student_id: str, keys: Keys, wanted: Wanted, screen: Screen) -> None:
        self._store, self._pack, self._student_id, self._keys, self._wanted, self._screen = store, pack, student_id, keys, wanted, screen
        self._upcoming: list[Waiting] = []
        self._decided: list[tuple[Waiting, str]] = []
        self._skipped: list[FindingKey] = []
        self._open: tuple[int, str | Unopened] | None = None

    def run(self) -> Done:
        """Until nothing waits, as much is decided as was asked for, or the reviewer quits."""
        self._store.write(lambda connection: begin(connection, self._pack, self._student_id, self._wanted.reviewer))
        while self._wanted.limit is None or len(self._decided) < self._wanted.limit:
            self._upcoming = self._upcoming or self._fetched()
            if not self._upcoming:
                self._screen.show("Nothing more waits.")
                break
            if self._shown(self._upcoming[0]) and not self._answered(self._upcoming[0]):
                break
        return Done(Counter(verdict for _, verdict in self._decided), len(self._skipped))

    def _fetched(self) -> list[Waiting]:
        asked = self._wanted
        with self._store.reading() as connection:
            return queue(
                connection,
                self._pack,
                self._student_id,
                reviewer=asked.reviewer,
                limit=PORTION,
                task=asked.task,
                second=asked.second,
                disputed=asked.disputed,
                check_sure=asked.check_sure,
                skip=self._skipped,
            )

    # --- showing

    def _shown(self, one: Waiting) -> bool:
        """Shows a finding in its text. False: it cannot be opened, and is passed over."""
        task, text = self._pack.tasks[one.key.task], self._text(one)
        if isinstance(text, Unopened):
            self._screen.show(f"\n{printable(one.document)} is passed over: {text.reason}.")
            self._skip(one)
            return False
        form = "  ".join(str(part) for part in (one.value, one.number, one.unit) if part is not None)
        self._screen.show(f"\n{len(self._decided) + 1}. {printable(one.document)}   {task.name}: {task.question}")
        self._screen.show(f"\n{excerpt(text, one, task, self._screen.mark)}\n")
        self._screen.show(f"{self._screen.mark(one.key.label)}  {one.score:.2f}  {one.source}, {REASONS[one.reason]}{f'   {printable(form)}' if form else ''}")
        self._screen.show(LEGEND)
        return True

    def _text(self, one: Waiting) -> str | Unopened:
        """The document's text; that it was opened goes into the audit first. The one that is open stays so."""
        number = one.key.document_id
        if self._open is None or self._open[0] != number:
            self._open = number, self._store.write(lambda connection: self._opened(connection, number))
        return self._open[1]

    def _opened(self, connection: Connection, number: int) -> str | Unopened:
        writable(connection)
        text = stored_texts(connection, self._keys, [number]).get(number, ERASED)
        record(connection, "view", f"document {number}", {"pack": self._pack.name, "reviewer": self._wanted.reviewer, "for": "review"})
        return text

    # --- deciding

    def _answered(self, one: Waiting) -> bool:
        """Waits for a key that says something, and does it. False: the reviewer quits."""
        while True:
            key = self._screen.read_key()
            if key in ("q", END):
                return False
            if key.isspace():
                continue
            if key == "s":
                self._skip(one)
            elif key == "u":
                self._undo()
            elif key in ("a", "r"):
                self._decide(one, ACCEPTED if key == "a" else REJECTED, None)
            elif key == "c" and (label := self._other_label(one)) is not None:
                self._decide(one, CORRECTED, label)
            else:
                self._screen.show(LEGEND)
                continue
            return True

    def _skip(self, one: Waiting) -> None:
        self._skipped.append(one.key)
        self._upcoming.remove(one)

    def _decide(self, one: Waiting, verdict: str, label: str | None) -> None:
        def step(connection: Connection) -> None:
            writable(connection)
            decide(connection, self._pack, one.key, self._wanted.reviewer, verdict, new_label=label)

        try:
            self._store.write(step)
        except UsageError as error:  # such as: it was erased meanwhile
            self._screen.show(error.message)
            self._skip(one)
            return
        self._decided.append((one, verdict))
        self._upcoming.remove(one)
        self._screen.show(f"{verdict}{f': {label}' if label else ''}")

    def _undo(self) -> None:
        if not self._decided:
            self._screen.show("Nothing of this sitting is there to be taken back.")
            return
        one, verdict = self._decided.pop()

        def step(connection: Connection) -> None:
            writable(connection)
            undo(connection, self._student_id, self._wanted.reviewer, one.key)

        self._store.write(step)
        self._upcoming.insert(0, one)
        self._screen.show(f"taken back: {verdict}")

    def _other_label(self, one: Waiting) -> str | None:
        """The label whose number is typed; None where there is no other, or something else is typed."""
        labels = [label for label in self._pack.tasks[one.key.task].labels if label != one.key.label]
        if not labels:
            self._screen.show(f"{one.key.task} has one label. What is no {one.key.label} is rejected.")
            return None
        self._screen.show("   ".join(f"{number} {label}" for number, label in enumerate(labels, start=1)))
        number = self._number(len(labels))
        return None if number is None else labels[number - 1]

    def _number(self, most: int) -> int | None:
        """A number of 1 to `most`: digits until no other can be meant, or Enter."""
        typed = ""
        while True:
            key = self._screen.read_key()
            if key.isspace():
                if typed:
                    return int(typed)
                continue
            if not (key.isdecimal() and key.isascii() and 1 <= int(typed + key) <= most):
                return None
            typed += key
            if 10 * int(typed) > most:
                return int(typed)


def excerpt(text: str, one: Waiting, task: Task, mark: Callable[[str], str]) -> str:
    """What was found, marked, with what stands around it; where the whole document is meant, its beginning."""
    if task.scope == "document" and task.kind in ("choice", "tags"):
        rest = len(text) - WHOLE
        return printable(text[:WHOLE]) + (f" [... {rest} more characters]" if rest > 0 else "")
    key = one.key
    ranges = sorted({(key.start, key.end), *([(key.other_start, key.other_end)] if key.other_end else [])})
    at = first = max(0, ranges[0][0] - AROUND)
    last = min(len(text), max(end for _, end in ranges) + AROUND)
    told = "... " if first else ""
    for start, end in ranges:
        told += printable(_cut(text[at : max(at, start)])) + mark(printable(_cut(text[max(at, start) : end])))
        at = max(at, end)
    return told + printable(text[at:last]) + (" ..." if last < len(text) else "")


def _cut(piece: str) -> str:
    """The piece, of a long one its beginning and end."""
    if len(piece) <= WHOLE:
        return piece
    half = WHOLE // 2
    return f"{piece[:half]} [... {len(piece) - 2 * half} characters] {piece[-half:]}"
