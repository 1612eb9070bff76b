"""`suggest` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from suites.discover import Pack
from suites.samples import read_samples
from suites.types import Document
from workers.settings import Settings

from .conftest import manage, manage_json


def test_the_verb_writes_samples_to_correct(home: Settings, toy_pack: Pack, tmp_path: Path) -> None:
    """`suggest --out` gives documents that are not samples yet, with findings in the samples' own form; a file that is there is not overwritten."""
    known = [e.document for e in read_samples(toy_pack)][:5]
    new = [Document(f"new-{i}", f"The {word} near the zoo was lovely under QRX{i}23.") for i, word in enumerate(["storm", "horse", "snow", "dog"])]
    path, out = tmp_path / "pool.jsonl", tmp_path / "to_label.jsonl"
    path.write_text("".join(json.dumps({"id": d.id, "text": d.text}) + "\n" for d in [*known, *new, new[0]]), encoding="utf-8")
    lines = manage_json("suggest", "toy", str(path), "-n", "3", "--out", str(out), home=home)
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == [row["id"] for row in written]
    assert {row["id"] for row in written} <= {d.id for d in new}
    assert {f["task"] for row in written for f in row["findings"]} <= {t.name for t in toy_pack.annotated_tasks}
    assert "exists already" in manage("suggest", "toy", str(path), "--out", str(out), home=home, check=False).stderr
    assert "Did you mean 'topic'?" in manage("suggest", "toy", str(path), "--task", "topics", home=home, check=False).stderr
    named = manage_json("suggest", "toy", str(path), "-n", "2", "--task", "mood", home=home)
    assert {line["task"] for line in named} == {"mood"}
