"""Rules and sentences."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.predict import make_predictor
from pipelines.rule_matcher import RuleMatcher
from pipelines.rule_walk import RuleBudget
from pipelines.rules import MAX_RUN, Rules, light_spacy
from pipelines.student import Student
from suites.discover import Pack, find_pack
from suites.errors import PackError
from suites.samples import read_samples
from suites.types import Document, Finding

with light_spacy():
    import spacy

TEXT = "Pay $4,500.00 to GB82 WEST 1234 5698 7654 32 or card 4111 1111 1111 1111, call +44 7700 900123. Then wait."
RUNS = {"long link": "https://a.example/" + "x" * 400, "brackets": "(" * 600, "no space": "a" * (MAX_RUN * 3 + 7)}


@pytest.fixture(scope="module")
def rules() -> Rules:
    pack = find_pack("finance")
    return Rules(pack.folder, pack.manifest.language)


def identifiers(rules: Rules, text: str) -> list[Finding]:
    """The rules' findings of one task; the pack's other rules find reasons in the same words."""
    return [f for f in rules.read(text).findings if f.task == "identifiers"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_long_run_changes_no_other_finding(rules: Rules, run: str) -> None:
    """A run without spaces before or after a text leaves the text's findings as they are."""
    alone = identifiers(rules, TEXT)
    assert {f.label for f in alone} == {"AMOUNT", "IBAN", "CARD", "PHONE"}
    after = identifiers(rules, f"{TEXT} {run}")
    assert [f for f in after if f.end <= len(TEXT)] == alone
    before = identifiers(rules, f"{run} {TEXT}")
    shift = len(run) + 1
    assert [(f.label, f.start - shift, f.end - shift) for f in before if f.start >= shift] == [(f.label, f.start, f.end) for f in alone]


@pytest.mark.parametrize("space", [" " * 300, "\n" * 300, "\t\n " * 200])
def test_long_white_space_changes_no_finding(rules: Rules, space: str) -> None:
    """White space of any length between two texts leaves the findings of both."""
    found = identifiers(rules, TEXT + space + TEXT)
    assert len(found) == 2 * len(identifiers(rules, TEXT))


MARKS = "\u0301\u0316"  # to be sorted: above and below
HOSTILE = {
    "brackets": "(" * 50_000,
    "colons": "a:" * 25_000,
    "schemes": "http://" * 15_000,
    **{f"{sign} alone": sign * 20_000 for sign in "$#[*'\")"},
    "runs just short": " ".join(["(" * (MAX_RUN - 1)] * 1_000),
    "runs apart by U+00A0": "\u00a0".join(["(" * (MAX_RUN - 1)] * 500),
    "runs apart by U+2028": "\u2028".join(["(" * (MAX_RUN - 1)] * 500),
    "runs apart by U+200B": "\u200b".join(["(" * (MAX_RUN - 1)] * 500),
    "mixed runs": " ".join("".join("(a:/.$'\"-1)"[(i * i + 7 * j) % 11] for i in range(MAX_RUN - 1)) for j in range(300)),
    "marks": "a" + MARKS * 100_000,
    "line ends": "\n" * 100_000,
    "sentences": "A. " * 100_000,
    "emoji": "\U0001f600" * 50_000,
    "emoji families": "\U0001f468\u200d\U0001f469 " * 20_000,
    "words of one letter": "a " * 200_000,
    "new words": " ".join(f"w{i}" for i in range(20_000)),
    "many findings": "€5 " * 100_000,
    "overlapping matches": "GB82 " * 50_000,
    "one long match": "EUR 1" + " 000" * 50_000,
    "look-alikes": "р\u200bаураl " * 20_000,
    "look-alikes line by line": "раураl\n" * 20_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_are_read_in_bounded_time(rules: Rules, text: str) -> None:
    """Each takes under ten seconds, most of them a tenth of one; where a step of the way is quadratic in the text, it takes many times that."""
    started = time.process_time()
    rules.read(text)
    assert time.process_time() - started < 10.0


def test_of_many_overlapping_findings_the_longest_stay(rules: Rules) -> None:
    """Findings of one task never overlap, and one that is dropped lies over a kept one that is no shorter."""
    found = identifiers(rules, TEXT + " GB82 1234" * 30)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert max(f.end - f.start for f in found) == len("GB82 1234 GB82 1234 GB82 12")


def test_sentences_cover_all_but_white_space(rules: Rules) -> None:
    """The sentences lie in order, do not overlap, have no outer space and leave out white space alone."""
    text = "Subject: hello\n\nFirst one. Second one!\n- item\n\n  last  "
    ranges = rules.read(text).sentences
    assert [text[a:b] for a, b in ranges] == ["Subject: hello", "First one.", "Second one!", "- item", "last"]


BAD_PATTERNS = {
    "no such attribute": ([{"COLOUR": "red"}], "COLOUR"),
    "empty": ([], "a list of tokens"),
    "no list": (7, "a list of tokens"),
    "extension": ([{"_": {"mine": {"REGEX": "a"}}}], "extension"),
    "bad expression": ([{"TEXT": {"REGEX": "(unclosed"}}], r"RE2.*missing \)"),
    "look-ahead": ([{"TEXT": {"REGEX": "(?=a)b"}}], "RE2.*neither look-around nor back references"),
    "back reference": ([{"LOWER": {"REGEX": r"(a)\1"}}], "RE2.*neither look-around nor back references"),
    "look-behind among several": ([{"LOWER": "pay"}, {"TEXT": {"REGEX": {"NOT_IN": ["a", "(?<=a)b"]}}}], "RE2"),
    "look-ahead in a fuzzy word": ([{"TEXT": {"FUZZY": {"REGEX": "(?!a)b"}}}], "RE2"),
    "fuzzy expression": ([{"TEXT": {"REGEX": {"FUZZY": "a"}}}], "REGEX takes an expression"),
    "expression too large": ([{"TEXT": {"REGEX": "((a{100}){100}){100}"}}], "RE2"),
    "no operator": ([{"LOWER": "a", "OP": "often"}], "OP 'often' is none of"),
    "least above most": ([{"LOWER": "a", "OP": "{3,2}"}], r"OP '\{3,2\}' is none of"),
    "too many repeats": ([{"LOWER": "a", "OP": "{1000000000}"}], "repeats more than 200"),
    "too many tokens": ([{"LOWER": "a", "OP": "{150}"}, {"LOWER": "b", "OP": "{,150}"}], "more than 200 tokens"),
}


@pytest.mark.parametrize(("pattern", "reason"), BAD_PATTERNS.values(), ids=BAD_PATTERNS.keys())
def test_an_unusable_pattern_is_told(tmp_path: Path, pattern: object, reason: str) -> None:
    """A pattern that spaCy or RE2 refuses is a PackError that names file, line, rule, reason and remedy."""
    good = json.dumps({"label": "things/A", "id": "good", "pattern": [{"LOWER": "a"}]})
    write_rules(tmp_path, good, "", json.dumps({"label": "things/A", "id": "bad", "pattern": pattern}))
    with pytest.raises(PackError, match=rf"rules\.jsonl:3: rule 'bad' cannot be used: .*{reason}.*docs/packs\.md"):
        Rules(tmp_path)


@pytest.mark.parametrize("line", ["{", "7", '{"label": "things/A", "id": "a"}'], ids=["no JSON", "no object", "no pattern"])
def test_a_line_that_is_no_rule_is_told(tmp_path: Path, line: str) -> None:
    """A line that is no rule is a PackError that names file and line."""
    write_rules(tmp_path, line)
    with pytest.raises(PackError, match=r"rules\.jsonl:1: "):
        Rules(tmp_path)


def write_rules(folder: Path, *lines: str) -> None:
    (folder / "rules.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_check_compiles_the_rules(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` names a pack whose patterns are JSON and yet cannot be compiled."""
    from workers.cli import main

    shutil.copytree(toy_folder / "toy", tmp_path / "packs" / "toy")
    with (tmp_path / "packs" / "toy" / "rules.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"label": "codes/CODE", "id": "bad", "pattern": [{"TEXT": {"REGEX": "(unclosed"}}]}) + "\n")
    (tmp_path / "settings.toml").write_text(f'[packs]\nfolders = ["{tmp_path / "packs"}"]\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    assert main(["check", "toy"]) == 1
    assert "rule 'bad' cannot be used: RE2" in capsys.readouterr().err


TOKENS = [
    {"LOWER": "pay"},
    {"TEXT": {"REGEX": r"^\d+$"}},
    {"TEXT": {"REGEX": r"^\d+$"}, "OP": "?"},
    {"LIKE_NUM": True, "OP": "+"},
    {"LIKE_NUM": True, "OP": "{2,3}"},
    {"LOWER": {"IN": ["eur", "usd"]}, "OP": "!"},
    {"IS_PUNCT": True, "OP": "*"},
    {"IS_ALPHA": True, "OP": "{0,2}"},
    {},
    {"IS_SENT_START": True},
    {"SHAPE": "dd"},
    {"TEXT": {"REGEX": "^[A-Z]"}},
    {"LOWER": {"REGEX": {"IN": ["^p", "w$"]}}, "OP": "{,2}"},
    {"TEXT": {"REGEX": {"NOT_IN": ["a", r"\d"]}}},
    {"ORTH": {"REGEX": "o", "NOT_IN": ["now"]}, "OP": "{1,}"},
    {"TEXT": {"REGEX": "a|o", "FUZZY": "pai"}},
    {"LOWER": {"FUZZY1": {"IN": ["noww", "uds"]}}, "OP": "*"},
    {"NORM": "pay"},
    {"SPACY": False, "TEXT": {"REGEX": "^.$"}},
    {"LENGTH": {">=": 3}, "OP": "{2}"},
]
WORDS = st.lists(st.sampled_from(["Pay", "pay", "12", "4", "EUR", "usd", "now", ".", ",", "zwölf", "7"]), max_size=14).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4), min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4))
def test_what_is_not_tried_would_not_match(patterns: list[list[dict[str, Any]]], texts: list[str]) -> None:
    """Whatever the patterns, with any operators, the matches are those of spaCy's span ruler, which tries all of them on every text."""
    assume(not any(all(token.get("OP") in ("?", "*", "!", "{0,2}", "{,2}") for token in pattern) for pattern in patterns))
    rules = [{"label": f"a/{i}", "pattern": pattern} for i, pattern in enumerate(patterns)] + [{"label": "a/phrase", "pattern": "now 12"}]
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    ruler: Any = nlp.add_pipe("span_ruler", config={"spans_key": "rules"})
    ruler.add_patterns(rules)
    matcher = RuleMatcher(nlp, rules)
    for text in texts:
        doc = nlp(text)
        assert set(matcher(doc)) == {(span.label_, span.start, span.end) for span in doc.spans["rules"]}, (text, rules)


@pytest.mark.parametrize("pack_name", ["clinical", "finance", "environment"])
def test_the_packs_rules_find_what_the_span_ruler_finds(pack_name: str) -> None:
    """On all samples of all packs a pack's rules match just where spaCy's span ruler does."""
    folder = find_pack(pack_name).folder
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("span_ruler", config={"spans_key": "rules"})
    rules = [rule for line in (folder / "rules.jsonl").read_text(encoding="utf-8").splitlines() if "pattern" in (rule := json.loads(line))]
    ruler.add_patterns(rules)
    matcher = RuleMatcher(nlp, rules)
    found = 0
    for name in ("clinical", "finance", "environment"):
        for example in read_samples(find_pack(name)):
            doc = nlp(example.document.text)
            found += len(doc.spans["rules"])
            assert set(matcher(doc)) == {(span.label_, span.start, span.end) for span in doc.spans["rules"]}
    assert found > 50


def test_the_words_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that meets ever new words forgets the old ones, and finds the same."""
    monkeypatch.setattr("pipelines.rule_words.KEPT", 5)
    nlp = spacy.blank("en")
    matcher = RuleMatcher(nlp, [{"label": "a/b", "pattern": [{"LOWER": "pay"}, {"LIKE_NUM": True}]}])
    for i in range(30):
        assert list(matcher(nlp(f"word{i} other{i} pay {i}"))) == [("a/b", 2, 4)]
    assert len(matcher._words._known) < 20


def matches(pattern: list[dict[str, Any]], text: str) -> list[tuple[int, int]]:
    """The ranges of words that one rule matches."""
    nlp = spacy.blank("en")
    return [(start, end) for _, start, end in RuleMatcher(nlp, [{"label": "a/b", "id": "c", "pattern": pattern}])(nlp(text))]


def test_an_expression_takes_time_linear_in_the_word() -> None:
    """An expression on which a backtracking engine doubles its time with each letter is answered at once."""
    word = "a" * (MAX_RUN - 2)
    started = time.process_time()
    assert matches([{"TEXT": {"REGEX": "^(a+)+$"}}], f"{word}! {word}") == [(0, 1), (2, 3)]
    assert matches([{"LOWER": {"REGEX": {"IN": ["^(a+)+$", "^(a|a)*b$"]}}, "IS_ASCII": True}], f"{word}c {word}b") == [(1, 2)]
    assert time.process_time() - started < 5.0


def test_repeats_after_repeats_take_no_more_time() -> None:
    """Six tokens that all may repeat match each range of words once, where the ways to read them are billions."""
    found = matches([{"IS_ALPHA": True, "OP": "*"}] * 6, "so many words " * 20)
    assert len(found) == 60 * 61 // 2


@pytest.mark.parametrize("pattern", [[{"OP": "+"}], [{"IS_ALPHA": True, "OP": "*"}] * 3, [{}, {"OP": "*"}, {"LOWER": "never"}], [{"OP": "{1,200}"}]])
def test_a_rule_over_its_budget_is_stopped(pattern: list[dict[str, Any]]) -> None:
    """A rule that matches everything is stopped in bounded time, by an error that names it and no word of the text."""
    started = time.process_time()
    with pytest.raises(RuleBudget, match="rule 'c' was stopped: on 20001 words") as caught:
        matches(pattern, "secret " * 20_000 + "never")
    assert "secret" not in str(caught.value)
    assert time.process_time() - started < 10.0


def test_a_document_over_the_budget_fails_and_no_other(toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path) -> None:
    """A document on which a rule is stopped is a failure of stage rules, code rule_budget; its neighbour is read."""
    write_rules(tmp_path, json.dumps({"label": "codes/CODE", "id": "all", "pattern": [{"OP": "+"}]}))
    predictor = make_predictor(Pack(toy_pack.manifest, tmp_path), toy_student[1])
    long, short = predictor.predict([Document("long", "storm " * 2_000), Document("short", "A storm near the zoo.")])
    assert (long.stage, long.code, long.findings) == ("rules", "rule_budget", ())
    assert "'all'" in long.reason and "storm" not in long.reason
    assert not short.failed and [f for f in short.findings if f.task == "codes"]


# of each what is meant, how it is written, and the label found
DISGUISED = {
    "look-alike letters": ("EUR 4,500", "ЕUR 4,500", "AMOUNT"),
    "full-width letters": ("EUR 4,500", "ＥＵＲ ４，５００", "AMOUNT"),
    "bold letters": ("EUR 4,500", "\U0001d404\U0001d414\U0001d411 4,500", "AMOUNT"),
    "invisible characters": ("GB82 WEST 1234 5698 7654 32", "GB\u200b82 WE\u00adST 12\u206034 56\ufeff98 7\U000e00416\u200d54 3\ufe0f2", "IBAN"),
    "no-break spaces": ("4111 1111 1111 1111", "4111\u00a01111\u202f1111\u00a01111", "CARD"),
    "digits of another script": ("4111 1111 1111 1111", "٤١١١ 1111 1111 ١١١١", "CARD"),
    "a bidi override": ("https://pay.example/a", "https://pay\u202e.example/a", "LINK"),
}


@pytest.mark.parametrize(("plain", "written", "label"), DISGUISED.values(), ids=DISGUISED.keys())
def test_rules_see_through_a_disguise(rules: Rules, plain: str, written: str, label: str) -> None:
    """What a rule finds in a plain text it finds in a disguised one, with the place in the text as it was written."""
    before = "Café notes, one line up.\nPay now: "
    assert [(f.label, f.start, f.end) for f in identifiers(rules, f"{before}{plain} today.")] == [(label, len(before), len(before) + len(plain))]
    assert [(f.label, f.start, f.end) for f in identifiers(rules, f"{before}{written} today.")] == [(label, len(before), len(before) + len(written))]


def test_a_disguise_elsewhere_changes_no_finding(rules: Rules) -> None:
    """What both the text and its skeleton hold is found once, where it stands."""
    alone = rules.read(TEXT).findings
    found = rules.read(f"{TEXT} рауpal\u200b").findings
    assert found == alone


LOADED = """
import sys
import pipelines.rules
lazy = {"re2", "regex", "confusable_homoglyphs", "spacy"}
print(sorted(lazy & sys.modules.keys()))
from suites.discover import find_pack
rules = pipelines.rules.Rules(find_pack("finance").folder)
rules.read("Pay EUR 40 today.")
rules.read("Le café coûte 40 € – déjà «payé» à l’hôtel…")
print(sorted(lazy & sys.modules.keys()))
rules.read("pаy")
print(sorted(lazy & sys.modules.keys()))
"""


def test_libraries_are_loaded_when_they_are_needed() -> None:
    """Importing the rules loads no library of theirs, and ASCII and European texts need none of those for other scripts."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['re2', 'spacy']", "['confusable_homoglyphs', 're2', 'regex', 'spacy']"]


def test_words_of_long_ago_are_forgotten(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that meets new words for ever does not grow, and finds what it found before; rules edited meanwhile change nothing in it."""
    monkeypatch.setattr("pipelines.rules.MAX_WORDS", 3_000)
    rules = Rules(toy_folder / "toy")
    first = rules.read("The kettle stands under QRX123.")
    for i in range(40):
        rules.read(" ".join(f"word{i}x{n}" for n in range(200)))
        assert len(rules._nlp.vocab) < 4_000
    assert rules.read("The kettle stands under QRX123.") == first
    assert first.findings
