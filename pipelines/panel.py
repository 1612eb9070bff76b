"""All heads of a student at once: from token states to findings, and to what follows from them exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.context import features
from pipelines.encode import Floats, Texts, Tokens
from pipelines.heads import Head, Range, answer_spans, chances, found_ranges
from pipelines.reference import Reference
from pipelines.rules import Ruled
from pipelines.shares import shares, token_parts
from suites.discover import Pack
from suites.types import Finding, Task

NOTHING = Ruled([], [], [])


@dataclass(frozen=True, slots=True)
class Given:
    """Gold ranges to answer in place of found ones, for evaluation: sentences, and spans by task."""

    sentences: Sequence[tuple[int, int]] | None = None
    spans: Mapping[str, Sequence[Finding]] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A text that heads are asked about: its tokens, and what rules found in it."""

    text: str
    tokens: Tokens
    ruled: Ruled
    given: Given = field(default_factory=Given)

    @property
    def sentences(self) -> Sequence[Range]:
        return self.ruled.sentences if self.given.sentences is None else self.given.sentences

    def ranges(self, task: Task, found: Sequence[Finding]) -> Sequence[Range]:
        """The ranges that a choice or tags task is asked of, each once; `found` are the answers so far."""
        if task.scope == "document":
            return [(0, len(self.text))]
        if task.scope == "sentence":
            return self.sentences
        parents = (self.given.spans or {}).get(task.name)
        if parents is None:
            parents = [f for f in found if task.asks(f)]
        return list(dict.fromkeys((f.start, f.end) for f in parents))


@dataclass(frozen=True, slots=True)
class Answered:
    """What the heads say of a text: their findings, and of each choice of the document all its chances, shape (n_labels,)."""

    findings: list[Finding]
    chances: Mapping[str, Floats]


class Panel:
    """The heads of a student, and the pack's tasks that follow from them alone."""

    def __init__(self, pack: Pack, heads: Sequence[Head], reference: Reference | None = None) -> None:
        # all heads, and the directions of the reference, as one product; the bias is added once per range, not per token
        self._reference = reference if reference is not None and len(reference.directions) else None
        directions = [] if self._reference is None else [self._reference.directions]
        self._weights = np.concatenate([*(h.weight for h in heads), *directions]).T.copy()
        offsets = np.cumsum([0, *(len(h.bias) for h in heads)])
        self._columns = {h.task.name: slice(int(a), int(b)) for h, a, b in zip(heads, offsets[:-1], offsets[1:], strict=True)}
        # those of spans last: they ask about spans that others found
        self._heads = sorted(heads, key=lambda h: h.task.scope == "span")
        # within and of are what the pack says today, the rest of a head's task what the student was made for
        self._asking = {t.name: t for t in pack.manifest.task}
        self._shares = {t.of[0]: t for t in pack.manifest.task if t.answered_by == "share"}

    @property
    def n_outputs(self) -> int:
        return int(self._weights.shape[1])

    def columns(self, task: str) -> slice:
        """Where a task's logits stand among all."""
        return self._columns[task]

    def logits(self, states: Floats) -> Floats:
        """All heads' logits of tokens. Shapes: (n_tokens, hidden), (n_tokens, n_outputs)."""
        return np.asarray(states @ self._weights)

    def distances(self, texts: Sequence[Tokens], logits: Floats) -> list[float | None]:
        """How far each text lies from the student's reference; None without one, or without tokens."""
        if self._reference is None:
            return [None] * len(texts)
        places = logits[:, -len(self._reference.directions) :]
        ends = np.cumsum([len(tokens) for tokens in texts]).tolist()
        along = [places[end - len(tokens) : end].mean(axis=0) if len(tokens) else None for end, tokens in zip(ends, texts, strict=True)]
        return [None if row is None else round(float(self._reference.distances(row[None])[0]), 4) for row in along]

    def answers(self, asked: Sequence[Asked], logits: Floats) -> list[Answered]:
        """What the heads find in each text: all texts are asked at once. `logits` are of all texts' tokens, one after another."""
        texts = Texts.of([one.tokens for one in asked])
        answered = [Answered([], {}) for _ in asked]
        for head in self._heads:
            columns = logits[:, self._columns[head.task.name]]
            for one, own in zip(answered, self._answer(head, columns, texts, asked, answered), strict=True):
                one.findings.extend(own)
        return answered

    def _answer(self, head: Head, columns: Floats, texts: Texts, asked: Sequence[Asked], answered: Sequence[Answered]) -> list[list[Finding]]:
        if head.task.kind == "spans":
            return answer_spans(head, columns, texts)
        task = self._asking.get(head.task.name, head.task)
        ranges = [one.ranges(task, so_far.findings) for one, so_far in zip(asked, answered, strict=True)]
        scores = chances(head, columns, texts, ranges, _cues(head, task, asked, ranges))
        found = found_ranges(head, scores, ranges)
        if task.scope == "document":
            if task.kind == "choice":
                for one, row in zip(answered, scores, strict=True):
                    one.chances[task.name] = row  # type: ignore[index]
            if share := self._shares.get(task.name):
                borne = shares(share, head, token_parts(head, columns, texts), texts, [one.sentences for one in asked], found)
                found = [own + parts for own, parts in zip(found, borne, strict=True)]
        return found


def _cues(head: Head, task: Task, asked: Sequence[Asked], ranges: Sequence[Sequence[Range]]) -> Floats | None:
    """What cues say of each range of each text, for a head that listens to them. Shape: (n_ranges, n_features)."""
    if not head.cues.size:
        return None
    rows = [features(head.task, own, one.ruled.said, one.ruled.findings, task.within) for one, own in zip(asked, ranges, strict=True)]
    return np.concatenate(rows) if rows else None
