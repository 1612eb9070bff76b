"""Finding packs: folders under suites/ and pip packages, read as data without importing them."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from suites.errors import PackError, unknown
from suites.types import UNIT_CHARS, Finding, Manifest, Source, Task

ENTRY_POINT_GROUP = "stillhouse.packs"
SUITES = Path(__file__).parent
SOURCES = frozenset(get_args(Source))
# files of a pack that no finding depends on
UNREAD = frozenset({"samples.jsonl"})
# what may lie in a pack's folder and decide what is found; caches and editors leave other files
READ = frozenset({".toml", ".jsonl", ".py", ".txt", ".json", ".csv", ".tsv"})
# no database takes them as text: NUL, and half a surrogate pair, which UTF-8 cannot say
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Pack:
    """One domain: its manifest and the folder it lies in. `origin` is `folder` or `pip:NAME`."""

    manifest: Manifest
    folder: Path
    origin: str = "folder"

    @property
    def name(self) -> str:
        return self.manifest.name

    @cached_property
    def tasks(self) -> dict[str, Task]:
        return {task.name: task for task in self.manifest.task}

    @property
    def student_tasks(self) -> list[Task]:
        """The tasks that the student answers, in the manifest's order."""
        return [task for task in self.manifest.task if task.answered_by == "student"]

    @property
    def annotated_tasks(self) -> list[Task]:
        """The tasks that samples have gold for: the others follow from them, or from the text alone."""
        return [task for task in self.manifest.task if task.answered_by in SOURCES]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the files that decide what a document's findings are: all but samples, card and what is derived."""
        return _digest(path for path in self.folder.rglob("*") if path.suffix in READ and path.name not in UNREAD)

    @property
    def code_digest(self) -> str:
        """SHA-256 over what a student is fitted with besides gold: the hooks and what they import, rules and cues."""
        return _digest(path for path in self.folder.rglob("*") if path.suffix == ".py" or path.name in ("rules.jsonl", "context.jsonl"))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(filter(Path.is_file, paths)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_legal(finding: Finding, pack: Pack, n_chars: int) -> bool:
    """Whether a finding answers a task of the pack with one of its labels, a range of the text and a score of 0..1, and can be stored."""
    task = pack.tasks.get(finding.task)
    if task is None or finding.label not in task.labels:
        return False
    ranges = [(finding.start, finding.end)]
    # a numpy integer would be stored as bytes, a float would cut no text
    if any(type(place) is not int for place in (finding.start, finding.end, finding.other_start, finding.other_end)) or not _is_number(finding.score):
        return False
    if task.kind == "pairs":
        ranges.append((finding.other_start, finding.other_end))
    elif finding.other_start or finding.other_end:
        return False
    return all(0 <= start <= end <= n_chars for start, end in ranges) and 0.0 <= finding.score <= 1.0 and _is_storable(finding)


def _is_storable(finding: Finding) -> bool:
    """Whether every store takes the finding's forms: refused there, one document would fail its neighbours for ever."""
    return (
        finding.source in SOURCES
        and isinstance(finding.unsure, bool)
        and (finding.value is None or _is_text(finding.value))
        and (finding.unit is None or (_is_text(finding.unit) and len(finding.unit) <= UNIT_CHARS))
        and (finding.number is None or _is_number(finding.number))
        and (finding.page is None or (type(finding.page) is int and 0 < finding.page < 2**31))
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not UNSTORABLE.search(value)


def _is_number(value: object) -> bool:
    if isinstance(value, int):  # SQLite takes whole numbers of 64 bits; a bool is no number to PostgreSQL
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


@dataclass(frozen=True)
class BrokenPack:
    """A folder that looks like a pack but cannot be used, and why."""

    name: str
    folder: Path
    origin: str
    reason: str


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`/pack.toml. Raises PackError naming file, key and remedy."""
    path = folder / "pack.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PackError(f"{path}: not found. A pack is a folder with a pack.toml.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise PackError(f"{path}: not valid TOML: it is nested too deeply.") from None
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise PackError(f"{path}: {_first(error)} See docs/packs.md.") from None


def _first(error: ValidationError) -> str:
    """The first problem of a pydantic error in one sentence: key path and reason."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "manifest"
    more = f" ({error.error_count() - 1} more problems)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}.{more}"


def discover(folders: Iterable[Path] = (), *, suites: Path = SUITES) -> tuple[dict[str, Pack], list[BrokenPack]]:
    """All packs by name, and the broken ones with their reasons.

    Looks in `suites`, in every further folder of packs given, and at entry points of the group
    `stillhouse.packs`. Two packs of one name are an error that names both places.
    """
    packs: dict[str, Pack] = {}
    broken: list[BrokenPack] = []
    for folder, origin in _candidates(suites, folders):
        try:
            manifest = read_manifest(folder)
        except PackError as error:
            broken.append(BrokenPack(folder.name, folder, origin, error.message))
            continue
        if manifest.name != folder.name and origin == "folder":
            reason = f"{folder}: the manifest's name is {manifest.name!r}, the folder's {folder.name!r}. Make them the same."
            broken.append(BrokenPack(folder.name, folder, origin, reason))
            continue
        if other := packs.get(manifest.name):
            raise PackError(
                f"Two packs are named {manifest.name!r}: {other.folder} ({other.origin}) and {folder} ({origin}). Rename or remove one.",
                "pack_clash",
            )
        packs[manifest.name] = Pack(manifest, folder, origin)
    return dict(sorted(packs.items())), broken


def _candidates(suites: Path, folders: Iterable[Path]) -> Iterable[tuple[Path, str]]:
    for root in (suites, *folders):
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            if (path / "pack.toml").is_file():
                yield path, "folder"
    for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
        yield _installed(entry.value), f"pip:{entry.name}"


def _installed(value: str) -> Path:
    """The folder that an entry point names; where there is none, a path that says what was looked for."""
    package, *inside = value.split(".")
    # find_spec of a top-level package imports nothing; its code runs only if hooks are trusted
    spec = util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        return Path(value)
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*inside)


def find_pack(name: str, folders: Iterable[Path] = ()) -> Pack:
    """The pack of that name. Raises PackError that lists the known ones, or the reason it is broken."""
    packs, broken = discover(folders)
    if name in packs:
        return packs[name]
    for pack in broken:
        if pack.name == name:
            raise PackError(f"Pack {name!r} is broken: {pack.reason}")
    raise PackError(unknown("pack", name, packs), "no_pack")
