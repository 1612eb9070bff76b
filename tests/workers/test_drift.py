"""Drift: by chance alone it is hardly ever seen, a change is; and a day of foreign documents ends the command with 1."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from pipelines.tally import DOCUMENTS, Tally
from tests.conftest import toy_sample
from workers.drain import drain
from workers.drift import drifts
from workers.settings import Settings
from workers.store import Store
from workers.tallies import add_tallies, by_day

from .conftest import manage, manage_json

LABELS = {"legitimate": 0.7, "spam": 0.2, "phishing": 0.1}


def drawn(rng: random.Random, n: int, *, shares: dict[str, float] = LABELS, mean: float = 10.0) -> Tally:
    """Counts of `n` documents with labels of these shares and lengths about a mean."""
    found: Tally = Counter({DOCUMENTS: n})
    found.update(("label:verdict", rng.choices(list(shares), list(shares.values()))[0]) for _ in range(n))
    found.update(("length", str(max(0, round(rng.gauss(mean, 3))))) for _ in range(n))
    return found


@pytest.mark.parametrize(("n_reference", "n_day"), [(100, 50), (300, 1000), (1000, 100_000)])
def test_chance_alone_is_hardly_ever_called_drift(n_reference: int, n_day: int) -> None:
    """Of the measures of 200 days drawn as the reference was, three at most are called drifted, however few the documents are."""
    rng = random.Random(3)
    found = []
    for day in range(200 if n_day < 10_000 else 10):
        found += list(drifts(drawn(rng, n_reference), {str(day): drawn(rng, n_day)}, bound=0.01))
    assert len(found) >= 20 and sum(d.drifted for d in found) <= 3, [d for d in found if d.drifted]


def test_a_change_is_seen_where_it_is() -> None:
    """A label three times as frequent is drift of labels alone, and the label is named; longer documents are drift of lengths alone."""
    rng = random.Random(4)
    reference = drawn(rng, 500)
    more = {"legitimate": 0.5, "spam": 0.2, "phishing": 0.3}
    found = {(d.day, d.measure): d for d in drifts(reference, {"labels": drawn(rng, 500, shares=more), "lengths": drawn(rng, 500, mean=13.0)})}
    assert {key for key, d in found.items() if d.drifted} == {("labels", "label:verdict"), ("lengths", "length")}
    moved = found["labels", "label:verdict"]
    assert moved.moved == "phishing" and moved.share_before < 0.15 < 0.25 < moved.share_now


def test_few_documents_tell_nothing() -> None:
    """Days and references of fewer than 30 documents are left out."""
    rng = random.Random(5)
    assert not list(drifts(drawn(rng, 500), {"day": drawn(rng, 29)})) and not list(drifts(drawn(rng, 29), {"day": drawn(rng, 500)}))


def test_what_slots_count_adds_up(store: Store) -> None:
    """Counts of two processes and of two parts are one sum by day, label and bin."""
    counts = {("2026-11-01", "label:topic", "animals"): 2, ("2026-11-01", "documents", ""): 3, ("2026-11-02", "documents", ""): 1}
    with store.begin() as connection:
        for slot in (0, 0, 7):
            add_tallies(connection, "s", slot, counts)
        add_tallies(connection, "other", 0, counts)
        add_tallies(connection, "s", 0, {})
    with store.reading() as connection:
        assert by_day(connection, "s") == {"2026-11-01": Counter({("label:topic", "animals"): 6, DOCUMENTS: 9}), "2026-11-02": Counter({DOCUMENTS: 3})}
        assert list(by_day(connection, "s", since="2026-11-02")) == ["2026-11-02"]


def written(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"id": f"{path.stem}-{i}", "text": text}) + "\n" for i, text in enumerate(texts)), encoding="utf-8")
    return str(path)


def read(home: Settings) -> None:
    store = Store(home.store_url)
    assert drain(store, home, budget_s=120).empty
    store.close()


@pytest.mark.slow
def test_a_day_of_foreign_documents_ends_with_1(home: Settings, tmp_path: Path) -> None:
    """Documents like those that the student was tried on are no drift; hundreds of others are: the command says of what, and ends with 1."""
    manage("migrate", home=home)
    assert "No day" in manage("drift", "toy", home=home).stderr
    usual = [toy_sample(n)["text"] for n in range(1000, 1080)]
    manage("submit", "toy", written(tmp_path / "usual.jsonl", usual), home=home)
    read(home)
    quiet = manage_json("drift", "toy", home=home)
    # of the answers to a handful of held-out samples nothing can be told; of the texts of all it can
    assert {d["measure"] for d in quiet["drifts"]} == {"length", "unknown", "distance"}
    assert not [d for d in quiet["drifts"] if d["drifted"]]
    foreign = [f"qzx {n} ꙮꙮ 𐍈𐌰𐌹 " * 60 for n in range(400)]
    manage("submit", "toy", written(tmp_path / "foreign.jsonl", foreign), home=home)
    read(home)
    done = manage("drift", "toy", "--json", home=home, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["error"]["code"] == "drift" and "length" in told["error"]["message"]
    drifted = {d["measure"] for d in told["data"]["drifts"] if d["drifted"]}
    assert {"length", "unknown", "distance"} <= drifted
    assert "qzx" not in done.stdout + done.stderr
    assert manage("drift", "toy", "--bound", "-1", home=home, check=False).returncode == 2
