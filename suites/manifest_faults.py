"""Everything that is wrong with a pack.toml: each problem with its line, its key, its value and a remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from suites.nearest import MAX_SHOWN, guess, shown
from suites.types import Manifest

Place = tuple[str | int, ...]
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"-]+)\s*\]")
_KEY = re.compile(r"\s*(\"[^\"]*\"|[\w-]+)\s*=")
NAME = "a small letter a-z, then small letters, digits and underscores, 40 at most"
LABEL = "a letter A-Z or a-z, then letters, digits and underscores, 60 at most"


def manifest_faults(folder: Path) -> list[str]:
    """The problems of `folder`/pack.toml, one sentence or two each; an empty list when it can be used."""
    path = folder / "pack.toml"
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return [f"{path}: not found. A pack is a folder with a pack.toml; `python manage.py new-pack NAME` makes one."]
    except UnicodeDecodeError as error:
        return [f"{path}: is not UTF-8 at byte {error.start}. Save it as UTF-8."]
    except tomllib.TOMLDecodeError as error:
        return [f"{path}: not valid TOML: {error}. Mend the line; strings stand in quotes, lists in brackets."]
    except RecursionError:
        return [f"{path}: not valid TOML: it is nested too deeply."]
    try:
        Manifest.model_validate(raw)
    except ValidationError as error:
        lines = _lines(text)
        found = [dict(one) for one in error.errors(include_url=False)]
        return [_fault(path, one, raw, lines) for one in found if not _follows(one, found)]
    return []


def _follows(one: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list only seems too short, because its entries have problems of their own."""
    place = one["loc"]
    return one["type"] == "too_short" and any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found)


def _fault(path: Path, found: Mapping[str, Any], raw: Mapping[str, Any], lines: Mapping[Place, int]) -> str:
    """One problem: file, line, the key's path with the name of its task or column, what is wrong, what to do."""
    place: Place = tuple(part for part in found["loc"] if not (isinstance(part, str) and re.search(r"[\[\],]", part)))
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 0)
    key = ".".join(str(part) for part in place) or "manifest"
    return f"{path}{f':{line}' if line else ''}: {key}{_owner(place, raw)}: {_reason(found, place)}"


def _owner(place: Place, raw: Mapping[str, Any]) -> str:
    """The name of the task, column or source that a key belongs to."""
    if len(place) < 2 or not isinstance(place[0], str) or not isinstance(place[1], int):
        return ""
    entries = raw.get(place[0])
    entry = entries[place[1]] if isinstance(entries, list) and place[1] < len(entries) else {}
    name = entry.get("name") if isinstance(entry, dict) else None
    return f" ({place[0]} {name!r})" if isinstance(name, str) and len(name) <= MAX_SHOWN else ""


def _reason(found: Mapping[str, Any], place: Place) -> str:
    kind, value = str(found["type"]), found.get("input")
    if kind == "extra_forbidden":
        return f"unknown key.{guess(str(place[-1]), _keys(place[:-1]))}"
    if kind == "missing":
        return f"not there. Add it: {place[-1]} = ..."
    if kind == "too_short":
        return "is empty. Expected one entry or more."
    if kind == "value_error":  # its message is the contract's own
        return f"{str(found['msg']).removeprefix('Value error, ')}."
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} is not allowed. Expected {_pattern(str(found['ctx']['pattern']))}."
    if kind == "literal_error":
        expected = re.findall(r"'([^']*)'", str(found["ctx"]["expected"]))
        return f"{shown(value)} is not allowed.{guess(str(value), expected)}"
    return f"{shown(value)}: {str(found['msg'])[:1].lower()}{str(found['msg'])[1:]}. Change the value."


def _pattern(pattern: str) -> str:
    """What a pattern of the contract asks for, in words."""
    if pattern.startswith("^[a-z][a-z0-9_]") and "/" not in pattern:
        return NAME
    if pattern.startswith("^[A-Za-z]"):
        return LABEL
    return {r"^\d+(\.\d+){0,2}$": 'a version as "1.0"', "^[a-z]{2}$": 'a language\'s two small letters, as "en"'}.get(pattern, f"a match of {pattern}")


def _keys(place: Place) -> list[str]:
    """The keys that the part of the manifest at a place may have."""
    model: type[BaseModel] = Manifest
    is_by_name = False  # the next part is a name that the author chose, as a label's in [task.cost]
    for part in place:
        if isinstance(part, int) or is_by_name or part not in model.model_fields:
            is_by_name = False
            continue
        annotation = model.model_fields[part].annotation
        is_by_name = isinstance(origin := get_origin(annotation), type) and issubclass(origin, Mapping)
        model = next(_models(annotation), model)
    return list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The parts of the manifest that a field's type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _lines(text: str) -> dict[Place, int]:
    """The line of each table and key that begins a line of its own, by its path."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    is_in_string = False
    for number, line in enumerate(text.split("\n"), start=1):
        if not is_in_string and (header := _HEADER.match(line)):
            table = _table(header[2], header[1] == "[[", counts)
            lines[table] = number
        elif not is_in_string and (key := _KEY.match(line)):
            lines.setdefault((*table, key[1].strip('"')), number)
        if (line.count('"""') + line.count("'''")) % 2:
            is_in_string = not is_in_string
    return lines


def _table(name: str, is_list: bool, counts: dict[Place, int]) -> Place:
    """The path of a table: of `[[task]]` the next number, of `[task.cost]` that of the task before it."""
    parts = [part.strip('"') for part in name.split(".")]
    place: Place = ()
    for number, part in enumerate(parts, start=1):
        place = (*place, part)
        if number == len(parts) and is_list:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place
