"""How much of what the samples say of drugs and their effects follows from their standing in one sentence."""

from __future__ import annotations

from pipelines.pairs import pairs
from pipelines.rules import Rules
from suites.discover import find_pack
from suites.samples import read_samples
from suites.types import Finding

PACK = find_pack("clinical")
CAUSES = PACK.tasks["causes"]
RULES = Rules(language=PACK.manifest.language)


def ranges(findings: list[Finding]) -> set[tuple[int, int, int, int]]:
    return {(f.start, f.end, f.other_start, f.other_end) for f in findings if f.task == "causes"}


def test_pairs_of_a_sentence_hold_all_causes_and_few_others() -> None:
    """Of gold drugs and effects, those of one sentence are all the samples' causes, and 0.78 of them or more are meant so."""
    right = made = gold = 0
    for example in read_samples(PACK):
        held = ranges(list(example.gold))
        got = ranges(pairs(CAUSES, example.gold, RULES.read(example.document.text).sentences))
        right, made, gold = right + len(held & got), made + len(got), gold + len(held)
    assert right == gold
    assert right / made >= 0.78


def test_a_cause_joins_a_drug_and_an_effect_that_are_there() -> None:
    """Both ranges of each gold cause are gold: the first a drug, the second an adverse effect."""
    for example in read_samples(PACK):
        drugs = {(f.start, f.end) for f in example.gold if (f.task, f.label) == ("mentions", "DRUG")}
        effects = {(f.start, f.end) for f in example.gold if f.task == "adverse_effects"}
        for start, end, other_start, other_end in ranges(list(example.gold)):
            assert (start, end) in drugs, example.document.id
            assert (other_start, other_end) in effects, example.document.id
