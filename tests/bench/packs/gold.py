"""What the public sets hold, in the words that all findings are scored in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.packs.scoring import Span
from tests.bench.sets import rows_of

ASSERTIONS = "clinical/negex_context"
IDENTIFIERS = "clinical/deid_presidio_synth_en"
QUANTITIES = "environment/measeval_quantities"

# the set's types in our words; TITLE, AGE and NRP are left out on both sides
IDENTIFIER_LABELS = {
    "PERSON": "NAME",
    "STREET_ADDRESS": "ADDRESS",
    "ZIP_CODE": "ADDRESS",
    "GPE": "LOCATION",
    "ORGANIZATION": "ORGANISATION",
    "DATE_TIME": "DATE",
    **dict.fromkeys(("CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN", "US_DRIVER_LICENSE"), "ID"),
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "DOMAIN_NAME": "URL",
}
# a peer without a label for streets calls them places
PLACES = {"ADDRESS": "PLACE", "LOCATION": "PLACE"}


@dataclass(frozen=True, slots=True)
class Concept:
    """A text with one concept in it, and what gold says of it. Gold has no label for hypothetical and uncertain ones."""

    id: str
    text: str
    start: int
    end: int
    negated: bool
    historical: bool
    family: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """A text, its gold ranges, and the ranges that gold has under labels which are left out."""

    id: str
    text: str
    spans: tuple[Span, ...]
    left_out: tuple[Span, ...] = ()


def concepts(data_root: Path, split: str) -> list[Concept]:
    """The concepts of the NegEx annotations; `family` is gold's experiencer other than the patient."""
    return [
        Concept(
            id=row["id"],
            text=row["text"],
            start=row["spans"][0]["start"],
            end=row["spans"][0]["end"],
            negated=row["label"] == "negated",
            historical=row["temporality"] == "historical",
            family=row["experiencer"] != "patient",
        )
        for row in _rows(data_root, ASSERTIONS, split)
    ]


def identifiers(data_root: Path, split: str) -> list[Marked]:
    """The texts of the synthetic set with the persons' identifiers in them."""
    return [
        Marked(
            id=row["id"],
            text=row["text"],
            spans=tuple(Span(s.start, s.end, IDENTIFIER_LABELS[s.label]) for s in _spans(row) if s.label in IDENTIFIER_LABELS),
            left_out=tuple(s for s in _spans(row) if s.label not in IDENTIFIER_LABELS),
        )
        for row in _rows(data_root, IDENTIFIERS, split)
    ]


def quantities(data_root: Path, split: str) -> list[Marked]:
    """The paragraphs of MeasEval with their quantities; a quantity of several measurements stands there once."""
    return [
        Marked(row["id"], row["text"], tuple(dict.fromkeys(Span(s.start, s.end, "QUANTITY") for s in _spans(row) if s.label == "Quantity")))
        for row in _rows(data_root, QUANTITIES, split)
    ]


def _rows(data_root: Path, name: str, split: str) -> Sequence[dict[str, Any]]:
    return list(rows_of(data_root / name / f"{split}.jsonl.gz"))


def _spans(row: dict[str, Any]) -> list[Span]:
    return [Span(s["start"], s["end"], s["label"]) for s in row["spans"]]
