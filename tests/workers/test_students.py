"""Students on the command line and in the queue: lists, label flips, and who reads after a release or a rollback."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from sqlalchemy import select, text

from pipelines.predict import make_predictor
from pipelines.release import Event, Register, released_student, rollback
from pipelines.student import Student, load_student, seal, write_heads
from suites.discover import Pack
from workers.cli import main
from workers.drain import drain
from workers.flips import Comparison, count_documents, flips, stored_documents
from workers.migrate import migrate
from workers.settings import Settings
from workers.store import Store
from workers.students import predictor, shown_again
from workers.submit import submit
from workers.tables import jobs

from .conftest import ROOT, write_documents

Findings = Sequence[dict[str, Any]]
Flip = tuple[str, str, int, int, str | None, str | None]


@pytest.fixture(scope="session")
def other_student(toy_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Student:
    """A second student of the toy pack, of another seed, after one epoch more often wrong, and of another opinion on each state."""
    from pipelines.finetune import FinetuneOptions, finetune

    made = finetune(toy_pack, tmp_path_factory.mktemp("other"), FinetuneOptions(epochs=1, seed=2))
    turned = [
        replace(h, weight=h.weight[::-1].copy(), bias=h.bias[::-1].copy(), cues=h.cues[:, ::-1].copy()) if h.task.name == "state" else h for h in made.heads
    ]
    write_heads(made.folder, made.birth, turned)
    return load_student(made.folder.rename(made.folder.with_name(seal(made.folder, toy_pack.name))))


@pytest.fixture
def pair(home: Settings, toy_student: tuple[Path, Student], other_student: Student) -> tuple[str, str]:
    """The ids of two students of the home's toy pack, as copies; the first was released before the second, both as primary."""
    folder = home.students_folder / "toy"
    (folder / toy_student[1].id).unlink()
    for student in (toy_student[1], other_student):
        shutil.copytree(student.folder, folder / student.id)
    first, second = toy_student[1].id, other_student.id
    registered(home, Event(student=first, state="primary", at=1.0), Event(student=second, state="primary", at=2.0))
    return first, second


class Here:
    """The command line in this process: what `manage` gives, without the start of another one."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        self._capfd.readouterr()
        code = main(arguments)
        done = subprocess.CompletedProcess(arguments, code, *self._capfd.readouterr())
        assert done.returncode == 0 or not check, done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        """The data of a command run with --json."""
        return json.loads(self(*arguments, "--json").stdout)["data"]


@pytest.fixture
def here(home: Settings, capfd: pytest.CaptureFixture[str]) -> Here:
    return Here(capfd)


def registered(home: Settings, *events: Event) -> None:
    (home.students_folder / "toy" / "released.json").write_text(Register(events=events).model_dump_json(), encoding="utf-8")


@pytest.fixture
def toy_documents(tmp_path: Path) -> Path:
    """Documents about which two students of different seeds differ."""
    from tests.conftest import toy_sample

    path = tmp_path / "toy.jsonl"
    rows = [toy_sample(n) for n in range(100, 130)]
    path.write_text("".join(json.dumps({"id": r["id"], "text": r["text"]}) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture
def home_store(home: Settings, toy_pack: Pack) -> Iterator[Store]:
    """The home's own store, migrated."""
    opened = Store(home.store_url)
    migrate(opened, [toy_pack])
    yield opened
    opened.close()


def sent(store: Store, pack: Pack, student: str, path: Path, name: str | None = None) -> int:
    return submit(store, pack, student, [path], name=name, chunk=50, ring=lambda job_id: None).job_id


def flips_of_predictions(pack: Pack, a: dict[str, Findings], b: dict[str, Findings]) -> Counter[Flip]:
    """What `diff` must find, said in another way: of each range the labels that one side alone gives, a choice's two as one flip."""
    found: Counter[Flip] = Counter()
    for document in a:
        ranges = {(f["task"], f["start"], f["end"]) for f in [*a[document], *b[document]]}
        for task, start, end in ranges:
            ours, theirs = ({f["label"] for f in side[document] if (f["task"], f["start"], f["end"]) == (task, start, end)} for side in (a, b))
            only_a, only_b = sorted(ours - theirs), sorted(theirs - ours)
            if pack.tasks[task].kind != "tags" and only_a and only_b:
                assert len(only_a) == len(only_b) == 1  # the toy pack has one label a range where a task is no `tags`
                found[document, task, start, end, only_a[0], only_b[0]] += 1
            else:
                for label in only_a:
                    found[document, task, start, end, label, None] += 1
                for label in only_b:
                    found[document, task, start, end, None, label] += 1
    return found


def read_by(student: str, path: Path, here: Here) -> dict[str, Findings]:
    documents = here.json("predict", "toy", str(path), "--student", student)["documents"]
    return {d["id"]: d["findings"] for d in documents}


def flipped(rows: Sequence[dict[str, Any]]) -> Counter[Flip]:
    return Counter((r["document"], r["task"], r["start"], r["end"], *(r[side]["label"] if r[side] else None for side in ("a", "b"))) for r in rows)


def test_the_flips_are_those_of_two_predictions(here: Here, home_store: Store, toy_pack: Pack, pair: tuple[str, str], toy_documents: Path) -> None:
    """`students diff` over stored documents lists exactly where `predict` with A and with B differ, with their scores, and its summary adds up."""
    a, b = pair
    sent(home_store, toy_pack, a, toy_documents)
    read_a, read_b = read_by(a, toy_documents, here), read_by(b, toy_documents, here)
    wanted = flips_of_predictions(toy_pack, read_a, read_b)
    data = here.json("students", "diff", a, b)
    assert wanted and flipped(data["flips"]) == wanted
    assert len({flip[1] for flip in wanted}) > 2 and {(bool(flip[4]), bool(flip[5])) for flip in wanted} == {(True, True), (True, False), (False, True)}
    for side, read in (("a", read_a), ("b", read_b)):
        scores = {(document, f["task"], f["start"], f["end"], f["label"]): f["score"] for document, found in read.items() for f in found}
        for row in (row for row in data["flips"] if row[side]):
            assert row[side]["score"] == pytest.approx(scores[*(row[n] for n in ("document", "task", "start", "end")), row[side]["label"]], abs=1e-4)
    for task in data["summary"]:
        assert task["compared"] == task["equal"] + task["flips"] == sum(pair["n"] for pair in task["labels"])
        assert task["flips"] == sum(n for flip, n in wanted.items() if flip[1] == task["task"])
    assert (data["n_documents"], data["unread"]) == (30, [])
    back = here.json("students", "diff", b, a)["flips"]
    assert flipped(back) == Counter({(*flip[:4], flip[5], flip[4]): n for flip, n in wanted.items()})


def test_lines_and_json_say_the_same_without_text(here: Here, home_store: Store, toy_pack: Pack, pair: tuple[str, str], toy_documents: Path) -> None:
    """Each flip is a line of tab-separated cells, the same as in --json, and no word of a document is in either."""
    sent(home_store, toy_pack, pair[0], toy_documents)
    plain, as_json = (here("students", "diff", *pair, *more) for more in ([], ["--json"]))
    rows = json.loads(as_json.stdout)["data"]["flips"]
    lines = [line.split("\t") for line in plain.stdout.splitlines() if "\t" in line]
    cells = [[c for side in ("a", "b") for c in ((r[side]["label"], f"{r[side]['score']:.3f}") if r[side] else ("-", "-"))] for r in rows]
    assert lines == [[r["document"], r["task"], f"{r['start']}-{r['end']}", *c] for r, c in zip(rows, cells, strict=True)]
    assert "30 documents compared." in plain.stderr and "compare: 30/30" in plain.stderr
    for word in ("near", "lovely", "horse", "notice", "was", "QRX", "ZUV"):
        for output in (plain.stdout, plain.stderr, as_json.stdout, as_json.stderr):
            assert word not in output.replace("notices", "")


def test_a_part_is_compared_and_said_to_be_one(here: Here, home_store: Store, toy_pack: Pack, pair: tuple[str, str], toy_documents: Path) -> None:
    """--limit takes the newest documents and says so, --job those of a job, --task one task alone; what does not exist is told."""
    older = sent(home_store, toy_pack, pair[0], write_documents(toy_documents.with_name("older.jsonl"), 7), "older")
    sent(home_store, toy_pack, pair[0], toy_documents, "newer")
    whole = here.json("students", "diff", *pair)
    done = here("students", "diff", *pair, "--limit", "5", "--json")
    answer = json.loads(done.stdout)
    assert answer["more"] and "the newest 5 of 37 documents" in done.stderr
    newest = {f"toy-{n:04}" for n in range(125, 130)}
    assert flipped(answer["data"]["flips"]) == Counter({f: n for f, n in flipped(whole["flips"]).items() if f[0] in newest})
    of_job = here.json("students", "diff", *pair, "--job", str(older))
    assert of_job["n_documents"] == 7 and {f["document"] for f in of_job["flips"]} <= {f"doc-{n}" for n in range(7)}
    of_task = here.json("students", "diff", *pair, "--task", "things")
    assert [row["task"] for row in of_task["summary"]] == ["things"]
    assert flipped(of_task["flips"]) == Counter({f: n for f, n in flipped(whole["flips"]).items() if f[1] == "things"})
    for arguments, says in ((["--job", "none"], "No job 'none'"), (["--task", "thing"], "Did you mean 'things'?")):
        assert says in here("students", "diff", *pair, *arguments, check=False).stderr


def test_what_cannot_be_compared_is_told(home: Settings, here: Here, home_store: Store, pair: tuple[str, str]) -> None:
    """A student with itself, a student that is not there, one of another pack, a store without documents: one line each."""
    a, b = pair
    stray = Path(shutil.copytree(home.students_folder / "toy" / a, home.students_folder / "finance" / "finance-000000000000"))
    for arguments, code, says in (
        ([a, a], 2, "A and B are the same student"),
        ([a, b[:-1]], 1, f"Did you mean '{b}'?"),
        ([a, stray.name], 2, "is of pack 'finance', not of 'toy'"),
        ([a, b, "--pack", "finance"], 2, "is of pack 'toy', not of 'finance'"),
        ([a, b], 1, "No document of pack 'toy' in the store"),
    ):
        done = here("students", "diff", *arguments, check=False)
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_a_document_that_cannot_be_read_is_not_compared(
    store: Store, toy_pack: Pack, toy_student: tuple[Path, Student], other_student: Student, tmp_path: Path
) -> None:
    """A document that a student fails on is counted and named, for each student that failed, and its neighbours are compared; on both stores."""
    path = write_documents(tmp_path / "a.jsonl", 5)
    sent(store, toy_pack, "toy-000000000000", path)
    short = toy_pack.manifest.model_copy(update={"text": toy_pack.manifest.text.model_copy(update={"max_chars": 60})})
    pack = replace(toy_pack, manifest=short)
    n_long = sum(len(json.loads(line)["text"]) > 60 for line in path.read_text().splitlines())
    comparison = Comparison("a", "b")
    found = list(flips(store, (make_predictor(pack, toy_student[1]), make_predictor(pack, other_student)), comparison, tasks=pack.manifest.task, limit=5))
    assert 0 < n_long < 5
    assert (comparison.n_documents, Counter(u.code for u in comparison.unread)) == (5, {"too_long": 2 * n_long})
    assert not {f.document for f in found} & {u.document for u in comparison.unread}


def test_stored_documents_come_newest_first_in_chunks(store: Store, toy_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All documents come once, the newest first, never more at once than the bounds of number and text allow; on both stores."""
    job = sent(store, toy_pack, "toy-000000000000", write_documents(tmp_path / "a.jsonl", 150), "a")
    sent(store, toy_pack, "toy-000000000000", write_documents(tmp_path / "b.jsonl", 160), "b")  # 150 of them are in the store already
    chunks = list(stored_documents(store, toy_pack, None, 1000))
    keys = [key for chunk in chunks for _, key, _ in chunk]
    assert keys == [f"doc-{n}" for n in reversed(range(160))]
    assert [len(chunk) for chunk in chunks] == [64, 64, 32]
    assert [key for chunk in stored_documents(store, toy_pack, None, 70) for _, key, _ in chunk] == keys[:70]
    assert (count_documents(store, toy_pack), count_documents(store, toy_pack, job)) == (160, 150)
    assert [key for chunk in stored_documents(store, toy_pack, job, 1000) for _, key, _ in chunk] == keys[10:]
    monkeypatch.setattr("workers.flips.CLAIM_CHARS", 1)
    alone = list(stored_documents(store, toy_pack, None, 3))
    assert [[key for _, key, _ in chunk] for chunk in alone] == [[key] for key in keys[:3]]


def test_a_rollback_is_picked_up_as_a_release_is(store: Store, home: Settings, toy_pack: Pack, pair: tuple[str, str], tmp_path: Path) -> None:
    """New jobs are read by the student that came back, a waiting job by its own, and the views show the one that reads; on both stores."""
    a, b = pair

    def reads(name: str, n: int) -> str:
        student = released_student(home.students_folder, "toy")
        sent(store, toy_pack, student, write_documents(tmp_path / f"{name}.jsonl", n), name)
        drain(store, home, budget_s=60)
        return student

    def shown() -> Counter[str]:
        with store.reading() as connection:
            return Counter(connection.execute(text("SELECT student_id FROM toy_results")).scalars())

    registered(home, Event(student=a, state="primary", at=1.0))
    assert reads("one", 3) == a and shown() == {a: 3}
    registered(home, Event(student=a, state="primary", at=1.0), Event(student=b, state="primary", at=2.0))
    assert reads("two", 4) == b and shown() == {b: 4}
    waiting = sent(store, toy_pack, b, write_documents(tmp_path / "wait.jsonl", 6), "wait")
    assert rollback(toy_pack, home.students_folder).reader == a
    with store.begin() as connection:
        assert shown_again(connection, toy_pack, a)
        assert not shown_again(connection, toy_pack, "toy-000000000000")
    assert shown() == {a: 3}
    assert reads("three", 8) == a and shown() == {a: 8}  # five of them new to a
    with store.reading() as connection:
        assert connection.execute(select(jobs.c.student_id, jobs.c.state).where(jobs.c.id == waiting)).one() == (b, "COMPLETED")


def test_rollback_on_the_command_line(here: Here, home_store: Store, toy_pack: Pack, pair: tuple[str, str], tmp_path: Path) -> None:
    """`rollback` says who reads and which jobs the retired student still reads, turns the views, and at the end of the line says what to do."""
    a, b = pair
    sent(home_store, toy_pack, a, write_documents(tmp_path / "a.jsonl", 2), "a")
    waiting = sent(home_store, toy_pack, b, write_documents(tmp_path / "b.jsonl", 3), "b")
    done = here("rollback", "toy", "--json")
    assert json.loads(done.stdout)["data"] == {"pack": "toy", "primary": a, "retired": b, "waiting_jobs": [waiting]}
    assert f"The views show the findings of {a}." in done.stderr and f"cancel {waiting}" in done.stderr
    with home_store.reading() as connection:
        assert connection.execute(text("SELECT id FROM students WHERE state = 'primary'")).scalars().all() == [a]
    again = here("rollback", "toy", check=False)
    assert again.returncode == 2 and f"{a} is its first" in again.stderr and "release toy --student ID" in again.stderr


def test_rollback_needs_no_store(home: Settings, here: Here, pair: tuple[str, str]) -> None:
    """Without a usable store the register is rolled back all the same, and the user is told what the views do."""
    done = here("rollback", "toy")
    assert "The views change with the next submit" in done.stderr
    assert released_student(home.students_folder, "toy") == pair[0]


def damage(home: Settings, student: str) -> None:
    (home.students_folder / "toy" / student / "heads.safetensors").write_bytes(b"")


def remove(home: Settings, student: str) -> None:
    shutil.rmtree(home.students_folder / "toy" / student)


@pytest.mark.parametrize("harm", [damage, remove])
def test_a_harmed_primary_names_rollback(
    home: Settings, here: Here, home_store: Store, toy_pack: Pack, pair: tuple[str, str], toy_documents: Path, harm: Any
) -> None:
    """Where the primary's folder is damaged or missing, `predict`, `doctor` and the waiting job name the rollback; after it all read again."""
    a, b = pair
    job = sent(home_store, toy_pack, b, toy_documents)
    harm(home, b)
    predictor.cache_clear()
    wanted = f"Or let {a} read again: python manage.py rollback toy"
    assert wanted in here("predict", "toy", str(toy_documents), check=False).stderr
    doctor = json.loads(here("doctor", "--json", check=False).stdout)
    (check,) = [c for c in doctor["data"] if c["name"] == "students"]
    assert not check["ok"] and wanted in check["words"]
    assert drain(home_store, home, budget_s=30).n_read == 0
    assert wanted in here.json("status", str(job))[0]["message"]
    here("rollback", "toy")
    drain(home_store, home, budget_s=30)
    assert f"Or submit its documents again: {a} reads them now." in here.json("status", str(job))[0]["message"]
    here("predict", "toy", str(toy_documents))
    here("doctor")
    sent(home_store, toy_pack, a, toy_documents)
    assert drain(home_store, home, budget_s=30).n_read == 30


def test_an_experimental_reader_is_told(home: Settings, here: Here, home_store: Store, toy_pack: Pack, pair: tuple[str, str], toy_documents: Path) -> None:
    """While an experimental student reads, `status` and `doctor` say so; once there is a primary, they do not."""
    a, b = pair
    registered(home, Event(student=a, state="experimental", at=1.0), Event(student=b, state="experimental", at=2.0))
    here("submit", "toy", str(toy_documents))
    done = here("status")
    assert f"{b} reads for toy and is experimental" in done.stderr
    assert f"{b} (experimental" in here("doctor").stderr
    registered(home, Event(student=b, state="experimental", at=2.0), Event(student=a, state="primary", at=3.0))
    assert "experimental" not in here("status").stderr and "(experimental" not in here("doctor").stderr


def test_the_list_shows_every_student(home: Settings, here: Here, pair: tuple[str, str]) -> None:
    """`students list` has state, size, layers and release of each student; one without a folder is a row, and one that nobody released too."""
    a, b = pair
    lost, unreleased = "toy-000000000000", "toy-111111111111"
    shutil.copytree(home.students_folder / "toy" / a, home.students_folder / "toy" / unreleased)
    events = [Event(student=s, state="primary", at=float(at)) for at, s in ((1, lost), (2, a))]
    registered(home, *events, Event(student=b, state="experimental", at=86400.0))
    metrics = {"systems": {"student": {"samples": {"topic": {"score": 0.5}, "mood": {"score": 0.75}}}}}
    (home.students_folder / "toy" / a / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    rows = {row["student"]: row for row in here.json("students", "list")}
    assert {s: row["state"] for s, row in rows.items()} == {a: "primary", b: "experimental", lost: "retired", unreleased: "not released"}
    assert [s for s, row in rows.items() if row["reads"]] == [a]
    folder = home.students_folder / "toy" / a
    n_numbers = sum(array.size for name in ("model", "heads") for array in load_file(folder / f"{name}.safetensors").values())
    assert (rows[a]["parameters"], rows[a]["layers"], rows[a]["teachers"]) == (n_numbers, 2, [])
    assert rows[a]["scores"] == {"samples": {"topic": 0.5, "mood": 0.75}}
    assert (rows[b]["released"], rows[unreleased]["released"]) == ("1970-01-02 00:00:00", None)
    assert (rows[lost]["made"], rows[lost]["parameters"]) == (None, None) and rows[b]["made"]
    table = here("students", "list", "toy").stdout
    assert all(s in table for s in rows) and "samples 0.625" in table
    assert "Did you mean 'toy'?" in here("students", "list", "toi", check=False).stderr


def test_one_student_is_shown_in_full(home: Settings, here: Here, pair: tuple[str, str]) -> None:
    """`students show` tells the history and whether the files are whole; of a damaged or lost student what is left, of an unknown one its neighbours."""
    a, b = pair
    shown = here.json("students", "show", a)
    assert (shown["pack"], shown["state"], shown["files"], shown["birth"]["seed"]) == ("toy", "retired", "whole", 1)
    assert [(e["state"], e["by"], e["student"]) for e in shown["history"]] == [("primary", "release", a), ("retired", "release", b)]
    plain = here("students", "show", b)
    assert "primary" in plain.stdout and "whole" in plain.stdout and f"evaluate toy --student {b}" in plain.stderr
    damage(home, b)
    assert "heads.safetensors" in here.json("students", "show", b)["files"]
    remove(home, b)
    assert "no student here" in here.json("students", "show", b)["files"]
    done = here("students", "show", a[:-1], check=False)
    assert done.returncode == 1 and f"Did you mean '{a}'?" in done.stderr


def test_retire_on_the_command_line(home: Settings, here: Here, pair: tuple[str, str]) -> None:
    """`students retire` retires an experimental student and says who reads; the primary is refused."""
    a, b = pair
    registered(home, Event(student=a, state="primary", at=1.0), Event(student=b, state="experimental", at=2.0))
    assert here.json("students", "retire", "toy", b) == {"pack": "toy", "student": b, "state": "retired", "reads": a}
    done = here("students", "retire", "toy", a, check=False)
    assert done.returncode == 2 and "is the primary" in done.stderr


@pytest.mark.parametrize("what", ["list", "show", "diff", "retire"])
def test_help_teaches_each_part(what: str) -> None:
    """--help of `students` names its parts, and --help of a part says what it does and gives an example."""
    whole, part = (
        subprocess.run([sys.executable, str(ROOT / "manage.py"), "students", *more, "--help"], capture_output=True, text=True, timeout=60)
        for more in ([], [what])
    )
    assert f"manage.py students {what}" in whole.stdout and "example:" in part.stdout and f"students {what}" in part.stdout
    for state in ("primary", "experimental", "retired"):
        assert f"`{state}`" in whole.stdout


def test_json_and_mistakes_of_a_part_keep_the_envelope(here: Here, pair: tuple[str, str]) -> None:
    """--json may stand before or after the part's name, and a mistake in a part's arguments is in the envelope."""
    for arguments in (("students", "--json", "list"), ("students", "list", "--json")):
        assert json.loads(here(*arguments).stdout)["ok"]
    done = here("students", "diff", pair[0], "--json", check=False)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (2, "usage") and "students diff --help" in error["message"]


def test_data_reaches_a_file_while_a_bar_is_shown(home: Settings, pair: tuple[str, str], tmp_path: Path) -> None:
    """With the progress bar on a terminal and stdout sent to a file, every line of data is in the file."""
    path = write_documents(tmp_path / "a.jsonl", 3)
    leader, terminal = pty.openpty()
    with (tmp_path / "out.jsonl").open("w") as out:
        command = [sys.executable, str(ROOT / "manage.py"), "predict", "toy", str(path)]
        done = subprocess.run(command, stdout=out, stderr=terminal, env={**os.environ, "TERM": "xterm"}, timeout=300)
    os.close(terminal)
    os.close(leader)
    assert done.returncode == 0
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ["doc-0", "doc-1", "doc-2"]
