"""ConText as data: cues say of what stands around them that it is negated, uncertain, the family's, or whatever a pack's task asks.

A cue reaches forward or backward within its sentence, up to a word that stops it (Harkema et al. 2009, doi:10.1016/j.jbi.2009.05.002). What cues
say does not decide: it is shown to the head as features, whose weights are fitted on dev (`fit_cues`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.encode import Floats
from pipelines.rule_matcher import PatternError, RuleMatcher
from suites.types import Finding, Task

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

DIRECTIONS = ("forward", "backward", "both", "stop", "none")
# how far a cue reaches where its line says no other bound, in words: further off it is seldom meant, and a list of words without end stays cheap
MAX_WORDS = 50
Ints64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What a cue says of the characters [start, end): that their label in `task` is `label`."""

    task: str
    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Cue:
    """A line of context.jsonl. `label` is empty where it stops the cues of all labels."""

    task: str
    label: str
    direction: str
    max_words: int

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> _Cue:
        """Raises ValueError with the reason."""
        task, _, label = str(entry["label"]).partition("/")
        direction, max_words = entry.get("direction"), entry.get("max_words", MAX_WORDS)
        if direction not in DIRECTIONS:
            raise ValueError(f"direction {direction!r} is none of {', '.join(DIRECTIONS)}")
        if not label and direction not in ("stop", "none"):
            raise ValueError(f"label {entry['label']!r} says nothing: write it as TASK/LABEL")
        if not isinstance(max_words, int) or max_words < 1:
            raise ValueError("max_words is a whole number from 1 on")
        return cls(task, label, str(direction), max_words)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A cue in a text: its words [first, end)."""

    cue: _Cue
    first: int
    end: int


class Context:
    """The cues of a pack: rules with a `direction`. Phrases are matched without regard to case. Raises PatternError where a line cannot be used."""

    def __init__(self, nlp: Language, entries: Sequence[Mapping[str, Any]]) -> None:
        from spacy.matcher import PhraseMatcher
        from spacy.tokens import Doc

        self._doc_type = Doc
        self._phrases = PhraseMatcher(nlp.vocab, attr="LOWER")
        self._cues: list[_Cue] = []
        patterns: list[Mapping[str, Any]] = []
        for position, entry in enumerate(entries):
            try:
                self._cues.append(_Cue.of(entry))
                if isinstance(entry["pattern"], str):
                    self._phrases.add(str(position), [nlp.make_doc(entry["pattern"])])
                else:
                    patterns.append({"label": str(position), "id": entry.get("id", ""), "pattern": entry["pattern"], "position": position})
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                reason = f"it lacks {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
                raise PatternError(position, str(entry.get("id", "")) if isinstance(entry, Mapping) else "", reason) from None
        try:
            self._match = RuleMatcher(nlp, patterns)
        except PatternError as error:
            raise PatternError(patterns[error.position]["position"], error.name, error.reason) from None

    def said(self, doc: Doc, sentences: Sequence[Range]) -> list[Said]:
        """What the cues of a text say, in order of the sentences. Raises RuleBudget."""
        seen = _longest(self._seen(doc))
        starts, ends = [token.idx for token in doc], [token.idx + len(token) for token in doc]
        firsts = [s.first for s in seen]
        said = []
        for begin, end in sentences if seen else ():
            words = bisect_left(starts, begin), bisect_left(starts, end)
            own = seen[bisect_left(firsts, words[0]) : bisect_left(firsts, words[1])]
            stops = {key: _Stops.of(own, *key) for key in {(s.cue.task, s.cue.label) for s in own}}
            for one in own:
                reaches = _reach(one, words, stops[one.cue.task, one.cue.label])
                said += [Said(one.cue.task, one.cue.label, starts[first], ends[last - 1]) for first, last in reaches]
        return said

    def _seen(self, doc: Doc) -> Iterator[_Seen]:
        """The cues of a text, matched as if words stood one space apart."""
        places = [token.i for token in doc if not token.is_space]
        words = doc if len(places) == len(doc) else self._doc_type(doc.vocab, words=[doc[i].text for i in places])
        for name, first, end in self._match(words):
            yield _Seen(self._cues[int(name)], places[first], places[end - 1] + 1)
        for key, first, end in self._phrases(words):
            yield _Seen(self._cues[int(doc.vocab.strings[key])], places[first], places[end - 1] + 1)


@dataclass(frozen=True, slots=True)
class _Stops:
    """The words that stop a cue: where they begin and where they end, in order."""

    firsts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, seen: Sequence[_Seen], task: str, label: str) -> _Stops:
        own = [s for s in seen if s.cue.direction == "stop" and s.cue.task == task and s.cue.label in ("", label)]
        return cls([s.first for s in own], [s.end for s in own])


def _longest(seen: Iterable[_Seen]) -> list[_Seen]:
    """Of cues of one task that overlap the longest, then the first; those of the very same words all speak. In order of the text."""
    kept: list[_Seen] = []
    taken: dict[str, dict[int, Range]] = {}
    for one in sorted(seen, key=lambda s: (s.first - s.end, s.first)):
        places, own = taken.setdefault(one.cue.task, {}), (one.first, one.end)
        # what is kept is no shorter, so what it shares with this one is an end of it
        if places.get(one.first, own) == own == places.get(one.end - 1, own):
            places.update(dict.fromkeys(range(*own), own))
            kept.append(one)
    return sorted(kept, key=lambda s: s.first)


def _reach(seen: _Seen, words: Range, stops: _Stops) -> list[Range]:
    """The ranges of words that a cue speaks of, within the sentence's `words`, none of them empty."""
    cue = seen.cue
    found = []
    if cue.direction in ("forward", "both"):
        at = bisect_left(stops.firsts, seen.end)
        found.append((seen.end, min(words[1], seen.end + cue.max_words, *stops.firsts[at : at + 1])))
    if cue.direction in ("backward", "both"):
        at = bisect_right(stops.ends, seen.first)
        found.append((max(words[0], seen.first - cue.max_words, *(stops.ends[at - 1 : at] if at else ())), seen.first))
    return [(first, last) for first, last in found if first < last]


def n_features(task: Task) -> int:
    """How many features a head of scope `span` is shown: for each label whether a cue says it, and whether the section does."""
    return 2 * len(task.labels)


def features(task: Task, ranges: Sequence[Range], said: Sequence[Said], ruled: Sequence[Finding], within: Mapping[str, str]) -> Floats:
    """What cues say of each range, and what lying inside a finding of rules says (`Task.within`): zeros and ones. Shape: (n_ranges, n_features)."""
    made = np.zeros((len(ranges), n_features(task)), np.float32)
    if not len(ranges):
        return made
    starts, ends = np.asarray(ranges, np.int64).T
    for k, label in enumerate(task.labels):
        spoken = [(s.start, s.end) for s in said if s.task == task.name and s.label == label]
        sections = [(f.start, f.end) for f in ruled if _says(within, f) == label]
        made[:, k] = _touched(spoken, starts, ends)
        made[:, len(task.labels) + k] = _touched(sections, starts, starts + 1)
    return made


def _says(within: Mapping[str, str], finding: Finding) -> str | None:
    return within.get(f"{finding.task}/{finding.label}") or within.get(finding.task)


def _touched(spoken: Sequence[Range], starts: Ints64, ends: Ints64) -> Flags:
    """Which of the ranges [start, end) share a character with one that is spoken of; in time linear in the text, however many there are."""
    if not spoken:
        return np.zeros(len(starts), np.bool_)
    begin, end = np.asarray(spoken, np.int64).T
    n_chars = int(max(end.max(), ends.max())) + 1
    covered = np.cumsum(np.bincount(begin, minlength=n_chars) - np.bincount(end, minlength=n_chars)) > 0
    before = np.concatenate([[0], np.cumsum(covered)])
    return np.asarray(before[ends] > before[starts])
