"""Names and labels that the contract takes, made from what stands in data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

# what the contract's Name and Label allow (suites/types.py)
NAME_CHARS, LABEL_CHARS = 40, 60
_OTHERS = re.compile(r"[^A-Za-z0-9]+")
# groups and fields whose names say how they are stored, not what they are
_STORED = {"spans": "entities", "ents": "entities", "sc": "spans", "cats": "category", "labels": "label"}


def _plain(written: str, before: str) -> str:
    """Letters, digits and single underscores alone; accents are taken off, and a name that begins with none of a-z has `before` in front."""
    ascii_ = unicodedata.normalize("NFKD", written[:400]).encode("ascii", "ignore").decode()
    plain = _OTHERS.sub("_", ascii_).strip("_")
    return plain if plain[:1].isalpha() else f"{before}_{plain}".rstrip("_")


# keys that each row of a source has
RESERVED = ("id", "text", "spans")


def legal_name(written: str) -> str:
    """A task's or column's name for a field of the data."""
    name = _plain(_STORED.get(written, written), "field").lower()[:NAME_CHARS].rstrip("_")
    return f"{name}_label" if name in RESERVED else name


def legal_labels(written: Iterable[str], wanted: Iterable[str] = ()) -> dict[str, str]:
    """The contract's label for each label of the data; for two that would be the same, the second is numbered.

    `wanted`: the labels of a task; what equals one of them but for case and signs is that one, and what equals none is left out.
    """
    known = {folded(label): label for label in wanted}
    if known:
        return {label: known[folded(label)] for label in written if folded(label) in known}
    legal: dict[str, str] = {}
    for label in sorted(written):
        plain = _plain(label, "label")[:LABEL_CHARS].rstrip("_")
        taken, number = {value.lower() for value in legal.values()}, 1
        candidate = plain
        while candidate.lower() in taken:
            number += 1
            candidate = f"{plain[: LABEL_CHARS - 5]}_{number}"
        legal[label] = candidate
    return legal


def folded(label: str) -> str:
    return _plain(label, "label").lower()


def renamed(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are written otherwise than in the data."""
    return {raw: label for raw, label in labels.items() if raw != label}
