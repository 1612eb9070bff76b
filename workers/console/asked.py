"""What a request's address asks for: numbers and choices within bounds, else an error that says what was expected."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from urllib.parse import urlencode

from starlette.requests import Request

from suites.errors import UsageError, unknown


def whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number. Raises UsageError."""
    given = request.query_params.get(name, "")
    if not given:
        return default
    if not given.isascii() or not given.isdecimal() or len(given) > 18 or not least <= int(given) <= most:
        raise UsageError(f"{name}: expected a whole number from {least:,} to {most:,}.")
    return int(given)


def words(request: Request, name: str, most: int) -> str:
    """What was typed, up to `most` characters; without NUL, which no database takes."""
    return plain(request.query_params.get(name, "")).strip()[:most]


def plain(given: str) -> str:
    """A value without NUL."""
    return given.replace("\x00", "")


def number(given: str, name: str) -> float | None:
    """A number; None where nothing was given. Raises UsageError."""
    if not given.strip():
        return None
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UsageError(f"{name}: expected a number, as 0.5.")
    return found


def choice(request: Request, name: str, known: Collection[str], default: str) -> str:
    """One of several words. Raises UsageError."""
    given = request.query_params.get(name, "")
    if not given:
        return default
    if given not in known:
        raise UsageError(unknown(name, given[:80], known))
    return given


def address(path: str, params: Iterable[tuple[str, object]]) -> str:
    """A path with its parameters; empty ones are left out."""
    said = urlencode([(name, value) for name, value in params if value not in ("", None)])
    return f"{path}?{said}" if said else path
