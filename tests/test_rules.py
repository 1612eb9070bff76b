"""Rules and sentences."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.rule_matcher import RuleMatcher
from pipelines.rules import MAX_RUN, Rules, light_spacy
from suites.discover import find_pack
from suites.errors import PackError
from suites.samples import read_samples

with light_spacy():
    import spacy

TEXT = "Pay $4,500.00 to GB82 WEST 1234 5698 7654 32 or card 4111 1111 1111 1111, call +44 7700 900123. Then wait."
RUNS = {"long link": "https://a.example/" + "x" * 400, "brackets": "(" * 600, "no space": "a" * (MAX_RUN * 3 + 7)}


@pytest.fixture(scope="module")
def rules() -> Rules:
    pack = find_pack("finance")
    return Rules(pack.folder, pack.manifest.language)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_long_run_changes_no_other_finding(rules: Rules, run: str) -> None:
    """A run without spaces before or after a text leaves the text's findings as they are."""
    _, alone = rules.read(TEXT)
    assert {f.label for f in alone} == {"AMOUNT", "IBAN", "CARD", "PHONE"}
    _, after = rules.read(f"{TEXT} {run}")
    assert [f for f in after if f.end <= len(TEXT)] == alone
    _, before = rules.read(f"{run} {TEXT}")
    shift = len(run) + 1
    assert [(f.label, f.start - shift, f.end - shift) for f in before if f.start >= shift] == [(f.label, f.start, f.end) for f in alone]


@pytest.mark.parametrize("space", [" " * 300, "\n" * 300, "\t\n " * 200])
def test_long_white_space_changes_no_finding(rules: Rules, space: str) -> None:
    """White space of any length between two texts leaves the findings of both."""
    _, found = rules.read(TEXT + space + TEXT)
    assert len(found) == 2 * len(rules.read(TEXT)[1])


def test_hostile_runs_are_read_in_bounded_time(rules: Rules) -> None:
    """Fifty thousand brackets take under five seconds, not minutes."""
    started = time.perf_counter()
    rules.read("(" * 50_000)
    assert time.perf_counter() - started < 5.0


def test_sentences_cover_all_but_white_space(rules: Rules) -> None:
    """The sentences lie in order, do not overlap, have no outer space and leave out white space alone."""
    text = "Subject: hello\n\nFirst one. Second one!\n- item\n\n  last  "
    ranges, _ = rules.read(text)
    assert [text[a:b] for a, b in ranges] == ["Subject: hello", "First one.", "Second one!", "- item", "last"]


BAD_PATTERNS = {
    "bad expression": [{"TEXT": {"REGEX": "(unclosed"}}],
    "no such attribute": [{"COLOUR": "red"}],
    "empty": [],
    "no list": 7,
}


@pytest.mark.parametrize("pattern", BAD_PATTERNS.values(), ids=BAD_PATTERNS.keys())
def test_an_unusable_pattern_is_told(tmp_path: Path, pattern: object) -> None:
    """A pattern that spaCy or its expression refuses is a PackError that names the file, when the rules are loaded and by `check`."""
    (tmp_path / "rules.jsonl").write_text(json.dumps({"label": "things/A", "id": "a", "pattern": pattern}) + "\n", encoding="utf-8")
    with pytest.raises(PackError, match=r"rules\.jsonl: a pattern cannot be used"):
        Rules(tmp_path)


def test_check_compiles_the_rules(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` names a pack whose patterns are JSON and yet cannot be compiled."""
    from workers.cli import main

    shutil.copytree(toy_folder / "toy", tmp_path / "packs" / "toy")
    with (tmp_path / "packs" / "toy" / "rules.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"label": "codes/CODE", "id": "bad", "pattern": [{"TEXT": {"REGEX": "(unclosed"}}]}) + "\n")
    (tmp_path / "settings.toml").write_text(f'[packs]\nfolders = ["{tmp_path / "packs"}"]\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    assert main(["check", "toy"]) == 1
    assert "a pattern cannot be used (error)" in capsys.readouterr().err


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
]
WORDS = st.lists(st.sampled_from(["Pay", "pay", "12", "4", "EUR", "usd", "now", ".", ",", "zwölf", "7"]), max_size=14).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4), min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4))
def test_what_is_not_tried_would_not_match(patterns: list[list[dict[str, Any]]], texts: list[str]) -> None:
    """Whatever the patterns, with any operators, the matches are those of spaCy's span ruler, which tries all of them on every text."""
    assume(not any(all(token.get("OP") in ("?", "*", "!", "{0,2}") for token in pattern) for pattern in patterns))
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
    rules = [json.loads(line) for line in (folder / "rules.jsonl").read_text(encoding="utf-8").splitlines()]
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
    monkeypatch.setattr("pipelines.rule_matcher.KEPT", 5)
    nlp = spacy.blank("en")
    matcher = RuleMatcher(nlp, [{"label": "a/b", "pattern": [{"LOWER": "pay"}, {"LIKE_NUM": True}]}])
    for i in range(30):
        assert list(matcher(nlp(f"word{i} other{i} pay {i}"))) == [("a/b", 2, 4)]
    assert len(matcher._bits) < 20
