"""How long a short message takes on one core: in process, and over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from pipelines.encode import TextEncoder
from suites.discover import Pack
from suites.samples import read_samples
from tests.bench.process import ROOT
from tests.bench.sets import rows_of

TOKENS = (50, 70)
ROUNDS = 5
MESSAGES = 400


def messages(pack: Pack, folder: Path, data_root: Path | None) -> list[str]:
    """Messages of about 60 word pieces: real ones where they are, else the samples."""
    texts = [e.document.text for e in read_samples(pack)]
    path = data_root / "finance" / "sms_smishing" / "test.jsonl.gz" if data_root else None
    if path is not None and path.exists():
        texts = [row["text"] for row in rows_of(path)] + texts
    lengths = [len(t) for t in TextEncoder(folder).tokens(texts)]
    return [text for text, n in zip(texts, lengths, strict=True) if TOKENS[0] <= n <= TOKENS[1]][:MESSAGES]


def in_process(home: Path, pack: str, texts: Sequence[str]) -> dict[str, Any]:
    """Percentiles of `Scorer.score` in a process of its own, pinned to one core."""
    code = (
        "import json, os, sys, time\nos.sched_setaffinity(0, {0})\n"
        "from workers.threads import one_thread_each\none_thread_each()\n"
        "from workers.score import Scorer\nfrom workers.settings import load_settings\n"
        "texts = json.load(sys.stdin)\nscorer = Scorer.of(load_settings(), sys.argv[1])\nscorer._predictor.cache = None\n"
        f"times = []\nfor _ in range({ROUNDS}):\n    for text in texts:\n"
        "        started = time.perf_counter(); scorer.score(text); times.append(time.perf_counter() - started)\n"
        "print(json.dumps(times))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, pack], input=json.dumps(texts), capture_output=True, text=True, env=_env(home), cwd=ROOT, check=True)
    return percentiles(json.loads(done.stdout.splitlines()[-1]))


def over_http(home: Path, pack: str, texts: Sequence[str]) -> dict[str, Any]:
    """Percentiles of `POST /score` to `serve`, which has one core; the client has another where there is one, and keeps its connection."""
    with _served(home, pack) as url, httpx.Client() as client:
        times = []
        for _ in range(ROUNDS):
            for text in texts:
                started = time.perf_counter()
                client.post(url, json={"text": text}).raise_for_status()
                times.append(time.perf_counter() - started)
    return percentiles(times)


def percentiles(times: Sequence[float]) -> dict[str, Any]:
    """n, and p50, p90, p99 and the longest in milliseconds."""
    ms = np.asarray(times) * 1000
    return {"n": len(ms)} | {name: round(float(np.percentile(ms, q)), 2) for name, q in (("p50", 50), ("p90", 90), ("p99", 99), ("longest", 100))}


@contextmanager
def _served(home: Path, pack: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["taskset", "-c", "0", sys.executable, "manage.py", "serve", pack, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=_env(home) | {"STILLHOUSE_INFERENCE__CACHE": "0"})
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/score"
    finally:
        process.terminate()
        process.wait(20)


def _env(home: Path) -> dict[str, str]:
    return {**os.environ, "STILLHOUSE_SETTINGS": str(home / "settings.toml")}
