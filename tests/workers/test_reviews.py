"""The review loop: what waits comes in the order that is promised, what is decided is checked and kept, and reviewers are compared."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from suites.errors import UsageError
from suites.types import Finding, Task
from workers.audit import acts, verify_chain
from workers.keys import Keys
from workers.purge import Scope, count, purge
from workers.reviews import FindingKey, Waiting, begin, decide, primary, progress, queue, undo
from workers.reviews.agreement import agreement
from workers.reviews.waiting import RULE_EVERY, error_cost
from workers.store import Store
from workers.tables import reviews

from .reviewed import OTHER, PACK, STUDENT, fill, key, say, thing, topic
from .test_plans import explained


def waiting(store: Store, reviewer: str = "anna", limit: int = 50, **options: Any) -> list[Waiting]:
    with store.reading() as connection:
        return queue(connection, PACK, STUDENT, reviewer=reviewer, limit=limit, **options)


def told(found: list[Waiting]) -> list[tuple[int, str, str]]:
    return [(one.key.document_id, one.key.task, one.key.label) for one in found]


# --- the queue


def test_the_dearest_comes_first(store: Store) -> None:
    """A finding's place follows from its chance of being wrong times what that error costs by the pack, 1 where nothing is stated; sure ones do not wait."""
    found = [[topic("weather", 0.52)], [topic("animals", 0.7)], [topic("animals", 0.8), thing("A", 3, 9, 0.45)], [topic("animals", 0.99, unsure=False)]]
    fill(store, found)
    assert [(*place, one.cost) for place, one in zip(told(waiting(store)), waiting(store), strict=True)] == [
        (2, "topic", "animals", 0.6),
        (3, "things", "A", 0.55),
        (1, "topic", "weather", 0.48),
        (3, "topic", "animals", 0.4),
    ]
    (first, *_) = waiting(store, limit=1)
    assert (first.document, first.n_chars, first.score, first.source, first.reason) == ("doc-2", 100, 0.7, "student", "doubt")
    assert told(waiting(store, task="things")) == [(3, "things", "A")]
    with pytest.raises(UsageError, match="Did you mean 'things'"):
        waiting(store, task="thing")


def test_what_an_error_costs_is_the_packs() -> None:
    """A wrong choice costs its false positive times the mean of the other labels' false negatives; a wrong tag or span its false positive alone."""
    cost = {"a": {"false_positive": 2.0}, "b": {"false_negative": 3.0}, "c": {"false_negative": 5.0}}
    choice = Task.model_validate({"name": "x", "kind": "choice", "labels": ["a", "b", "c"], "question": "Which of them?", "cost": cost})
    assert [error_cost(choice, label) for label in "abc"] == [2.0 * 4.0, 1.0 * 3.0, 1.0 * 2.0]
    assert [error_cost(choice.model_copy(update={"kind": "tags"}), label) for label in "abc"] == [2.0, 1.0, 1.0]


def test_of_equally_dear_ones_the_fuller_document_comes_first(store: Store) -> None:
    """Two answers of one cost: the one whose document has more waiting comes first, and what the reviewer has judged waits no more."""
    fill(store, [[topic("weather", 0.6)], [topic("weather", 0.6), thing("A", 1, 2, 0.9), thing("A", 4, 5, 0.9)]])
    assert told(waiting(store))[:2] == [(2, "topic", "weather"), (1, "topic", "weather")]
    for finding in (thing("A", 1, 2), thing("A", 4, 5)):
        say(store, 2, finding, "anna", "accept")
    assert told(waiting(store))[:2] == [(1, "topic", "weather"), (2, "topic", "weather")]


def test_the_queue_is_that_of_a_sort(store: Store) -> None:
    """However few are asked for, they are the dearest of all: the walk along the index ends neither too early nor in another order than a sort's."""
    rng = random.Random(5)
    scores = [(round(rng.uniform(0.34, 0.99), 2), round(rng.uniform(0.3, 0.9), 2)) for _ in range(120)]
    found = [[topic(rng.choice(["animals", "weather"]), a), thing("B", 0, 3, b)] for a, b in scores]
    fill(store, found)
    for number in rng.sample(range(1, 121), 30):
        say(store, number, found[number - 1][0], "anna", "accept")
    weights = {"animals": 2.0, "weather": 1.0, "B": 1.0}
    with store.reading() as connection:
        mine = {FindingKey(*row) for row in connection.execute(select(*(reviews.c[name] for name in FindingKey._fields)))}
    costs = [(round(weights[f.label] * (1 - f.score), 6), key(n, f)) for n, of in enumerate(found, start=1) for f in of if key(n, f) not in mine]
    costs.sort(key=lambda one: -one[0])
    for limit in (1, 7, 50, 500):
        got = waiting(store, limit=limit)
        assert [one.cost for one in got] == [cost for cost, _ in costs[:limit]]
        assert {one.key for one in got} <= {of for cost, of in costs if cost >= got[-1].cost}


def test_what_a_colleague_has_seen_comes_last(store: Store) -> None:
    """A finding that another reviewer judged still waits for this one, behind all that nobody has seen; one's own judgement takes it out."""
    fill(store, [[topic("animals", 0.5)], [topic("weather", 0.9)]])
    say(store, 1, topic("animals", 0.5), "bela", "accept")
    assert [(one.key.document_id, one.cost) for one in waiting(store)] == [(2, 0.1), (1, 0.0)]
    assert told(waiting(store, "bela")) == [(2, "topic", "weather")]


def test_rules_in_doubt_have_their_places(store: Store) -> None:
    """A rule says no chance: one place in five is a rule's finding in doubt, counted by what the reviewer decided, and every place when nothing else waits."""
    code = Finding("codes", "CODE", 1.0, 5, 9, "rule", unsure=True)
    fill(store, [[topic("weather", 0.5), replace(code, start=n, end=n + 4)] for n in range(1, 13)])
    kinds = [one.reason for one in waiting(store)]
    assert kinds[:10] == (["doubt"] * (RULE_EVERY - 1) + ["rule"]) * 2
    assert kinds.count("rule") == kinds.count("doubt") == 12
    for number in range(1, RULE_EVERY):
        say(store, number, topic("weather", 0.5), "anna", "accept")
    assert [one.reason for one in waiting(store, limit=1)] == ["rule"]
    assert [one.reason for one in waiting(store, "bela", limit=1)] == ["doubt"]
    assert {one.reason for one in waiting(store, task="codes")} == {"rule"}


def test_a_share_of_the_places_checks_what_is_sure(store: Store) -> None:
    """With `check_sure` sure findings of the student's come too, about as many as asked for, each once, the same until something is decided."""
    sure = topic("weather", 0.95, unsure=False)
    rule = Finding("codes", "CODE", 1.0, 5, 9, "rule")
    fill(store, [[sure if n % 2 else topic("weather", 0.5), rule] for n in range(300)])
    found = waiting(store, limit=100, check_sure=0.3)
    checks = [one for one in found if one.reason == "check"]
    assert 18 <= len(checks) <= 42
    assert len({one.key for one in checks}) == len(checks)
    assert {(one.key.task, one.score) for one in checks} == {("topic", 0.95)}
    assert waiting(store, limit=100, check_sure=0.3) == found
    assert not [one for one in waiting(store, limit=100) if one.reason == "check"]
    (one,) = waiting(store, limit=1, check_sure=0.999)
    say(store, one.key.document_id, sure, "anna", "accept")
    assert waiting(store, limit=1, check_sure=0.999)[0].key != one.key
    assert waiting(store, limit=2, task="codes", check_sure=0.999) == []


def test_what_is_passed_over_does_not_come_again(store: Store) -> None:
    """Findings to skip are left out, and the next ones take their places."""
    fill(store, [[topic("weather", score)] for score in (0.5, 0.6, 0.7)])
    first = waiting(store, limit=1)[0].key
    assert told(waiting(store, limit=1, skip=[first])) == [(2, "topic", "weather")]


def test_a_second_reading_is_of_what_one_other_has_judged(store: Store) -> None:
    """`second` gives what exactly one other reviewer judged, in that order, what they added too; `disputed` what two see otherwise."""
    found = [[topic("weather", 0.5)], [topic("weather", 0.6)], [topic("weather", 0.7)], [topic("weather", 0.8)]]
    fill(store, found)
    for number in (3, 2, 1):
        say(store, number, found[number - 1][0], "anna", "accept")
    say(store, 4, thing("A", 7, 9), "anna", "add")
    say(store, 2, found[1][0], "bela", "reject")
    say(store, 3, found[2][0], "bela", "accept")
    assert told(waiting(store, "bela", second=True)) == [(1, "topic", "weather"), (4, "things", "A")]
    assert waiting(store, "bela", second=True)[1].source == "reviewer"
    assert waiting(store, "anna", second=True) == []
    assert told(waiting(store, "carl", second=True, task="things")) == [(4, "things", "A")]
    assert told(waiting(store, "carl", disputed=True)) == [(2, "topic", "weather")]
    assert waiting(store, "anna", disputed=True) == []
    say(store, 2, found[1][0], "carl", "accept")
    assert waiting(store, "dora", disputed=True) == []


N = 20_000
FILL = (
    "INSERT INTO jobs (id, name, pack, student_id, state, submitted_at, n_cancelled, n_refused) VALUES (1, 'a', 'toy', :student, 'COMPLETED', 0, 0, 0)",
    "INSERT INTO documents (id, pack, key, content_sha256, n_chars, meta, received_at) SELECT n, 'toy', 'doc-' || n, {text_n}, 100, '{{}}', 0 FROM numbers",
    "INSERT INTO readings (document_id, student_id, job_id, epoch, n_findings, read_at) SELECT n, :student, 1, 1, 1, 0 FROM numbers",
    'INSERT INTO findings (document_id, student_id, task, label, score, start, "end", source, unsure) '
    "SELECT n, :student, 'topic', 'weather', 0.3 + 0.6 * n / :n, 0, 100, 'student', n % 10 = 0 FROM numbers",
)


def test_the_queue_reads_no_table_from_end_to_end(store: Store) -> None:
    """However much is stored, what waits is found by indexes, also after much was judged."""
    with store.begin() as connection:
        for sql in FILL:
            head, is_select, rest = sql.format(text_n="n" if store.is_sqlite else "n::varchar").partition("SELECT")
            numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :n) " if is_select else ""
            given = {"n": N, "student": STUDENT}
            connection.execute(text(head + numbers + is_select + rest), {name: value for name, value in given.items() if f":{name}" in sql + numbers})
        judged = "SELECT document_id, student_id, task, label, start, \"end\", 'anna', 'accept', 0 FROM findings WHERE document_id <= 2000"
        columns = 'document_id, student_id, task, label, start, "end", reviewer, verdict, reviewed_at'
        connection.execute(text(f"INSERT INTO reviews ({columns}) {judged}"))
    with store.begin() as connection:
        connection.execute(text("ANALYZE"))
    with store.reading() as connection, explained(store, connection) as plans:
        found = queue(connection, PACK, STUDENT, reviewer="anna", limit=20, task="topic", check_sure=0.5)
    assert next(one for one in found if one.reason == "doubt").key.document_id == 2010
    assert plans
    for statement, plan in plans.items():
        whole = re.findall(r"(?:Seq Scan on|^SCAN) (?:findings_rest|findings|documents|readings)\b(?! USING)", plan, re.MULTILINE)
        assert not whole, f"{statement}\n{plan}"
        # in the order of an index: what waits is not sorted. PostgreSQL may sort two thousand, and for a cursor plans otherwise than it tells here
        assert not store.is_sqlite or "AS seen" not in statement or "TEMP B-TREE" not in plan, f"{statement}\n{plan}"


def test_there_must_be_a_student(store: Store) -> None:
    """Whose findings are reviewed is the student that the views show; where none has read that is said."""
    with store.reading() as connection, pytest.raises(Exception, match="No student has read for pack 'toy'"):
        primary(connection, PACK)
    fill(store, [[]])
    with store.reading() as connection:
        assert primary(connection, PACK) == STUDENT


# --- decisions


def stored(store: Store) -> list[dict[str, Any]]:
    with store.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(select(reviews).order_by(reviews.c.id))]


def test_a_second_decision_replaces_the_first_and_undo_takes_the_last_back(store: Store) -> None:
    """One row a finding and reviewer; `undo` takes back the reviewer's newest, of nobody else's, and says which it was."""
    fill(store, [[topic("weather", 0.5)], [topic("weather", 0.6)]])
    say(store, 1, topic("weather", 0.5), "anna", "reject")
    say(store, 1, topic("weather", 0.5), "anna", "correct", new_label="animals")
    say(store, 1, topic("weather", 0.5), "bela", "accept")
    assert [(row["reviewer"], row["verdict"], row["new_label"]) for row in stored(store)] == [("anna", "correct", "animals"), ("bela", "accept", None)]
    say(store, 2, topic("weather", 0.6), "anna", "accept")
    say(store, 1, topic("weather", 0.5), "anna", "accept")
    assert stored(store)[0]["new_label"] is None
    with store.begin() as connection:
        assert undo(connection, STUDENT, "anna") == key(1, topic("weather", 0.5))
        assert undo(connection, STUDENT, "anna") == key(2, topic("weather", 0.6))
        assert undo(connection, STUDENT, "anna") is None
        assert undo(connection, OTHER, "bela") is None
    assert [row["reviewer"] for row in stored(store)] == ["bela"]


ASKED = topic("weather", 0.5)
SPAN = thing("A", 3, 9)
STATE = Finding("state", "present", 0.6, 3, 9, unsure=True)


@pytest.mark.parametrize(
    ("finding", "verdict", "new", "code", "says"),
    [
        (ASKED, "agree", {}, "bad_verdict", "No verdict 'agree'"),
        (ASKED, "accept", {"new_label": "animals"}, "bad_verdict", "goes with 'correct'"),
        (topic("animals", 0.5), "accept", {}, "no_finding", "is no finding of toy-0"),
        (replace(ASKED, task="handling", label="file"), "accept", {}, "usage", "No task to review 'handling'"),
        (ASKED, "correct", {}, "no_change", "another label or range"),
        (ASKED, "correct", {"new_label": "weather"}, "no_change", "another label or range"),
        (ASKED, "correct", {"new_label": "wether"}, "bad_label", "Did you mean 'weather'"),
        (ASKED, "correct", {"new_start": 1, "new_end": 5}, "bad_range", "only its label can be corrected"),
        (SPAN, "correct", {"new_start": 1}, "bad_range", "give both"),
        (SPAN, "correct", {"new_start": 5, "new_end": 5}, "bad_range", "5..5 is empty or outside the document of 100"),
        (SPAN, "correct", {"new_start": 5, "new_end": 101}, "bad_range", "outside the document of 100"),
        (SPAN, "correct", {"new_start": -1, "new_end": 4}, "bad_range", "outside the document of 100"),
        (SPAN, "add", {}, "no_change", "answers things at 3..9 itself"),
        (thing("C", 3, 9), "add", {}, "bad_label", "No label 'C'"),
        (thing("A", 9, 9), "add", {}, "bad_range", "9..9 is empty"),
        (replace(SPAN, start=20, end=30, other_start=1, other_end=2), "add", {}, "bad_range", "no second one"),
        (topic("animals", 0.5), "add", {}, "bad_verdict", "every document has an answer"),
        (replace(STATE, label="absent"), "add", {}, "no_change", "answers state at 3..9 itself"),
        (Finding("flags", "urgent", 1.0, 0, 50), "add", {}, "bad_range", "its range is 0..100"),
    ],
)
def test_what_cannot_be_decided_is_refused(store: Store, finding: Finding, verdict: str, new: dict[str, Any], code: str, says: str) -> None:
    """What the pack, the document or the finding does not allow is refused in words, without text, and nothing is stored."""
    fill(store, [[ASKED, SPAN, STATE]])
    with pytest.raises(UsageError, match=re.escape(says)) as refusal:
        say(store, 1, finding, "anna", verdict, **new)
    assert refusal.value.code == code and "Document 1" not in refusal.value.message
    assert stored(store) == []


@pytest.mark.parametrize("reviewer", ["", "  ", "a" * 81, "anna\x1b[2J"])
def test_a_reviewer_has_a_name_that_can_be_kept(store: Store, reviewer: str) -> None:
    """A name that is empty, too long or cannot be shown is refused."""
    fill(store, [[ASKED]])
    with pytest.raises(UsageError, match="reviewer's name"):
        say(store, 1, ASKED, reviewer, "accept")


def test_what_the_student_missed_can_be_added(store: Store) -> None:
    """A tag, a span and an answer about a span that has none are taken, and another reviewer may judge what was added; what nobody has read is not."""
    fill(store, [[ASKED]])
    for finding in (thing("B", 20, 30), Finding("flags", "urgent", 1.0, 0, 100), Finding("state", "absent", 1.0, 20, 30)):
        say(store, 1, finding, "anna", "add")
    say(store, 1, thing("B", 20, 30), "bela", "correct", new_start=20, new_end=28)
    assert [row["verdict"] for row in stored(store)] == ["add", "add", "add", "correct"]
    for document, student in ((2, STUDENT), (1, OTHER)):
        with pytest.raises(UsageError, match="has read no document"):
            say(store, document, thing("B", 20, 30), "anna", "add", student=student)


def test_a_sitting_is_one_act(store: Store) -> None:
    """The audit has one row a sitting with the reviewer's name, none a decision, and its chain holds."""
    fill(store, [[topic("weather", 0.5)], [topic("weather", 0.6)]])
    with store.begin() as connection:
        begin(connection, PACK, STUDENT, "anna")
    for number, score in ((1, 0.5), (2, 0.6)):
        say(store, number, topic("weather", score), "anna", "accept")
    with store.reading() as connection:
        (act,) = acts(connection, action="review", limit=10)
        assert act["subject"] == "pack toy" and '"reviewer":"anna"' in str(act["detail"])
        assert [act["action"] for act in acts(connection, limit=10)] == ["review", "migrate"] and verify_chain(connection) is None


# --- progress and agreement


def test_progress_counts_what_waits_and_who_agrees(store: Store) -> None:
    """Waiting, judged, wrong among sure ones, verdicts by reviewer, kappa by task and two reviewers, and what is disputed."""
    found = [[topic("weather", 0.5), thing("A", 3, 9)] for _ in range(8)] + [[topic("weather", 0.95, unsure=False)] for _ in range(2)]
    fill(store, found)
    for number in range(1, 7):
        say(store, number, topic("weather", 0.5), "anna", "accept" if number <= 3 else "reject")
        say(store, number, topic("weather", 0.5), "bela", "accept" if number <= 2 else "correct", **({"new_label": "animals"} if number > 2 else {}))
    say(store, 1, thing("A", 3, 9), "anna", "correct", new_start=3, new_end=8)
    say(store, 1, thing("A", 3, 9), "bela", "correct", new_start=3, new_end=8)
    say(store, 9, found[8][0], "anna", "accept")
    say(store, 10, found[9][0], "anna", "correct", new_label="animals")
    with store.reading() as connection:
        made = progress(connection, PACK, STUDENT)
    standing = {row.task: (row.waiting, row.judged, row.sure_judged, row.sure_wrong) for row in made.tasks}
    assert standing["topic"] == (2, 8, 2, 1) and standing["things"] == (7, 1, 0, 0)
    assert {(row.reviewer, row.task): dict(row.verdicts) for row in made.reviewers}["anna", "topic"] == {"accept": 4, "correct": 1, "reject": 3, "add": 0}
    agreed = {pair.task: (pair.a, pair.b, pair.agreement.n, pair.agreement.agreed) for pair in made.agreements}
    assert agreed == {"things": ("anna", "bela", 1, 1.0), "topic": ("anna", "bela", 6, 2 / 6)}
    assert next(pair.agreement.kappa for pair in made.agreements if pair.task == "things") is None
    assert {one.document_id for one in made.disputed} == {3, 4, 5, 6}
    say(store, 3, topic("weather", 0.5), "carl", "accept")
    with store.reading() as connection:
        assert {one.document_id for one in progress(connection, PACK, STUDENT).disputed} == {4, 5, 6}


def test_kappa_is_cohens_with_its_standard_error() -> None:
    """The textbook's table of 20, 5, 10 and 15: kappa 0.4 with a standard error of 0.127; chance alone gives 0."""
    made = agreement([("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15)
    assert (made.n, made.agreed, made.kappa) == (50, 0.7, pytest.approx(0.4))
    assert made.low is not None and made.high is not None
    assert (made.high - made.low) / (2 * 1.96) == pytest.approx(0.127, abs=5e-4)
    assert agreement([(a, b) for a in "yn" for b in "yn"]).kappa == pytest.approx(0.0)


def test_the_interval_is_that_of_drawing_anew() -> None:
    """With three classes and 200 findings the formula's interval is the percentiles' of 2,000 draws with replacement, to a few hundredths."""
    rng = random.Random(1)
    pairs = []
    for _ in range(200):
        true = rng.choice("aabc")
        pairs.append((true if rng.random() < 0.9 else rng.choice("abc"), true if rng.random() < 0.8 else rng.choice("abc")))
    made = agreement(pairs)
    drawn = sorted(kappa for _ in range(2000) if (kappa := agreement(rng.choices(pairs, k=len(pairs))).kappa) is not None)
    assert made.low == pytest.approx(drawn[50], abs=0.03) and made.high == pytest.approx(drawn[-50], abs=0.03)


def test_where_kappa_says_nothing_it_is_none() -> None:
    """One class only: undefined. Full agreement: 1, with a lower end that few findings leave low. Nothing judged by both: an error."""
    alone = agreement([("y", "y")] * 9)
    assert (alone.agreed, alone.kappa, alone.low) == (1.0, None, None)
    few, many = (agreement([("y", "y"), ("n", "n")] * n) for n in (5, 100))
    assert few.kappa == many.kappa == few.high == 1.0
    assert few.low == pytest.approx(1 - 0.3 / 0.5) and many.low == pytest.approx(1 - 0.015 / 0.5)
    with pytest.raises(ValueError, match="nothing was judged by both"):
        agreement([])


# --- erasing


def test_a_purge_erases_reviews(store: Store) -> None:
    """What was said of an erased document goes with it and is counted; what was said of others stays."""
    fill(store, [[topic("weather", 0.5)], [topic("weather", 0.6)]])
    for number, score in ((1, 0.5), (2, 0.6)):
        for reviewer in ("anna", "bela"):
            say(store, number, topic("weather", score), reviewer, "accept")
    with store.reading() as connection:
        assert count(connection, Scope(pack="toy", key="doc-1"))["reviews"] == 2
    assert purge(store, Keys(), Scope(pack="toy", key="doc-1"))["erased"]["reviews"] == 2
    assert [row["document_id"] for row in stored(store)] == [2, 2]
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(reviews)).scalar_one() == 2
    with pytest.raises(UsageError, match="has read no document 1"):
        say(store, 1, topic("weather", 0.5), "anna", "accept")


def test_nothing_is_decided_about_what_is_being_erased(store: Store, tmp_path: Path) -> None:
    """On PostgreSQL a decision and a chunk of a purge never overlap, whichever came first: no review is left, and the purge is not held up by one."""
    import threading

    if store.is_sqlite:
        return  # one writer at a time
    fill(store, [[topic("weather", 0.5)]])
    done: list[str] = []

    def erase() -> None:
        purge(store, Keys(), Scope(pack="toy", key="doc-1"))
        done.append("purge")

    with store.begin() as connection:
        decide(connection, PACK, key(1, topic("weather", 0.5)), "anna", "accept")
        other = threading.Thread(target=erase)
        other.start()
        other.join(0.5)
        assert not done
    other.join()
    assert done and stored(store) == []
