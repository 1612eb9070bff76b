"""The tutorial of docs/packs.md, run as it is written."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("manage.py", "settings.toml", "suites", "pipelines", "workers", "migrations", "docs/tutorial")
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """A section of docs/packs.md by its heading."""
    text = (ROOT / "docs" / "packs.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def blocks(title: str) -> list[tuple[str, str, str]]:
    """The fenced blocks of a section: language, what stands beside it, content."""
    return [(language, beside.strip(), content) for language, beside, content in BLOCK.findall(section(title))]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split("[┃│]", line)[1:-1]]


def rows(text: str) -> list[list[str]]:
    """The rows of a table as `query` prints it, its header first."""
    return [cells(line) for line in text.splitlines() if line.startswith(("┃", "│"))]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the tutorial needs of the repository, with a store and students of its own; `python` is the tests' own."""
    folder = tmp_path / "checkout"
    for part in PARTS:
        source = ROOT / part
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / part)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (tmp_path / "bin" / "python").chmod(0o755)
    return folder


def environment(checkout: Path) -> dict[str, str]:
    """What a newcomer's shell has: no setting of ours, and `.venv` first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STILLHOUSE_")}
    return kept | {"PATH": f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def typed(commands: str, checkout: Path) -> str:
    """What the commands say; each must end well."""
    done = subprocess.run(["sh", "-ec", commands], cwd=checkout, env=environment(checkout), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_tutorial_runs_as_written(checkout: Path) -> None:
    """Every command of the tutorial ends well, the words and rows it shows are those that come, and it takes far less than an hour."""
    began, said, undo, running = time.monotonic(), "", "", None
    try:
        for language, beside, content in blocks("A fourth pack in under an hour"):
            if language == "text":
                shows(content, said)
            elif beside == "undo":
                undo = content
            elif beside == "second terminal":
                # it leads a process group of its own and hears Ctrl-C, as a terminal's command does
                signal.signal(signal.SIGINT, signal.default_int_handler)
                running = subprocess.Popen(["sh", "-ec", f"exec {content}"], cwd=checkout, env=environment(checkout), start_new_session=True)
            else:
                said = typed(content, checkout)
                assert running is None or running.poll() is None, "what runs in the second terminal has ended"
    finally:
        if running is not None:
            running.send_signal(signal.SIGINT)
            assert running.wait(60) in (0, 130)
    typed(undo, checkout)
    assert not (checkout / "suites/housing").exists()
    assert "(no rows)" in typed("python manage.py query 'SELECT document FROM housing_results'", checkout)
    assert rows(said)[0] == ["topic", "letters", "least_sure"]
    assert sum(int(row[1]) for row in rows(said)[1:]) == 12
    assert time.monotonic() - began < 15 * 60


def shows(written: str, said: str) -> None:
    """Asserts that a command said what the tutorial shows: words as they stand; of a table names and documents, and most answers, but no scores."""
    if not rows(written):
        missing = [line for line in written.splitlines() if line not in said]
        assert not missing, said
        return
    names, *expected = rows(written)
    shown, *found = rows(said)
    assert shown == names
    assert [row[0] for row in found] == [row[0] for row in expected]
    topic = names.index("topic")
    assert {row[topic] for row in found} <= {"moving", "neighbours", "rent", "repairs"}
    # processors differ in the last digits, and what is near one half may turn over: two thirds must agree
    assert sum(a[topic] == b[topic] for a, b in zip(found, expected, strict=True)) >= 8


def test_the_tutorial_has_its_steps() -> None:
    """The blocks are found: a section renamed or a fence changed would run nothing and pass."""
    text = " ".join(content for language, _, content in blocks("A fourth pack in under an hour") if language == "sh")
    verbs = re.findall(r"manage\.py (\S+)", text)
    assert verbs == ["new-pack", "new-pack", "check", "finetune", "evaluate", "release", "migrate", "up", "submit", "query", "query", "purge"]


def test_what_the_tutorial_reads_is_there() -> None:
    """The letters have no empty field, no letter stands twice, and none of the new ones is a sample."""
    import csv

    with (ROOT / "docs/tutorial/tickets.csv").open(encoding="utf-8", newline="") as file:
        tickets = list(csv.DictReader(file))
    with (ROOT / "docs/tutorial/inbox.csv").open(encoding="utf-8", newline="") as file:
        inbox = list(csv.DictReader(file))
    assert all(all(row.values()) for row in [*tickets, *inbox])
    texts = [row["message"] for row in tickets] + [row["text"] for row in inbox]
    assert len(texts) == len(set(texts)) == 144 + 12
