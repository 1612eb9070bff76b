"""The figures of the three comparisons: assertions, identifiers, quantities. Findings of peers and of ours are given in one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.packs.gold import PLACES, Concept, Marked
from tests.bench.packs.scoring import ALL, Score, Span, characters, exact, flags, outside, overlapping, relabelled, score, score_labels

Found = Mapping[str, Any]
Scores = dict[str, Score]
# the label of a system that masks and does not say what
UNLABELLED = "MASKED"


def assertion_scores(gold: Sequence[Concept], found: Sequence[Found]) -> Scores:
    """Scores of each flag of gold that the system answers at all: {"negated": bool, ...}, in the order of gold."""
    _same_order(gold, found)
    answered = {key for answer in found for key in answer}
    wanted = [flag for flag in ("negated", "historical", "family") if flag in answered]
    return {flag: score([flags(getattr(g, flag), bool(f.get(flag))) for g, f in zip(gold, found, strict=True)]) for flag in wanted}


def identifier_scores(gold: Sequence[Marked], found: Sequence[Found]) -> Scores:
    """Scores of identifiers: `characters`; `exact/LABEL` and `overlap/LABEL`; and `exact` and `overlap` with streets and places as one label.

    Of a system that masks and does not label, `characters` alone.
    """
    _same_order(gold, found)
    given = [spans_of(f) for f in found]
    scores = {"characters": score([characters(g.text, g.spans, f, g.left_out) for g, f in zip(gold, given, strict=True)])}
    if any(span.label == UNLABELLED for spans in given for span in spans):
        return scores
    judged = [outside(f, g.left_out, g.spans) for g, f in zip(gold, given, strict=True)]
    wanted = [g.spans for g in gold]
    places = _span_scores([relabelled(spans, PLACES) for spans in wanted], [relabelled(spans, PLACES) for spans in judged])
    merged = {f"{name}, streets as places": s for name, s in places.items() if name.endswith((ALL, "PLACE"))}
    return scores | _span_scores(wanted, judged) | merged


def quantity_scores(gold: Sequence[Marked], found: Sequence[Found]) -> Scores:
    """Scores of quantities: `exact` and `overlap`, and `characters`."""
    _same_order(gold, found)
    given = [spans_of(f) for f in found]
    return {
        "exact": score([exact(g.spans, f) for g, f in zip(gold, given, strict=True)]),
        "overlap": score([overlapping(g.spans, f) for g, f in zip(gold, given, strict=True)]),
        "characters": score([characters(g.text, g.spans, f) for g, f in zip(gold, given, strict=True)]),
    }


def spans_of(found: Found) -> list[Span]:
    """The ranges of one answer: {"spans": [{"start", "end", "label"}]}; none where the system failed."""
    return [Span(s["start"], s["end"], s["label"]) for s in found.get("spans", ())]


def _span_scores(gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> Scores:
    return {f"{name}/{label}": s for name, measure in (("exact", exact), ("overlap", overlapping)) for label, s in score_labels(gold, found, measure).items()}


def _same_order(gold: Sequence[Concept | Marked], found: Sequence[Found]) -> None:
    if [g.id for g in gold] != [f["id"] for f in found]:
        raise ValueError(f"{len(found)} answers do not stand in the order of the {len(gold)} texts of gold")
