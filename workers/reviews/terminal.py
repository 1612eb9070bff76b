"""A sitting at a terminal: a finding in its text, one key, the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from suites.discover import Pack
from suites.errors import UsageError
from suites.types import Task
from workers.keys import Unopened
from workers.reviews.decisions import other_labels
from workers.reviews.judged import ACCEPTED, CORRECTED, REJECTED
from workers.reviews.keyboard import END
from workers.reviews.sitting import REASONS, Sitting
from workers.reviews.waiting import Waiting
from workers.show import printable

# characters shown before and after what was found; of what is longer, and of an answer about a whole document, at most
AROUND, WHOLE = 300, 4000
LEGEND = "a accept   c correct   r reject   s skip   u undo   q quit"


@dataclass(slots=True)
class Done:
    """What came of a sitting: how often each verdict, and how many findings were passed over."""

    verdicts: Counter[str] = field(default_factory=Counter)
    n_skipped: int = 0


class Terminal:
    """Shows what waits and hears what is decided. `read_key` waits for a key, `show` prints, `mark` makes words stand out."""

    def __init__(self, sitting: Sitting, pack: Pack, read_key: Callable[[], str], show: Callable[[str], object], mark: Callable[[str], str]) -> None:
        self._sitting, self._pack, self._read_key, self._show, self._mark = sitting, pack, read_key, show, mark
        self._open: tuple[int, str | Unopened] | None = None

    def run(self, limit: int | None = None) -> Done:
        """Until nothing waits, as much is decided as was asked for, or the reviewer quits."""
        sitting = self._sitting
        sitting.begin()
        while limit is None or len(sitting.decided) < limit:
            one = sitting.next()
            if one is None:
                self._show("Nothing more waits.")
                break
            if self._shown(one) and not self._answered(one):
                break
        return Done(Counter(decision.verdict for decision in sitting.decided), len(sitting.skipped))

    # --- showing

    def _shown(self, one: Waiting) -> bool:
        """Shows a finding in its text. False: it cannot be opened, and is passed over."""
        task, text = self._pack.tasks[one.key.task], self._text(one)
        if isinstance(text, Unopened):
            self._show(f"\n{printable(one.document)} is passed over: {text.reason}.")
            self._sitting.skip(one.key)
            return False
        form = "  ".join(str(part) for part in (one.value, one.number, one.unit) if part is not None)
        self._show(f"\n{len(self._sitting.decided) + 1}. {printable(one.document)}   {task.name}: {task.question}")
        self._show(f"\n{excerpt(text, one, task, self._mark)}\n")
        self._show(f"{self._mark(one.key.label)}  {one.score:.2f}  {one.source}, {REASONS[one.reason]}{f'   {printable(form)}' if form else ''}")
        self._show(LEGEND)
        return True

    def _text(self, one: Waiting) -> str | Unopened:
        """The document's text. The one that is open stays so."""
        number = one.key.document_id
        if self._open is None or self._open[0] != number:
            self._open = number, self._sitting.text(one)
        return self._open[1]

    # --- deciding

    def _answered(self, one: Waiting) -> bool:
        """Waits for a key that says something, and does it. False: the reviewer quits."""
        while True:
            key = self._read_key()
            if key in ("q", END):
                return False
            if key.isspace():
                continue
            if key == "s":
                self._sitting.skip(one.key)
            elif key == "u":
                self._undo()
            elif key in ("a", "r"):
                self._decide(one, ACCEPTED if key == "a" else REJECTED, None)
            elif key == "c" and (label := self._other_label(one)) is not None:
                self._decide(one, CORRECTED, label)
            else:
                self._show(LEGEND)
                continue
            return True

    def _decide(self, one: Waiting, verdict: str, label: str | None) -> None:
        try:
            self._sitting.decide(one.key, verdict, new_label=label)
        except UsageError as error:  # such as: it was erased meanwhile
            self._show(error.message)
            self._sitting.skip(one.key)
            return
        self._show(f"{verdict}{f': {label}' if label else ''}")

    def _undo(self) -> None:
        last = self._sitting.undo()
        self._show(f"taken back: {last.verdict}" if last else "Nothing of this sitting is there to be taken back.")

    def _other_label(self, one: Waiting) -> str | None:
        """The label whose number is typed; None where there is no other, or something else is typed."""
        labels = other_labels(self._pack.tasks[one.key.task], one.key.label)
        if not labels:
            self._show(f"{one.key.task} has one label. What is no {one.key.label} is rejected.")
            return None
        self._show("   ".join(f"{number} {label}" for number, label in enumerate(labels, start=1)))
        number = self._number(len(labels))
        return None if number is None else labels[number - 1]

    def _number(self, most: int) -> int | None:
        """A number of 1 to `most`: digits until no other can be meant, or Enter."""
        typed = ""
        while True:
            key = self._read_key()
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
    if task.is_of_document:
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
