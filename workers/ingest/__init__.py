"""Readers of input files: JSON lines, CSV, Parquet, text and mail become documents or rejects, never an exception."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from suites.errors import UsageError
from workers.ingest import csvfile, eml, jsonl, parquet, textfile
from workers.ingest.files import escaped, not_a_file, unreadable
from workers.ingest.rows import NAME_CHARS, Incoming, Reject, Row

__all__ = ["SUFFIXES", "Incoming", "Reject", "Source", "read_paths"]

Reader = Callable[[Path, str, int], Iterator[Row]]

SUFFIXES: dict[str, Reader] = {
    ".jsonl": jsonl.read,
    ".ndjson": jsonl.read,
    ".jsonl.gz": jsonl.read,
    ".ndjson.gz": jsonl.read,
    ".csv": csvfile.read,
    ".tsv": csvfile.read,
    ".parquet": parquet.read,
    ".txt": textfile.read,
    ".text": textfile.read,
    ".eml": eml.read,
}
_ABOUT = ("readme", "license", "licence")  # stems of files that tell about a folder's documents and are none


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
class _Entry:
    """A path with its label and state, or the error that its state could not be had.

    The labels of what lies in a given folder begin with `below`.
    """

    path: Path
    label: str
    state: os.stat_result | None
    error: OSError | None = None
    is_given: bool = False
    below: Path = Path()


def read_paths(paths: Iterable[Path], max_chars: int) -> Iterator[tuple[Source, Iterator[Row]]]:
    """Each file of the paths with its rows, folders in sorted order. Raises UsageError at once where a path does not exist."""
    listed = [Path(path) for path in paths]
    shared = os.path.commonpath([os.path.abspath(path) for path in listed]) if listed else ""
    given = [_given(path, shared) for path in listed]
    return (_source(entry, max_chars) for first in given for entry in _walk(first))


def _given(path: Path, shared: str) -> _Entry:
    below = Path(os.path.relpath(os.path.abspath(path), shared))  # "." where no other path was given
    label = escaped(below if below.name else path.name or path)
    try:
        state = path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"{escaped(path)}: no such file or folder. Give files or folders that exist.", "no_such_path") from None
    except OSError as error:
        return _Entry(path, label, None, error, is_given=True, below=below)
    return _Entry(path, label, state, is_given=True, below=below)


def _walk(first: _Entry) -> Iterator[_Entry]:
    """The files below a path, and every folder that could not be listed. A stack: folders nest deeper than Python may recurse."""
    waiting = [first]
    while waiting:
        entry = waiting.pop()
        if entry.state is None or not stat.S_ISDIR(entry.state.st_mode):
            yield entry
            continue
        try:
            found = sorted(os.listdir(entry.path), key=os.fsencode, reverse=True)
        except OSError as error:
            yield _Entry(entry.path, f"{entry.label}/", None, error)
            continue
        waiting += [_entry(entry.path / name, first) for name in found if not name.startswith(".")]


def _entry(path: Path, first: _Entry) -> _Entry:
    label = escaped(first.below / path.relative_to(first.path))
    try:
        return _Entry(path, label, path.lstat())
    except OSError as error:
        return _Entry(path, label, None, error)


def _source(entry: _Entry, max_chars: int) -> tuple[Source, Iterator[Row]]:
    size = entry.state.st_size if entry.state else 0
    return Source(entry.path, entry.label, size), _rows(entry, max_chars)


def _rows(entry: _Entry, max_chars: int) -> Iterator[Row]:
    reader = _reader(entry)
    if entry.state is None:
        yield unreadable(entry.label, entry.error or OSError())
    elif not stat.S_ISREG(entry.state.st_mode):
        yield not_a_file(entry.label, entry.state.st_mode)
    elif reader is None:
        yield _unsupported(entry)
    else:
        yield from reader(entry.path, entry.label, max_chars)
        if _has_changed(entry.path, entry.state):
            reason = "The file has changed since it was listed; its rows may be mixed from two versions."
            yield Reject(entry.label, "source_changed", reason, "Submit it again when nothing writes to it.")


def _reader(entry: _Entry) -> Reader | None:
    """The reader for the file's suffix; none for a README or a licence that lies in a folder."""
    if not entry.is_given and _is_about(entry.path):
        return None
    name = entry.path.name.lower()
    return next((reader for suffix, reader in SUFFIXES.items() if name.endswith(suffix)), None)


def _is_about(path: Path) -> bool:
    """Whether the stem is that of a README or licence. All of it: `license-2024-17.txt` may well be a document."""
    return path.name.lower().partition(".")[0] in _ABOUT


def _unsupported(entry: _Entry) -> Reject:
    if _is_about(entry.path):
        reason = "A README or licence in a folder is not read as a document."
    else:
        reason = f"Files with the suffix '{escaped(entry.path.suffix)[:NAME_CHARS]}' are not read."
    return Reject(entry.label, "unsupported_format", reason, f"Supported: {', '.join(SUFFIXES)}. Convert it, or give a file by its own path.")


def _has_changed(path: Path, before: os.stat_result) -> bool:
    try:
        after = path.lstat()
    except OSError:
        return True
    return (after.st_size, after.st_mtime_ns, after.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino)
