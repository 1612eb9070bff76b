"""The sentences that bear most of a document's answer. Exact: pooling is a mean and heads are linear, so a logit is the sum of its sentences' parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.encode import Floats, Texts
from pipelines.heads import Head, Range, summed
from pipelines.lexicon import bag
from suites.types import Finding, Task

# so many sentences are shown of each answer
SHOWN = 3


def token_parts(head: Head, token_logits: Floats, texts: Texts) -> Floats:
    """What each token adds to its document's logits. Shape: (n_tokens, n_labels); with the biases they add up to the logits."""
    lengths = np.diff(texts.begins)
    parts = token_logits / np.repeat(np.maximum(lengths, 1), lengths)[:, None]
    if head.lexicon is not None and len(head.lexicon.pieces):
        parts = parts + _lexical(head, texts, lengths)
    return np.asarray(parts / head.temperature, np.float32)


def _lexical(head: Head, texts: Texts, lengths: np.ndarray) -> Floats:
    """What the lexicon adds by each token: a piece that stands there several times is shared out evenly. Shape: (n_tokens, n_labels)."""
    assert head.lexicon is not None
    ids, known = texts.tokens.ids, head.lexicon.pieces
    ranges = [slice(int(a), int(b)) for a, b in zip(texts.begins[:-1], texts.begins[1:], strict=True)]
    rows, pieces, values = bag(ids, ranges)
    keys = rows.astype(np.int64) << 32 | pieces
    own = np.repeat(np.arange(len(ranges), dtype=np.int64), lengths) << 32 | ids
    at = np.searchsorted(keys, own)
    each = values[at] / np.bincount(at, minlength=len(keys))[at]
    places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.asarray(np.where(known[places] == ids, each, 0.0)[:, None] * head.lexicon.weights[places], np.float32)


def shares(
    task: Task, head: Head, parts: Floats, texts: Texts, sentences: Sequence[Sequence[Range]], answers: Sequence[Sequence[Finding]]
) -> list[list[Finding]]:
    """For each text and each label that `head` gave it the sentences that speak most for it, at most SHOWN.

    A finding's `number` is what the sentence adds to the label's lead: of a choice over the likeliest other label, of a tag over not giving
    it, in logits; its score is that number's share of all that speaks for the label. Shape of parts: (n_tokens, n_labels).
    """
    added = summed(parts, texts.between(sentences))
    found: list[list[Finding]] = []
    row = 0
    for own, given in zip(sentences, answers, strict=True):
        mine, row = added[row : row + len(own)], row + len(own)
        labels = [task.labels.index(f.label) for f in given if f.task == head.task.name]
        found.append([f for label in labels for f in _shown(task, label, _lead(head, mine, label), own)])
    return found


def _lead(head: Head, added: Floats, label: int) -> Floats:
    """What each sentence adds to a label's lead. Shapes: (n_sentences, n_labels), (n_sentences,)."""
    if head.task.kind == "tags":
        return np.asarray(added[:, label])
    biases = head.bias if head.lexicon is None else head.bias + head.lexicon.bias
    totals = added.sum(axis=0) + biases / head.temperature
    others = [k for k in range(added.shape[1]) if k != label]
    return np.asarray(added[:, label] - added[:, max(others, key=lambda k: totals[k])])


def _shown(task: Task, label: int, lead: Floats, sentences: Sequence[Range]) -> list[Finding]:
    total = float(lead[lead > 0].sum())
    best = [i for i in np.argsort(-lead, kind="stable")[:SHOWN].tolist() if lead[i] > 0]
    made = []
    for i in best:
        start, end = sentences[i]
        made.append(Finding(task.name, task.labels[label], round(float(lead[i]) / total, 4), start, end, number=round(float(lead[i]), 4)))
    return made
