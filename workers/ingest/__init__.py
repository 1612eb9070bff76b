"""Readers of input files: JSON lines, CSV, Parquet, FHIR, text, HTML, PDF, mail, and archives of them, become documents or rejects, never an exception."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from suites.errors import UsageError
from workers.ingest import content
from workers.ingest.files import escaped, not_a_file, rows_of, unreadable
from workers.ingest.options import ReadOptions
from workers.ingest.packed import PACKINGS
from workers.ingest.pages import by_page
from workers.ingest.rows import Incoming, Reject, Row

__all__ = ["SUFFIXES", "Incoming", "ReadOptions", "Reject", "Source", "read_paths"]

SUFFIXES = (*content.READERS, *PACKINGS, *content.ARCHIVES, *content.SHORT)
FOLDER_ENTRIES = 1_000_000  # sorted, and so all in memory


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is read.

    `label` is its path below the folder that was given (its name where it was given itself); where
    several paths were given, below the nearest folder that holds them all, so that no two files share one.
    """

    path: Path
    label: str
    size: int

    @property
    def path_sha256(self) -> str:
        """Tells the file from all others, whatever folder is given: hex SHA-256 of its resolved path, which itself is not stored."""
        # its own name is not resolved: a link is not read, and its reject is not one of the file it points at
        resolved = os.path.join(os.path.realpath(self.path.parent), self.path.name)
        return hashlib.sha256(os.fsencode(resolved)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Given:
    """A path that was given, and what the labels of what lies in it begin with."""

    path: Path
    below: Path


@dataclass(frozen=True, slots=True)
class _Entry:
    """A path with its label and state, or the error or reject that stands for it."""

    path: Path
    label: str
    state: os.stat_result | None
    fault: OSError | Reject | None = None
    is_given: bool = False


def read_paths(paths: Iterable[Path], options: ReadOptions | int) -> Iterator[tuple[Source, Iterator[Row]]]:
    """Each file of the paths with its rows, folders in sorted order. `options`: a number alone is `max_chars`.

    Raises UsageError at once where a path does not exist.
    """
    how = ReadOptions(options) if isinstance(options, int) else options
    listed = [Path(path) for path in paths]
    shared = os.path.commonpath([os.path.abspath(path) for path in listed]) if listed else ""
    given = [_given(path, shared) for path in listed]
    return (_source(entry, how) for first in given for entry in _walk(first))


def _given(path: Path, shared: str) -> _Given:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"{escaped(path)}: no such file or folder. Give files or folders that exist.", "no_such_path") from None
    except OSError:
        pass  # is told where it is read
    return _Given(path, Path(os.path.relpath(os.path.abspath(path), shared)))  # "." where no other path was given


def _walk(first: _Given) -> Iterator[_Entry]:
    """The files below a path, and every folder that could not be listed. A stack: folders nest deeper than Python may recurse."""
    waiting = [first.path]
    while waiting:
        entry = _entry(waiting.pop(), first)
        if entry.state is None or not stat.S_ISDIR(entry.state.st_mode):
            yield entry
            continue
        try:
            found = _names(entry.path)
        except OSError as error:
            yield _Entry(entry.path, f"{entry.label}/", None, error)
            continue
        if len(found) > FOLDER_ENTRIES:
            reason = f"The folder holds more than {FOLDER_ENTRIES} files and folders; none of them is read."
            refusal = Reject(f"{entry.label}/", "folder_too_large", reason, "Spread them over several folders, or pack them into archives.")
            yield _Entry(entry.path, f"{entry.label}/", None, refusal)
            continue
        waiting += [entry.path / name for name in sorted(found, key=os.fsencode, reverse=True)]


def _names(folder: Path) -> list[str]:
    """The names in a folder but hidden ones, at most one more than may be. Raises OSError."""
    with os.scandir(folder) as found:
        return list(islice((entry.name for entry in found if not entry.name.startswith(".")), FOLDER_ENTRIES + 1))


def _entry(path: Path, first: _Given) -> _Entry:
    is_given = path == first.path
    label = escaped((first.below if first.below.name else path.name or path) if is_given else first.below / path.relative_to(first.path))
    try:
        return _Entry(path, label, path.lstat(), is_given=is_given)
    except OSError as error:
        return _Entry(path, label, None, error, is_given=is_given)


def _source(entry: _Entry, options: ReadOptions) -> tuple[Source, Iterator[Row]]:
    size = entry.state.st_size if entry.state else 0
    return Source(entry.path, entry.label, size), _rows(entry, options)


def _rows(entry: _Entry, options: ReadOptions) -> Iterator[Row]:
    if isinstance(entry.fault, Reject):
        yield entry.fault
    elif entry.state is None:
        yield unreadable(entry.label, entry.fault or OSError())
    elif not stat.S_ISREG(entry.state.st_mode):
        yield not_a_file(entry.label, entry.state.st_mode)
    elif not entry.is_given and content.is_about(entry.path.name):
        yield content.about(entry.label)
    else:
        reading = partial(content.rows, name=entry.path.name, label=entry.label, options=options, folder=entry.path.parent)
        found = rows_of(entry.path, entry.label, reading)
        yield from by_page(found) if options.by_page else found
        if _has_changed(entry.path, entry.state):
            reason = "The file has changed since it was listed; its rows may be mixed from two versions."
            yield Reject(entry.label, "source_changed", reason, "Submit it again when nothing writes to it.")


def _has_changed(path: Path, before: os.stat_result) -> bool:
    try:
        after = path.lstat()
    except OSError:
        return True
    return (after.st_size, after.st_mtime_ns, after.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino)
