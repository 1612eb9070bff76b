"""Texts with some words swapped for others: more to ask a teacher about than the few texts that there are.

What is swapped no longer means much, but a teacher answers it all the same, and a student that gives
the same answers has learned more of the teacher than the texts that both know by heart can tell.
(TinyBERT swaps words for like ones; Jiao et al. 2020, arXiv:1909.10351, section 3.2.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
import numpy.typing as npt

from pipelines.encode import Inputs, Ints
from pipelines.portions import MAX_PASSES, portions
from pipelines.targets import Encoded

# of the pieces that begin a word
SWAPPED_SHARE = 0.2
# of a source of few texts more copies are made, to so many: from 222 texts twice over a student learns too little (docs/distillation.md)
FEWEST = 1000


def swapped(ids: Ints, may: npt.NDArray[np.bool_], common: Ints, words: Ints, rng: np.random.Generator) -> Ints:
    """The ids with SWAPPED_SHARE of the `words` where it `may` be swapped for another: one of `common` or any, as a coin falls.

    `common` are the words of a source or a batch, each as often as it stands there; the others may come some day. `words` are
    the ids of all pieces that begin a word. Shapes: ids and may alike; common and words (any,).
    """
    places = may & (rng.random(ids.shape) < SWAPPED_SHARE) & np.isin(ids, words)
    n = int(places.sum())
    made = ids.copy()
    made[places] = np.where(rng.random(n) < 0.5, rng.choice(common, n), rng.choice(words, n))
    return made


def varied(examples: Sequence[Encoded], words: Ints, tokens: int, copies: int, seed: int) -> list[Encoded]:
    """Copies of the examples with some words swapped (see `swapped`), which no longer have gold: teachers are to answer.

    So many `copies` of each, of a source of few texts up to FEWEST in all (MAX_PASSES of each at most); equally many of each
    source where they would be more than `tokens`. No `copies`: none.
    """
    if not copies:
        return []
    rng = np.random.default_rng(seed)
    by_source: dict[str, list[Encoded]] = {}
    for example in examples:
        if example.n_tokens:
            by_source.setdefault(example.source, []).append(example)
    most = {source: max(copies, min(MAX_PASSES, FEWEST / len(of))) * sum(e.n_tokens for e in of) for source, of in by_source.items()}
    made: list[Encoded] = []
    for source, portion in portions(most, tokens).items():
        common = np.concatenate([e.ids for e in by_source[source]])
        common = common[np.isin(common, words)]
        made += (_varied(e, common, words, rng) for e in _portion(by_source[source], portion, rng))
    return made


def _portion(examples: Sequence[Encoded], tokens: float, rng: np.random.Generator) -> Iterator[Encoded]:
    for i in cycle(rng.permutation(len(examples)).tolist()):
        tokens -= examples[i].n_tokens
        if tokens < 0:
            return
        yield examples[i]


def _varied(example: Encoded, common: Ints, words: Ints, rng: np.random.Generator) -> Encoded:
    ids = swapped(example.ids, np.ones(example.n_tokens, np.bool_), common, words, rng)
    rows = [row.copy() for row in example.inputs.rows]
    for row, window in zip(rows, example.inputs.plan, strict=True):
        row[1:-1] = ids[window.start : window.end]
    targets = {name: replace(target, gold=False) for name, target in example.targets.items()}
    return replace(example, source="varied", inputs=Inputs(tuple(rows), example.inputs.plan), targets=targets)
