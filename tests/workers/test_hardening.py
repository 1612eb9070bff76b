"""What a process takes from itself: others' eyes on its files, core files, and its hold on memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.broker import EmbeddedBroker, socket_path
from workers.hardening import OOM_SCORE, end_before_others
from workers.settings import Settings

from .conftest import ROOT, manage


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_store_and_runtime_are_this_users_alone(home: Settings) -> None:
    """The store and its folder, the broker's socket and its folder can be opened by no other user, whatever the shell's umask was."""
    before = os.umask(0)
    try:
        manage("migrate", home=home)
        with EmbeddedBroker(home):
            socket, folder = mode(socket_path(home)), mode(socket_path(home).parent)
    finally:
        os.umask(before)
    assert mode(home.home / "var") == 0o700
    assert [mode(file) for file in (home.home / "var").glob("stillhouse.db*")] == [0o600]
    assert (socket, folder) == (0o700, 0o700)


def test_an_export_is_this_users_alone(home: Settings, tmp_path: Path) -> None:
    """A file of results is made for the user who asked for it."""
    manage("migrate", home=home)
    manage("export", "toy", str(tmp_path / "results.csv"), home=home)
    assert mode(tmp_path / "results.csv") == 0o600


def test_no_command_leaves_a_core_file() -> None:
    """A command that crashes writes its memory, which may hold texts, to no file: the limit is 0 and cannot be raised again."""
    code = "import resource; from workers.cli import main; main(['packs', '--json']); print(resource.getrlimit(resource.RLIMIT_CORE))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "(0, 0)"


@pytest.mark.parametrize(("there", "left"), [("0", OOM_SCORE), ("-900", OOM_SCORE), ("800", 800)])
def test_a_worker_is_ended_first(tmp_path: Path, there: str, left: int) -> None:
    """The score that the kernel chooses by is raised, and never lowered."""
    (tmp_path / "score").write_text(there)
    end_before_others(tmp_path / "score")
    assert int((tmp_path / "score").read_text()) == left
    end_before_others(tmp_path / "absent")
