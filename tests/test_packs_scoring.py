"""The scores that packs and their peers are compared by, the peers' protocol, and the peers themselves where they are set up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import permutations

import pytest

from pipelines.metrics import score_task
from suites.types import Finding, Task
from tests.bench.packs.adapter import cased, without_overlaps
from tests.bench.packs.compare import COMPARISONS
from tests.bench.packs.gold import Concept, Marked
from tests.bench.packs.measures import assertion_scores, identifier_scores, quantity_scores
from tests.bench.packs.page import markdown
from tests.bench.packs.peers import PEERS, PYTHON, ask
from tests.bench.packs.results import RESULTS, rows
from tests.bench.packs.scoring import ALL, Counts, Span, characters, exact, outside, overlapping, score, score_labels
from tests.bench.process import ROOT

needs_peers = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-peers; make setup-peers makes it")


def disjoint(draw: random.Random, labels: str = "AB") -> list[Span]:
    """Up to six ranges that do not overlap."""
    places = sorted(draw.sample(range(40), 2 * draw.randint(0, 6)))
    return [Span(start, end, draw.choice(labels)) for start, end in zip(places[::2], places[1::2], strict=True)]


def documents(seed: int, n: int = 30) -> tuple[list[list[Span]], list[list[Span]]]:
    """Gold and findings of which about half agree."""
    draw = random.Random(seed)
    gold = [disjoint(draw) for _ in range(n)]
    return gold, [[s if draw.random() < 0.5 else s._replace(end=s.end + 1, label=draw.choice("AB")) for s in spans] for spans in gold]


def test_a_score_is_that_of_its_counts() -> None:
    """Two right of four found and five in gold: P 1/2, R 2/5, F1 4/9; F1's interval lies around it."""
    found = score([Counts(1, 3, 1), Counts(1, 2, 3)])
    assert [found.precision, found.recall, found.f1] == pytest.approx([1 / 2, 2 / 5, 4 / 9])
    assert found.interval and found.interval[0] <= found.f1 <= found.interval[1]


def test_nothing_to_judge_scores_zero_without_an_interval() -> None:
    """Empty gold and no findings: all is 0, and no interval pretends to know more."""
    for counts in ([], [Counts(0, 0, 0)]):
        found = score(counts)
        assert (found.precision, found.recall, found.f1, found.interval) == (0.0, 0.0, 0.0, None)


def test_the_interval_narrows_with_documents_and_is_the_same_again() -> None:
    """A hundred times the documents give a narrower interval, and the same documents the same one."""
    few, many = [Counts(1, 1, 1), Counts(0, 1, 1), Counts(1, 2, 1)], 100 * [Counts(1, 1, 1), Counts(0, 1, 1), Counts(1, 2, 1)]
    low, high = score(few).interval or (0, 0)
    narrow = score(many).interval or (0, 0)
    assert narrow[1] - narrow[0] < (high - low) / 3
    assert score(few) == score(few)


@pytest.mark.parametrize("seed", range(5))
def test_exact_scores_are_those_of_the_pipelines(seed: int) -> None:
    """Exact micro-F1 and each label's F1 are what `pipelines.metrics` gives for the same findings."""
    gold, found = documents(seed)
    task = Task(name="t", kind="spans", labels=("A", "B"), question="Which ranges are there?")
    as_findings = [[[Finding("t", s.label, 1.0, s.start, s.end) for s in set(spans)] for spans in side] for side in (gold, found)]
    theirs, ours = score_task(task, *as_findings), score_labels(gold, found, exact)
    assert ours[ALL].f1 == pytest.approx(theirs.score)
    assert {label: ours[label].f1 for label in "AB"} == {label: pytest.approx(theirs.labels[label].f1) for label in "AB"}


@pytest.mark.parametrize("seed", range(40))
def test_overlaps_are_matched_as_well_as_can_be(seed: int) -> None:
    """Of ranges that do not overlap among themselves no other matching, one to one, has more pairs."""
    draw = random.Random(seed)
    gold, found = disjoint(draw, "A")[:4], disjoint(draw, "A")[:4]
    shorter, longer = sorted((gold, found), key=len)
    pairs = ([a.start < b.end and b.start < a.end for a, b in zip(shorter, order, strict=False)] for order in permutations(longer))
    assert overlapping(gold, found).right == max((sum(p) for p in pairs), default=0)


def test_one_wide_finding_counts_once() -> None:
    """A finding over three ranges of gold is one right answer by overlap, none exactly, and covers all their letters."""
    gold, wide = [Span(0, 2, "A"), Span(3, 5, "A"), Span(6, 8, "A")], [Span(0, 8, "A")]
    assert overlapping(gold, wide) == Counts(1, 3, 1)
    assert exact(gold, wide) == Counts(0, 3, 1)
    assert characters("ab cd ef", gold, wide) == Counts(6, 6, 6)


def test_a_range_under_another_label_is_wrong_and_covers() -> None:
    """Labels decide what is right, but not what is covered; what found under a label that gold lacks counts as found."""
    gold, found = [[Span(0, 4, "NAME")]], [[Span(0, 4, "LOCATION")]]
    scores = score_labels(gold, found, overlapping)
    assert (scores[ALL].f1, scores[ALL].n_found) == (0.0, 1)
    assert "LOCATION" not in scores
    assert characters("Anna", gold[0], found[0]) == Counts(4, 4, 4)


def test_characters_are_letters_and_digits_that_are_judged() -> None:
    """Spaces, punctuation and left-out ranges count on neither side."""
    text = "Dr. Ada Lin, 34"
    assert characters(text, [Span(4, 11, "NAME")], [Span(0, 15, "X")], [Span(0, 3, "TITLE"), Span(13, 15, "AGE")]) == Counts(6, 6, 6)


def test_what_lies_on_left_out_ranges_is_neither_right_nor_wrong() -> None:
    """A finding on a left-out range is taken away, unless it says something about gold as well."""
    left_out, gold = [Span(0, 5, "AGE")], [Span(6, 9, "DATE")]
    assert outside([Span(0, 3, "DATE"), Span(4, 8, "DATE"), Span(10, 12, "DATE")], left_out, gold) == [Span(4, 8, "DATE"), Span(10, 12, "DATE")]


def test_flags_are_scored_where_a_system_answers_them() -> None:
    """Negation is scored from yes and no; a flag that no answer has is left out."""
    gold = [Concept("1", "no fever", 3, 8, True, False, False), Concept("2", "fever", 0, 5, False, True, False), Concept("3", "x", 0, 1, True, False, False)]
    scores = assertion_scores(gold, [{"id": "1", "negated": True}, {"id": "2", "negated": True}, {"id": "3", "error": "ValueError"}])
    assert list(scores) == ["negated"]
    assert (scores["negated"].precision, scores["negated"].recall) == (0.5, 0.5)


def test_answers_in_another_order_are_refused() -> None:
    """Answers that do not stand in gold's order cannot be scored against the wrong texts."""
    with pytest.raises(ValueError, match="order"):
        quantity_scores([Marked("1", "5 kg", ()), Marked("2", "6 kg", ())], [{"id": "2", "spans": []}, {"id": "1", "spans": []}])


def test_streets_count_as_places_for_who_has_no_streets() -> None:
    """A street found as a place is wrong by label, right with both as one, and a masker's scores are characters alone."""
    gold = [Marked("1", "12 Elm Row", (Span(0, 10, "ADDRESS"),))]
    found = [{"id": "1", "spans": [{"start": 0, "end": 10, "label": "LOCATION", "score": 1.0}]}]
    scores = identifier_scores(gold, found)
    assert (scores["exact/all"].f1, scores["exact/all, streets as places"].f1, scores["characters"].f1) == (0.0, 1.0, 1.0)
    masked = [{"id": "1", "spans": [{"start": 0, "end": 6, "label": "MASKED", "score": 1.0}]}]
    assert list(identifier_scores(gold, masked)) == ["characters"]
    assert identifier_scores(gold, masked)["characters"].recall == pytest.approx(5 / 8)


def test_lower_case_keeps_every_place() -> None:
    """Lowering a concept or a text changes no length, even of letters whose lower case is two characters."""
    text = "İNO FEVER NOW"
    assert [cased(text, 4, 9, case) for case in ("as_is", "concept", "all")] == [text, "İNO fever NOW", "İno fever now"]


def test_of_overlapping_spans_the_surest_stays() -> None:
    """The higher score wins, of equal ones the longer; what does not overlap stays."""
    spans = [{"start": s, "end": e, "score": p} for s, e, p in ((0, 9, 0.5), (3, 6, 0.9), (10, 12, 0.1), (11, 15, 0.1))]
    assert [(s["start"], s["end"]) for s in without_overlaps(spans)] == [(3, 6), (11, 15)]


PEER = """
from tests.bench.packs.adapter import serve

def load(options):
    def read(row):
        print("noise")
        return {"length": len(row["text"]) * int(options["times"])}
    return read

serve(load, ["pytest"])
"""


def test_a_peer_answers_every_row_and_says_what_it_took() -> None:
    """Rows come back in order, one that fails says so without its text, noise stays out, and the last line is meta."""
    rows = [{"id": "a", "text": "ab"}, {"id": "b"}, {"id": "c", "text": "abc"}]
    asked = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([sys.executable, "-c", PEER, "times=2"], cwd=ROOT, input=asked, capture_output=True, text=True, check=True)
    *answers, last = map(json.loads, done.stdout.splitlines())
    assert answers == [{"id": "a", "length": 4}, {"id": "b", "error": "KeyError"}, {"id": "c", "length": 6}]
    assert last["meta"]["n_failed"] == 1 and last["meta"]["read_s"] >= 0
    assert last["meta"]["versions"]["pytest"] == pytest.__version__


# what each peer must find, in texts of our own: {flag: value}, or what the ranges say
NOTE = {"id": "1", "text": "She denies any chest pain. Her mother had a stroke.", "start": 15, "end": 25}
LETTER = "Maria Keller lives in Boston. Write to m.keller@example.org or 4111 1111 1111 1111."


@needs_peers
@pytest.mark.parametrize("name", ["medspacy", "negspacy"])
def test_peers_see_a_negation(name: str) -> None:
    """Each rule system says that what a patient denies is negated, and that it is not where it is affirmed."""
    affirmed = NOTE | {"id": "2", "text": "She reports new chest pain. Her mother had a stroke.", "start": 16, "end": 26}
    first, second = ask(PEERS[name], [NOTE, affirmed]).rows
    assert first["negated"] is True and second["negated"] is False


@needs_peers
def test_context_sees_sections_and_family() -> None:
    """ConText says that a mother's stroke is the family's, and what a heading of past history holds is historical."""
    stroke = NOTE | {"start": 44, "end": 50}
    past = {"id": "2", "text": "Past Medical History: gout", "start": 22, "end": 26}
    first, second = ask(PEERS["medspacy"], [stroke, past]).rows
    assert first["family"] is True and first["negated"] is False
    assert second["historical"] is True


@needs_peers
@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("presidio", LETTER, {("Maria Keller", "NAME"), ("m.keller@example.org", "EMAIL"), ("4111 1111 1111 1111", "ID")}),
        ("philter", LETTER, {("Keller", "MASKED")}),
        ("quantulum", "The kiln burnt 12.5 tonnes of coal in 3 days.", {("12.5 tonnes", "QUANTITY"), ("3 days", "QUANTITY")}),
    ],
)
def test_peers_find_ranges(name: str, text: str, wanted: set[tuple[str, str]]) -> None:
    """Each peer gives the ranges of what it finds, in code points of the text as it was asked, astral characters before it included."""
    for shifted in (text, "\U0001f9ea \u00e9 " + text):
        (answer,) = ask(PEERS[name], [{"id": "1", "text": shifted}]).rows
        assert wanted <= {(shifted[s["start"] : s["end"]], s["label"]) for s in answer["spans"]}


# ends the process where anything would be connected to or looked up
CLOSED = "import os, socket\nsocket.socket.connect = socket.getaddrinfo = lambda *a, **k: os._exit(7)\n"


@needs_peers
@pytest.mark.parametrize("name", PEERS)
def test_peers_reach_for_nothing_outside(name: str) -> None:
    """A peer reads without so much as trying the network, an address whose domain has to be judged included."""
    row = json.dumps(NOTE | {"text": f"She denies any chest pain. {LETTER}"}) + "\n"
    arguments = [f"{option}={value}" for option, value in PEERS[name].options.items()]
    run = f"{CLOSED}import runpy, sys\nsys.argv[1:] = {arguments!r}\nrunpy.run_module('tests.bench.packs.{PEERS[name].module}', run_name='__main__')"
    done = subprocess.run([str(PYTHON), "-c", run], cwd=ROOT, input=row, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]
    assert json.loads(done.stdout.splitlines()[-1])["meta"]["n_failed"] == 0


def test_every_peer_stands_in_a_comparison() -> None:
    """No peer is listed without a set that it is scored on, and its best configuration is one of those that were tried."""
    named = [name for comparison in COMPARISONS for name in comparison.peers]
    assert sorted(named) == sorted(PEERS)
    for peer in PEERS.values():
        assert dict(peer.options) in peer.configurations(), peer.name


def test_the_committed_page_says_what_its_figures_say() -> None:
    """docs/results/packs.md and the rows of packs.json are those that the committed figures give."""
    results = json.loads((RESULTS / "packs.json").read_text(encoding="utf-8"))
    assert results["rows"] == json.loads(json.dumps(rows(results)))
    assert (RESULTS / "packs.md").read_text(encoding="utf-8") == markdown(results)
    assert all(row["ours"] is not None for row in results["rows"])
