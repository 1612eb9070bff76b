"""Writes the folder of a new pack: whole and checked, or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from suites.check import check_pack
from suites.discover import Pack, read_manifest
from suites.errors import PackError


def write_pack(folder: Path, files: Mapping[str, str], *, checked: bool, dry_run: bool = False) -> None:
    """Makes the folder with these files. Raises PackError where a `checked` one would not keep the contract; then nothing is left behind.

    Written elsewhere first and moved: no other process sees half a pack. A dry run ends before the move.
    """
    missing = [parent for parent in (folder.parent, *folder.parent.parents) if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        # one level deeper than packs are looked for, and on the same disk
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            made = Path(beside) / folder.name
            made.mkdir()
            for name, text in files.items():
                (made / name).write_text(text, encoding="utf-8", newline="\n")
            problems = check_pack(Pack(read_manifest(made), made)) if checked else []
            if problems:
                more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
                raise PackError(f"The pack would not keep the contract, so nothing was written: {problems[0].replace(str(made), str(folder))}{more}")
            if not dry_run:
                made.rename(folder)
    finally:
        if not folder.exists():
            for parent in missing:  # the innermost first
                parent.rmdir()
