"""Makes the folder of a new pack with a manifest, a card and two samples to follow.

example: python manage.py new-pack insurance
         edit suites/insurance/, then: python manage.py check insurance
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from suites.discover import SUITES, discover
from suites.errors import UsageError
from suites.types import Name
from workers.settings import Settings
from workers.show import words

MANIFEST = """name = "{name}"
version = "0.1"
language = "en"
title = "What these documents are"
description = "What the pack reads in them, in one sentence."

# one [[task]] per question. kind: choice (one label), tags (any number), spans (labelled ranges);
# scope: document, sentence, or span (asked of the spans of the task named by `of`)
[[task]]
name = "topic"
kind = "choice"
scope = "document"
question = "What is the document about?"
labels = ["this", "that"]

# one [[column]] per column of the view {name}_results. show: label, score, labels, count, sum
[[column]]
name = "topic"
task = "topic"
show = "label"
description = "The topic with the highest score."
"""
CARD = """## Intended use

Who uses this, for what.

## Out of scope

What it must not be used for.

## Data

Where the samples come from, their licence, the conventions of labelling.

## Known failures

What it gets wrong.

## Contact

Who to ask.
"""
SAMPLES = (("one", "A first document about this.", "this"), ("two", "A second document about that.", "that"))


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack", help="name: small letters a-z, digits, underscores")
    parser.add_argument("--folder", type=Path, default=SUITES, help="folder of packs to make it in (default: suites/)")


def run(options: Namespace, settings: Settings) -> object:
    name = options.pack
    _check_name(name)
    if name in discover(settings.pack_folders)[0]:
        raise UsageError(f"A pack {name!r} exists already. Choose another name.")
    folder = options.folder / name
    if folder.exists():
        raise UsageError(f"{folder} exists already. Choose another name, or remove it.")
    folder.mkdir(parents=True)
    (folder / "pack.toml").write_text(MANIFEST.format(name=name), encoding="utf-8")
    (folder / "card.md").write_text(CARD, encoding="utf-8")
    rows = [{"id": i, "text": text, "findings": [{"task": "topic", "label": label, "start": 0, "end": len(text)}]} for i, text, label in SAMPLES]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words(f"Made {folder}. Next: write samples (20 or more), then: python manage.py check {name}. See docs/packs.md.")
    return {"folder": str(folder)}


def _check_name(name: str) -> None:
    """Raises UsageError for a name that the contract would refuse in the manifest."""
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        expected = "a small letter a-z, then small letters, digits and underscores, 40 characters at most"
        raise UsageError(f"{name!r} is no pack name. Expected {expected}, e.g. insurance_claims.") from None
