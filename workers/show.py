"""What people see: tables on stdout, words and progress bars on stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipelines.progress import OnProgress

# control characters of a document's id must not reach a terminal: they can rewrite what was shown
_CONTROLS = {i: "·" for i in (*range(32), *range(127, 160)) if i not in (9, 10)}
# characters that turn the order of what follows
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "·")


def printable(text: str) -> str:
    """A document's text as a terminal may show it: what would move its cursor, colour it or turn its order is a dot."""
    return text.replace("\r\n", "\n").translate(_CONTROLS | _TURNS)


def words(line: str) -> None:
    """A line for people, on stderr."""
    print(line.translate(_CONTROLS), file=sys.stderr, flush=True)


def command(*parts: str, data_root: Path | None = None) -> str:
    """A command of ours as it may be typed, on the same data."""
    at = ["--data-root", str(data_root)] if data_root else []
    return f"python manage.py {shlex.join([*parts, *at])}"


def line(*cells: object) -> None:
    """A line of data on stdout, its cells separated by tabs."""
    print("\t".join(str(cell).translate(_CONTROLS | {9: "·", 10: "·"}) for cell in cells))


def n_of(n: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def table(rows: Sequence[Mapping[str, object]], *, title: str | None = None, columns: Sequence[str] | None = None) -> None:
    """Rows as a table on stdout; nothing but a note on stderr when there are none."""
    if not rows:
        words("(no rows)")
        return
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)
    names = list(columns or rows[0])
    shown = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        numeric = all(isinstance(row.get(name), int | float) or row.get(name) is None for row in rows)
        shown.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(_cell(row.get(name))) for name in names))
    console.print(shown)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.12g}"  # as it is: who asks in SQL rounds in SQL
    return str(value).translate(_CONTROLS)


@contextmanager
def progress_bar(*, quiet: bool = False) -> Iterator[OnProgress]:
    """A bar on stderr, driven by the calls of OnProgress. Where stderr is no terminal, a line now and then."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield _lines(quiet)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # the bar's console takes what is printed meanwhile, lest they mix on a terminal; data for a file or pipe must not end there
    with Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty()) as bar:
        task: TaskID | None = None

        def show(what: str, done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task(escape(what), total=total or None)
            bar.update(task, description=escape(what), completed=done, total=total or None)

        yield show


def _lines(quiet: bool) -> OnProgress:
    shown = -1

    def show(what: str, done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // total if total else done // 1000
        if not quiet and tenth != shown:
            shown = tenth
            words(f"  {what}: {done:,}/{total:,}" if total else f"  {what}: {done:,}")

    return show
