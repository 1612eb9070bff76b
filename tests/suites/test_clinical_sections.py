"""Which sections the clinical pack's rules find, in headings as notes, dictations and abstracts have them."""

from __future__ import annotations

import time

import pytest

from pipelines.rules import Rules
from suites.discover import find_pack
from suites.samples import read_samples

PACK = find_pack("clinical")
RULES = Rules(PACK.folder, PACK.manifest.language, PACK.manifest.task)


def sections(text: str) -> list[tuple[int, str, str]]:
    """Start, label and text of each section, in order."""
    return sorted((f.start, f.label, text[f.start : f.end]) for f in RULES.read(text).findings if f.task == "sections")


def labels(text: str) -> list[str]:
    return [label for _, label, _ in sections(text)]


HEADINGS = {
    "CHIEF_COMPLAINT": ["Chief complaint", "CC", "PC", "Reason for visit", "PRESENTING COMPLAINT", "Reason for consultation"],
    "HISTORY_OF_PRESENT_ILLNESS": ["History of Present Illness", "HPI", "HPC", "INTERVAL HISTORY", "Subjective", "History of presenting complaint"],
    "PAST_MEDICAL_HISTORY": ["Past Medical History", "PMH", "PMHx", "MEDICAL HISTORY", "Past psychiatric history", "Comorbidities"],
    "PAST_SURGICAL_HISTORY": ["Past Surgical History", "PSH", "PSHx", "Previous operations", "SURGICAL HISTORY"],
    "FAMILY_HISTORY": ["Family History", "FH", "FHx", "Fam hx", "FAMILY MEDICAL HISTORY", "Family psychiatric history"],
    "SOCIAL_HISTORY": ["Social History", "SHx", "SH", "Occupational history", "PERSONAL AND SOCIAL HISTORY"],
    "MEDICATIONS": ["Medications", "MEDS", "Current medications", "Home meds", "DH", "Drug history"],
    "ALLERGIES": ["Allergies", "ALLERGIES", "Drug allergies", "Allergy status"],
    "REVIEW_OF_SYSTEMS": ["Review of Systems", "ROS", "Systems review", "REVIEW OF SYMPTOMS"],
    "PHYSICAL_EXAM": ["Physical Examination", "PE", "O/E", "Exam", "Mental state examination", "MSE", "Objective findings"],
    "VITALS": ["Vital signs", "VITALS", "Obs", "VS", "Observations"],
    "LABS": ["Labs", "Laboratory data", "Bloods", "INVESTIGATIONS", "Test results"],
    "IMAGING": ["Imaging", "CXR", "CT head", "MRI", "Radiology", "Chest x-ray", "USS"],
    "PROCEDURE": ["Procedure", "OPERATION PERFORMED", "Description of procedure", "Technique", "Anaesthesia"],
    "FINDINGS": ["Findings", "OPERATIVE FINDINGS", "Microscopic description", "Gross description"],
    "HOSPITAL_COURSE": ["Hospital Course", "HOSPITAL COURSE BY PROBLEM", "ED course", "Course in hospital", "Summary of admission"],
    "ASSESSMENT_AND_PLAN": ["Assessment and Plan", "A/P", "Impression", "Imp", "PLAN", "A&P", "Recommendations", "Formulation"],
    "DISCHARGE": ["Discharge instructions", "DISCHARGE DIAGNOSES", "Discharge medications", "Disposition", "Follow-up", "TTOs", "Advice"],
    "INDICATION": ["Indication", "INDICATIONS FOR PROCEDURE", "Clinical details", "Clinical history", "Reason for exam"],
    "BACKGROUND": ["Background", "Introduction", "OBJECTIVES", "Aims", "Purpose"],
    "METHODS": ["Methods", "Patients and methods", "Materials and Methods", "Design", "PARTICIPANTS"],
    "RESULTS": ["Results", "MAIN RESULTS", "Measurements and main results"],
    "CONCLUSION": ["Conclusion", "Conclusions", "INTERPRETATION", "Authors' conclusions"],
    "DIAGNOSIS": ["Diagnosis", "PREOPERATIVE DIAGNOSIS", "Final diagnosis", "Problem list", "Dx"],
    "OTHER": ["cc", "Comment", "ESTIMATED BLOOD LOSS", "Complications", "Dictated by"],
}
ALL = [pytest.param(label, heading, id=f"{label}-{heading}") for label, headings in HEADINGS.items() for heading in headings]


@pytest.mark.parametrize(("label", "heading"), ALL)
def test_a_heading_is_known(label: str, heading: str) -> None:
    """A heading at a line's start, with a colon, opens its section, which goes on to the text's end."""
    text = f"Seen today in clinic.\n{heading}: nothing of note here"
    assert [(found, at) for at, found, _ in sections(text)] == [(label, text.index(heading))]
    assert sections(text)[0][2] == f"{heading}: nothing of note here"


LAYOUTS = {
    "a line each": ("HPI: cough for a week\nPMH: asthma\nFH: none", ["HISTORY_OF_PRESENT_ILLNESS", "PAST_MEDICAL_HISTORY", "FAMILY_HISTORY"]),
    "headings alone": ("Allergies\nPenicillin\n\nMedications\nAspirin\n", ["ALLERGIES", "MEDICATIONS"]),
    "a dictation's": (
        "CHIEF COMPLAINT: ,Cough.,MEDICATIONS: ,Aspirin.,FAMILY HISTORY: , Negative.,PLAN: ,Rest.",
        ["CHIEF_COMPLAINT", "MEDICATIONS", "FAMILY_HISTORY", "ASSESSMENT_AND_PLAN"],
    ),
    "capitals after two spaces": ("Seen today.  SOCIAL HISTORY: smoker.  VITAL SIGNS: stable.", ["SOCIAL_HISTORY", "VITALS"]),
    "after a sentence": ("The knee is stable. Impression: sprain. Plan: rest and ice.", ["ASSESSMENT_AND_PLAN", "ASSESSMENT_AND_PLAN"]),
    "abbreviations in a line": ("Wheezy. PMH: eczema. PSH: none. FHx: asthma.", ["PAST_MEDICAL_HISTORY", "PAST_SURGICAL_HISTORY", "FAMILY_HISTORY"]),
    "numbered": ("1. Findings: normal\n2) Impression: normal", ["FINDINGS", "ASSESSMENT_AND_PLAN"]),
    "bullets": ("- Allergies: none\n* Meds: none", ["ALLERGIES", "MEDICATIONS"]),
    "with a date": ("CT 12/10/2021: normal\nImp: well", ["IMAGING", "ASSESSMENT_AND_PLAN"]),
    "with brackets": ("Medications (on admission): aspirin", ["MEDICATIONS"]),
    "dashes": ("Allergies - none known\nPlan - home", ["ALLERGIES", "ASSESSMENT_AND_PLAN"]),
    "SOAP letters": (
        "S: better\nO: chest clear\nA: asthma\nP: inhaler",
        ["HISTORY_OF_PRESENT_ILLNESS", "PHYSICAL_EXAM", "ASSESSMENT_AND_PLAN", "ASSESSMENT_AND_PLAN"],
    ),
    "abstract": ("BACKGROUND: Why.\nMETHODS: How.\nRESULTS: What.\nCONCLUSIONS: So.", ["BACKGROUND", "METHODS", "RESULTS", "CONCLUSION"]),
    "abstract in one line": ("Background: Why. Methods: How. Results: What. Conclusion: So.", ["BACKGROUND", "METHODS", "RESULTS", "CONCLUSION"]),
    "abstract with full stops": ("INTRODUCTION. Why.\nRESULTS. What.", ["BACKGROUND", "RESULTS"]),
    "line ends of Windows": ("Allergies\r\nNone\r\nPlan:\r\nHome\r\n", ["ALLERGIES", "ASSESSMENT_AND_PLAN"]),
    "indented": ("   PMH: gout\n\tMeds: allopurinol", ["PAST_MEDICAL_HISTORY", "MEDICATIONS"]),
}


@pytest.mark.parametrize(("text", "wanted"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts(text: str, wanted: list[str]) -> None:
    """Headings are found in every layout, and each section ends where the next begins, the last one with the text."""
    found = sections(text)
    assert [label for _, label, _ in found] == wanted
    assert "".join(own for _, _, own in found) == text[found[0][0] :]


NONE = [
    "There is no family history of note.",
    "He takes his medications daily.",
    "We plan: to be agreed with her.",
    "Her history is long and her findings few.",
    "We discussed allergies and diet with him.",
    "No conclusion was reached by anyone.",
    "Results were good and methods sound.",
    "DISCHARGE SUMMARY",
    "CT ABDOMEN AND PELVIS",
    "DATE OF SURGERY: 05/23/2019",
    "The ratio was 3:1 in all of them.",
    "Seen at 10:30 by the doctor.",
]


@pytest.mark.parametrize("text", NONE)
def test_words_that_open_no_section(text: str) -> None:
    """The same words in a sentence, and a document's title, open no section."""
    assert labels(text) == []


def test_the_samples_headings_are_found() -> None:
    """Of the samples' sections 0.97 begin where a rule has one of the same label, and as many of the rules' where gold has one."""
    right = found = gold = 0
    for example in read_samples(PACK):
        held = {(f.label, f.start) for f in example.gold if f.task == "sections"}
        got = {(label, start) for start, label, _ in sections(example.document.text)}
        right, found, gold = right + len(held & got), found + len(got), gold + len(held)
    assert right / gold >= 0.97
    assert right / found >= 0.97


HOSTILE = {
    "headings": "PLAN: x\n" * 15_000,
    "headings in a line": ".,PLAN: " * 15_000,
    "colons": "a: " * 40_000,
    "line ends": "\n" * 100_000,
    "spaces": " " * 100_000,
    "long capitals": "ABCDEFGH " * 12_000,
    "bullets": "- * - " * 20_000,
    "half headings": "history of " * 10_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_are_read_in_bounded_time(text: str) -> None:
    """Texts of 100,000 characters made to be slow are read in seconds."""
    started = time.perf_counter()
    sections(text)
    assert time.perf_counter() - started < 10.0
