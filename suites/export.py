"""What a pack says about clinical exports: which of its findings are which resource of FHIR, and which concept of OMOP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# what a finding may become; what is not mapped is an Observation, which says what was found in the document
Resource = Literal["Condition", "MedicationStatement", "AdverseEvent", "Observation"]
# the answers of an assertion task, by ConText's names
Assertion = Literal["affirmed", "negated", "uncertain", "historical", "hypothetical", "family"]
ASSERTIONS: tuple[Assertion, ...] = get_args(Assertion)

# a concept of OMOP's vocabularies; 0 says that none fits
Concept = Annotated[int, Field(ge=0)]
Url = Annotated[str, StringConstraints(pattern=r"^(https?://|urn:)[^\s]*[^\s/]$")]
MetaKey = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class _Part(BaseModel):
    """A part of the section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OmopPlan(_Part):
    """Concept ids for the OMOP tables; whatever is not stated is 0, "no matching concept".

    `concepts`: by "task/LABEL", what the term is. `sections`: by label of the sections task. The other three hold for
    all notes.
    """

    concepts: Mapping[str, Concept] = Field(default_factory=dict)
    sections: Mapping[str, Concept] = Field(default_factory=dict)
    note_type: Concept = 0
    note_class: Concept = 0
    language: Concept = 0


class ExportPlan(_Part):
    """The section `[export]` of a manifest. `fhir` maps "task/LABEL" onto a resource.

    `assertion` names the span-scoped task whose answers say how a finding of the same range is meant, `causes` the task
    of pairs that tie a drug to its effect, `sections` the task of a note's sections. `patient` and `date` are the keys
    of a document's metadata that hold them; `patient_system` is the URI of the patients' identifiers. `base` is where
    our extensions and code systems are named. Tasks in `withheld` are exported only when asked for by name.
    """

    fhir: Mapping[str, Resource] = Field(default_factory=dict)
    omop: OmopPlan = OmopPlan()
    assertion: str | None = None
    causes: str | None = None
    sections: str | None = None
    patient: MetaKey = "patient"
    date: MetaKey = "date"
    patient_system: Url | None = None
    # .invalid never resolves (RFC 2606): the names are ours, and nothing is to be fetched there
    base: Url = "https://stillhouse.invalid/fhir"
    withheld: tuple[str, ...] = ("identity",)

    def problems(self, labels: Mapping[str, Sequence[str]]) -> list[str]:
        """What the plan names and the pack has not, one sentence each; `labels` of each task by its name."""
        answers = [f"{task}/{label}" for task, found in labels.items() for label in found]
        named = {"export.fhir": self.fhir, "export.omop.concepts": self.omop.concepts}
        said = [f"{where} names no task and label of this pack: {key!r}" for where, keys in named.items() for key in keys if key not in answers]
        tasks = {"assertion": self.assertion, "causes": self.causes, "sections": self.sections}
        said += [f"export.{where} names no task: {task!r}" for where, task in tasks.items() if task is not None and task not in labels]
        if "withheld" in self.model_fields_set:  # the default holds for packs without such a task too
            said += [f"export.withheld names no task: {task!r}" for task in self.withheld if task not in labels]
        strange = sorted(set(labels.get(self.assertion or "", ())) - set(ASSERTIONS))
        if strange:
            said.append(f"export.assertion: {self.assertion!r} has labels that say nothing here: {strange}. Expected of {', '.join(ASSERTIONS)}")
        sections = labels.get(self.sections or "", ())
        return said + [f"export.omop.sections names no label of {self.sections!r}: {label!r}" for label in self.omop.sections if label not in sections]
