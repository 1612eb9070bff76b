"""The results of several measurements in one file: docs/results/speed.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.files import write_whole

SCHEMA = 1


def merge(path: Path, added: Mapping[str, Any]) -> dict[str, Any]:
    """Adds what another measurement found to the results in a file, beside what is there; gives all of it.

    Keys of `added` replace those of their name: path_share_sqlite, path_share_postgresql, training_ratio and their details.
    """
    there: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"schema": SCHEMA}
    results = there | dict(added)
    write_whole(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results
