"""Which documents become samples, and the ids that put them into splits."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

from suites.samples import SPLITS, Split, split_of

Labels = frozenset[tuple[str, str]]
SHARES: dict[Split, float] = {"train": 0.70, "dev": 0.15, "test": 0.15}  # of suites.samples


def drawn(rows: Mapping[int, Labels], most: int, seed: int) -> list[int]:
    """The numbers of `most` rows at most, each label as often as the others where it can be: the rarest so far is served next."""
    if len(rows) <= most:
        return sorted(rows)
    order = list(rows)
    random.Random(seed).shuffle(order)
    waiting: dict[tuple[str, str] | None, deque[int]] = defaultdict(deque)
    for number in order:
        for label in rows[number] or (None,):
            waiting[label].append(number)
    taken: set[int] = set()
    counts: Counter[tuple[str, str] | None] = Counter()
    while len(taken) < most:
        label = min((la for la in waiting if waiting[la]), key=lambda la: (counts[la], la or ("", "")))
        number = waiting[label].popleft()
        if number not in taken:
            taken.add(number)
            counts.update(rows[number] or (None,))
    return sorted(taken)


def split_ids(rows: Sequence[tuple[str | None, Labels]], name: str, seed: int) -> list[str]:
    """An id for each row: its own where it has one, else a number, with letters behind it that put it into the split it is due in.

    Splits have their shares of each label, as far as ids can be chosen; whose id is given lies where its id puts it.
    """
    due = _due([labels for _, labels in rows], seed)
    given = {id_ for id_, _ in rows if id_ is not None}
    ids = []
    for number, (id_, _) in enumerate(rows, start=1):
        if id_ is None:
            id_ = next(i for i in _candidates(f"{name}-{number:05}") if split_of(i) == due[number - 1] and i not in given)
        ids.append(id_)
    return ids


def _due(rows: Sequence[Labels], seed: int) -> list[Split]:
    """The split of each row: of the rows of a label the share of each split; a row goes by its rarest label."""
    counts = Counter(label for labels in rows for label in labels)
    strata: dict[tuple[str, str] | None, list[int]] = defaultdict(list)
    for number, labels in enumerate(rows):
        strata[min(labels, key=lambda label: (counts[label], label), default=None)].append(number)
    due: list[Split] = ["train"] * len(rows)
    owed = dict.fromkeys(SPLITS, 0.0)
    shuffled = random.Random(seed)
    for label in sorted(strata, key=lambda la: (len(strata[la]), la or ("", ""))):
        members = strata[label]
        shuffled.shuffle(members)
        for place, number in enumerate(members):
            for split in SPLITS:
                owed[split] += SHARES[split]
            due[number] = max(SPLITS, key=lambda split: owed[split]) if place else "train"  # what train never saw cannot be learnt
            owed[due[number]] -= 1
    return due


def _candidates(stem: str) -> Iterator[str]:
    """The stem, then the stem with letters behind it, without end."""
    yield stem
    number = 0
    while True:
        number += 1
        letters, rest = "", number
        while rest:
            rest, digit = divmod(rest - 1, 26)
            letters = chr(97 + digit) + letters
        yield stem + letters
