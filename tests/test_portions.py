"""What a distillation reads: portions of sources, passes over rows, batches."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.encode import padded_length
from pipelines.portions import portions, read_batches

SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 10**7), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("sizes", "tokens", "passes", "wanted"),
    [
        ({"mails": 1_000_000, "notes": 50_000}, 200_000, 16, {"mails": 100_000, "notes": 100_000}),
        ({"mails": 1_000_000, "few": 1_000, "notes": 50_000}, 216_000, 16, {"mails": 100_000, "few": 16_000, "notes": 100_000}),
        ({"few": 1_000, "fewer": 500}, 150_000, 100, {"few": 100_000, "fewer": 50_000}),
        ({"one": 70_000}, 30_000, 2, {"one": 30_000}),
    ],
    ids=["equal", "a small source has few passes", "just enough text", "a part"],
)
def test_the_portions_of_sources(sizes: dict[str, int], tokens: int, passes: float, wanted: dict[str, float]) -> None:
    """Equally much of each; a small source at most so many times, the rest being the others'."""
    assert portions({source: passes * size for source, size in sizes.items()}, tokens) == pytest.approx(wanted)


@given(SIZES, st.integers(1, 10**9))
def test_portions_are_as_equal_as_they_can_be(most: dict[str, int], tokens: int) -> None:
    """Whatever the sizes: as much as is asked for, or all there is; and whoever has less than another has its most."""
    made = portions(most, tokens)
    assert sum(made.values()) == pytest.approx(min(tokens, sum(most.values())))
    assert all(made[s] <= most[s] * 1.001 for s in most)
    assert all(made[s] == pytest.approx(most[s]) for s in most if made[s] < 0.999 * max(made.values()))


def test_batches_hold_each_sources_portion() -> None:
    """Every row of a source is read before one is read again; batches have one padded length and keep within the tokens."""
    rng = np.random.default_rng(1)
    rows = {name: [np.full(rng.integers(5, 120), 1000 * at + i, np.int32) for i in range(n)] for at, (name, n) in enumerate((("large", 400), ("small", 40)))}
    made = read_batches(rows, 20_000, 512, seed=1)
    assert all(len({padded_length(len(row)) for row in batch}) == 1 for batch in made)
    assert all(len(batch) == 1 or padded_length(len(batch[0])) * len(batch) <= 512 for batch in made)
    read = [row for batch in made for row in batch]
    for source, of in rows.items():
        ids = {int(row[0]) for row in of}
        mine = [row for row in read if int(row[0]) in ids]
        assert 0 <= sum(map(len, mine)) - 10_000 < 120
        times = Counter(int(row[0]) for row in mine)
        assert max(times.values()) - min(times.get(i, 0) for i in ids) <= 1, source


def test_the_order_is_the_seeds() -> None:
    """The same seed reads the same batches, another one others; sources are mixed."""
    rows = {name: [np.full(20, 100 * at + i, np.int32) for i in range(50)] for at, name in enumerate(("a", "b"))}
    order = [[[int(row[0]) for row in batch] for batch in read_batches(rows, 2000, 200, seed=seed)] for seed in (1, 1, 2)]
    assert order[0] == order[1] != order[2]
    assert sum(min(batch) < 100 <= max(batch) for batch in order[0]) > len(order[0]) / 2
