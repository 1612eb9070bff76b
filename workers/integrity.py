"""Whether a SQLite file can be trusted to: asked when workers start. A damaged file is refused before anything is added to it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from suites.errors import StoreError
from workers.show import words
from workers.store import Store

MOUNTS = Path("/proc/self/mounts")
# over these SQLite's locks and its shared memory fail: two hosts would write the same page
SHARED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs")
BIG_MB = 2_000


def require_sound(store: Store) -> None:
    """Raises StoreError where SQLite's file lies on a network's disk or is damaged. Takes about a second a gigabyte."""
    file = store.file
    if file is None:
        return
    if (kind := _disk(file)) in SHARED:
        raise StoreError(f"{file} lies on {kind}, over which SQLite cannot lock. Put the store on a local disk, or use PostgreSQL.", "store_network")
    if file.exists() and (size_mb := file.stat().st_size >> 20) > BIG_MB:
        words(f"Checking the store, {size_mb:,} MB.")
    with store.reading() as connection:
        found = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    if found != "ok":
        remedy = "Stop all workers, keep a copy, and restore the last backup, or try SQLite's .recover (docs/operations.md)"
        raise StoreError(f"{file} is damaged: SQLite's quick_check says so. {remedy}.", "store_damaged")


def _disk(file: Path) -> str:
    """The kind of file system that the file lies on; empty where that cannot be told."""
    try:
        mounts = [line.split(" ")[1:3] for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    at = file.resolve()
    holding = [(len(place), kind) for place, kind in mounts if at.is_relative_to(place.replace("\\040", " "))]
    return max(holding, default=(0, ""))[1]
