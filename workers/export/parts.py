"""The parts that resources of FHIR R4 are made of: identifiers, references, concepts, extensions. Each as JSON has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

Json = dict[str, Any]

TERMS = "http://terminology.hl7.org/CodeSystem"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
NAMESPACE = uuid5(NAMESPACE_URL, "https://stillhouse.invalid/fhir")
# characters below 32 but for tab, CR and LF are none that a string may hold (hl7.org/fhir/R4/datatypes.html#string)
_CONTROLS = {i: " " for i in range(32) if i not in (9, 10, 13)}


def uid(*parts: object) -> str:
    """The same id for the same parts, always."""
    return str(uuid5(NAMESPACE, json.dumps(parts)))


def uid_within(parent: UUID, *parts: object) -> str:
    """The id of something in another, always the same."""
    return str(uuid5(parent, json.dumps(parts)))


def said(words: object) -> str | None:
    """A string as FHIR allows it; None where nothing is left."""
    return str(words).translate(_CONTROLS).strip() or None


def instant(seconds: float) -> str:
    """Seconds since 1970 as an instant in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to(resource_id: str) -> Json:
    """A reference to a resource of the same bundle."""
    return {"reference": f"urn:uuid:{resource_id}"}


def absent(reason: str) -> Json:
    """An element that must be there and is not known, and why: a code of hl7.org/fhir/R4/valueset-data-absent-reason.html."""
    return {"extension": [{"url": ABSENT, "valueCode": reason}]}


def coded(system: str, code: str, display: str | None = None) -> Json:
    return {"coding": [{"system": system, "code": code} | ({} if display is None else {"display": display})]}


def identifier(system: str | None, value: object) -> Json | None:
    """An identifier; None where the value is none."""
    words = said(value)
    if words is None:
        return None
    return {"value": words} if system is None else {"system": system, "value": words}


def extension(url: str, parts: Iterable[tuple[str, str, Any]]) -> Json:
    """An extension of parts, each with its name, the kind of its value, and the value; what has none is left out."""
    return {"url": url, "extension": [{"url": name, f"value{kind}": value} for name, kind, value in parts if value is not None]}


def filled(resource: Mapping[str, Any]) -> Json:
    """The resource without what is empty: FHIR has no empty elements."""
    return {name: value for name, value in resource.items() if value is not None and value != [] and value != {}}
