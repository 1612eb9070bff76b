"""Clinical exports as FHIR R4: valid by the specification, the same each time, and without a word of the document."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from pipelines.progress import silent
from suites.discover import Pack
from suites.types import Finding
from workers.export.asked import Asked
from workers.export.clinical import Written, export_fhir
from workers.keys import Keys
from workers.store import Store

from .ward import CANARY, N_ASSERTIONS, N_FINDINGS, N_OBSERVATIONS, N_PAIRS, N_WITHHELD, RESOURCES, Odd, fill, metadata, note, url_of, ward_pack, ward_plan

R4: dict[str, Any] = json.loads((Path(__file__).parent / "fhir_r4.json").read_text(encoding="utf-8"))
Bundles = list[dict[str, Any]]
NOTHING = Asked()

# hl7.org/fhir/R4/datatypes.html: what a primitive looks like in JSON
PRIMITIVES = {
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "code": r"[^\s]+(\s[^\s]+)*",
    "uri": r"\S+",
    "url": r"\S+",
    "string": r"[ \r\n\t\S]+",
    "base64Binary": r"(\s*([0-9a-zA-Z+/=]){4}\s*)+",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "dateTime": r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?",
}
NUMBERS = {
    "decimal": lambda v: isinstance(v, int | float),
    "unsignedInt": lambda v: type(v) is int and v >= 0,
    "positiveInt": lambda v: type(v) is int and v > 0,
}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return ward_pack(tmp_path)


@pytest.fixture
def ward(store_url: str, pack: Pack, tmp_path: Path) -> Iterator[str]:
    """A store of each kind with six notes; gives its URL."""
    store = Store(store_url)
    fill(store, pack, tmp_path, 6)
    yield url_of(store)
    store.close()


def exported(url: str, pack: Pack, file: Path, asked: Asked = NOTHING) -> tuple[Written, Bundles]:
    written = export_fhir(url, pack, ward_plan(pack), file, asked, Keys(), silent)
    return written, [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def resources(bundle: dict[str, Any], kind: str = "") -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind or not kind]


def evidence(resource: dict[str, Any]) -> dict[str, Any]:
    """The parts of our extension by name."""
    return {part["url"]: value for part in resource["extension"][0]["extension"] for name, value in part.items() if name != "url"}


@pytest.mark.parametrize("asked", [Asked(), Asked(text=True, also=frozenset(["identity"]))])
def test_every_resource_is_one_of_fhir(ward: str, pack: Pack, tmp_path: Path, asked: Asked) -> None:
    """The models of fhir.resources take every Bundle and every resource, and write the same JSON again. They are of R4B, which has these fields as R4 does."""
    _, bundles = exported(ward, pack, tmp_path / "out.ndjson", asked)
    assert len(bundles) == 6
    for bundle in bundles:
        read = get_fhir_model_class("Bundle").model_validate(bundle)
        assert json.loads(read.model_dump_json(exclude_none=True)) == bundle
        for resource in resources(bundle):
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("asked", [Asked(), Asked(text=True)])
def test_every_element_is_one_of_r4(ward: str, pack: Pack, tmp_path: Path, asked: Asked) -> None:
    """By the specification's own list: names, how many, types, required codes, and what a reference may point at."""
    _, bundles = exported(ward, pack, tmp_path / "out.ndjson", asked)
    for bundle in bundles:
        kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
        assert len(kinds) == len(bundle["entry"])
        assert all(entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}" for entry in bundle["entry"])
        check(bundle, "Bundle", "Bundle", kinds)


def check(element: Any, kind: str, path: str, kinds: dict[str, str]) -> None:
    """Asserts that the element is one of that type of R4."""
    if kind in PRIMITIVES:
        assert isinstance(element, str) and re.fullmatch(PRIMITIVES[kind], element), path
        assert element in R4["codes"].get(path, [element]), path
        return
    if kind in NUMBERS:
        assert NUMBERS[kind](element), path
        return
    if kind == "Resource":
        kind = path = element["resourceType"]
    if kind == "Reference" and "reference" in element:
        assert path == "Provenance.target" or R4["targets"][path] == "Any" or kinds[element["reference"]] in R4["targets"][path], path
        assert element["reference"] in kinds, path
    if path in R4["concepts"]:
        system, codes = R4["concepts"][path]
        assert all(coding["system"] == system and coding["code"] in codes for coding in element["coding"]), path
    check_fields(element, kind, path, kinds)


def check_fields(element: dict[str, Any], kind: str, path: str, kinds: dict[str, str]) -> None:
    fields = dict(R4["types"][kind]["fields"]) | {"id": "0..1 id", "extension": "0..* Extension"}
    if "resourceType" in element:
        fields |= {"meta": "0..1 Meta", "resourceType": "1..1 code"}
    assert element, f"{path}: empty"
    assert {name.removeprefix("_") for name in element} <= set(fields), path
    for name, told in fields.items():
        count, of = told.split(" ")
        # a primitive without a value says why in its extension
        value = element.get(name)
        assert value is not None or count[0] == "0" or f"_{name}" in element, f"{path}.{name} is required"
        if value is None:
            continue
        values = value if count.endswith("*") else [value]
        assert isinstance(value, list) == count.endswith("*") and values, f"{path}.{name}: how many"
        for one in values:
            check(one, of, f"{path}.{name}", kinds)


def test_what_becomes_of_each_finding(ward: str, pack: Pack, tmp_path: Path) -> None:
    """By assertion: refuted, unconfirmed, inactive, a relative's; what is only imagined is no Condition. Everything is counted."""
    written, bundles = exported(ward, pack, tmp_path / "out.ndjson")
    expected = RESOURCES | {"Observation": N_OBSERVATIONS, "DocumentReference": 1, "Device": 1, "Provenance": 1}
    assert Counter(r["resourceType"] for r in resources(bundles[0])) == expected
    assert written.resources == {kind: 6 * n for kind, n in expected.items()}
    counts = (written.n_findings, written.n_assertions, written.n_pairs, written.n_withheld)
    assert counts == tuple(6 * n for n in (N_FINDINGS, N_ASSERTIONS, N_PAIRS, N_WITHHELD))
    told = sum(RESOURCES.values()) + N_OBSERVATIONS
    assert told + N_ASSERTIONS + N_PAIRS + N_WITHHELD == N_FINDINGS
    status = {evidence(c).get("assertion"): codes(c) for c in resources(bundles[0], "Condition")}
    assert status == {
        "affirmed": ("confirmed", "active"),
        "negated": ("refuted", None),
        "uncertain": ("unconfirmed", None),
        "historical": ("confirmed", "inactive"),
        None: (None, None),
    }
    (family,) = resources(bundles[0], "FamilyMemberHistory")
    assert evidence(family)["assertion"] == "family" and family["relationship"]["coding"][0]["code"] == "FAMMEMB"
    meant = {o["component"][0]["valueCodeableConcept"]["text"]: o["code"]["text"] for o in resources(bundles[0], "Observation") if "component" in o}
    assert meant == {"hypothetical": "mentions/PROBLEM", "negated": "adverse_effects/ADVERSE_EFFECT"}


def codes(condition: dict[str, Any]) -> tuple[str | None, str | None]:
    verified, clinical = (condition.get(name) for name in ("verificationStatus", "clinicalStatus"))
    return verified and verified["coding"][0]["code"], clinical and clinical["coding"][0]["code"]


def test_an_effect_points_at_its_drug(ward: str, pack: Pack, tmp_path: Path) -> None:
    """What a pair says is told in the AdverseEvent: the suspect is the statement about the drug."""
    _, bundles = exported(ward, pack, tmp_path / "out.ndjson")
    for bundle in bundles:
        (event,), (drug,) = resources(bundle, "AdverseEvent"), resources(bundle, "MedicationStatement")
        assert event["suspectEntity"] == [{"instance": {"reference": f"urn:uuid:{drug['id']}"}}]
        assert event["actuality"] == "actual" and drug["status"] == "unknown"


def test_what_a_human_should_look_at_is_tagged(ward: str, pack: Pack, tmp_path: Path) -> None:
    """A finding that is unsure, or whose assertion is, has a tag; no other has."""
    _, bundles = exported(ward, pack, tmp_path / "out.ndjson")
    tagged = [(r["resourceType"], evidence(r)["assertion"]) for r in resources(bundles[0]) if "meta" in r]
    assert tagged == [("Condition", "uncertain"), ("AdverseEvent", "affirmed")]


def test_no_word_of_the_document_is_told(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Without --with-text there are offsets, labels and normalised forms, and nothing of what stands at the offsets."""
    _, bundles = exported(ward, pack, tmp_path / "out.ndjson", Asked(also=frozenset(["identity"])))
    told = (tmp_path / "out.ndjson").read_text(encoding="utf-8")
    made = note(0)
    named = {made.text[f.start : f.end].strip() for f in made.findings if f.task in ("mentions", "adverse_effects", "doses", "identity")}
    assert len(named) == 12 and not [words for words in named if words in told] and CANARY not in told
    (problem,) = (c for c in resources(bundles[0], "Condition") if evidence(c)["start"] == made.text.index("high pressure"))
    assert problem["code"]["text"] == evidence(problem)["value"] == "hypertension"
    attachment = resources(bundles[0], "DocumentReference")[0]["content"][0]["attachment"]
    assert attachment["_data"]["extension"][0]["valueCode"] == "masked" and not {"data", "size", "hash"} & attachment.keys()


def test_identity_is_exported_when_it_is_asked_for(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Findings of a withheld task are there by name alone, as Observations."""
    for asked, n in ((Asked(), 0), (Asked(also=frozenset(["identity"])), 1)):
        written, bundles = exported(ward, pack, tmp_path / "out.ndjson", asked)
        assert [evidence(r)["task"] for r in resources(bundles[0], "Observation")].count("identity") == n
        assert written.n_withheld == 6 * (1 - n)


def test_with_text_the_words_are_told(ward: str, pack: Pack, tmp_path: Path) -> None:
    """The attachment holds the whole text, its size and its SHA-1; a code's text is what stands at the offsets, as FHIR's strings allow it."""
    _, bundles = exported(ward, pack, tmp_path / "out.ndjson", Asked(text=True))
    for i, bundle in enumerate(bundles):
        text = note(i).text
        attachment = resources(bundle, "DocumentReference")[0]["content"][0]["attachment"]
        raw = text.encode()
        assert base64.b64decode(attachment["data"]) == raw and attachment["size"] == len(raw)
        assert base64.b64decode(attachment["hash"]) == hashlib.sha1(raw).digest()
        words = {"Condition": "code", "MedicationStatement": "medicationCodeableConcept", "AdverseEvent": "event"}
        for resource in (r for r in resources(bundle) if r["resourceType"] in words):
            at = evidence(resource)
            assert resource[words[resource["resourceType"]]]["text"] == at["text"] == text[at["start"] : at["end"]].replace("\x0c", " ").strip()


def test_a_patient_is_named_by_their_identifier(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Where the metadata name one; else the element that must be there says that it is unknown, and the documents are counted."""
    written, bundles = exported(ward, pack, tmp_path / "out.ndjson")
    for i, bundle in enumerate(bundles):
        patient = metadata(i)["patient"]
        subject = {"type": "Patient", "identifier": {"system": "urn:oid:1.2.3.4", "value": patient}}
        absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
        assert {json.dumps(c["subject"]) for c in resources(bundle, "Condition")} == {json.dumps(subject if patient else absent)}
        assert resources(bundle, "DocumentReference")[0].get("subject") == (subject if patient else None)
    assert written.n_without_patient == 2
    days = [resources(b, "DocumentReference")[0]["content"][0]["attachment"].get("creation") for b in bundles[:3]]
    assert days == ["2024-05-17T08:30:00+02:00", "2024-05-17", None]


def test_references_and_odd_time_zones(store: Store, pack: Pack, tmp_path: Path) -> None:
    """A patient that came as a FHIR reference goes as one, and an offset that FHIR has not is told in UTC."""
    dates = {"2024-05-17T23:30:00+15:00": "2024-05-17T08:30:00+00:00", "2024-05-17T23:30:00-03:30": "2024-05-17T23:30:00-03:30"}
    dates |= {"2024-05-17T10:00:00+01:00:30": "2024-05-17T08:59:30+00:00", "0001-01-01T00:00:00+15:00": "0001-01-01"}
    more = [(f"n{i}", f"Note {i}.", (), {"patient": "Patient/12", "date": day}) for i, day in enumerate(dates)]
    fill(store, pack, tmp_path, 0, more=more)
    _, bundles = exported(url_of(store), pack, tmp_path / "out.ndjson")
    documents = [document for bundle in bundles for document in resources(bundle, "DocumentReference")]
    assert [d["content"][0]["attachment"]["creation"] for d in documents] == list(dates.values())
    assert all(d["subject"] == {"type": "Patient", "reference": "Patient/12"} for d in documents)


def test_the_same_store_gives_the_same_file(ward: str, pack: Pack, tmp_path: Path) -> None:
    """Ids are made of what they name: another export is the same, byte for byte."""
    exported(ward, pack, tmp_path / "a.ndjson")
    exported(ward, pack, tmp_path / "b.ndjson")
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()
    ids = [entry["fullUrl"] for line in (tmp_path / "a.ndjson").open(encoding="utf-8") for entry in json.loads(line)["entry"]]
    assert len(set(ids)) == len(ids) - 5  # the student is in each Bundle


def test_both_stores_give_the_same_resources(postgres_url: str, pack: Pack, tmp_path: Path) -> None:
    """SQLite and PostgreSQL differ in nothing but the times at which they were filled."""
    found = []
    for name, url in (("sqlite", f"sqlite:///{tmp_path / 's.db'}"), ("postgresql", postgres_url)):
        store = Store(url)
        fill(store, pack, tmp_path, 6)
        exported(url, pack, tmp_path / f"{name}.ndjson")
        store.close()
        found.append(re.sub(r'"(timestamp|date|recorded)":"[^"]+"', "", (tmp_path / f"{name}.ndjson").read_text(encoding="utf-8")))
    assert found[0] == found[1]


def test_odd_documents_are_valid_too(store_url: str, pack: Pack, tmp_path: Path) -> None:
    """No findings, blanks, a whole text as one mention, patients and dates that are none, numbers at the edge: each is a Bundle that is valid."""
    long = "x" * 5000
    odd: list[Odd] = [
        ("nothing found", "A text.", [], {"patient": "\x01 \x0c", "date": "of late"}),
        ("blank", "\x0c\x0c.", [Finding("mentions", "PROBLEM", 0.5, 0, 2)], {"patient": " a\x0cb ", "date": "2024-02-30"}),
        ("long", long, [Finding("mentions", "PROBLEM", 0.0, 0, 5000), Finding("mentions", "DRUG", 1.0, 7, 7)], {"patient": ["a"], "date": 7}),
        ("numbers", "1 2", [number(0, 1, 1e300), number(2, 3, -0.0, unit="\x02")], {"patient": True}),
        ("orphans", "a b", [Finding("assertion", "negated", 0.4, 0, 1), Finding("causes", "CAUSES", 1.0, 0, 1, "rule", other_start=2, other_end=3)], {}),
        ("emoji \U0001f600", "\U0001f600 \u2028 fever", [Finding("mentions", "PROBLEM", 0.5, 4, 9, value="\x07")], {"patient": 17}),
    ]
    store = Store(store_url)
    fill(store, pack, tmp_path, 0, more=odd)
    store.close()
    for asked in (Asked(), Asked(text=True)):
        written, bundles = exported(store_url, pack, tmp_path / "out.ndjson", asked)
        assert len(bundles) == len(odd) and written.n_findings == sum(len(found) for _, _, found, _ in odd)
        for bundle in bundles:
            get_fhir_model_class("Bundle").model_validate(bundle)
            check(bundle, "Bundle", "Bundle", {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]})
    by_key = {resources(b, "DocumentReference")[0].get("identifier", [{}])[0].get("value"): b for b in bundles}
    assert [r["resourceType"] for r in resources(by_key["nothing found"])] == ["DocumentReference", "Device"]
    assert {evidence(r)["task"] for r in resources(by_key["orphans"], "Observation")} == {"assertion", "causes"}
    assert resources(by_key["emoji \U0001f600"], "Condition")[0]["code"]["text"] == "fever"
    assert long not in json.dumps(by_key["long"])
    assert written.n_without_patient == 4


def number(start: int, end: int, value: float, unit: str | None = None) -> Finding:
    return Finding("doses", "DOSE", 1e-17, start, end, "rule", number=value, unit=unit)
