"""What becomes gold of reviewed findings, and what is held back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update

from suites.errors import SettingsError
from suites.samples import read_sample, split_of
from suites.types import Example, Finding
from workers.keys import Keys, Master
from workers.reviews import Reviewed, reviewed_examples, row_of
from workers.store import Store
from workers.tables import data_keys, documents, reviews, texts

from .reviewed import OTHER, PACK, fill, say, thing, topic

TOPIC = topic("weather", 0.5)
SURE = topic("weather", 0.95, unsure=False)


def gold(store: Store) -> dict[int, Example]:
    """The examples of all reviewed documents, by the number that their texts begin with."""
    found = reviewed_examples(store, PACK, Keys(), 0.0)
    assert found.held_back == () and found.n_unopened == 0
    return {int(e.document.text.split()[1]): e for e in found.train}


def said(example: Example, task: str) -> list[tuple[str, int, int]] | None:
    """Gold of a task; None: it is masked."""
    if task not in example.tasks:
        assert not [f for f in example.gold if f.task == task]
        return None
    return [(f.label, f.start, f.end) for f in example.gold if f.task == task]


def test_a_choice_is_what_reviewers_hold_it_to_be(store: Store) -> None:
    """Accepted: its label; corrected: the other; rejected: masked, as it says what is wrong and not what is right; not looked at: no example."""
    fill(store, [[TOPIC]] * 4)
    say(store, 1, TOPIC, "anna", "accept")
    say(store, 2, TOPIC, "anna", "correct", new_label="animals")
    say(store, 3, TOPIC, "anna", "reject")
    made = gold(store)
    assert {n: said(e, "topic") for n, e in made.items()} == {1: [("weather", 0, 100)], 2: [("animals", 0, 100)]}
    assert {f.score for e in made.values() for f in e.gold} == {1.0} and {e.source for e in made.values()} == {"reviews"}
    assert made[1].tasks == {"topic"}


def test_sentences_stand_each_for_itself(store: Store) -> None:
    """Of a choice of sentences only those that were judged are gold: nothing is learned from the others."""
    glad, sad = Finding("mood", "glad", 0.6, 0, 40, unsure=True), Finding("mood", "sad", 0.5, 41, 100, unsure=True)
    fill(store, [[glad, sad]])
    say(store, 1, sad, "anna", "correct", new_label="glad")
    assert said(gold(store)[1], "mood") == [("glad", 41, 100)]
    say(store, 1, glad, "anna", "accept")
    say(store, 1, sad, "anna", "reject")
    assert said(gold(store)[1], "mood") == [("glad", 0, 40)]


def test_spans_are_gold_once_no_doubt_is_left(store: Store) -> None:
    """While one unsure span is not judged the task is masked; then gold is the judged ones and, silver, those that the student was sure of."""
    unsure, other, sure = thing("A", 3, 9), thing("B", 20, 30), thing("B", 50, 60, 0.97, unsure=False)
    fill(store, [[unsure, other, sure, TOPIC]])
    say(store, 1, TOPIC, "anna", "accept")
    say(store, 1, unsure, "anna", "correct", new_label="B", new_start=3, new_end=12)
    assert said(gold(store)[1], "things") is None
    say(store, 1, other, "anna", "reject")
    say(store, 1, thing("A", 70, 80), "anna", "add")
    made = gold(store)[1]
    assert said(made, "things") == [("B", 3, 12), ("B", 50, 60), ("A", 70, 80)]
    assert made.document.meta == {"document": "doc-1", "judged": 3, "silver": 1}
    say(store, 1, sure, "anna", "reject")
    assert said(gold(store)[1], "things") == [("B", 3, 12), ("A", 70, 80)]


def test_spans_never_overlap(store: Store) -> None:
    """Where a corrected or added span reaches into another, what was judged beats silver, and of judged ones the longest stays."""
    unsure, sure = thing("A", 10, 20), thing("B", 25, 40, 0.97, unsure=False)
    fill(store, [[unsure, sure]])
    say(store, 1, unsure, "anna", "correct", new_start=10, new_end=30)
    say(store, 1, thing("B", 5, 12), "anna", "add")
    assert said(gold(store)[1], "things") == [("A", 10, 30)]


def test_tags_are_gold_once_no_doubt_is_left(store: Store) -> None:
    """Tags not given are no tags: the document is gold when what the student was unsure of is judged, with what it was sure of and what was added."""
    urgent, draft = Finding("flags", "urgent", 0.6, 0, 100, unsure=True), Finding("flags", "draft", 0.99, 0, 100)
    fill(store, [[urgent, draft], [urgent, draft]])
    say(store, 1, urgent, "anna", "reject")
    say(store, 1, Finding("flags", "private", 1.0, 0, 100), "anna", "add")
    say(store, 2, draft, "anna", "accept")
    made = gold(store)
    assert said(made[1], "flags") == [("draft", 0, 100), ("private", 0, 100)]
    assert 2 not in made


def test_answers_about_spans_go_with_their_spans(store: Store) -> None:
    """An answer about a span that was rejected or moved is left out; one whose span nobody doubted, and one about an added span, stays."""
    spans = [thing("A", 3, 9), thing("A", 20, 30), thing("A", 50, 60, 0.97, unsure=False)]
    states = [Finding("state", "present", 0.6, s.start, s.end, unsure=True) for s in spans]
    fill(store, [[*spans, *states], [*spans, *states]])
    for state in states:
        say(store, 1, state, "anna", "accept")
        say(store, 2, state, "anna", "accept")
    assert said(gold(store)[1], "state") == [("present", 3, 9), ("present", 20, 30), ("present", 50, 60)]
    say(store, 1, spans[0], "anna", "reject")
    assert said(gold(store)[1], "state") == [("present", 20, 30), ("present", 50, 60)]
    say(store, 1, spans[1], "anna", "correct", new_label="B", new_start=20, new_end=25)
    say(store, 1, Finding("state", "absent", 1.0, 20, 25), "anna", "add")
    made = gold(store)
    assert said(made[1], "things") == [("B", 20, 25), ("A", 50, 60)]
    assert said(made[1], "state") == [("absent", 20, 25), ("present", 50, 60)]
    assert said(made[2], "state") == [("present", 3, 9), ("present", 20, 30), ("present", 50, 60)]


def test_what_is_disputed_is_left_out(store: Store) -> None:
    """Two who disagree make no gold of a choice and mask a spans task; a third look settles it by majority, and so does a change of mind."""
    span = thing("A", 3, 9)
    fill(store, [[TOPIC, span]])
    say(store, 1, TOPIC, "anna", "accept")
    say(store, 1, TOPIC, "bela", "correct", new_label="animals")
    say(store, 1, span, "anna", "accept")
    say(store, 1, span, "bela", "accept")
    assert (said(gold(store)[1], "topic"), said(gold(store)[1], "things")) == (None, [("A", 3, 9)])
    say(store, 1, span, "bela", "reject")
    assert gold(store) == {}
    say(store, 1, span, "carl", "reject")
    say(store, 1, TOPIC, "bela", "accept")
    assert (said(gold(store)[1], "topic"), said(gold(store)[1], "things")) == ([("weather", 0, 100)], [])


def test_what_was_judged_last_counts(store: Store) -> None:
    """A document that two students' findings were reviewed of is one example: of a choice range by range, of spans as a whole what was judged last."""
    glad, sad = Finding("mood", "glad", 0.6, 0, 40, unsure=True), Finding("mood", "sad", 0.5, 41, 100, unsure=True)
    fill(store, [[glad, sad, thing("A", 3, 9)]])
    fill(store, [[glad, thing("A", 20, 30), thing("B", 40, 50)]], student=OTHER)
    for finding in (glad, sad, thing("A", 3, 9)):
        say(store, 1, finding, "anna", "accept")
    say(store, 1, glad, "anna", "correct", new_label="sad", student=OTHER)
    say(store, 1, thing("A", 20, 30), "anna", "accept", student=OTHER)
    with store.begin() as connection:
        connection.execute(update(reviews).where(reviews.c.student_id == OTHER).values(reviewed_at=reviews.c.reviewed_at + 10))
    made = gold(store)[1]
    assert said(made, "mood") == [("sad", 0, 40), ("sad", 41, 100)]
    assert said(made, "things") == [("A", 3, 9)], "the newer ones are not all judged yet"
    say(store, 1, thing("B", 40, 50), "anna", "reject", student=OTHER)
    with store.begin() as connection:
        connection.execute(update(reviews).where(reviews.c.student_id == OTHER).values(reviewed_at=reviews.c.reviewed_at + 10))
    assert said(gold(store)[1], "things") == [("A", 20, 30)]


def test_an_accepted_finding_keeps_its_form(store: Store) -> None:
    """Value, number and unit were looked at with it; a corrected one has none. All of it comes back from its line as it was."""
    code = Finding("codes", "CODE", 1.0, 5, 9, "rule", value="X", number=2.5, unit="kg", unsure=True)
    fill(store, [[code], [replace(code, start=6)]])
    say(store, 1, code, "anna", "accept")
    say(store, 2, replace(code, start=6), "anna", "correct", new_start=5, new_end=9)
    made = gold(store)
    assert [(f.value, f.number, f.unit) for n in (1, 2) for f in made[n].gold] == [("X", 2.5, "kg"), (None, None, None)]
    for example in made.values():
        again = read_sample(json.dumps(row_of(example)), "here", PACK)
        assert replace(again, source="reviews") == example


def many(store: Store, n: int = 300) -> None:
    fill(store, [[SURE]] * n)
    for number in range(1, n + 1):
        say(store, number, SURE, "anna", "accept")


def test_the_held_back_share_follows_from_the_text(store: Store) -> None:
    """About a share is held back, the same in every store and export; of a larger share a smaller one is a part; the split stays among samples."""
    many(store)
    taken: dict[float, Reviewed] = {share: reviewed_examples(store, PACK, Keys(), share) for share in (0.0, 0.2, 0.4)}
    texts_of: Callable[[tuple[Example, ...]], set[str]] = lambda examples: {e.document.text for e in examples}  # noqa: E731
    for share, made in taken.items():
        assert len(made.train) + len(made.held_back) == 300
        assert abs(len(made.held_back) / 300 - share) < 0.07
        assert texts_of(made.train).isdisjoint(texts_of(made.held_back))
        assert {split_of(e.document.id) for e in made.train} == {"train"} and {split_of(e.document.id) for e in made.held_back} <= {"test"}
    assert texts_of(taken[0.2].held_back) < texts_of(taken[0.4].held_back)
    assert reviewed_examples(store, PACK, Keys(), 0.2) == taken[0.2]
    say(store, 7, SURE, "anna", "correct", new_label="animals")
    again = reviewed_examples(store, PACK, Keys(), 0.2)
    assert texts_of(again.held_back) == texts_of(taken[0.2].held_back)
    assert [e.document.id for e in again.train] == [e.document.id for e in taken[0.2].train]


def test_the_same_text_is_one_example(store: Store) -> None:
    """Two documents of one text are not one in train and one held back: they are one example."""
    fill(store, [[SURE], [SURE]], ["Document 1 ".ljust(100, "."), "Document 1 ".ljust(100, ".")])
    for number in (1, 2):
        say(store, number, SURE, "anna", "accept")
    assert len(reviewed_examples(store, PACK, Keys(), 0.0).train) == 1


def test_sealed_texts_are_opened(store: Store) -> None:
    """Texts of a sealed store are opened by its keys; without the master key that is said; one whose key was destroyed is counted and left out."""
    master = Master(bytes(range(32)))
    keys, body = Keys(encrypts=True, read_master=lambda: master), "Document 1 ".ljust(100, ".")
    fill(store, [[TOPIC], [TOPIC]], [body, "Document 2 ".ljust(100, ".")])
    with store.begin() as connection:
        sealing = keys.sealing(connection, 1)
        sha256 = sealing.digest(body)
        connection.execute(update(documents).where(documents.c.id == 1).values(content_sha256=sha256))
        connection.execute(update(texts).where(texts.c.document_id == 1).values(text=sealing.body(1, "toy", sha256, body, "{}"), key_id=sealing.key_id))
    for number in (1, 2):
        say(store, number, TOPIC, "anna", "accept")
    assert {e.document.text for e in reviewed_examples(store, PACK, keys, 0.0).train} >= {body}
    with pytest.raises(SettingsError, match="no master key"):
        reviewed_examples(store, PACK, Keys(), 0.0)
    with store.begin() as connection:
        connection.execute(update(data_keys).where(data_keys.c.id == sealing.key_id).values(wrapped=None, destroyed_at=0.0))
    left = reviewed_examples(store, PACK, keys, 0.0)
    assert ([e.document.text[:10] for e in left.train], left.n_unopened) == (["Document 2"], 1)
