"""Rules that are regular expressions: places in characters, groups, long texts, bounds, and findings that go on to the next."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import rule_regex
from pipelines.rule_regex import PIECE_CHARS, RegexRules, pieces
from pipelines.rule_walk import Budget, RuleBudget
from pipelines.rules import Rules
from suites.errors import PackError
from suites.types import Task

PARTS = Task(name="parts", kind="spans", answered_by="rule", extends="to_next", labels=["HISTORY", "PLAN"], question="Which parts has the note?")


def made(*expressions: str) -> RegexRules:
    rules = RegexRules()
    for i, expression in enumerate(expressions):
        rules.add(f"r{i}", {"label": f"t/L{i}", "regex": expression})
    rules.compile()
    return rules


@given(st.text("aé𝔘1-\n ", max_size=60))
def test_places_are_characters(text: str) -> None:
    """Whatever stands before a match, its place is counted in code points, as Python's own expressions give it."""
    assert list(made(r"\d(?:-\d)*").matches(text, Budget(100))) == [("t/L0", *m.span()) for m in re.finditer(r"\d(?:-\d)*", text)]


def test_a_group_is_what_is_found() -> None:
    """The first group that took part is found, without a group the whole match; an empty group is nothing."""
    rules = made(r"(?i)mrn:? (\d+)|chart (\d+)", r"p\. ?(\d*)")
    assert list(rules.matches("MRN 17, chart 18; p. ", Budget(9))) == [("t/L0", 4, 6), ("t/L0", 14, 16)]


def test_a_long_text_is_cut_between_lines_and_loses_nothing() -> None:
    """Pieces cover the text, end after a line or white space where there is one, and what is found is what is found in one piece."""
    text = "".join(f"line {i} has code {i:05}.\n" for i in range(4_000)) + "x" * 50_000 + " code 7"
    cut = list(pieces(text))
    assert [a for a, _ in cut[1:]] == [b for _, b in cut[:-1]]
    assert (cut[0][0], cut[-1][1]) == (0, len(text))
    assert all(0 < b - a <= PIECE_CHARS for a, b in cut)
    assert list(made(r"code \d+").matches(text, Budget(100_000))) == [("t/L0", *m.span()) for m in re.finditer(r"code \d+", text)]


@pytest.mark.parametrize("expression", [r"(a)\1", r"a(?=b)", "(", "a*", ""])
def test_an_expression_that_cannot_be_used_is_named(tmp_path: Path, expression: str) -> None:
    """What RE2 refuses, or what would match nothing at all, is an error with file, line, rule and reason."""
    (tmp_path / "rules.jsonl").write_text(json.dumps({"label": "t/L", "id": "bad", "regex": expression}) + "\n", encoding="utf-8")
    with pytest.raises(PackError, match=r"rules\.jsonl:1: rule 'bad' cannot be used: "):
        Rules(tmp_path)


def test_few_matches_that_take_long_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds too where each piece has few matches, each of which costs the whole piece."""
    monkeypatch.setattr(rule_regex, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(rule_regex, "MOST_SECONDS", 1.0)
    chosen = random.Random(1)
    text = "".join(chosen.choice("ab") + ("c" if i % 1000 == 999 else "") for i in range(200_000))
    rules = made(*[f"(?s)a.{{0,400}}b.{{0,400}}c(?:x{n})?" for n in range(8)])
    started = time.process_time()
    with pytest.raises(RuleBudget, match="was stopped"):
        list(rules.matches(text, Budget(10**9)))
    assert time.process_time() - started < 10


def test_expressions_too_large_together_are_matched_by_themselves() -> None:
    """Expressions that RE2 accepts alone, and has no room for in one automaton, are used all the same."""
    rules = made(*[rf"\pL{{1,200}}\pN{{1,200}}c(?:x{n})?" for n in range(8)])
    assert [found[1:] for found in rules.matches("see ab12c now", Budget(100))]


def test_expressions_that_look_ahead_again_and_again_are_stopped() -> None:
    """An expression that reads on to the end of the line from each of its matches is given up in bounded time, and the rule is named."""
    started = time.process_time()
    with pytest.raises(RuleBudget, match="rule 'r0' was stopped"):
        list(made(r"a(?:.*b)?").matches("a" * 1_000_000, Budget(1)))
    assert time.process_time() - started < 20


def test_a_finding_goes_on_to_the_next(tmp_path: Path) -> None:
    """With `extends` a heading's finding reaches to the next heading of its task, the last to the text's end."""
    lines = [
        {"label": "parts/HISTORY", "id": "history", "regex": r"(?im)^history:"},
        {"label": "parts/PLAN", "id": "plan", "regex": r"(?im)^plan:"},
    ]
    (tmp_path / "rules.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    text = "Intro.\nHistory: asthma.\nPlan: rest.\nNo history: here.\n"
    found = Rules(tmp_path, "en", [PARTS]).read(text).findings
    assert [(f.label, text[f.start : f.end]) for f in found] == [("HISTORY", "History: asthma.\n"), ("PLAN", "Plan: rest.\nNo history: here.\n")]
    assert Rules(tmp_path, "en", [PARTS]).read("No headings.").findings == []


@pytest.mark.parametrize("before", ["noted " * 4000, "noted\n" * 4000, "é" * 30_000])
def test_what_lies_across_a_cut_is_found_whole(before: str) -> None:
    """Wherever a piece ends, a match that lies across the cut is found once and whole; beginnings of lines, words and texts are the text's own."""
    rules = made(r"(?i)\bmr ann brown keller\b", r"(?m)^subject", r"\Asubject", r"^subject")
    for cut in range(PIECE_CHARS - 24, PIECE_CHARS + 3):
        text = before[:cut] + " Mr Ann Brown Keller was seen. subject"
        found = list(rules.matches(text, Budget(100_000)))
        assert found == [("t/L0", cut + 1, cut + 20)], cut
