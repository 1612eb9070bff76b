"""Which unlabelled documents are worth labelling next: those that the student doubts, and that are like neither each other nor what it has learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.encode import Floats, TextEncoder, Texts, Tokens
from pipelines.engine import stitched
from pipelines.engines import Name, make_engine
from pipelines.heads import Head, Range, chances, softmax
from pipelines.panel import Panel
from pipelines.predict import chunks
from pipelines.progress import OnProgress, silent
from pipelines.rules import Rules
from pipelines.student import Student, check_fits
from suites.discover import Pack
from suites.hooks import load_hooks
from suites.types import Document

# answers of a task that a document's doubt is taken from
LEAST_SURE = 3


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A document to label: its place among those given, how much the student doubts its answer to `task`, the one it doubts most, and how unlike others it is.

    `doubt`: from 0, sure, to 1, no better than guessing. `distance`: of the cosine, to the nearest document that was learned or is suggested before.
    """

    place: int
    task: str
    doubt: float
    distance: float


@dataclass(frozen=True, slots=True)
class Impression:
    """What a student makes of a text. Shapes: embedding (hidden,) of length 1; doubts by task."""

    embedding: Floats
    doubts: dict[str, float]


class Reader:
    """A student that says how sure it is of each text, and where the text lies among others."""

    def __init__(self, pack: Pack, student: Student, *, n_threads: int = 1, engine: Name = "f32", trusted: Sequence[str] = ()) -> None:
        check_fits(student, pack)
        self._encoder = TextEncoder(student.folder)
        self._engine = make_engine(student.folder, engine, pad_id=self._encoder.pad_id, n_threads=n_threads)
        self._panel, self._heads = Panel(pack, student.heads), student.heads
        self._rules, self._clean = Rules(None, pack.manifest.language), load_hooks(pack, trusted).clean
        self._limits = student.birth.text

    def impressions(self, documents: Sequence[Document], on_progress: OnProgress = silent) -> list[Impression]:
        """One impression a document, in order."""
        made: list[Impression] = []
        for chunk in chunks(documents):
            texts = [self._cleaned(d.text) for d in chunk]
            tokens = self._encoder.tokens(texts)
            states = stitched(self._engine, [self._encoder.inputs(t, self._limits) for t in tokens])
            made += [self._impression(*one) for one in zip(texts, tokens, states, strict=True)]
            on_progress("the student reads", len(made), len(documents))
        return made

    def _cleaned(self, text: str) -> str:
        """The text as the pack cleans it; as it is where the pack's code fails: its doubt is of use all the same."""
        try:
            cleaned = self._clean(text)
        except Exception:  # a pack's code
            return text
        return cleaned if len(cleaned) == len(text) else text

    def _impression(self, text: str, tokens: Tokens, states: Floats) -> Impression:
        mean = states.mean(axis=0) if len(states) else np.zeros(self._engine.hidden, np.float32)
        logits, alone = self._panel.logits(states), Texts.of([tokens])
        sentences = self._rules.read(text).sentences if any(h.task.scope == "sentence" for h in self._heads) else []
        doubts = {}
        for head in self._heads:
            if head.task.scope != "span" and len(tokens):  # of spans that it does not find nothing can be asked
                ranges: Sequence[Range] = sentences if head.task.scope == "sentence" else [(0, len(text))]
                doubts[head.task.name] = _doubt(head, logits[:, self._panel.columns(head.task.name)], alone, ranges)
        return Impression(np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32), doubts)


def _doubt(head: Head, logits: Floats, texts: Texts, ranges: Sequence[Range]) -> float:
    """How far a head's LEAST_SURE least sure answers are from being sure, on average: 0 sure, 1 no better than guessing."""
    if head.task.kind == "spans":
        scores = softmax((logits[texts.words()] + head.bias) / head.temperature)
        return _entropy(scores)
    scores = chances(head, logits, texts, [ranges])
    if head.task.kind == "tags":
        return _mean_of_greatest((1 - np.abs(2 * scores - 1)).max(axis=1))
    return _entropy(scores)


def _entropy(scores: Floats) -> float:
    """The entropy of the least sure rows over that of a guess. Shape: (n, n_labels)."""
    return _mean_of_greatest(-(scores * np.log(np.maximum(scores, 1e-9))).sum(axis=1) / np.log(scores.shape[1]))


def _mean_of_greatest(doubts: Floats) -> float:
    """The mean of the greatest few: by the greatest alone the longest documents would always come first."""
    return float(np.sort(doubts)[-LEAST_SURE:].mean()) if len(doubts) else 0.0


def suggest(impressions: Sequence[Impression], learned: Sequence[Impression], n: int) -> list[Suggestion]:
    """The documents to label next, the first one first: each has the greatest product of doubt and of distance to all that is learned or chosen.

    A farthest-first walk weighted by uncertainty (compare Ash et al. 2020, arXiv:1906.03671, which weighs directions by doubt; Gonzalez 1985 for
    the walk), in n steps over all documents.
    """
    if not impressions:
        return []
    places = np.stack([i.embedding for i in impressions])
    doubts = np.array([max(i.doubts.values(), default=0.0) for i in impressions])
    nearest = np.full(len(places), 1.0)
    for other in learned:
        nearest = np.minimum(nearest, 1.0 - places @ other.embedding)
    made: list[Suggestion] = []
    left = np.ones(len(places), np.bool_)
    for _ in range(min(n, len(places))):
        at = int(np.where(left, (doubts + 1e-6) * np.maximum(nearest, 1e-6), -1.0).argmax())
        task = max(impressions[at].doubts, key=lambda name: impressions[at].doubts[name], default="")
        made.append(Suggestion(at, task, round(float(doubts[at]), 4), round(float(max(nearest[at], 0.0)), 4)))
        left[at] = False
        nearest = np.minimum(nearest, 1.0 - places @ places[at])
    return made
