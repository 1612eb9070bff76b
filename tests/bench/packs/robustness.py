"""What disguises cost a student that was made without defence, one that reads what a text looks like, and one that has learned disguises too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipelines.compare import CompareOptions, compare
from pipelines.finetune import FinetuneOptions, finetune
from pipelines.progress import OnProgress
from pipelines.view import View
from suites.discover import Pack

# (name, whether the encoder reads what a text looks like, disguised copies learned)
WAYS = (("undefended", False, 0), ("view", True, 0), ("view and copies", True, 1))


def robustness(pack: Pack, students: Path, data_root: Path, sources: tuple[str, ...], limit: int | None, on_progress: OnProgress) -> dict[str, Any]:
    """Source -> way -> attack -> score on the test split; all ways with the same rows, seed and size, without a teacher."""
    assert pack.manifest.robustness is not None
    made: dict[str, dict[str, dict[str, float]]] = {source: {} for source in sources}
    for name, views, copies in WAYS:
        plan = pack.manifest.robustness.model_copy(update={"copies": copies})
        chosen = replace(pack, manifest=pack.manifest.model_copy(update={"robustness": plan}))
        with _reading(views):
            options = FinetuneOptions(data_root=data_root, sources=sources, size="small", encoder="none", limit=limit)
            student = finetune(chosen, students / name.replace(" ", "_"), options, on_progress)
            evaluation = compare(
                chosen,
                student,
                students / name.replace(" ", "_"),
                CompareOptions(data_root=data_root, sources=sources, baseline=False, speed=False, n_threads=2),
                on_progress,
            )
        for attack, by_source in evaluation.attacked.items():
            for source, score in by_source.items():
                made[source].setdefault(name, {})[attack] = round(score.score, 4)
    return made


@contextmanager
def _reading(views: bool) -> Iterator[None]:
    """With or without the view of a text as it looks."""
    if views:
        yield
        return
    with patch("pipelines.encode.view", lambda text, words, known=(): View(text)):
        yield
