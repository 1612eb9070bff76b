"""The pieces of the speed bench: what it reads, how it counts, and a small run in real processes. Nothing here is timed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.encode import TextEncoder
from pipelines.sources import encoder_folder
from pipelines.student import load_student
from suites.errors import UsageError
from tests.bench.documents import BenchDocument, bench_documents, messages, whole_units, window_units
from tests.bench.latency import measure_latency, percentile
from tests.bench.merge import merge
from tests.bench.ours import REFERENCE, Ours, Shape, chosen, make_random, reader, sibling
from tests.bench.peak import multiply_adds
from tests.bench.peers import PEERS
from tests.bench.process import OURS
from tests.bench.speed import Plan, check_peers, measure
from tests.bench.speed_page import notes, page, table_rows
from tests.bench.speed_picture import picture
from tests.bench.unit import WINDOW_TOKENS

TINY = Shape(layers=1, hidden=32, heads=4, inner=64, pieces=3000)
FIGURES = {
    *("ratio_bert_base", "ratio_distilbert", "ratio_same_student", "int8_peak_share", "latency_p50_ms", "latency_p99_ms"),
    *("cold_start_s", "worker_mb", "worker_mapped_mb", "scaling_2_processes"),
}


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(encoder_folder(REFERENCE))


@pytest.fixture(scope="module")
def documents(encoder: TextEncoder) -> list[BenchDocument]:
    return bench_documents(encoder, 60)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    """A sealed student of random weights, one layer of 32."""
    return make_random(tmp_path_factory.mktemp("random") / "student", TINY)


def test_the_documents_have_the_stated_mix(documents: list[BenchDocument]) -> None:
    """60 % short messages, 30 % abstracts, 10 % notes, each as long as stated, up to a word; the first ten is as long as the mean one."""
    for kind, share, low, high in (("short", 0.6, 10, 60), ("abstract", 0.3, 150, 350), ("note", 0.1, 600, 1000)):
        lengths = [d.n_tokens for d in documents if d.kind == kind]
        assert len(lengths) == share * len(documents)
        assert low - 10 <= min(lengths) and max(lengths) <= high
    assert sum(d.n_tokens for d in documents[:10]) == pytest.approx(sum(d.n_tokens for d in documents) / 6, rel=0.03)


def test_all_systems_are_given_the_same_documents(encoder: TextEncoder, documents: list[BenchDocument]) -> None:
    """The documents are the same each time; as windows for peers they add the tokens that they have as whole documents."""
    assert bench_documents(encoder, 60) == documents
    assert messages(encoder, 3) == messages(encoder, 3)
    whole, tens, batches = whole_units(documents, 10), window_units(documents, None), window_units(documents, 32)
    assert [u.n_tokens for u in whole] == [u.n_tokens for u in tens]
    assert {len(u.texts) for u in batches} == {32}
    first = [text for unit in batches for text in unit.texts]
    assert first == [text for unit in tens for text in unit.texts][: len(first)]


def test_notes_are_cut_into_windows(encoder: TextEncoder, documents: list[BenchDocument]) -> None:
    """A long note has several windows, each within the encoder's length, and together they hold each token of it once and the overlap twice."""
    note = next(d for d in documents if d.kind == "note")
    assert len(note.pieces) > 1 and sum(p.n_tokens for p in note.pieces) == note.n_tokens
    assert all(len(t) <= WINDOW_TOKENS for t in encoder.tokens([p.text for p in note.pieces]))
    assert note.text.startswith(note.pieces[0].text) and note.text.endswith(note.pieces[-1].text)


def test_percentiles_are_values_that_were_measured() -> None:
    """The nearest rank: the smallest value that so many per cent do not exceed."""
    values = [float(n) for n in range(1, 201)]
    assert [percentile(values, share) for share in (50, 95, 99, 100)] == [100, 190, 198, 200]
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0 and percentile([7.0], 99) == 7.0


def test_a_slow_system_is_asked_less_often() -> None:
    """When time is up 20 messages have been timed at least, and the number is told; a fast one is asked as often as wished."""
    calls: list[int] = []
    assert measure_latency(lambda texts: calls.append(len(texts)), ["a", "b"], 200, seconds=0.0).n == 20
    assert measure_latency(lambda texts: None, ["a"], 200, seconds=60.0).n == 200
    assert set(calls) == {1}


def test_multiply_adds_are_those_of_the_products(tmp_path: Path) -> None:
    """A layer multiplies by four squares and two rectangles, and attention by twice the tokens; no BERT has none."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "distilbert", "dim": 2, "hidden_dim": 8, "n_layers": 3}))
    assert multiply_adds(tmp_path, [5]) == 3 * (5 * (4 * 4 + 2 * 16) + 2 * 25 * 2)
    assert multiply_adds(tmp_path / "none", [5]) is None


def test_a_random_student_reads_as_a_learned_one(tiny: Ours, documents: list[BenchDocument]) -> None:
    """It is sealed, answers its pack's tasks, and reads whole documents in the bench's windows; transformers loads the very same encoder."""
    from transformers import AutoModelForSequenceClassification

    student = load_student(tiny.folder)
    assert (student.id, tiny.random) == (tiny.id, True)
    assert reader(tiny, 1)([d.text for d in documents[:20]]) == 20
    same = AutoModelForSequenceClassification.from_pretrained(tiny.folder)
    assert same.config.n_layers == TINY.layers and same.config.vocab_size == TINY.pieces


def test_a_student_of_another_pack_reads_by_the_same_encoder(tiny: Ours, tmp_path: Path, documents: list[BenchDocument]) -> None:
    """It is a sealed student of its own that answers the other pack's tasks."""
    other = sibling(tmp_path, tiny, "clinical")
    assert (load_student(other.folder).id, other.pack) == (other.id, "clinical")
    assert (other.folder / "model.safetensors").read_bytes() == (tiny.folder / "model.safetensors").read_bytes()
    assert reader(other, 1)([documents[0].text]) == 1


def test_without_a_released_student_none_is_chosen(tmp_path: Path) -> None:
    """The bench then makes one of random weights; a pack that is named must have one."""
    assert chosen(None, tmp_path) is None
    with pytest.raises(Exception, match="no released student"):
        chosen("finance", tmp_path)


def test_a_misspelt_peer_is_guessed() -> None:
    """An unknown peer is wrong usage, and the known ones are listed."""
    with pytest.raises(UsageError, match="Did you mean 'bert-base'"):
        check_peers(["bert-bse"])


@pytest.mark.slow
def test_a_run_gives_the_table(tiny: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One short round of ours, a pipeline, spaCy, a peer that is not installed and one that fails: all rows, figures, page and picture."""
    monkeypatch.setitem(PEERS, "onnxruntime", replace(PEERS["onnxruntime"], needs=("no_such_module",)))
    monkeypatch.setitem(PEERS, "spacy-ner", replace(PEERS["spacy-ner"], model="student"))  # spaCy cannot load that
    wanted = ("same-student", "spacy-textcat", "onnxruntime", "spacy-ner")
    results = json.loads(json.dumps(measure(_short(wanted), tiny)))

    rows = {(row["system"], row.get("batch")): row for row in results["systems"]}
    assert list(rows) == [(OURS, None), ("same-student", 1), ("same-student", 32), ("spacy-textcat", None), ("onnxruntime", None), ("spacy-ner", None)]
    assert results["worker_mb"] > results["worker_mapped_mb"] > 10
    assert results.keys() >= FIGURES and results["ratio_bert_base"] is None and results["ratio_same_student"] > 0
    assert rows["onnxruntime", None]["reason"] == "not installed: no_such_module" and rows["onnxruntime", None]["remedy"] == "make setup-bench"
    assert not rows["spacy-ner", None]["measured"] and rows["spacy-ner", None]["reason"]
    for row in (row for row in rows.values() if row["measured"]):
        assert row["tokens_per_s"] > 0 and row["peak_mb"] > 10 and row["joules_per_1000"] > 0 and row["rounds"] == 1
    assert rows[OURS, None]["weights"] == "random" and rows[OURS, None]["n_messages"] == 20
    assert len(table_rows(results)) == len(rows)
    said = "\n".join(notes(results))
    assert "random weights" in said and "ONNX Runtime, same student: not installed" in said and "make setup-bench" in said
    assert f"{results['ratio_same_student']:.3g}" in page(results)
    picture(tmp_path / "speed.png", results)
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def _short(wanted: tuple[str, ...]) -> Plan:
    return Plan(n_threads=1, rounds=1, round_s=0.1, n_messages=20, latency_s=0.1, n_documents=60, peers=wanted)


def test_other_measurements_add_to_the_results(tmp_path: Path) -> None:
    """`merge` keeps what is there and replaces what is measured anew."""
    path = tmp_path / "speed.json"
    merge(path, {"ratio_distilbert": 20.0, "training_ratio": 1.0})
    added: dict[str, Any] = {"training_ratio": 2.5, "path_share_sqlite": 0.8}
    assert merge(path, added) == json.loads(path.read_text()) == {"schema": 1, "ratio_distilbert": 20.0} | added
