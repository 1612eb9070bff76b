"""Which unlabelled documents are worth labelling next: those that stand for most of what the student doubts and nothing learned stands for yet."""

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


# suggestions are made among so many documents, the most doubted: their likeness, of each to each, must fit in memory
MOST = 4000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A document to label: its place among those given, the task that the student doubts most in it, and how much.

    `doubt`: from 0, sure, to 1, no better than guessing. `covers`: the share of all doubt, weighed by likeness, that it stands for and
    nothing learned or suggested before does.
    """

    place: int
    task: str
    doubt: float
    covers: float


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
        # of spans that it does not find nothing can be asked
        self.tasks = tuple(head.task.name for head in student.heads if head.task.scope != "span")

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
            if head.task.name in self.tasks and len(tokens):
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


def suggest(impressions: Sequence[Impression], learned: Sequence[Impression], n: int, tasks: Sequence[str] = ()) -> list[Suggestion]:
    """The documents to label next, the first one first; of `tasks` alone where some are named.

    Each next one raises most how well the doubted documents are represented: the sum over them of their mean doubt times the cosine to the
    nearest document that is learned or chosen. This is facility location weighted by doubt, which a greedy choice solves to 1 - 1/e (Wei et
    al. 2015, ICML, on subsets to label). What is most doubted and far from all others is as a rule an outlier that teaches little, so that
    doubt and distance alone do worse than chance where little is learned (compare Hacohen et al. 2022, arXiv:2202.02794).
    """
    if not impressions:
        return []
    doubts = [{name: d for name, d in i.doubts.items() if not tasks or name in tasks} for i in impressions]
    weights = np.array([sum(d.values()) / max(len(d), 1) for d in doubts], np.float32) + np.float32(1e-6)
    among = np.sort(np.argsort(-weights, kind="stable")[:MOST])
    places, weights = np.stack([impressions[i].embedding for i in among]), weights[among]
    likeness = np.maximum(places @ places.T, 0.0)
    covered = np.zeros(len(among), np.float32)
    for other in learned:
        covered = np.maximum(covered, places @ other.embedding)
    made: list[Suggestion] = []
    left = np.ones(len(among), np.bool_)
    for _ in range(min(n, len(among))):
        gains = weights @ np.maximum(likeness - covered[:, None], 0.0)
        at = int(np.where(left, gains, -1.0).argmax())
        task, doubt = max(doubts[among[at]].items(), key=lambda of: of[1], default=("", 0.0))
        made.append(Suggestion(int(among[at]), task, round(float(doubt), 4), round(float(gains[at] / weights.sum()), 4)))
        left[at] = False
        covered = np.maximum(covered, likeness[at])
    return made
