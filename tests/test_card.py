"""The student's card: its head is what the hub reads, its tables hold the figures, its pictures are there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from pipelines.calibration_error import Bin
from pipelines.card import write_card
from pipelines.evaluate import SYSTEMS, Calibration, Evaluation
from pipelines.metrics import LabelScore, TaskScore
from pipelines.student import Student
from suites.discover import Pack

SCORES = {"majority": 0.31, "tfidf": 0.81, "teacher": 0.93, "plain": 0.88, "student": 0.91, "compressed": 0.9}


def task_score(task: str, score: float) -> TaskScore:
    labels = {
        "one_label": LabelScore(precision=score - 0.1, recall=score - 0.2, f1=score - 0.15, support=40, interval=(0.1234, 0.9876)),
        "other": LabelScore(precision=score, recall=score, f1=score, support=60),
    }
    accuracy = score + 0.01 if task == "topic" else None
    measure = "macro_f1" if task == "topic" else "span_f1"
    figures = {"precision": score - 0.01, "recall": score - 0.02, "interval": (score - 0.03, score + 0.03), "calibration_error": score / 20}
    return TaskScore.model_validate({"measure": measure, "score": score, "majority": 0.31, "accuracy": accuracy, "n": 100, "labels": labels} | figures)


def evaluation(student_id: str, *, seeds: int = 3, speed: bool = True) -> Evaluation:
    tests = {"samples": ("topic", "things"), "real": ("topic",)}
    systems = {s: {source: {t: task_score(t, score) for t in tasks} for source, tasks in tests.items()} for s, score in SCORES.items()}
    del systems["tfidf"]["samples"]["things"]
    bins = (Bin(low=0.6, high=2 / 3, score=0.64, right=0.6, n=30), Bin(low=14 / 15, high=1.0, score=0.97, right=0.99, n=70))
    calibration = Calibration(before=0.0777, after=0.0455, expected_by_chance=0.0222, n=100, bins=bins)
    return Evaluation(
        student=student_id,
        split="test",
        systems=systems,
        members={"student": [student_id, *(f"toy-{n}" for n in range(1, seeds))], "teacher": ["toy-t"]},
        per_seed={
            "student": {source: {t: [0.91, 0.93, 0.95][:seeds] for t in tasks} for source, tasks in tests.items()},
            "teacher": {"real": {"topic": [0.93]}},
        },
        calibration={"samples": {"topic": calibration}},
        size={"teacher": 22_713_216, "student": 10_345_678, "compressed": 10_345_678} if speed else {},
        speed={"teacher": 8123.0, "student": 17456.0, "compressed": 24789.0} if speed else {},
        machine="a processor, 2 threads" if speed else "",
    )


@pytest.fixture
def student(toy_student: tuple[Path, Student], tmp_path: Path) -> Student:
    """The toy student in a folder that a test may change, without a card."""
    folder = Path(shutil.copytree(toy_student[1].folder, tmp_path / toy_student[1].id))
    (folder / "README.md").unlink()
    return Student(toy_student[1].id, folder, toy_student[1].birth, toy_student[1].heads)


def card(student: Student) -> str:
    return (student.folder / "README.md").read_text(encoding="utf-8")


def front(student: Student) -> dict[str, Any]:
    read = yaml.safe_load(card(student).split("---\n")[1])
    assert isinstance(read, dict)
    return read


def rows(text: str) -> list[list[str]]:
    """The cells of all tables' rows."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]


def test_the_head_is_yaml_without_scores(toy_pack: Pack, student: Student) -> None:
    """A student not yet scored has a card whose head names library, base model and tags, and no model index or picture."""
    write_card(toy_pack, student)
    head = front(student)
    assert (head["library_name"], head["language"]) == ("transformers", "en")
    assert {"stillhouse", "toy"} <= set(head["tags"])
    assert "model-index" not in head
    assert "## Intended use" in card(student) and ".png" not in card(student)


def test_the_head_tells_what_the_training_emitted(toy_pack: Pack, student: Student) -> None:
    """In the hub's form and in grams, of what training.json holds; hub's library keeps it, and a student from before that was measured has none."""
    file = student.folder / "training.json"
    training = json.loads(file.read_text(encoding="utf-8"))
    energy = training["energy"]
    assert energy["cpu_seconds"] > 0 and energy["energy_consumed"] > 0 and energy["duration"] == pytest.approx(training["seconds"], abs=0.06)
    write_card(toy_pack, student)
    emitted = front(student)["co2_eq_emissions"]
    assert emitted["emissions"] == pytest.approx(energy["emissions"] * 1000, rel=0.01)
    assert (emitted["training_type"], emitted["geographical_location"]) == ("fine-tuning", "the world's average")
    assert energy["method"] in emitted["source"] and emitted["hardware_used"] == energy["cpu_model"]
    assert ModelCard.load(student.folder / "README.md").data.to_dict()["co2_eq_emissions"] == emitted
    file.write_text(json.dumps({name: value for name, value in training.items() if name != "energy"}), encoding="utf-8")
    write_card(toy_pack, student)
    assert "co2_eq_emissions" not in front(student)


def test_the_model_index_holds_every_figure(toy_pack: Pack, student: Student) -> None:
    """The index has the task's and every label's figures, each with the hub's metric, its name and the value of the student."""
    made = evaluation(student.id)
    write_card(toy_pack, student, made)
    (index,) = front(student)["model-index"]
    assert index["name"] == student.id
    results = {(r["dataset"]["name"], r["task"]["name"]): r for r in index["results"]}
    assert results.keys() == {("samples", "topic"), ("samples", "things"), ("real", "topic")}
    assert {key: r["task"]["type"] for key, r in results.items()}["samples", "things"] == "token-classification"
    for (source, task), result in results.items():
        score = made.scores[source][task]
        metrics = {m["name"]: (m["type"], m["value"]) for m in result["metrics"]}
        assert result["dataset"]["split"] == "test"
        assert metrics[score.measure] == ("f1", score.score)
        assert metrics[f"{score.measure.split('_')[0]}_precision"] == ("precision", score.precision)
        assert metrics[f"{score.measure.split('_')[0]}_recall"] == ("recall", score.recall)
        assert metrics["expected calibration error"][1] == round(score.calibration_error or 0, 4)
        assert metrics.get("accuracy") == (("accuracy", score.accuracy) if task == "topic" else None)
        for label, of_label in score.labels.items():
            assert metrics[f"precision of {label}"] == ("precision", round(of_label.precision, 4))
            assert metrics[f"recall of {label}"] == ("recall", round(of_label.recall, 4))
            assert metrics[f"F1 of {label}"] == ("f1", round(of_label.f1, 4))
        assert len(metrics) == len(result["metrics"]) == 4 + (task == "topic") + 3 * len(score.labels)


def test_the_hubs_own_library_reads_the_card(toy_pack: Pack, student: Student) -> None:
    """huggingface_hub loads the card and finds the same results in it."""
    write_card(toy_pack, student, evaluation(student.id))
    loaded = ModelCard.load(student.folder / "README.md")
    results = loaded.data.eval_results
    assert results is not None
    assert loaded.data.model_name == student.id
    assert {(r.dataset_name, r.task_name, r.metric_name): r.metric_value for r in results}["real", "topic", "macro_f1"] == 0.91


def test_tables_hold_all_systems(toy_pack: Pack, student: Student) -> None:
    """Scores of all systems with their intervals, over seeds, speeds, calibration and labels: each where a reader looks for it."""
    write_card(toy_pack, student, evaluation(student.id))
    tables = rows(card(student))
    scores = next(r for r in tables if r[:3] == ["samples", "topic", "macro_f1"])
    assert scores[4:] == [f"{SCORES[s]:.3f}<br>{SCORES[s] - 0.03:.3f}–{SCORES[s] + 0.03:.3f}" for s in SYSTEMS]
    assert next(r for r in tables if r[:3] == ["samples", "things", "span_f1"])[5] == ""  # TF-IDF was not trained for it
    assert ["real", "topic", "0.930 (1)", "0.930 ± 0.020 (3)"] in tables
    assert ["student", "10.3 M", "17,456"] in tables
    assert ["samples", "topic", "100", "0.078", "0.045", "0.022", "0.041", "0.046", "0.044", "0.045"] in tables
    label = next(r for r in tables if r[:3] == ["real", "topic", "one_label"])
    assert label[3:] == ["40", "0.810", "0.710", "0.760<br>0.123–0.988", "0.660", "0.780", "0.730", "0.750"]


def test_tables_are_whole(toy_pack: Pack, student: Student) -> None:
    """Every row of a table has as many cells as its head: a reader's eye and a parser see the same columns."""
    write_card(toy_pack, student, evaluation(student.id))
    width = None
    for line in card(student).splitlines():
        width = None if not line.startswith("|") else width or line.count("|")
        assert width is None or line.count("|") == width, line


def test_pictures_lie_beside_the_card(toy_pack: Pack, student: Student) -> None:
    """What the card embeds is there; without a speed there is no frontier, without seeds no table of them."""
    write_card(toy_pack, student, evaluation(student.id))
    for name in ("reliability.png", "frontier.png"):
        assert f"]({name})" in card(student)
        assert (student.folder / name).read_bytes()[:4] == b"\x89PNG"
    write_card(toy_pack, student, evaluation(student.id, seeds=1, speed=False))
    assert "frontier.png" not in card(student) and "Over seeds" not in card(student)
    assert "](reliability.png)" in card(student)
