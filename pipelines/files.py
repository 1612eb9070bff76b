"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a file of UTF-8 whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    put_in_place(draft, path)


def put_in_place(draft: Path, path: Path) -> None:
    """Gives a finished draft its name, once its content is on the disk: else a power cut may leave the name with nothing in it."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)
