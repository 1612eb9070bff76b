"""The worked queries of the data dictionary: each runs as it stands on both stores, and finds something."""

from __future__ import annotations

import pytest

from suites.discover import Pack, discover
from tests.bench.million import fill
from workers.dictionary import data_dictionary
from workers.query import read_only
from workers.questions import questions
from workers.store import Store

N = 400
PACKS, _ = discover(())


@pytest.fixture(params=sorted(PACKS))
def pack(request: pytest.FixtureRequest) -> Pack:
    return PACKS[request.param]


def test_each_query_runs_and_finds_something(store_url: str, pack: Pack) -> None:
    """On a store that a year of reading has filled; those that name documents and packs of the example's are asked of that pack alone."""
    store = Store(store_url)
    fill(store, PACKS, pack, N)
    dialect = "sqlite" if store.is_sqlite else "postgresql"
    store.close()
    others = tuple(f"{name}_" for name in PACKS if name != pack.name)
    asked = [q for q in questions(PACKS) if not q.of.startswith(others)]
    assert len(asked) > 20
    for question in asked:
        rows, _ = read_only(store_url, question.sql(dialect), 50)
        named = [name for name in PACKS if f"'{name}" in question.sql(dialect)] or [pack.name]
        of_its_tasks = question.of != "tallies" or "verdict" in pack.tasks
        assert rows or pack.name not in named or not of_its_tasks, question


def test_every_table_and_view_of_a_pack_has_one() -> None:
    """What analysts may ask has a worked query each; what nobody asks has none."""
    without = {entry["name"] for entry in data_dictionary(PACKS.values()) if not entry["queries"]}
    assert without == {"data_keys", "texts", "tombstones", "views"}
