"""Rows of texts and numbers in order in bounded memory: sorted in runs that lie in a file, which are merged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Any

Row = tuple[Any, ...]
# rows that are sorted at once, and of each run those that are held while runs are merged: of 1,000,000 rows 5,000
RUN = 10_000
BLOCK = 50


def in_order(rows: Iterable[Row], key: Callable[[Row], Any], beside: str) -> Iterator[Row]:
    """The rows by `key`. The file lies in the folder `beside`, has no name there and goes with this process."""
    with TemporaryFile(dir=beside) as file:
        runs = [_written(file, sorted(run, key=key)) for run in _runs(iter(rows))]
        yield from merge(*(_read(file, *run) for run in runs), key=key)


def _runs(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while run := list(islice(rows, RUN)):
        yield run


def _written(file: IO[bytes], run: list[Any]) -> tuple[int, int]:
    """Where the run begins and ends in the file."""
    start = file.tell()
    for i in range(0, len(run), BLOCK):
        file.write(json.dumps(run[i : i + BLOCK], ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return start, file.tell()


def _read(file: IO[bytes], start: int, end: int) -> Iterator[Row]:
    while start < end:
        file.seek(start)  # another run was read meanwhile
        line = file.readline()
        start += len(line)
        yield from map(tuple, json.loads(line))
