"""The protocol of a peer's process: rows come in on stdin, findings go out on stdout, what it took stands in the last line.

A peer runs in an environment of its own, so this file and the peers' files import the standard library and the peer alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

Row = Mapping[str, Any]
Read = Callable[[Row], dict[str, Any]]
Options = Mapping[str, str]


def serve(load: Callable[[Options], Read], packages: Sequence[str]) -> None:
    """Answers every row of stdin by one line, and ends with a line of meta: seconds to load, to read, versions, rows that failed.

    `load` is given the options of the command line, NAME=VALUE each; what it imports counts as loading. The first row is
    read once before the clock starts: libraries compile their patterns then.
    """
    answers = _kept_stdout()
    rows = [json.loads(line) for line in sys.stdin]
    started = time.perf_counter()
    read = load(dict(argument.split("=", 1) for argument in sys.argv[1:]))
    _answer(read, rows[0])
    loaded = time.perf_counter()
    found = [_answer(read, row) for row in rows]
    done = time.perf_counter()
    meta = {
        "load_s": loaded - started,
        "read_s": done - loaded,
        "n_rows": len(rows),
        "n_failed": sum("error" in answer for answer in found),
        "versions": {name: metadata.version(name) for name in packages} | {"python": sys.version.split()[0]},
    }
    with os.fdopen(answers, "w", encoding="utf-8") as lines:
        for answer in [*found, {"meta": meta}]:
            lines.write(json.dumps(answer) + "\n")


def _kept_stdout() -> int:
    """Where answers go; what libraries print goes to stderr from now on."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


def _answer(read: Read, row: Row) -> dict[str, Any]:
    try:
        return {"id": row["id"], **read(row)}
    except Exception as error:  # whatever a peer raises: it has found nothing there, and that is counted
        return {"id": row["id"], "error": type(error).__name__}


def without_overlaps(spans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of spans that overlap the one of the higher score, then the longer one, in the order of the text."""
    kept: list[dict[str, Any]] = []
    for span in sorted(spans, key=lambda s: (-s["score"], s["start"] - s["end"], s["start"])):
        if all(span["end"] <= other["start"] or other["end"] <= span["start"] for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s["start"])


def cased(text: str, start: int, end: int, case: str) -> str:
    """The text as it is (`as_is`), with its concept in lower case (`concept`), or all in lower case (`all`); its length never changes."""
    first, last = {"as_is": (0, 0), "concept": (start, end), "all": (0, len(text))}[case]
    lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text[first:last])
    return text[:first] + lowered + text[last:]
