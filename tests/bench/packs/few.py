"""What few labelled examples give, and what suggestions add over chance: learning curves on real sets."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.evaluate import majority_scores, score
from pipelines.examples import read_examples
from pipelines.finetune import Examples, FinetuneOptions, finetuned, teaching_pack
from pipelines.predict import make_predictor
from pipelines.progress import OnProgress
from pipelines.student import Student
from pipelines.suggest import Reader, suggest
from suites.discover import Pack
from suites.types import Example

STARTS = (20, 50, 100)
ADDED = 60
# unlabelled documents to choose from, and how often ADDED of them are drawn by chance
POOL = 2000
DRAWS = 3


def curve(pack: Pack, source: str, task: str, students: Path, data_root: Path, n_threads: int, on_progress: OnProgress) -> dict[str, Any]:
    """Test scores with so many train documents a label, and with ADDED more than 20 a label: suggested ones, and ones drawn by chance."""
    train, dev, test = (read_examples(pack, split, data_root=data_root, sources=[source]) for split in ("train", "dev", "test"))
    rng = random.Random(1)
    order = rng.sample(train, len(train))
    made: dict[str, Any] = {"n_test": len(test), "majority": round(majority_scores(pack, test, 0)[source][task].score, 4)}

    def learned(chosen: Sequence[Example]) -> tuple[Student, float]:
        examples = Examples(list(chosen), _few(dev, task, 20))
        options = FinetuneOptions(data_root=data_root, sources=(source,), encoder="none")
        student = finetuned(teaching_pack(pack), students, examples, options, (), on_progress)
        return student, round(score(make_predictor(pack, student, n_threads=n_threads), test)[source][task].score, 4)

    base = _few(order, task, STARTS[0])
    for n in STARTS:
        student, made[f"{n} a label"] = learned(_few(order, task, n))
        if n == STARTS[0]:
            first = student
    there = {e.document.id for e in base}
    # what is left stands in an order that the choice of the base has bent: first come those whose label was full
    left = [replace(e, tasks=frozenset({task})) for e in order if e.document.id not in there]
    pool = rng.sample(left, min(POOL, len(left)))
    reader = Reader(pack, first, n_threads=n_threads)
    seen = reader.impressions([e.document for e in [*pool, *base]])
    chosen = [pool[s.place] for s in suggest(seen[: len(pool)], seen[len(pool) :], ADDED)]
    made[f"and {ADDED} suggested"] = learned([*base, *chosen])[1]
    by_chance = [learned([*base, *rng.sample(pool, ADDED)])[1] for _ in range(DRAWS)]
    made |= {f"and {ADDED} by chance": statistics.median(by_chance), "by chance, least": min(by_chance), "by chance, most": max(by_chance)}
    return made


def _few(examples: Sequence[Example], task: str, n: int) -> list[Example]:
    """The first `n` examples of each label, in order."""
    counts: dict[str, int] = defaultdict(int)
    kept = []
    for example in examples:
        label = next((f.label for f in example.gold if f.task == task), "")
        counts[label] += 1
        if counts[label] <= n:
            kept.append(replace(example, tasks=frozenset({task})))
    return kept
