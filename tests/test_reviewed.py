"""Reviewed examples in fine-tuning: that nothing held out is learned, and what a student says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pipelines.finetune import Examples, FinetuneOptions, finetune
from pipelines.student import Student
from suites.discover import Pack
from suites.samples import read_sample, read_samples
from suites.types import Example
from tests.conftest import toy_sample


def reviewed(pack: Pack, *numbers: int) -> tuple[Example, ...]:
    """Documents like the toy pack's samples, and none of them."""
    return tuple(replace(read_sample(json.dumps(toy_sample(number)), "here", pack), source="reviews") for number in numbers)


def test_reviewed_examples_count_in_what_a_student_is_made_of(toy_pack: Pack) -> None:
    """Other reviewed examples, another digest; without any the digest is that of train and dev."""
    train, dev = read_samples(toy_pack, "train"), read_samples(toy_pack, "dev")
    few, other = (list(reviewed(toy_pack, number)) for number in (900, 901))
    digests = [Examples(train, dev, also).digest for also in ([], few, other, [*few, *other])]
    assert len(set(digests)) == 4 and digests[0] == Examples(train, dev).digest
    assert Examples(train, dev, few).digest == digests[1]


def test_a_student_says_how_many_it_learned_from(toy_pack: Pack, toy_student: tuple[Path, Student], tmp_path: Path) -> None:
    """The same reviewed examples and seed give the same id, and another than without them. Texts that a split holds are not learned again, those of
    dev and test not at all. student.json, training.json and the card say how many there were; a student without any has nothing new in its files."""
    known = [replace(read_samples(toy_pack, split)[0], source="reviews") for split in ("train", "dev", "test")]
    also = reviewed(toy_pack, 900, 901, 902)
    student = finetune(toy_pack, tmp_path / "a", FinetuneOptions(epochs=2, reviewed=(*also, *known)))
    again = finetune(toy_pack, tmp_path / "b", FinetuneOptions(epochs=2, reviewed=also))
    assert student.id == again.id != toy_student[1].id
    assert (student.birth.reviewed, student.birth.data) == (3, ("samples",))
    training = json.loads((student.folder / "training.json").read_text(encoding="utf-8"))
    assert training["reviewed"] == 3
    assert "learned from 3 stored documents that people reviewed" in (student.folder / "README.md").read_text(encoding="utf-8")
    without = json.loads((toy_student[1].folder / "student.json").read_text(encoding="utf-8"))
    assert "reviewed" not in without and toy_student[1].birth.reviewed == 0
    # as many epochs as the samples alone ask for
    assert "reviews" not in training["examples"]
