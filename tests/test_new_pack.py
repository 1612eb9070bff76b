"""`new-pack`: from data a pack that keeps the contract at once, or an error and nothing on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.examples import read_examples
from suites.check import CARD_HEADINGS, check_pack
from suites.discover import find_pack
from suites.samples import SPLITS, read_samples, split_of
from suites.types import Finding
from workers.cli import main

New = Callable[..., dict[str, Any]]


@pytest.fixture
def new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> New:
    """Runs new-pack with --json for a pack `own` in a folder of its own; gives the answer, and its words as `words`."""

    def run(*arguments: str, expected: int = 0) -> dict[str, Any]:
        code = main(["new-pack", "own", "--folder", str(tmp_path / "packs"), *arguments, "--json"])
        out, words = capsys.readouterr()
        assert code == expected, words
        return json.loads(out) | {"words": words}

    return run


def rows(n: int, **more: Callable[[int], object]) -> list[dict[str, object]]:
    """So many rows of different texts with the fields given by number."""
    return [{"text": f"Parcel {i} came to the {'front' if i % 3 else 'back'} door."} | {name: of(i) for name, of in more.items()} for i in range(n)]


def put(path: Path, found: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


def two(i: int) -> str:
    return "good" if i % 3 else "bad"


def kept(tmp_path: Path) -> Any:
    """The pack that was made; it keeps the contract."""
    pack = find_pack("own", [tmp_path / "packs"])
    assert check_pack(pack) == []
    return pack


def test_a_pack_from_rows_keeps_the_contract(new: New, tmp_path: Path) -> None:
    """From labelled rows alone: tasks guessed, shown and written, all splits filled, every label and heading there, and nothing is wrong."""
    answer = new("--from", str(put(tmp_path / "a.jsonl", rows(60, label=two))))
    pack = kept(tmp_path)
    assert 'that is: --task "label:choice:document:bad,good"' in answer["words"]
    assert [(t.name, t.kind, t.labels) for t in pack.manifest.task] == [("label", "choice", ("bad", "good"))]
    assert [(c.name, c.show) for c in pack.manifest.column] == [("label", "label"), ("label_score", "score")]
    examples = read_samples(pack)
    assert len(examples) == answer["data"]["samples"] == 60
    assert all(Counter(split_of(e.document.id) for e in examples)[split] >= 8 for split in SPLITS)
    card = (pack.folder / "card.md").read_text(encoding="utf-8")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(CARD_HEADINGS)
    assert "60 documents of `a.jsonl`" in card and "| label | bad | 20 |" in card and "TODO" not in card
    assert sorted(p.name for p in (tmp_path / "packs").iterdir()) == ["own"]


def test_every_kind_of_task_at_once(new: New, tmp_path: Path) -> None:
    """Tasks of every kind and scope stand in the manifest as they were asked, and the samples answer them."""
    data = rows(
        40,
        topic=two,
        flags=lambda i: ["late"] if i % 2 else ["late", "wet"],
        parts=lambda i: [{"start": 0, "end": 6, "label": "THING", "state": two(i)}, {"start": 7, "end": 8 + (i > 9), "label": "NUMBER", "state": two(i + 1)}],
        tone=two,
    )
    tasks = ["topic:choice:document:good,bad", "flags:tags", "parts:spans:THING,NUMBER", "state:choice:span(parts):good,bad", "tone:choice:sentence:good,bad"]
    new("--from", str(put(tmp_path / "a.jsonl", data)), *(part for task in tasks for part in ("--task", task)))
    pack = kept(tmp_path)
    assert {(t.name, t.kind, t.scope, t.labels) for t in pack.manifest.task} == {
        *(
            ("topic", "choice", "document", ("good", "bad")),
            ("flags", "tags", "document", ("late", "wet")),
            ("parts", "spans", "document", ("THING", "NUMBER")),
        ),
        *(("state", "choice", "span", ("good", "bad")), ("tone", "choice", "sentence", ("good", "bad"))),
    }
    (first,) = [e for e in read_samples(pack) if e.document.text.startswith("Parcel 1 ")]
    assert {(f.task, f.label, f.start, f.end) for f in first.gold} == {
        *(("topic", "good", 0, 32), ("flags", "late", 0, 32), ("tone", "good", 0, 32)),
        *(("parts", "THING", 0, 6), ("parts", "NUMBER", 7, 8), ("state", "good", 0, 6), ("state", "good", 7, 8)),
    }


def test_bad_rows_are_told_and_counted(new: New, tmp_path: Path) -> None:
    """Each bad row is named with its line and remedy, at most 20 on the screen and all in --json; good ones become samples; nothing is quoted."""
    path = put(tmp_path / "a.jsonl", rows(30, label=two))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"text": "Zanzibar", "label"\n' * 25 + json.dumps({"text": "Parcel 1 came to the front door.", "label": "bad"}) + "\n")
    answer = new("--from", str(path))
    assert (answer["data"]["samples"], answer["data"]["n_faults"], len(answer["data"]["faults"])) == (30, 26, 26)
    assert "a.jsonl:31: Not valid JSON at column" in answer["words"]
    assert "... and 6 more rows" in answer["words"] and answer["words"].count("  - a.jsonl:") == 20
    assert answer["data"]["faults"][-1].startswith("a.jsonl:56: The text stands in an earlier row with other labels.")
    assert "Zanzibar" not in json.dumps(answer)


def test_many_rows_leave_a_rest_that_teaches(new: New, tmp_path: Path) -> None:
    """Of many rows a bounded number becomes samples, labels even; the rest is written as a [[data]] source that finetune reads, no row twice."""

    def spans(i: int) -> list[list[object]]:
        return [[0, 6, "THING"]] if i % 2 else []

    data = rows(400, label=lambda i: "rare" if i % 20 == 0 else "common", spans=spans, flags=lambda i: ["late"] if i % 4 else [])
    path = put(tmp_path / "a.jsonl", data)
    tasks = ("--task", "label:choice", "--task", "entities:spans", "--field", "entities=spans", "--task", "flags:tags")
    told = new("--from", str(path), *tasks, "--samples", "50", "--dry-run")["words"]
    assert "350 more are usable and no samples" in told and "--rest FOLDER" in told and "--samples 400" in told
    answer = new("--from", str(path), *tasks, "--samples", "50", "--rest", str(tmp_path / "rest"))
    pack = kept(tmp_path)
    samples = read_samples(pack)
    assert Counter(f.label for e in samples for f in e.gold if f.task == "label") >= Counter({"rare": 15, "common": 15})
    others = [e for split in SPLITS for e in read_examples(pack, split, data_root=tmp_path / "rest", sources=["own"])]
    assert len(others) == sum(answer["data"]["rest"].values()) == 350
    assert {e.document.text for e in samples}.isdisjoint(e.document.text for e in others)
    expected = {row["text"]: row for row in data}
    for example in others:
        row = expected[example.document.text]
        whole = len(example.document.text)
        wanted = {Finding("label", str(row["label"]), 1.0, 0, whole)}
        wanted |= {Finding("entities", "THING", 1.0, 0, 6)} if row["spans"] else set()
        wanted |= {Finding("flags", "late", 1.0, 0, whole)} if row["flags"] else set()
        assert set(example.gold) == wanted


def test_the_same_command_makes_the_same_pack(new: New, tmp_path: Path) -> None:
    """The same data, options and seed give the same files; another seed draws others."""
    path = put(tmp_path / "a.jsonl", rows(90, label=two))
    made = []
    for number, seed in enumerate("112"):
        new("--from", str(path), "--samples", "30", "--seed", seed)
        folder = (tmp_path / "packs" / "own").rename(tmp_path / f"own{number}")
        made.append([(folder / name).read_bytes() for name in ("pack.toml", "samples.jsonl")])
    assert made[0] == made[1] and made[0][1] != made[2][1]


def test_ids_are_kept_or_made_anew(new: New, tmp_path: Path) -> None:
    """The data's ids are kept, so no document changes its split; ids that leave a split empty are an error with the way out."""
    ids = [f"r{i}" for i in range(400) if split_of(f"r{i}") != "dev"][:40]
    path = put(tmp_path / "a.jsonl", rows(40, label=two, id=lambda i: ids[i]))
    answer = new("--from", str(path), expected=1)
    assert answer["error"]["code"] == "empty_split" and "none would lie in dev" in answer["error"]["message"]
    assert not (tmp_path / "packs").exists()
    new("--from", str(path), "--no-ids")
    assert {e.document.id for e in read_samples(kept(tmp_path))}.isdisjoint(ids)
    (tmp_path / "packs").rename(tmp_path / "before")
    path = put(tmp_path / "b.jsonl", rows(40, label=two, id=lambda i: f"r{i}"))
    new("--from", str(path))
    assert {e.document.id for e in read_samples(kept(tmp_path))} == {f"r{i}" for i in range(40)}


REFUSED: dict[str, tuple[int, list[str], int, str]] = {
    "too few": (19, [], 1, "19 documents can be used, 0 cannot; a pack has 20 or more. Label more."),
    "none": (0, [], 1, "no row can be used, of 0."),
    "a label that no row has": (30, ["--task", "label:choice:good,bad,odd"], 1, "labels that no usable document has: label/odd. Take them out of --task"),
    "too few samples": (30, ["--samples", "5"], 1, "--samples 5: a pack has 20 or more."),
    "a field that is not there": (30, ["--task", "topic:choice", "--field", "topic=labl"], 2, "the data has no field 'labl'. It has: label."),
    "spans that are not there": (30, ["--task", "parts:spans:A"], 2, "no group of spans of the data is plainly meant. It has: none."),
    "a label column that is not there": (30, ["--label-column", "team"], 2, "--label-column 'team': no row has it. Fields: label."),
    "no encoding": (30, ["--encoding", "latin-99"], 2, "--encoding 'latin-99' is no encoding of text."),
    "no language": (30, ["--language", "english"], 2, "expected a language's two small letters"),
}


@pytest.mark.parametrize(("n", "arguments", "code", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_what_makes_no_pack_is_refused_and_leaves_nothing(new: New, tmp_path: Path, n: int, arguments: list[str], code: int, expected: str) -> None:
    """Data that cannot fill a pack, or options that do not fit it, are an error with the remedy, and no folder is there."""
    path = put(tmp_path / "a.jsonl", rows(n, label=two))
    answer = new("--from", str(path), *arguments, expected=code)
    assert expected in answer["error"]["message"]
    assert not (tmp_path / "packs").exists()


def test_several_columns_are_asked_about(new: New, tmp_path: Path) -> None:
    """Nothing is guessed between two columns: the error writes out what may be given."""
    answer = new("--from", str(put(tmp_path / "a.jsonl", rows(30, team=two, state=two))), expected=2)
    assert "team, state" in answer["error"]["message"] and "--task team:choice:document" in answer["error"]["message"]
    new("--from", str(tmp_path / "a.jsonl"), "--label-column", "state")
    assert [task.name for task in kept(tmp_path).manifest.task] == ["state"]


def test_a_dry_run_writes_nothing(new: New, tmp_path: Path) -> None:
    """--dry-run tells all that a run would, and makes neither the pack nor the folder it would lie in."""
    path = put(tmp_path / "a.jsonl", rows(30, label=two))
    answer = new("--from", str(path), "--dry-run", "--rest", str(tmp_path / "rest"), "--samples", "20")
    assert answer["data"]["samples"] == 20 and "nothing was written" in answer["words"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl"]
    new("--dry-run")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl"]


def test_nothing_is_overwritten(new: New, tmp_path: Path) -> None:
    """A folder that is there, of the pack or of the rest, is left as it is; how to undo is said when it is made."""
    path = put(tmp_path / "a.jsonl", rows(30, label=two))
    folder = tmp_path / "packs" / "own"
    assert f"To undo: remove {folder}." in new("--from", str(path))["words"]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert f"{folder} exists already" in new("--from", str(path), expected=2)["error"]["message"]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    folder.rename(tmp_path / "gone")
    (tmp_path / "rest" / "own").mkdir(parents=True)
    assert f"{tmp_path / 'rest' / 'own'} exists already" in new("--from", str(path), "--rest", str(tmp_path / "rest"), expected=2)["error"]["message"]
    assert not folder.exists()


def test_names_that_views_and_manifests_refuse_are_avoided(new: New, tmp_path: Path) -> None:
    """A task called as a column that every view has, or by a long name, labels with quotes and breaks: the pack keeps the contract."""
    labels = {0: 'a "b" \\ c', 1: "<i>\u007f|`\ud83d\n", 2: "Ünï"}
    data = rows(60, job=lambda i: labels[i % 3], x=lambda i: two(i))
    tasks = ["job:choice", f"{'n' * 40}:choice", f"{'n' * 39}o:choice"]
    fields = [f"{'n' * 40}=x", f"{'n' * 39}o=x"]
    path = put(tmp_path / "a.jsonl", data)
    new("--from", str(path), *(p for t in tasks for p in ("--task", t)), *(p for f in fields for p in ("--field", f)))
    pack = kept(tmp_path)
    assert len({column.name for column in pack.manifest.column}) == 6
    assert {label for task in pack.manifest.task for label in task.labels} == {"a_b_c", "i", "Uni", "good", "bad"}


def test_without_data_the_pack_says_what_it_lacks(new: New, tmp_path: Path) -> None:
    """Without --from no gold is invented: the manifest has the questions asked, `check` names the missing samples, and a row is shown."""
    answer = new("--task", "topic:choice:claim,question", "--task", "parts:spans:MAKER")
    pack = find_pack("own", [tmp_path / "packs"])
    assert [task.name for task in pack.manifest.task] == ["topic", "parts"]
    assert len(check_pack(pack)) == 1 and "has 0 documents, expected 20 or more" in check_pack(pack)[0]
    shown = next(line.strip() for line in answer["words"].splitlines() if line.strip().startswith("{"))
    (pack.folder / "samples.jsonl").write_text(shown + "\n", encoding="utf-8")
    assert [f.task for f in read_samples(pack)[0].gold] == ["topic", "parts"]
    assert not [problem for problem in check_pack(pack) if ":1:" in problem]


def test_labels_must_be_named_where_there_is_no_data(new: New) -> None:
    """A task without labels and without data is refused."""
    assert "names no labels" in new("--task", "topic:choice", expected=2)["error"]["message"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between writing and moving leaves no half pack, and the folder of packs has nothing new."""
    path = put(tmp_path / "a.jsonl", rows(30, label=two))
    (tmp_path / "packs").mkdir()

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.importers.write.check_pack", stop)
    assert main(["new-pack", "own", "--folder", str(tmp_path / "packs"), "--from", str(path)]) == 130
    assert list((tmp_path / "packs").iterdir()) == []


@pytest.mark.slow
def test_a_long_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """150,000 rows, 57 MB, give a pack and its rest in a process of 150 MB, of which 50 MB are there without any row."""
    path = tmp_path / "a.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(150_000):
            file.write(json.dumps({"text": f"Parcel {i} " + "came to the door " * 20, "label": two(i)}) + "\n")
    code = (
        "import sys; from workers.cli import main\n"
        "code = main(sys.argv[1:])\n"
        # of this process alone: what getrusage says may be of the one that started it
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "new-pack", "own", "--folder", str(tmp_path / "packs"), "--from", str(path), "--rest", str(tmp_path / "rest")]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], env=os.environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "looking through: 150,000" in done.stderr
    assert sum(1 for split in SPLITS for _ in (tmp_path / "rest" / "own" / f"{split}.jsonl").open(encoding="utf-8")) == 149_500
    assert int(done.stderr.splitlines()[-1]) < 150 * 1024
