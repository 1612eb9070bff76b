"""The errors a user can meet. Each says where, what is wrong, what was expected, what to do.

StillhouseError
├── UsageError      the command or its arguments are wrong       (exit 2)
├── SettingsError   settings.toml or an environment variable     (exit 2)
├── PackError       a pack's folder does not keep the contract   (exit 2)
├── DataError       a training or sample row is unusable         (exit 1)
├── StudentError    a student or encoder folder is unusable      (exit 1)
├── StoreError      the database refused or is out of reach      (exit 1)
├── BrokerError     the broker is out of reach                   (exit 1)
├── GateError       the release gate refused a student           (exit 1)
└── RunError        a run could not be finished                  (exit 1)

No error carries the text of a document: ids, offsets and lengths only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StillhouseError(Exception):
    """One line for the user; `code` is stable and machine-readable; `data` is what was done all the same."""

    exit_code = 1
    default_code = "error"

    def __init__(self, message: str, code: str = "", data: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.data = data


class UsageError(StillhouseError):
    exit_code = 2
    default_code = "usage"


class SettingsError(StillhouseError):
    exit_code = 2
    default_code = "bad_settings"


class PackError(StillhouseError):
    exit_code = 2
    default_code = "bad_pack"


class DataError(StillhouseError):
    default_code = "bad_data"


class StudentError(StillhouseError):
    default_code = "bad_student"


class StoreError(StillhouseError):
    default_code = "store"


class BrokerError(StillhouseError):
    default_code = "broker"


class GateError(StillhouseError):
    default_code = "gate"


class RunError(StillhouseError):
    default_code = "run"


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that does not exist: what exists, and the nearest guess."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"No {noun} {name!r}. Known: {', '.join(names) or 'none'}.{guess}"
