"""Which documents to label next: doubted ones, unlike each other and what is known; and saying so where examples are too few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.finetune import FEW, too_few
from pipelines.student import Student
from pipelines.suggest import Impression, Reader, suggest
from suites.discover import Pack
from suites.samples import read_samples
from suites.types import Document


def impression(angle: float, doubt: float) -> Impression:
    """A text that lies at an angle in a plane."""
    return Impression(np.array([np.cos(angle), np.sin(angle)], np.float32), {"topic": doubt, "mood": doubt / 2})


def test_doubt_and_distance_choose() -> None:
    """The first is far from what is known and doubted; of near copies one is suggested before another kind, however doubted; n are given, each once."""
    texts = [impression(0.0, 0.9), impression(1.5, 0.8), impression(1.51, 0.8), impression(3.0, 0.3), impression(1.49, 0.8)]
    chosen = suggest(texts, [impression(0.0, 0.0)], 4)
    assert chosen[0].place in (1, 2, 4)
    assert chosen[1].place == 3
    assert len({s.place for s in chosen}) == 4
    assert chosen[0].task == "topic"
    assert chosen[0].doubt == pytest.approx(0.8)
    assert suggest(texts, [], 99)[0].place == 0
    assert len(suggest(texts, [], 99)) == 5
    assert suggest([], [], 3) == []


def test_a_reader_doubts_what_is_unclear(toy_pack: Pack, toy_student: tuple[Path, Student]) -> None:
    """Doubts are of 0 to 1 for each head that is asked of the text itself, embeddings of length 1, and neighbours change nothing."""
    documents = [*[e.document for e in read_samples(toy_pack)][:9], Document("odd", "zxcv ?? 77"), Document("none", "…")]
    reader = Reader(toy_pack, toy_student[1])
    together = reader.impressions(documents)
    for document, one in zip(documents, together, strict=True):
        (alone,) = reader.impressions([document])
        assert alone.doubts == one.doubts
        assert set(one.doubts) <= {"topic", "mood", "things", "flags"}
        assert all(0.0 <= doubt <= 1.0 + 1e-6 for doubt in one.doubts.values())
        assert np.linalg.norm(one.embedding) == pytest.approx(1.0, abs=1e-5)


def test_labels_with_few_examples_are_named(toy_pack: Pack) -> None:
    """Every label of the student's tasks with fewer examples than are needed is counted, those with enough are not."""
    train = read_samples(toy_pack, "train")
    few = too_few(toy_pack.student_tasks, train[:3])
    assert all(n < FEW for n in few.values())
    assert {"topic/animals", "flags/draft"} <= few.keys()
    assert not {"codes/CODE"} & few.keys()
    assert too_few(toy_pack.student_tasks, train * 30) == {}
