"""The table of distillation: what is added up over runs is what would be scored at once."""

from __future__ import annotations

import pytest

from tests.bench.distillation_table import added, calibration_error_of, row_of, score_of
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
    assert added([one, other]) == {"a": [1, 4, 2]}
    # four answers of score 0.9 of which one is right
    assert calibration_error_of([one, other]) == pytest.approx(0.65)

    def line(counted: dict[str, object], fold: int | None) -> dict[str, object]:
        by_system = dict.fromkeys(SYSTEMS, counted)
        return {"seed": 1, "fold": fold, "n_train": 9, "judged": by_system, "test": by_system, "seconds": dict.fromkeys(SYSTEMS, 60.0)}

    ner = SETS["ncbi_disease"]
    folds = row_of(ner, [line(one, 0), line(other, 1)], 5)
    seeds = row_of(ner, [line(one, None), line(other, None)], 5)
    assert (folds["student"], folds["judged_by"]) == (pytest.approx(2 / 6, abs=1e-4), "2 of 5 folds of train and dev")
    assert (seeds["student"], seeds["judged_by"]) == (pytest.approx(0.5), "test split")
    assert folds["test"]["student"] == seeds["student"]
    assert folds["kept"] == 1.0
