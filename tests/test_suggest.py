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


def test_what_stands_for_most_doubt_comes_first() -> None:
    """A doubted text among others like it comes before one that is alone and before near copies of it; n are given, each once."""
    texts = [impression(0.0, 0.9), impression(1.50, 0.8), impression(1.55, 0.8), impression(1.60, 0.8), impression(3.3, 0.8), impression(1.53, 0.01)]
    chosen = suggest(texts, [impression(0.0, 0.0)], 4)
    assert chosen[0].place in (2, 5)
    assert chosen[1].place == 4
    assert len({s.place for s in chosen}) == 4
    assert chosen[1].task == "topic"
    assert chosen[1].doubt == pytest.approx(0.8)
    assert chosen[0].covers > chosen[1].covers > chosen[2].covers >= 0
    assert len(suggest(texts, [], 99)) == 6
    assert suggest([], [], 3) == []


def test_doubt_of_other_tasks_does_not_count_where_some_are_named() -> None:
    """Of two groups the one doubted in the named task is suggested, though the other is doubted more in another task."""
    urgent = [Impression(impression(0.1 * i, 0).embedding, {"urgency": 0.6, "topic": 0.0}) for i in range(3)]
    topical = [Impression(impression(1.8 + 0.1 * i, 0).embedding, {"urgency": 0.0, "topic": 1.0}) for i in range(3)]
    assert suggest([*urgent, *topical], [], 1)[0].place == 4
    (named,) = suggest([*urgent, *topical], [], 1, ["urgency"])
    assert (named.place, named.task, named.doubt) == (1, "urgency", 0.6)


def test_only_the_most_doubted_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more documents than likeness can be kept of, the most doubted are chosen among, and their places stay those given."""
    monkeypatch.setattr("pipelines.suggest.MOST", 2)
    texts = [impression(0.5, 0.1), impression(1.0, 0.9), impression(2.0, 0.2), impression(2.5, 0.8)]
    assert [s.place for s in suggest(texts, [], 4)] == [1, 3]


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
