"""Findings as resources of FHIR R4. docs/clinical-export.md says why each is what it is; `chart.resource_of` says which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from suites.discover import Pack
from suites.export import ExportPlan
from workers.export.chart import Entry
from workers.export.parts import TERMS, Json, absent, coded, extension, filled, said, to
from workers.export.stored import Found

# a longer range is a section or a passage, and the document holds it
MENTION_CHARS = 1000

# hl7.org/fhir/R4/codesystem-condition-ver-status.html and codesystem-condition-clinical.html. Of two codes that fit the one that claims less:
# unconfirmed holds provisional and differential, inactive holds remission and resolved
_VERIFIED = {"affirmed": "confirmed", "negated": "refuted", "uncertain": "unconfirmed", "historical": "confirmed"}
_CLINICAL = {"affirmed": "active", "historical": "inactive"}
# hl7.org/fhir/R4/codesystem-medication-statement-status.html: that a drug is named does not say whether it is taken
_TAKEN = {"negated": "not-taken", "historical": "completed", "hypothetical": "intended"}
# hl7.org/fhir/R4/codesystem-adverse-event-actuality.html
_POTENTIAL = ("uncertain", "hypothetical")


class FindingMaker:
    """Makes the resources of a pack's findings."""

    def __init__(self, pack: Pack, plan: ExportPlan) -> None:
        self._base, self._codes = plan.base, f"{plan.base}/CodeSystem/{pack.name}"
        self._named = {task.name for task in pack.manifest.task if task.kind == "spans" and task.answered_by in ("student", "rule")}
        self._makers: dict[str, Callable[..., Json]] = {
            "Condition": self._condition,
            "MedicationStatement": self._medication_statement,
            "AdverseEvent": self._adverse_event,
            "FamilyMemberHistory": self._family_member_history,
            "Observation": self._observation,
        }

    def resource(self, entry: Entry, resource_id: str, *, document: str, patient: Json | None, device: str, causes: Sequence[Json], text: str | None) -> Json:
        """The finding's resource. `patient` is a reference, `causes` are those to drugs, `text` is the document's where it may be told."""
        mention = self._mention(entry.found, text)
        common = {
            "resourceType": entry.becomes,
            "id": resource_id,
            "meta": {"tag": [{"system": f"{self._base}/CodeSystem/review", "code": "unsure"}]} if entry.unsure else None,
            "extension": [self._evidence(entry, mention)],
        }
        code = self._code(entry.found, mention or said(entry.found.value or "") or entry.found.label)
        own = self._makers[entry.becomes](entry, code, document=document, patient=patient, device=device, causes=causes)
        return filled({**common, **own})

    def _condition(self, entry: Entry, code: Json, *, document: str, patient: Json | None, **_: Any) -> Json:
        verified, clinical = _VERIFIED.get(entry.meant or ""), _CLINICAL.get(entry.meant or "")
        return {
            "clinicalStatus": None if clinical is None else coded(f"{TERMS}/condition-clinical", clinical),
            "verificationStatus": None if verified is None else coded(f"{TERMS}/condition-ver-status", verified),
            "code": code,
            "subject": patient or absent("unknown"),
            "evidence": [{"detail": [to(document)]}],
        }

    def _medication_statement(self, entry: Entry, code: Json, *, document: str, patient: Json | None, **_: Any) -> Json:
        return {
            "status": _TAKEN.get(entry.meant or "", "unknown"),
            "medicationCodeableConcept": code,
            "subject": patient or absent("unknown"),
            "derivedFrom": [to(document)],
        }

    def _adverse_event(self, entry: Entry, code: Json, *, document: str, patient: Json | None, causes: Sequence[Json], **_: Any) -> Json:
        return {
            "actuality": "potential" if entry.meant in _POTENTIAL else "actual",
            "event": code,
            "subject": patient or absent("unknown"),
            "suspectEntity": [{"instance": drug} for drug in causes],
            "referenceDocument": [to(document)],
        }

    def _family_member_history(self, entry: Entry, code: Json, *, patient: Json | None, **_: Any) -> Json:
        # partial: more may be known of the family than this text tells; which relative it is nobody asked
        return {
            "status": "partial",
            "patient": patient or absent("unknown"),
            "relationship": coded(f"{TERMS}/v3-RoleCode", "FAMMEMB", "family member"),
            "condition": [{"code": code}],
        }

    def _observation(self, entry: Entry, code: Json, *, document: str, patient: Json | None, device: str, **_: Any) -> Json:
        """What was found in the document, which is its focus: it need not hold of the patient."""
        meant = None if entry.meant is None else {"code": self._own("assertion"), "valueCodeableConcept": self._own(entry.meant)}
        return {
            "status": "preliminary",  # unverified: nobody has looked (hl7.org/fhir/R4/codesystem-observation-status.html)
            "code": self._code(entry.found, f"{entry.found.task}/{entry.found.label}"),
            "subject": patient,
            "focus": [to(document)],
            "device": to(device),
            "derivedFrom": [to(document)],
            "component": [] if meant is None else [meant],
            **_value(entry.found),
        }

    def _code(self, found: Found, words: str) -> Json:
        return {"coding": [{"system": self._codes, "code": f"{found.task}/{found.label}"}], "text": words}

    def _own(self, code: str) -> Json:
        return coded(f"{self._base}/CodeSystem/assertion", code) | {"text": code}

    def _evidence(self, entry: Entry, mention: str | None) -> Json:
        """Where the finding stands and how sure it is: the extension `finding` of docs/clinical-export.md."""
        found, meant = entry.found, entry.assertion
        return extension(
            f"{self._base}/StructureDefinition/finding",
            (
                ("task", "Code", found.task),
                ("label", "Code", found.label),
                ("start", "UnsignedInt", found.start),
                ("end", "UnsignedInt", found.end),
                ("otherStart", "UnsignedInt", found.other_start if found.is_pair else None),
                ("otherEnd", "UnsignedInt", found.other_end if found.is_pair else None),
                ("page", "PositiveInt", found.page),
                ("score", "Decimal", found.score),
                ("source", "Code", found.source),
                ("value", "String", said(found.value or "")),
                ("section", "Code", entry.section),
                ("assertion", "Code", None if meant is None else meant.label),
                ("assertionScore", "Decimal", None if meant is None else meant.score),
                ("text", "String", mention),
            ),
        )

    def _mention(self, found: Found, text: str | None) -> str | None:
        """The finding's own words, where they may be told."""
        if text is None or found.task not in self._named or found.end - found.start > MENTION_CHARS:
            return None
        return said(text[found.start : found.end])


def _value(found: Found) -> Json:
    if found.number is not None:
        unit = said(found.unit or "")
        return {"valueQuantity": {"value": found.number} | ({} if unit is None else {"unit": unit})}
    return {"valueString": said(found.value or "")}
