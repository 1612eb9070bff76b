"""Which BIO tag may follow which, and how readily: what makes of the tags of words spans that hang together. numpy, no torch.

A head says of each word by itself how likely each tag is. Taken word by word the likeliest tags begin
spans inside of spans and change labels midway, a small encoder's more often than a large one's. The
best sequence as a whole (Viterbi 1967) does not: to the log chances of its tags it adds what is known
of neighbours from the gold of train.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.encode import Floats, Ints

# the logarithm of never, finite: what must not follow is then worse than all else, and nothing becomes nan
NEVER = -1e4
# a word that is outside of spans with this chance is outside, whatever stands around it: most words are, and are then not searched
SURELY_OUTSIDE = 0.99
SMALLEST = 1e-9  # a chance of nothing has no logarithm
# texts, in the order of their lengths, that are summed at once: each is padded to the longest of them
TOGETHER = 64
ONE_TEXT = np.zeros(1, np.int32)


def legal(n_outputs: int) -> Floats:
    """The transitions of BIO tags where no text was counted: 0, and NEVER for I-x that follows neither B-x nor I-x.

    Shape: (n_outputs + 1, n_outputs): row i is what follows tag i, the last row what a text begins with.
    """
    transitions = np.zeros((n_outputs + 1, n_outputs), np.float32)
    for inside in range(2, n_outputs, 2):
        transitions[:, inside] = NEVER
        transitions[inside - 1 : inside + 1, inside] = 0.0
    return transitions


def counted(texts: Iterable[Ints], n_outputs: int) -> Floats:
    """How much more often a tag follows another than it stands anywhere, as a logarithm. Shape: as `legal`.

    Of each text the tags of its words. The chances of tags are divided out because the heads' answers
    hold them already (Bourlard & Morgan 1994, "Connectionist speech recognition", chapter 7). What
    was seldom seen is pulled to 0, as by `n_outputs` tags more that follow by chance.
    """
    follows = np.zeros((n_outputs + 1, n_outputs))
    for tags in texts:
        np.add.at(follows, (np.concatenate([[n_outputs], tags[:-1]]), tags), 1)
    share = (follows.sum(axis=0) + 1) / (follows.sum() + n_outputs)
    chances = (follows + n_outputs * share) / (follows.sum(axis=1, keepdims=True) + n_outputs)
    return weighted(np.asarray(np.log(chances / share), np.float32), 1.0)


def weighted(transitions: Floats, weight: float) -> Floats:
    """The transitions to this weight; what is NEVER stays so."""
    return np.where(legal(transitions.shape[1]) < 0, np.float32(NEVER), np.asarray(weight * transitions, np.float32))


def best_tags(chances: Floats, transitions: Floats, begins: Ints = ONE_TEXT) -> Ints:
    """The best tags of the words of texts that lie one after another.

    Shapes: chances (n_words, n_outputs), transitions as `legal`, begins, the first word of each text, (n_texts,), result (n_words,).
    """
    tags = np.zeros(len(chances), np.int32)
    searched = np.flatnonzero(chances[:, 0] < SURELY_OUTSIDE)
    if not len(searched):
        return tags
    is_edge = np.zeros(len(chances) + 1, np.bool_)
    is_edge[begins] = is_edge[-1] = True
    is_start = (np.diff(searched, prepend=-2) > 1) | is_edge[searched]
    first, end = searched[is_start], searched[np.append(is_start[1:], True)] + 1
    longest_first = np.argsort(first - end, kind="stable")
    starts, ends = np.asarray(first[longest_first], np.int32), np.asarray(end[longest_first], np.int32)
    # what lies around a stretch is outside, or a text's beginning or end
    before = transitions[np.where(is_edge[starts], len(transitions) - 1, 0)]
    after = np.where(is_edge[ends][:, None], 0.0, transitions[:-1, 0])
    _search(_log(chances), starts, ends, before, after, transitions[:-1], tags)
    return tags


def _search(logs: Floats, starts: Ints, ends: Ints, before: Floats, after: Floats, between: Floats, tags: Ints) -> None:
    """Writes the best tags of stretches of words into `tags`, word by word, of all stretches at once that are so long.

    Shapes: logs (n_words, n_outputs), starts and ends (n_stretches,), the longest first, before and after (n_stretches,
    n_outputs), between (n_outputs, n_outputs), tags (n_words,).
    """
    n_longer = np.searchsorted(starts - ends, -np.arange(int(ends[0] - starts[0])))  # how many stretches have a word at each place
    from_tag = np.zeros(logs.shape, np.int32)
    scores = before + logs[starts]
    for place, n in enumerate(n_longer[1:].tolist(), 1):
        at = starts[:n] + place
        reached = scores[:n, :, None] + between
        from_tag[at] = reached.argmax(axis=1)
        scores[:n] = reached.max(axis=1) + logs[at]
    best = (scores + after).argmax(axis=1)
    tags[ends - 1] = best
    for place, n in reversed(list(enumerate(n_longer.tolist()))[1:]):
        at = starts[:n] + place
        best[:n] = from_tag[at, best[:n]]
        tags[at - 1] = best[:n]


def surprise(texts: Sequence[tuple[Floats, Ints]], transitions: Floats) -> float:
    """The negative log likelihood of texts' gold tags among all sequences of tags (Collobert et al. 2011, arXiv:1103.0398, section 3.3).

    Of each text the chances, shape (n_words, n_outputs), and the gold tags, shape (n_words,).
    """
    ordered = sorted((text for text in texts if len(text[1])), key=lambda text: len(text[1]))
    total = 0.0
    for chances, tags in ordered:
        previous = np.concatenate([[len(transitions) - 1], tags[:-1]])
        total -= float(_log(chances[np.arange(len(tags)), tags]).sum() + transitions[previous, tags].sum())
    for at in range(0, len(ordered), TOGETHER):
        total += float(_log_totals([_log(chances) for chances, _ in ordered[at : at + TOGETHER]], transitions).sum())
    return total


def _log_totals(texts: Sequence[Floats], transitions: Floats) -> Floats:
    """The logarithm of what all sequences of tags weigh together, of each text. Shape: (n_texts,)."""
    rows, lengths = _padded(texts)
    scores = transitions[-1] + rows[:, 0]
    for place in range(1, rows.shape[1]):
        reached = np.logaddexp.reduce(scores[:, :, None] + transitions[:-1], axis=1) + rows[:, place]
        scores = np.where((place < lengths)[:, None], reached, scores)
    return np.asarray(np.logaddexp.reduce(scores, axis=1), np.float32)


def _log(chances: Floats) -> Floats:
    return np.log(np.maximum(chances, SMALLEST))


def _padded(texts: Sequence[Floats]) -> tuple[Floats, Ints]:
    """The log chances of several texts as one array, filled up with zeros, and their lengths. Shapes: (n, longest, n_outputs), (n,)."""
    lengths = np.asarray([len(logs) for logs in texts], np.int32)
    padded = np.zeros((len(texts), int(lengths.max()), texts[0].shape[1]), np.float32)
    for i, logs in enumerate(texts):
        padded[i, : len(logs)] = logs
    return padded, lengths
