"""Nothing phones home: the main job as real processes, none of which may look up a name or reach beyond this machine.

An audit hook in every Python process, children included, writes down and refuses what goes elsewhere. Native code that opens
sockets by itself is not seen by it: `STILLHOUSE_STRACE=1` runs the same job under `strace`, which sees every system call.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workers.settings import Settings

from .conftest import ROOT, manage, write_documents

# runs at the start of every Python process below; the file's name is Python's own
HOOK = """\
import ipaddress, os, sys

ADDRESSED = {"socket.connect", "socket.sendto", "socket.sendmsg"}
NAMED = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def is_here(host):
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def watch(event, args):
    if event in ADDRESSED:  # a Unix socket's address is no tuple
        host = args[-1][0] if isinstance(args[-1], tuple) else None
    elif event in NAMED:
        host = args[0]
    else:
        return
    if not is_here(host):
        with open(os.environ["SEEN"], "a") as seen:
            seen.write(f"{event} {host!r} {sys.argv[:2]}\\n")
        raise PermissionError(f"{event}: nothing here reaches beyond this machine")


sys.addaudithook(watch)
with open(os.environ["SEEN"] + ".started", "a") as started:
    started.write(f"{os.getpid()}\\n")
"""


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """The environment in which every Python process is watched."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    # what `make setup` would leave to the settings: nothing from outside says that we are offline
    return {"PYTHONPATH": str(tmp_path / "hook"), "SEEN": str(tmp_path / "seen"), "HF_HUB_OFFLINE": "", "HF_HOME": str(tmp_path / "hf")}


def seen(watched: dict[str, str]) -> list[str]:
    path = Path(watched["SEEN"])
    return path.read_text().splitlines() if path.exists() else []


@contextmanager
def up(home: Settings, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`manage.py up` with one process, until SIGTERM."""
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml"), **environment}
    running = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "up", "--processes", "1"], env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)


def main_job(home: Settings, path: Path, environment: dict[str, str]) -> None:
    """From an empty store to exported results, and a student of its own beside it."""
    manage("migrate", home=home, **environment)
    with up(home, environment):
        manage("submit", "toy", str(path), "--wait", home=home, **environment)
    manage("query", "select document, topic from toy_results", home=home, **environment)
    manage("export", "toy", str(path.with_suffix(".parquet")), home=home, **environment)
    manage("predict", "toy", str(path), home=home, **environment)
    manage("doctor", home=home, **environment)
    made = json.loads(manage("finetune", "toy", "--epochs", "1", "--json", home=home, **environment).stdout)["data"]
    manage("evaluate", "toy", "--student", made["student"], "--no-speed", home=home, **environment)


@pytest.mark.slow
def test_the_main_job_reaches_nothing_beyond_this_machine(home: Settings, tmp_path: Path, watched: dict[str, str]) -> None:
    """migrate, up, submit, query, export, predict, doctor, finetune and evaluate neither look up a name nor connect elsewhere."""
    main_job(home, write_documents(tmp_path / "docs.jsonl", 20), watched)
    assert seen(watched) == []
    # nine commands, the worker of `up`, its child: the hook was in all of them
    assert len(Path(watched["SEEN"] + ".started").read_text().split()) >= 11


REACH_OUT = {
    "connect": "import socket; socket.socket().connect(('192.0.2.1', 9))",
    "six": "import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::1', 9))",
    "datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    "name": "import socket; socket.getaddrinfo('example.invalid', 443)",
    "old name": "import socket; socket.gethostbyname('example.invalid')",
    "in a spawned child": "import multiprocessing as m, socket; p = m.get_context('spawn').Process(target=socket.getaddrinfo, args=('example.invalid', 1)); "
    "p.start(); p.join(); raise SystemExit(p.exitcode)",
    "by a library": "import requests; requests.get('http://192.0.2.1/', timeout=1)",
}


@pytest.mark.parametrize("code", REACH_OUT.values(), ids=REACH_OUT.keys())
def test_the_hook_catches_who_reaches_out(watched: dict[str, str], code: str) -> None:
    """The hook refuses and writes down a connection, a datagram and a look-up, of a child and of a library too: the test above can fail."""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **watched}, capture_output=True, text=True)
    assert done.returncode != 0 and seen(watched)


def test_the_hook_lets_this_machine_be(watched: dict[str, str], tmp_path: Path) -> None:
    """Loopback and Unix sockets are reached as without the hook."""
    code = """
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, "s")):
    server = socket.socket(family)
    server.bind(address)
    server.listen()
    socket.socket(family).connect(server.getsockname())
socket.getaddrinfo("localhost", 1)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **watched}, cwd=tmp_path, check=True)
    assert seen(watched) == []


@pytest.mark.parametrize("offline", [True, False])
def test_an_encoder_is_fetched_only_where_the_setting_lets_it(watched: dict[str, str], offline: bool) -> None:
    """A hub: source that is not in the cache is looked for on the network with `offline = false` alone; either way it ends in a StudentError."""
    code = f"""
from pipelines.sources import encoder_folder
from suites.errors import StudentError
try:
    encoder_folder("hub:nobody/nothing", offline={offline})
except StudentError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **watched}, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr
    assert (seen(watched) == []) is offline


ELSEWHERE = re.compile(r"sa_family=AF_INET6?[^}]*")
HERE = re.compile(r'inet_addr\("127\.|"::1"|"::ffff:127\.')


@pytest.mark.skipif(not os.environ.get("STILLHOUSE_STRACE"), reason="STILLHOUSE_STRACE=1 asks for it: minutes, and the tool strace")
def test_no_system_call_reaches_beyond_this_machine(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job under strace: no process, native code included, connects or sends to an address beyond this machine."""
    strace = shutil.which("strace")
    assert strace, "strace is not installed"
    traced = tmp_path / "python"
    log = tmp_path / "trace"
    command = f'exec {strace} -D -f -qq -o "{log}.$$" -e trace=connect,sendto,sendmsg,sendmmsg "{sys.executable}" "$@"'
    traced.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    traced.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(traced))
    main_job(home, write_documents(tmp_path / "docs.jsonl", 20), {"HF_HUB_OFFLINE": ""})
    subprocess.run([str(traced), "-c", "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"], check=True)
    calls = [line for file in tmp_path.glob("trace.*") for line in file.read_text(errors="replace").splitlines()]
    elsewhere = [call for call in calls if (found := ELSEWHERE.search(call)) and not HERE.search(found[0])]
    assert [call for call in elsewhere if "192.0.2.1" not in call] == []
    assert len(elsewhere) == 1, "the control that does reach out was not seen"
