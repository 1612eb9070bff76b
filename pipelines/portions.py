"""What one distillation reads: of each source a portion, in batches of few shapes, in a random order.

Sources of a domain differ a hundredfold in size. Read as they are, a student would imitate its
teacher on the largest one alone (docs/distillation.md has what that costs the others).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

from pipelines.encode import Ints, batches

# a small source is read so many times at most, unless all of them are short of text
MAX_PASSES = 16


def portions(most: Mapping[str, float], tokens: float) -> dict[str, float]:
    """How many of `tokens` are read of each source: equally many, but of none more than its `most`."""
    portion: dict[str, float] = {}
    left = float(tokens)
    for n_before, source in enumerate(sorted(most, key=lambda s: (most[s], s))):
        portion[source] = min(most[source], left / (len(most) - n_before))
        left -= portion[source]
    return portion


def read_batches(rows: Mapping[str, Sequence[Ints]], tokens: int, batch_tokens: int, seed: int) -> list[list[Ints]]:
    """The batches of a whole run: rows of one padded length, as many as `batch_tokens` hold.

    So there are few shapes: the processor's kernels are made anew for every one. `rows` are the token ids of each source,
    which is read MAX_PASSES times at most, unless all of them together are too short.
    """
    rng = random.Random(seed)
    sizes = {source: sum(map(len, of)) for source, of in rows.items()}
    read: list[Ints] = []
    passes = max(MAX_PASSES, tokens / sum(sizes.values()))
    for source, portion in portions({source: passes * size for source, size in sizes.items()}, tokens).items():
        read += _portion(rows[source], portion, rng)
    rng.shuffle(read)
    made = [[read[i] for i in batch] for batch in batches([len(row) for row in read], batch_tokens)]
    rng.shuffle(made)
    return made


def _portion(rows: Sequence[Ints], tokens: float, rng: random.Random) -> Iterator[Ints]:
    """Rows in random order, all of them before one comes again, until so many tokens are read."""
    order = rng.sample(range(len(rows)), len(rows))
    for i in cycle(order):
        if tokens <= 0:
            return
        tokens -= len(rows[i])
        yield rows[i]
