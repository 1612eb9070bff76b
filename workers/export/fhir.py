"""FHIR R4 (4.0.1): a Bundle a document, with the document, the student that read it, and what was found."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from suites.discover import Pack
from suites.export import ExportPlan
from workers.export.chart import Chart, Entry
from workers.export.findings import FindingMaker
from workers.export.metadata import day_of, patient_of
from workers.export.parts import TERMS, Json, absent, coded, filled, identifier, instant, to, uid, uid_within
from workers.export.stored import Found, Stored

# a relative reference as DocumentReferences have them (hl7.org/fhir/R4/datatypes.html#id), and the farthest offset of a dateTime
_REFERENCE = re.compile(r"Patient/[A-Za-z0-9.-]{1,64}")
MOST_OFFSET = timedelta(hours=14)


class BundleMaker:
    """Makes the Bundles of a pack's documents."""

    def __init__(self, pack: Pack, plan: ExportPlan) -> None:
        self._pack, self._plan = pack, plan
        self._findings = FindingMaker(pack, plan)

    def bundle(self, stored: Stored, chart: Chart) -> Json:
        """The Bundle of one document; a collection, whose entries refer to each other."""
        document = UUID(uid("document", stored.pack, stored.key, stored.digest))
        patient = self._patient(stored)
        device = uid("student", stored.student_id)
        ids = {entry.found.id: _finding_id(document, stored, entry.found) for entry in chart.entries}
        found = [self._resource(entry, ids, stored, str(document), patient, device) for entry in chart.entries]
        resources = [self._document(stored, str(document), patient), self._device(stored, device), *found]
        if found:  # a Provenance has a target
            resources.append(_provenance(uid_within(document, "provenance", stored.student_id), stored, str(document), device, ids.values()))
        return {
            "resourceType": "Bundle",
            "id": uid_within(document, "bundle", stored.student_id),
            "type": "collection",
            "timestamp": instant(stored.read_at),
            "entry": [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources],
        }

    def _resource(self, entry: Entry, ids: dict[int, str], stored: Stored, document: str, patient: Json | None, device: str) -> Json:
        causes = [to(ids[drug.id]) for drug in entry.causes]
        return self._findings.resource(entry, ids[entry.found.id], document=document, patient=patient, device=device, causes=causes, text=stored.text)

    def _patient(self, stored: Stored) -> Json | None:
        """A reference by the patient's own identifier: we have no Patient resource to point at. What came as a reference goes as one."""
        who = patient_of(stored, self._plan)
        if who is not None and _REFERENCE.fullmatch(who):
            return {"type": "Patient", "reference": who}
        found = None if who is None else identifier(self._plan.patient_system, who)
        return None if found is None else {"type": "Patient", "identifier": found}

    def _document(self, stored: Stored, document_id: str, patient: Json | None) -> Json:
        known = identifier(f"{self._plan.base}/document", stored.key)
        return filled(
            {
                "resourceType": "DocumentReference",
                "id": document_id,
                "identifier": [] if known is None else [known],
                "status": "current",
                "subject": patient,
                "date": instant(stored.received_at),
                "content": [{"attachment": self._attachment(stored)}],
            }
        )

    def _attachment(self, stored: Stored) -> Json:
        """The text, where it was asked for; else why it is not there."""
        day, time = day_of(stored, self._plan)
        created = None if day is None else day.isoformat()
        if time is not None and time.tzinfo is not None:  # a dateTime with a time has a time zone
            created = _moment(time) or created
        kind = {"contentType": "text/plain; charset=utf-8", "language": self._pack.manifest.language, "creation": created}
        if stored.text is None:
            # masked: for reasons of privacy; unknown: it was to be told, and could not be opened
            return filled({**kind, "_data": absent("masked" if stored.unopened is None else "unknown")})
        raw = stored.text.encode()
        # the hash is SHA-1 by the specification (hl7.org/fhir/R4/datatypes.html#attachment): it finds damage, it proves nothing
        digest = hashlib.sha1(raw, usedforsecurity=False).digest()
        data = {"data": _base64(raw)} if raw else {"_data": absent("unknown")}
        return filled({**kind, **data, "size": len(raw), "hash": _base64(digest)})

    def _device(self, stored: Stored, device_id: str) -> Json:
        return {
            "resourceType": "Device",
            "id": device_id,
            "identifier": [{"system": f"{self._plan.base}/student", "value": stored.student_id}],
            "deviceName": [{"name": f"Stillhouse, pack {stored.pack}", "type": "model-name"}],
            "type": {"text": "software that reads texts"},
            "version": [{"value": stored.student_id}],
        }


def _moment(time: datetime) -> str | None:
    """A dateTime; in UTC where the offset is none that FHIR allows. None where it would be out of the calendar."""
    offset = time.utcoffset() or timedelta()
    if abs(offset) > MOST_OFFSET or offset % timedelta(minutes=1):
        try:
            time = time.astimezone(UTC)
        except OverflowError:
            return None
    return time.isoformat(timespec="seconds")


def _finding_id(document: UUID, stored: Stored, found: Found) -> str:
    second = (found.other_start, found.other_end) if found.is_pair else ()
    return uid_within(document, stored.student_id, found.task, found.label, found.start, found.end, *second)


def _provenance(provenance_id: str, stored: Stored, document: str, device: str, targets: Iterable[str]) -> Json:
    # assembler: a device that extracts from what exists (hl7.org/fhir/R4/codesystem-provenance-agent-type.html)
    agent = {"type": coded(f"{TERMS}/provenance-participant-type", "assembler", "Assembler"), "who": to(device)}
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [to(target) for target in targets],
        "recorded": instant(stored.read_at),
        "agent": [agent],
        "entity": [{"role": "source", "what": to(document)}],
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
