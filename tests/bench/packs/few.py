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
# unlabelled documents to choose from
POOL = 2000
# first documents drawn anew so often, and for each of these draws ADDED more drawn by chance so often
DRAWS = 3
BY_CHANCE = 2


def curve(pack: Pack, source: str, task: str, students: Path, data_root: Path, n_threads: int, on_progress: OnProgress) -> dict[str, Any]:
    """Test scores with so many train documents a label; and with ADDED more than STARTS[0] a label, suggested or drawn by chance: medians of draws."""
    train, dev, test = (read_examples(pack, split, data_root=data_root, sources=[source]) for split in ("train", "dev", "test"))
    made: dict[str, Any] = {"n_test": len(test), "majority": round(majority_scores(pack, test, 0)[source][task].score, 4)}

    def learned(chosen: Sequence[Example]) -> tuple[Student, float]:
        examples = Examples(list(chosen), _few(dev, task, 20))
        options = FinetuneOptions(data_root=data_root, sources=(source,), encoder="none")
        student = finetuned(teaching_pack(pack), students, examples, options, (), on_progress)
        return student, round(score(make_predictor(pack, student, n_threads=n_threads), test)[source][task].score, 4)

    first, suggested, by_chance = [], [], []
    for seed in range(DRAWS):
        rng = random.Random(seed)
        order = rng.sample(train, len(train))
        base = _few(order, task, STARTS[0])
        student, of_base = learned(base)
        first.append(of_base)
        there = {e.document.id for e in base}
        # what is left stands in an order that the choice of the base has bent: first come those whose label was full
        left = [replace(e, tasks=frozenset({task})) for e in order if e.document.id not in there]
        pool = rng.sample(left, min(POOL, len(left)))
        seen = Reader(pack, student, n_threads=n_threads).impressions([e.document for e in [*pool, *base]])
        chosen = [pool[s.place] for s in suggest(seen[: len(pool)], seen[len(pool) :], ADDED, [task])]
        suggested.append(learned([*base, *chosen])[1])
        by_chance += [learned([*base, *rng.sample(pool, ADDED)])[1] for _ in range(BY_CHANCE)]
    made[f"{STARTS[0]} a label"] = statistics.median(first)
    order = random.Random(0).sample(train, len(train))
    made |= {f"{n} a label": learned(_few(order, task, n))[1] for n in STARTS[1:]}
    made |= {f"and {ADDED} suggested": statistics.median(suggested), "suggested": suggested}
    return made | {f"and {ADDED} by chance": statistics.median(by_chance), "by chance": by_chance}


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
