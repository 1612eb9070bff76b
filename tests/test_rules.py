"""Rules and sentences."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from pipelines.rules import MAX_RUN, Rules
from suites.discover import find_pack
from suites.errors import PackError

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
