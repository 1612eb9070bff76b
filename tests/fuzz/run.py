"""Fuzzes every target for a while: `python -m tests.fuzz.run --minutes 8 --json FILE`; exit 1 where anything crashed.

With atheris (requirements-fuzz.lock) inputs that reach new code are mutated further; without it, or with --no-coverage,
inputs are made from numbers, the same on every machine. Each target runs in a process of its own (tests/fuzz/watch.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .targets import targets

ROOT = Path(__file__).parents[2]
LEAST_S = 2.0  # a process takes a second to start
STUCK_S = 60.0  # over its time; an input that hangs ends its process long before


def fuzz(name: str, seconds: float, folder: Path, kept: Path, *, by_coverage: bool) -> dict[str, Any]:
    """What one target showed. A process that dies is a crash; another goes on in the time that is left."""
    total: dict[str, Any] = {"inputs": 0, "slowest_s": 0.0, "slowest_bytes": 0, "crashes": {}, "peak_mb": 0}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > LEAST_S or total["inputs"] == 0:
        (folder / "found.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.watch", str(folder), name, "--seconds", str(max(left, LEAST_S)), "--first", str(total["inputs"])]
        done = _run(command + ["--coverage"] * by_coverage, left + STUCK_S)
        file = folder / "found.json"
        found = json.loads(file.read_text())[name] if file.exists() else {}
        total["inputs"] += found.get("inputs", 0) or 1
        total["peak_mb"] = max(total["peak_mb"], found.get("peak_mb", 0))
        total["crashes"] |= found.get("crashes", {})
        if found.get("slowest_s", 0.0) > total["slowest_s"]:
            total["slowest_s"], total["slowest_bytes"] = found["slowest_s"], found["slowest_bytes"]
        if done.returncode:
            total["crashes"][_ended(done)] = _keep(folder / "current", kept, f"{name.strip('.')}-ended-{total['inputs']}")
    total["crashes"] = {what: _keep(Path(where), kept, Path(where).name) for what, where in total["crashes"].items()}
    return total


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -signal.SIGKILL, "", "It did not end in time, and was killed.")


def _ended(done: subprocess.CompletedProcess[str]) -> str:
    how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit {done.returncode}"
    return f"the process ended: {how}. {done.stderr.strip()[-300:]}"


def _keep(file: Path, kept: Path, name: str) -> str:
    kept.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.parent != kept:
        shutil.copyfile(file, kept / name)
    return str(kept / name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="in all; each target gets the same share")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--target", action="append", help="one of them (default: all)")
    parser.add_argument("--crashes", type=Path, default=ROOT / "var" / "fuzz", help="where inputs that crash are kept")
    parser.add_argument("--no-coverage", action="store_true")
    options = parser.parse_args()
    by_coverage = not options.no_coverage and find_spec("atheris") is not None
    names = options.target or list(targets())
    told: dict[str, Any] = {"engine": "atheris" if by_coverage else "numbered mutations", "minutes": options.minutes, "targets": {}}
    print(f"{'target':14}{'inputs':>10}{'crashes':>9}{'slowest ms':>12}{'peak MiB':>10}   ({told['engine']})")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(name, options.minutes * 60 / len(names), Path(folder), options.crashes, by_coverage=by_coverage)
        told["targets"][name] = found
        print(f"{name:14}{found['inputs']:>10}{len(found['crashes']):>9}{found['slowest_s'] * 1000:>12.1f}{found['peak_mb']:>10}", flush=True)
        for what, where in found["crashes"].items():
            print(f"    {what}\n    {where}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(any(found["crashes"] for found in told["targets"].values()))


if __name__ == "__main__":
    sys.exit(main())
