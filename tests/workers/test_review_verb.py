"""`review` as people use it: at a terminal, by a pipe, by --json."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from suites.discover import find_pack
from suites.samples import read_sample
from workers.audit import acts, verify_chain
from workers.keys import Keys
from workers.migrate import migrate
from workers.reviews import Waiting, queue, stored_texts
from workers.reviews.keyboard import END
from workers.reviews.sitting import Sitting, Wanted
from workers.reviews.terminal import WHOLE, Terminal, excerpt
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.tables import reviews

from .conftest import ROOT
from .reviewed import STUDENT, fill, thing, topic

CANARY = "Zanzibarquux"
HIDDEN = "\x1b[2J\u202e"


def body(number: int) -> str:
    return f"Document {number} speaks of a {CANARY}{HIDDEN} and a grey cat.".ljust(100, ".")


@pytest.fixture
def desk(tmp_path: Path, toy_folder: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Store]]:
    """Settings and the store of three documents that wait for reviewers: an answer each, and a span in the first."""
    (tmp_path / "settings.toml").write_text(f'[packs]\nfolders = ["{toy_folder}"]\n[store]\nurl = "{store_url}"\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    settings = load_settings()
    store = Store(store_url)
    migrate(store, [find_pack("toy", settings.pack_folders)])
    start = body(1).index("grey cat")
    found = [[topic("weather", 0.5), thing("A", start, start + 8, 0.8)], [topic("animals", 0.6)], [topic("weather", 0.7)]]
    fill(store, found, [body(n) for n in (1, 2, 3)])
    yield settings, store
    store.close()


def review(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "review", *arguments]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)


def data(*arguments: str, typed: str = "") -> Any:
    done = review(*arguments, "--json", typed=typed)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def decided(store: Store) -> list[tuple[int, str, str, str, str | None]]:
    with store.reading() as connection:
        rows = connection.execute(select(reviews).order_by(reviews.c.reviewed_at, reviews.c.id)).all()
    return [(row.document_id, row.task, row.reviewer, row.verdict, row.new_label) for row in rows]


def acted(store: Store, action: str) -> list[str]:
    with store.reading() as connection:
        assert verify_chain(connection) is None
        return [str(act["subject"]) for act in reversed(acts(connection, action=action, limit=100))]


def test_keys_from_a_pipe_decide(desk: tuple[Settings, Store]) -> None:
    """One key a finding, shown in its text: correct by number, undo, skip, accept, reject; each document opened is one act, the sitting another."""
    _, store = desk
    done = review("next", "toy", "--reviewer", "anna", "--check-sure", "0", typed="c1\n u c1 x s a r")
    assert done.returncode == 0, done.stderr
    assert decided(store) == [(1, "topic", "anna", "correct", "animals"), (3, "topic", "anna", "accept", None), (1, "things", "anna", "reject", None)]
    assert "Is the notice about animals or weather?" in done.stdout and CANARY in done.stdout and "[[grey cat]]" in done.stdout
    assert "taken back: correct" in done.stdout and "Nothing more waits." in done.stdout
    assert "3 findings decided (1 accept, 1 correct, 1 reject), 1 passed over." in done.stderr
    assert CANARY not in done.stderr
    # the second was shown before the first was taken back; a text that is shown again is opened again
    assert acted(store, "view") == [f"document {number}" for number in (1, 2, 1, 2, 3, 1)]
    assert acted(store, "review") == ["pack toy"]


def test_what_a_text_hides_does_not_reach_the_terminal(desk: tuple[Settings, Store]) -> None:
    """Escape sequences and characters that turn the order of text are shown as dots."""
    shown = review("next", "toy", "--reviewer", "anna", typed="q").stdout
    assert CANARY in shown and "\x1b" not in shown and "\u202e" not in shown and f"{CANARY}·[2J·" in shown


def test_each_key_does_what_it_says(desk: tuple[Settings, Store]) -> None:
    """`q` and the end of a pipe end with what was decided stored; `u` without anything decided, a wrong number and an unknown key change nothing."""
    _, store = desk
    assert data("next", "toy", "--reviewer", "anna", typed="u c9 c0 cx z q") == {
        "student": STUDENT,
        "reviewer": "anna",
        "n_decided": 0,
        "verdicts": {},
        "n_skipped": 0,
    }
    assert decided(store) == []
    assert data("next", "toy", "--reviewer", "anna", "--check-sure", "0", typed="a")["verdicts"] == {"accept": 1}
    assert data("next", "toy", "--reviewer", "anna", "--check-sure", "0", "--limit", "2", typed="aaaa")["n_decided"] == 2
    assert data("next", "toy", "--reviewer", "anna", typed="aaaa")["n_decided"] == 1
    assert len(decided(store)) == 4


def test_json_holds_no_text(desk: tuple[Settings, Store]) -> None:
    """With --json nothing is shown but the one object; the list, shown or not, and progress hold no text either."""
    rows = data("list", "toy", "--limit", "2")
    assert [(row["document"], row["document_id"], row["task"], row["score"], row["cost"]) for row in rows] == [
        ("doc-1", 1, "topic", 0.5, 0.5),
        ("doc-2", 2, "topic", 0.6, 0.4),
    ]
    assert CANARY not in review("list", "toy").stdout + review("progress", "toy").stdout
    for arguments in (["next", "toy", "--reviewer", "anna"], ["list", "toy"], ["progress", "toy"]):
        done = review(*arguments, "--json", typed="ar")
        json.loads(done.stdout)
        assert CANARY not in done.stdout + done.stderr
    assert len(data("list", "toy", "--reviewer", "anna")) == 2 and len(data("list", "toy")) == 4


def test_two_reviewers_and_a_third(desk: tuple[Settings, Store]) -> None:
    """A second reads what the first judged, `progress` says how far they agree, a third settles what they see otherwise, and `export` writes the gold."""
    data("next", "toy", "--reviewer", "anna", "--task", "topic", "--check-sure", "0", typed="aaa")
    assert data("next", "toy", "--reviewer", "bela", "--second", typed="aar")["n_decided"] == 3
    made = data("progress", "toy")
    assert [(pair["task"], pair["agreement"]["n"], round(pair["agreement"]["agreed"], 2)) for pair in made["agreements"]] == [("topic", 3, 0.67)]
    assert len(made["disputed"]) == 1
    shown = review("progress", "toy")
    assert "agreement of two" in shown.stdout and "1 finding disputed" in shown.stderr
    assert data("next", "toy", "--reviewer", "carl", "--disputed", typed="aaa")["n_decided"] == 1
    assert data("progress", "toy")["disputed"] == []


def test_gold_is_written_whole_and_held_back_apart(desk: tuple[Settings, Store], tmp_path: Path) -> None:
    """`export` writes two files of samples for this user alone, is in the audit, and holds the same documents back in every export."""
    settings, store = desk
    data("next", "toy", "--reviewer", "anna", "--check-sure", "0", typed="aaaa")
    pack = find_pack("toy", settings.pack_folders)
    held: list[set[str]] = []
    for name in ("gold.jsonl", "again"):
        made = data("export", "toy", str(tmp_path / name), "--held-back", "0.5")
        files = [tmp_path / f"{name.removesuffix('.jsonl')}.{part}.jsonl" for part in ("train", "test")]
        assert [made["train"], made["test"]] == [str(file) for file in files]
        assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
        train, test = ([read_sample(line, "here", pack) for line in file.read_text(encoding="utf-8").splitlines()] for file in files)
        assert (len(train), len(test)) == (made["n_train"], made["n_test"]) and len(train) + len(test) == 3
        held.append({e.document.text for e in test})
        assert held[-1].isdisjoint(e.document.text for e in train)
    assert held[0] == held[1]
    assert acted(store, "export") == ["pack toy", "pack toy"]
    assert review("export", "toy", str(tmp_path / "no" / "gold.jsonl")).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["next", "toy"], 2, "--reviewer"),
        (["next", "toy", "--reviewer", ""], 2, "The reviewer's name"),
        (["next", "toy", "--reviewer", "a", "--second", "--disputed"], 2, "not allowed with"),
        (["next", "toy", "--reviewer", "a", "--task", "topik"], 2, "Did you mean 'topic'?"),
        (["next", "toy", "--reviewer", "a", "--check-sure", "1.5"], 2, "0 or more and below 1"),
        (["list", "clinical"], 1, "No student has read for pack 'clinical'"),
        (["list", "toi"], 2, "Did you mean 'toy'?"),
    ],
)
def test_mistakes_are_told(desk: tuple[Settings, Store], arguments: list[str], code: int, says: str) -> None:
    """What is wrong with the command is one clear line, and nothing is decided."""
    done = review(*arguments, typed="aaa")
    assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
    assert decided(desk[1]) == []


def test_a_store_that_is_not_there_is_told(tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a migrated store the command says what to run."""
    (tmp_path / "settings.toml").write_text(f'[packs]\nfolders = ["{toy_folder}"]\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    done = review("list", "toy")
    assert done.returncode == 1 and "manage.py migrate" in done.stderr


class Tty:
    """A process at a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.shown = ""
        ends: dict[str, Any] = {"stdin": self.theirs, "stdout": self.theirs, "stderr": self.theirs}
        heard = dict.fromkeys((signal.SIGINT, signal.SIGHUP), signal.SIG_DFL)
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "review", *arguments],
            **ends,
            start_new_session=True,
            preexec_fn=lambda: [signal.signal(number, handler) for number, handler in heard.items()],
        )

    def until(self, words: str) -> None:
        os.set_blocking(self.ours, False)
        for _ in range(1200):
            try:
                self.shown += os.read(self.ours, 65536).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.05)
            if words in self.shown:
                return
        raise AssertionError(self.shown)

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & termios.ICANON

    def end(self) -> int:
        code = self.process.wait(timeout=60)
        assert termios.tcgetattr(self.theirs) == self.before
        os.close(self.ours)
        os.close(self.theirs)
        return code


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("how", "code"), [("q", 0), ("\x04", 0), (signal.SIGINT, 130), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)])
def test_the_terminal_is_left_as_it_was(desk: tuple[Settings, Store], how: str | signal.Signals, code: int) -> None:
    """At a terminal single keys count without Enter, arrow keys do nothing; however the process ends the terminal is as before, and decisions are stored."""
    terminal = Tty("next", "toy", "--reviewer", "anna", "--check-sure", "0")
    terminal.until("q quit")
    assert terminal.is_raw
    os.write(terminal.ours, b"\x1b[A")
    os.write(terminal.ours, b"a")
    terminal.until("2. doc-2")
    assert "\x1b[7m" in terminal.shown
    if isinstance(how, str):
        os.write(terminal.ours, how.encode())
    else:
        terminal.process.send_signal(how)
    assert terminal.end() == code
    assert decided(desk[1]) == [(1, "topic", "anna", "accept", None)]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_keys_typed_ahead_are_not_lost(desk: tuple[Settings, Store]) -> None:
    """Keys that come at once count one by one; the terminal is as before when nothing more waits."""
    terminal = Tty("next", "toy", "--reviewer", "anna", "--check-sure", "0")
    terminal.until("q quit")
    os.write(terminal.ours, b"arar")
    terminal.until("Nothing more waits.")
    assert terminal.end() == 0
    assert [verdict for *_, verdict, _ in decided(desk[1])] == ["accept", "reject", "accept", "reject"]


def test_labels_of_two_digits_are_typed(desk: tuple[Settings, Store]) -> None:
    """A number counts as soon as no other can be meant, else with Enter; what is no number of a label means none."""
    settings, store = desk

    def number(most: int, typed: str) -> tuple[int | None, str]:
        left = iter([*typed, *[END] * 3])
        pack = find_pack("toy", settings.pack_folders)
        terminal = Terminal(Sitting(store, pack, STUDENT, Keys(), Wanted("anna")), pack, lambda: next(left), lambda line: None, str)
        found = terminal._number(most)
        return found, "".join(left)

    assert number(3, "2a") == (2, "a")
    assert number(20, "3a") == (3, "a")
    assert number(20, "12a") == (12, "a")
    assert number(20, " 1\na") == (1, "a")
    assert [number(most, typed)[0] for most, typed in ((3, "4"), (3, "0"), (20, "21"), (20, "x"), (20, "1x"), (20, ""))] == [None] * 6


@pytest.mark.slow
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_is_held_back_is_not_learned(desk: tuple[Settings, Store], tmp_path: Path) -> None:
    """`finetune --with-reviews` learns from as many documents as `export` writes to train with the same share, and says so where there are none."""
    manage = [sys.executable, str(ROOT / "manage.py"), "finetune", "toy", "--epochs", "1", "--json", "--with-reviews", "--held-back"]
    none = subprocess.run([*manage, "0"], capture_output=True, text=True, timeout=120)
    assert none.returncode == 1 and "No reviewed document of pack 'toy'" in none.stderr
    data("next", "toy", "--reviewer", "anna", "--check-sure", "0", typed="aaaa")
    written = data("export", "toy", str(tmp_path / "gold.jsonl"), "--held-back", "0.5")
    assert written["n_train"] and written["n_test"]
    made = subprocess.run([*manage, "0.5"], capture_output=True, text=True, timeout=300)
    assert json.loads(made.stdout)["data"]["training"]["reviewed"] == written["n_train"], made.stderr
    assert f"{written['n_test']} held back" in made.stderr and CANARY not in made.stdout + made.stderr
    assert acted(desk[1], "export") == ["pack toy"] * 3  # the first, which found nothing to learn from, looked for it too


def test_long_texts_are_shown_around_what_was_found(desk: tuple[Settings, Store]) -> None:
    """Of a long document the words around a span are shown, of an answer about all of it the beginning, and how much more there is."""
    settings, store = desk
    pack = find_pack("toy", settings.pack_folders)
    with store.reading() as connection:
        found = {one.key.task: one for one in queue(connection, pack, STUDENT, reviewer="anna", limit=9)}
        assert stored_texts(connection, Keys(), [1, 99]) == {1: body(1)}
    text = "x" * 5000 + "grey cat" + "y" * 5000

    def shown(one: Waiting, **ranges: int) -> str:
        return excerpt(text, replace(one, key=one.key._replace(**ranges)), pack.tasks[one.key.task], lambda words: f"<{words}>")

    assert shown(found["things"], start=5000, end=5008) == f"... {'x' * 300}<grey cat>{'y' * 300} ..."
    assert shown(found["things"], start=0, end=3) == f"<xxx>{'x' * 300} ..."
    assert shown(found["topic"]) == f"{'x' * WHOLE} [... {len(text) - WHOLE} more characters]"
    assert "[... 6008 characters]" in shown(found["things"], start=0, end=len(text))
    pair = shown(found["things"], start=5005, end=5008, other_start=5000, other_end=5004)
    assert pair == f"... {'x' * 300}<grey> <cat>{'y' * 300} ..."
