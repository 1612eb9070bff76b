"""The measurement of the distillation table: what its runs are fitted and judged on, and that it may be stopped and goes on."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import distillation as measuring
from tests.bench.distillation import N_FOLDS, N_SEEDS, RECIPE, Bench, Run, open_runs, side_by_side, split
from tests.bench.sets import SETS, empty_folder, rows_of, set_pack

ROOT = Path(__file__).parent.parent
N_ROWS = {"train": 30, "dev": 9, "test": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sets in the places of finance's, written here: a question is labelled `ask`, a notice `tell`."""
    root = tmp_path_factory.mktemp("data")
    for chosen in SETS.values():
        if chosen.domain == "finance":
            (root / chosen.path).mkdir(parents=True)
            for part, n in N_ROWS.items():
                write_rows(root / chosen.path / f"{part}.jsonl.gz", chosen.kind, part, n)
    return root


def write_rows(path: Path, kind: str, part: str, n: int) -> None:
    rows = []
    for i in range(n):
        name = f"{part.title()} {i} Ltd"
        text, label = (f"Could you pay invoice {i} of {name}?", "ask") if i % 2 else (f"Invoice {i} of {name} was paid.", "tell")
        start = text.index(name)
        answer = {"spans": [{"start": start, "end": start + len(name), "label": "ORG"}]} if kind == "spans" else {"label": label}
        rows.append({"id": f"{part}-{i}", "text": text, **answer})
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_folds_part_the_pool_and_what_the_cap_leaves_out_is_unlabelled(data: Path, tmp_path: Path) -> None:
    """Every fold's held-out, inner and train parts are disjoint, the held-out parts make up the capped pool, and test is in none."""
    pack = set_pack("sms_smishing", data, empty_folder(tmp_path))
    folds = [split(Run(SETS["sms_smishing"], i + 1, i), pack, data, cap=20) for i in range(N_FOLDS)]
    for fold in folds:
        ids = [[e.document.id for e in part] for part in (fold.train, fold.dev, fold.judged["judged"])]
        assert sum(map(len, ids)) == len(set().union(*ids)) == 20 + 20 // 3
        assert not any("/test" in i or i.startswith("test-") for part in ids for i in part)
        assert len(fold.unlabelled) == N_ROWS["train"] - 20
        assert not {e.document.text for e in (*fold.train, *fold.dev, *fold.judged["judged"])} & set(fold.unlabelled)
    held_out = [e.document.id for fold in folds for e in fold.judged["judged"]]
    assert len(held_out) == len(set(held_out)) == 20 + 20 // 3
    assert all([e.document.id for e in fold.judged["test"]] == [e.document.id for e in folds[0].judged["test"]] for fold in folds)


def test_a_text_is_on_one_side(data: Path, tmp_path: Path) -> None:
    """Rows of one text are in one part of a fold, and no unlabelled text is one that the run is chosen or judged on."""
    root = tmp_path / "data"
    shutil.copytree(data, root)
    folder = root / SETS["sms_smishing"].path
    for part in ("train", "dev", "test"):  # every text three times, and all train texts in dev and test too
        rows = [row for name in sorted({"train", part}) for row in rows_of(folder / f"{name}.jsonl.gz")]
        with gzip.open(tmp_path / f"{part}.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row | {"id": f"{row['id']}-{copy}"}) + "\n" for row in rows for copy in range(3))
    for part in ("train", "dev", "test"):
        shutil.move(tmp_path / f"{part}.gz", folder / f"{part}.jsonl.gz")
    pack = set_pack("sms_smishing", root, empty_folder(tmp_path / "pack"))
    for i in range(N_FOLDS):
        fold = split(Run(SETS["sms_smishing"], i + 1, i), pack, root, cap=60)
        train, dev, judged = ({e.document.text for e in part} for part in (fold.train, fold.dev, fold.judged["judged"]))
        assert train and dev and judged
        assert not train & dev and not (train | dev) & judged
        assert not set(fold.unlabelled) & (dev | judged | {e.document.text for e in fold.judged["test"]})


def test_seeds_share_their_rows(data: Path, tmp_path: Path) -> None:
    """Three seeds of a set are fitted on the same sample and judged on the test split."""
    pack = set_pack("sms_smishing", data, empty_folder(tmp_path))
    seeds = [split(Run(SETS["sms_smishing"], i, None), pack, data, cap=20) for i in range(1, N_SEEDS + 1)]
    assert seeds[0] == seeds[1] == seeds[2]
    assert [len(part) for part in (seeds[0].train, seeds[0].dev, seeds[0].judged["judged"])] == [20, 6, N_ROWS["test"]]


def test_runs_side_by_side_end_and_fail_aloud(tmp_path: Path) -> None:
    """All tasks are done, none is begun when time is up, and an error of one is raised."""
    places = [(tmp_path / str(i),) for i in range(3)]
    side_by_side(os.mkdir, places, 2, None)
    assert all(place.is_dir() for (place,) in places)
    side_by_side(os.rmdir, places, 2, time.monotonic() - 1)
    assert all(place.is_dir() for (place,) in places)
    with pytest.raises(FileNotFoundError):
        side_by_side(os.rmdir, [(tmp_path / "none",)], 2, None)


def test_a_torn_line_is_made_anew(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that a power cut tore counts as no run, and the line that is written after it is whole."""
    bench = Bench(data, tmp_path, tmp_path, tokens=1, cap=20)
    run, *others = (Run(SETS["sms_smishing"], i + 1, i) for i in range(N_FOLDS))
    line = {"run": run.name, "recipe": RECIPE, "cap": 20, "tokens": 1}
    (tmp_path / "distillation_runs.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(line)[:30], encoding="utf-8")
    assert open_runs(["sms_smishing"], bench) == others
    monkeypatch.setattr(measuring, "perform", lambda run, bench: line | {"run": run.name})
    measuring.perform_and_record(others[0], bench)
    assert open_runs(["sms_smishing"], bench) == others[1:]


@pytest.mark.long
def test_the_command_may_be_stopped_and_goes_on(data: Path, tmp_path: Path) -> None:
    """Ctrl-C after the first run leaves its line; the same command makes the table of it and would do the other runs alone."""
    bench = Bench(data, tmp_path / "work", tmp_path / "results", tokens=1, cap=20)
    bench.results.mkdir()
    command = [sys.executable, "-m", "tests.bench.distillation", "--data-root", data, "--set", "sms_smishing", "--jobs", "1", "--tokens", "1"]
    command += ["--cap", "20", "--work", bench.work, "--results", bench.results]
    log = tmp_path / "log"
    with log.open("w") as errors:
        running = subprocess.Popen(command, cwd=ROOT, stderr=errors, start_new_session=True)  # as in a terminal, Ctrl-C reaches the whole group
    lines = bench.results / "distillation_runs.jsonl"
    until = time.monotonic() + 300
    while running.poll() is None and not lines.exists() and time.monotonic() < until:
        time.sleep(0.2)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(60) == 130, log.read_text()
    assert "the same command goes on" in log.read_text()

    done = [json.loads(line)["run"] for line in lines.read_text(encoding="utf-8").splitlines()]
    every = [f"sms_smishing fold {i}" for i in range(1, N_FOLDS + 1)]
    assert done and [run.name for run in open_runs(["sms_smishing"], bench)] == [name for name in every if name not in done]
    again = subprocess.run([*command, "--minutes", "0"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "time is up" in again.stderr
    (row,) = json.loads((bench.results / "distillation.json").read_text(encoding="utf-8"))["rows"]
    assert (row["set"], row["judged_by"]) == ("sms_smishing", f"{len(done)} of {N_FOLDS} folds of train and dev")
    assert all(0 <= row[system] <= 1 for system in ("baseline", "teacher", "student_plain", "student", "compressed", "calibration_error"))
    assert row["kept"] == pytest.approx(row["student"] / row["teacher"], abs=1e-3)
    assert "| sms_smishing |" in (bench.results / "distillation.md").read_text(encoding="utf-8")
