"""A console as a user starts it: a process, and the links that it prints."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from workers.settings import Settings

from ..conftest import ROOT


@dataclass
class Running:
    """A running console: its address, its process, and by reviewer, analysts as "", the link of each."""

    url: str
    process: subprocess.Popen[str]
    links: dict[str, str]

    def ended(self, signum: int) -> tuple[int, str]:
        """Sends it a signal; gives its exit code and all else that it said."""
        self.process.send_signal(signum)
        said = self.process.communicate(timeout=20)[1]
        return self.process.returncode, said


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def console(settings: Settings, *arguments: str, **environment: str) -> Iterator[Running]:
    """Runs it until the block ends."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(settings.home / "settings.toml"), **environment}
    command = [sys.executable, str(ROOT / "manage.py"), "console", "--port", str(port), *arguments]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        links = _links(process, 1 + arguments.count("--reviewer"))
        for _ in range(200):
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield Running(url, process, links)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=20)


def _links(process: subprocess.Popen[str], n: int) -> dict[str, str]:
    """The first lines that it says. Raises AssertionError with all that it said where it ends before."""
    assert process.stderr is not None
    found: dict[str, str] = {}
    said = ""
    while len(found) < n:
        line = process.stderr.readline()
        said += line
        assert line, said
        if match := re.match(r"(?:reviewer (\S+)|analysts): (\S+)", json.loads(line)["message"]):
            found[match[1] or ""] = match[2]
    return found
