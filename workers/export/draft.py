"""Drafts: what is written beside its place and moved there when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suites.errors import UsageError


@contextmanager
def drafted(file: Path) -> Iterator[Path]:
    """A draft beside the file; in the file's place once the block has ended, gone after an error."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder. Name a file.", "is_folder")
    draft = file.with_name(f".{file.name}.draft")
    try:
        yield draft
        os.replace(draft, file)
    except FileNotFoundError:
        raise _no_place(file) from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def drafted_folder(folder: Path) -> Iterator[Path]:
    """As `drafted`, of a folder: one that is new, or empty. Raises UsageError where it holds something."""
    place = folder.resolve()
    draft = place.with_name(f".{place.name}.draft")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{folder} holds something already, and an export appears whole or not at all. Name a new folder.", "folder_in_use")
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of an export that was killed
        draft.mkdir()
        yield draft
        os.replace(draft, place)
    except FileNotFoundError:
        raise _no_place(place) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _no_place(file: Path) -> UsageError:
    return UsageError(f"{file.parent} does not exist. Make the folder first.")
