"""The table of distillation: what is added up over runs is what would be scored at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.distillation_table import added, calibration_error_of, row_of, score_of, write_table
from tests.bench.sets import SETS

SYSTEMS = ("baseline", "teacher", "student_plain", "student", "compressed")


def test_scores_of_counts() -> None:
    """Macro-F1 is the mean over the labels of gold, micro-F1 that of all answers together."""
    counts = {"a": [2, 2, 4], "b": [1, 2, 1], "never": [0, 0, 1]}
    assert score_of("choice", counts) == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert score_of("spans", counts) == pytest.approx(2 * 3 / (4 + 6))
    assert score_of("tags", {}) == 0.0


def test_folds_are_judged_together_and_seeds_by_their_mean() -> None:
    """Two folds count as one judgement of all their answers; two seeds as the mean of two judgements."""
    one, other = {"labels": {"a": [1, 1, 1]}, "bins": [[13, 1, 0.9, 1]]}, {"labels": {"a": [0, 3, 1]}, "bins": [[13, 3, 2.7, 0]]}
    best = {"labels": {"a": [1, 1, 1]}, "bins": [[14, 1, 1.0, 1]]}
    assert added([one, other]) == {"a": [1, 4, 2]}
    # four answers of score 0.9 of which one is right
    assert calibration_error_of([one, other]) == pytest.approx(0.65)

    def line(counted: dict[str, object], fold: int | None) -> dict[str, object]:
        by_system = dict.fromkeys(SYSTEMS, counted) | {"teacher": best}
        return {"seed": 1, "fold": fold, "n_train": 9, "judged": by_system, "test": by_system, "seconds": dict.fromkeys(SYSTEMS, 60.0)}

    ner = SETS["ncbi_disease"]
    folds = row_of(ner, [line(one, 0), line(other, 1)], 5)
    seeds = row_of(ner, [line(one, None), line(other, None)], 5)
    assert (folds["student"], folds["judged_by"]) == (pytest.approx(2 / 6, abs=1e-4), "2 of 5 folds of train and dev")
    assert (seeds["student"], seeds["judged_by"]) == (pytest.approx(0.5), "test split")
    assert folds["test"]["student"] == seeds["student"]
    # the teacher is right always
    assert (folds["kept"], seeds["kept"], folds["test"]["kept"]) == (pytest.approx(2 / 6, abs=1e-4), 0.5, 0.5)
    # together 0.65, one by one 0.1 and 0.9
    assert (folds["calibration_error"], folds["test"]["calibration_error"]) == (pytest.approx(0.65), pytest.approx(0.5))


def test_the_speed_that_was_measured_stays(tmp_path: Path) -> None:
    """The table takes size and speed from their record, and says nothing of them where there is none."""
    speed = {"tokens_per_second": {"f32": {"teacher": 1000, "student": 2100}}, "speedup": {"f32": 2.1}, "machine": "two cores"}
    (tmp_path / "speed.json").write_text(json.dumps(speed), encoding="utf-8")
    write_table([], tmp_path / "speed.json", tmp_path, 5)
    assert json.loads((tmp_path / "distillation.json").read_text(encoding="utf-8"))["speedup"] == 2.1
    assert "teacher 1,000 tokens/s, student 2,100, 2.10 times (two cores)" in (tmp_path / "distillation.md").read_text(encoding="utf-8")
    write_table([], tmp_path / "none.json", tmp_path, 5)
    assert json.loads((tmp_path / "distillation.json").read_text(encoding="utf-8"))["speedup"] is None
    assert "tokens/s" not in (tmp_path / "distillation.md").read_text(encoding="utf-8")
