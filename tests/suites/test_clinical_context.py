"""What the clinical pack's cues say: each kind, direction, stop and pseudo cue on sentences, and how well they tell alone."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.rules import Rules
from suites.discover import find_pack
from suites.samples import read_samples

PACK = find_pack("clinical")
RULES = Rules(PACK.folder, PACK.manifest.language)
CUES = [json.loads(line) for line in (PACK.folder / "context.jsonl").read_text(encoding="utf-8").splitlines()]
NEGEX = Path(__file__).parents[3] / "shared" / "data" / "clinical" / "negex_context"


def said(text: str, start: int, end: int) -> set[str]:
    """The labels that cues say of a range."""
    return {s.label for s in RULES.read(text).said if s.task == "assertion" and s.start < end and start < s.end}


def marked(sentence: str) -> set[str]:
    """The labels that cues say of what stands in square brackets."""
    before, inside, after = sentence.replace("]", "[").split("[")
    return said(before + inside + after, len(before), len(before) + len(inside))


SENTENCES = {
    # negated, forward
    "No [fever] today.": {"negated"},
    "He denies [chest pain].": {"negated"},
    "She denies any nausea, vomiting or [diarrhoea].": {"negated"},
    "There is no evidence of [pneumonia].": {"negated"},
    "Lungs clear without [wheeze].": {"negated"},
    "Negative for [malignancy].": {"negated"},
    "She has never had [seizures].": {"negated"},
    "He did not report [dizziness].": {"negated"},
    "The scan failed to show [metastases].": {"negated"},
    "Free of [tumour].": {"negated"},
    "MRI rules out [stroke].": {"negated"},
    "Avoid [ibuprofen].": {"negated"},
    "He is not taking [warfarin].": {"negated"},
    "Hold off, patient declined [chemotherapy].": {"negated"},
    # negated, backward
    "[Pneumothorax] was ruled out.": {"negated"},
    "[Stenosis] has been excluded by ultrasound.": {"negated"},
    "[Helicobacter] tests came back negative.": {"negated"},
    "[Lymph nodes] were not palpable.": {"negated"},
    "[Clonus] absent.": {"negated"},
    "[Penicillin] is contraindicated.": {"negated"},
    "[Cough] has resolved.": {"negated"},
    # uncertain
    "Possible [pneumonia] on the left.": {"uncertain"},
    "Findings are suspicious for [carcinoma].": {"uncertain"},
    "Cannot exclude [appendicitis].": {"uncertain"},
    "Consistent with [gout].": {"uncertain"},
    "Rule out [myocardial infarction].": {"uncertain"},
    "This may represent [sarcoidosis].": {"uncertain"},
    "The differential includes [lymphoma].": {"uncertain"},
    "[Fracture] cannot be excluded.": {"uncertain"},
    "[Malignancy] is unlikely.": {"uncertain"},
    "[Recurrence] is suspected.": {"uncertain"},
    "[Vasculitis] remains in the differential.": {"uncertain"},
    "[Sepsis] likely.": {"uncertain"},
    # historical
    "History of [hypertension].": {"historical"},
    "He has a past medical history of [asthma].": {"historical"},
    "Status post [appendectomy].": {"historical"},
    "H/o [stroke].": {"historical"},
    "Previous [myocardial infarction].": {"historical"},
    "She had [measles] in childhood.": {"historical"},
    "[Pneumonia] two years ago.": {"historical"},
    "[Breast cancer] in 2009.": {"historical"},
    "Allergic to [penicillin].": {"historical"},
    "She could not tolerate [metformin].": {"historical"},
    "[Gabapentin] was stopped for swelling.": {"historical"},
    "He was previously on [lithium].": {"historical"},
    # hypothetical
    "Return if [fever] develops.": {"hypothetical"},
    "Call us for [bleeding].": {"hypothetical"},
    "Should [chest pain] recur, ring 999.": {"hypothetical"},
    "Heparin to prevent [thrombosis].": {"hypothetical"},
    "She is at high risk of [falls].": {"hypothetical"},
    "In case of [seizure] give midazolam.": {"hypothetical"},
    "Watch for [jaundice].": {"hypothetical"},
    "If pain, take [paracetamol].": {"hypothetical"},
    "We would consider [rituximab].": {"hypothetical"},
    "[Morphine] may be given if needed.": {"hypothetical"},
    # family
    "Mother had [diabetes].": {"family"},
    "Family history of [colon cancer].": {"family"},
    "Her brother died of [leukaemia].": {"family"},
    "His maternal aunt has [lupus].": {"family"},
    "[Glaucoma] in his father.": {"family"},
    "FHx: [stroke].": {"family"},
    # stops
    "No fever but [cough].": set(),
    "Denies pain, however [nausea] persists.": set(),
    "No chest pain; [dyspnoea] on stairs.": set(),
    "History of asthma, now presents with [wheeze].": set(),
    "Mother had diabetes; the patient has [gout].": set(),
    "Without fever, although [rigors] were seen.": set(),
    "No swelling except for [bruising].": set(),
    # pseudo cues
    "No increase in [effusion].": set(),
    "Gram negative [sepsis].": set(),
    "The operation went without difficulty for [hernia].": set(),
    "History of present illness: [cough].": set(),
    "A two-day history of [vomiting].": set(),
    "A 60-year-old man with [angina].": set(),
    "According to her mother she has [fever].": set(),
    "He lives with his brother and has [cough].": set(),
    "As soon as possible treat [pain].": set(),
    "In no apparent distress with [rash].": set(),
    "CT without contrast shows [haemorrhage].": set(),
    "Allergic rhinitis and [asthma].": set(),
    # nothing said
    "The patient has [pneumonia].": set(),
    "[Aspirin] was given.": set(),
    "Swelling of the ankle due to [fracture].": set(),
    # a sentence is as far as a cue reaches
    "No fever. [Cough] for a week.": set(),
    "Father had a stroke. [Headache] today.": set(),
    # more than one may be said
    "No family history of [breast cancer].": {"negated", "family"},
    "No history of [asthma].": {"negated"},
}


@pytest.mark.parametrize(("sentence", "labels"), SENTENCES.items(), ids=SENTENCES.keys())
def test_what_is_said_of_a_word(sentence: str, labels: set[str]) -> None:
    """Cues say of what stands in brackets just these labels."""
    assert marked(sentence) == labels


@pytest.mark.parametrize("label", ["negated", "uncertain", "historical", "hypothetical", "family"])
def test_every_kind_of_cue_is_there(label: str) -> None:
    """Each label has cues that reach forward, backward and both ways, and words that stop them."""
    directions = Counter(cue["direction"] for cue in CUES if cue["label"] == f"assertion/{label}")
    assert directions["forward"] >= 20
    assert directions["backward"] >= 20
    assert directions["both"] >= 2
    assert directions["stop"] >= 5


def test_the_lexicon_is_of_a_piece() -> None:
    """There are 250 cues or more, no phrase stands twice, and stops and pseudo cues of all labels are among them."""
    phrases = Counter(cue["pattern"].lower() for cue in CUES if isinstance(cue["pattern"], str))
    assert len(CUES) >= 250
    assert set(phrases.values()) == {1}
    assert {cue["direction"] for cue in CUES if cue["label"] == "assertion"} == {"stop", "none"}


# of several labels said of one range the first of these holds: how a person reads "no family history of", "if not excluded"
ORDER = ("family", "hypothetical", "negated", "uncertain", "historical")


def test_cues_alone_tell_much_of_the_samples_assertions() -> None:
    """Without a student, cues give the right assertion to 0.8 of the samples' problems and drugs, and find negation with F1 of 0.9."""
    pairs = Counter[tuple[str, str]]()
    for example in read_samples(PACK):
        spoken = RULES.read(example.document.text).said
        for gold in (f for f in example.gold if f.task == "assertion"):
            labels = {s.label for s in spoken if s.start < gold.end and gold.start < s.end}
            pairs[gold.label, next((label for label in ORDER if label in labels), "affirmed")] += 1
    assert sum(n for (gold, got), n in pairs.items() if gold == got) / pairs.total() >= 0.8
    right = pairs["negated", "negated"]
    wrong = sum(n for (gold, got), n in pairs.items() if (gold == "negated") != (got == "negated"))
    assert 2 * right / (2 * right + wrong) >= 0.9


def concepts(split: str) -> Iterator[tuple[str, int, int, bool]]:
    """Sentence, range of the concept and whether it is negated; the set writes concepts in capitals, which would give them away."""
    with gzip.open(NEGEX / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            (span,) = row["spans"]
            text, start, end = row["text"], span["start"], span["end"]
            yield text[:start] + text[start:end].lower() + text[end:], start, end, row["label"] == "negated"


@pytest.mark.skipif(not NEGEX.exists(), reason="needs the NegEx test kit")
def test_cues_alone_find_negation_in_the_negex_kit() -> None:
    """On the dev split of the NegEx kit cues alone find negation with F1 of 0.93 or more."""
    counts = Counter((negated, "negated" in said(text, start, end)) for text, start, end, negated in concepts("dev"))
    assert 2 * counts[True, True] / (2 * counts[True, True] + counts[True, False] + counts[False, True]) >= 0.93


@pytest.mark.parametrize("text", ["no " * 40_000, "no history of " * 10_000, "mother " * 20_000, "but " * 30_000, "; " * 50_000, "if possible " * 12_000])
def test_cues_without_end_are_read_in_bounded_time(text: str) -> None:
    """Texts made of cues alone are read in seconds."""
    started = time.perf_counter()
    RULES.read(text)
    assert time.perf_counter() - started < 10.0
