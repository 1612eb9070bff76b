"""A new pack from labelled data: its tasks, its samples with ids, and what was found on the way."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from pipelines.importers import read_labelled
from pipelines.importers.asks import Ask, placed
from pipelines.importers.bind import Bound, bind
from pipelines.importers.draw import Labels, drawn, split_ids
from pipelines.importers.gold import Gold, gold_of
from pipelines.importers.guess import guess
from pipelines.importers.labelled import Columns, Fault, Labelled, listed
from pipelines.importers.survey import MAX_ROWS, STEP, Survey, survey
from pipelines.progress import OnProgress, silent
from suites.check import MIN_SAMPLES
from suites.errors import DataError
from suites.samples import SPLITS, split_of

MOST_SAMPLES = 500  # fine-tuned in minutes on two cores; packs of the repository have 168 to 184


@dataclass(frozen=True, slots=True)
class Order:
    """What the user wants: a pack of this name, from this file or folder, with these tasks (none: guessed). `new_ids`: those of the data are not used."""

    name: str
    path: Path
    columns: Columns = field(default_factory=Columns)
    asks: tuple[Ask, ...] = ()
    fields: tuple[str, ...] = ()
    most: int = MOST_SAMPLES
    seed: int = 1
    new_ids: bool = False


@dataclass(slots=True)
class Draft:
    """A pack before it is written. `counts`: documents with each label, in all usable rows; `usable`: their labels by row number."""

    order: Order
    bounds: list[Bound]
    seen: Survey
    samples: list[Gold]
    usable: dict[int, Labels]
    taken: frozenset[int]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def n_rest(self) -> int:
        """Usable documents that are no samples."""
        return len(self.usable) - len(self.samples)


def draft(order: Order, on_progress: OnProgress = silent) -> Draft:
    """The pack that the data makes. Raises UsageError where tasks are not plain, DataError where the data cannot fill a pack.

    The file is read three times, a row at a time: to see its labels, to see which rows are usable, to take those drawn.
    """
    seen = survey(read_labelled(order.path, order.columns), on_progress)
    if not seen.n_rows:
        raise DataError(_none_left(order, seen), "no_rows", data=_faults(seen))
    column = order.columns.label
    asks = placed(order.asks, order.fields) if order.asks else guess(seen, column)
    bounds = bind(asks, seen, column)
    usable = _usable(order, bounds, seen, on_progress)
    counts = Counter(label for labels in usable.values() for label in labels)
    _check_enough(order, bounds, usable, counts, seen)
    taken = frozenset(drawn(usable, order.most, order.seed))
    samples = _with_ids(order, [gold for number, gold in golds(order, bounds) if number in taken])
    _check_splits(order, samples)
    return Draft(order, bounds, seen, samples, usable, taken, counts)


def golds(order: Order, bounds: Sequence[Bound], blame: Callable[[Fault], None] = lambda fault: None) -> Iterator[tuple[int, Gold]]:
    """The usable documents of the data with the number of each row; the same at every reading."""
    rows = (item for item in read_labelled(order.path, order.columns) if isinstance(item, Labelled))
    for number, row in enumerate(islice(rows, MAX_ROWS)):
        gold = gold_of(row, bounds)
        if isinstance(gold, Fault):
            blame(gold)
        else:
            yield number, replace(gold, id=None) if order.new_ids else gold


def _usable(order: Order, bounds: Sequence[Bound], seen: Survey, on_progress: OnProgress) -> dict[int, Labels]:
    """The labels of each usable row by its number; what repeats another row is left out and noted."""
    usable: dict[int, Labels] = {}
    texts: dict[bytes, frozenset[object]] = {}
    ids: set[str] = set()
    same: dict[frozenset[object], frozenset[object]] = {}
    for number, gold in golds(order, bounds, seen.blame):
        seen.notes.update(gold.notes)
        digest = hashlib.blake2b(gold.text.encode(), digest_size=12).digest()
        answers: frozenset[object] = frozenset(gold.answers)
        answers = same.setdefault(answers, answers)
        if digest in texts and texts[digest] != answers:
            seen.blame(Fault(gold.place, "The text stands in an earlier row with other labels.", "Keep the right one of the two; the earlier was taken."))
        elif digest in texts:
            seen.notes["rows that repeat an earlier one were left out"] += 1
        elif gold.id is not None and gold.id in ids:
            seen.blame(Fault(gold.place, f"The id {gold.id[:60]!r} stands in an earlier row.", "Give each row an id of its own, or another --id-column."))
        else:
            texts[digest] = answers
            if gold.id is not None:
                ids.add(sys.intern(gold.id))
            usable[number] = gold.labels
        if number % STEP == STEP - 1:
            on_progress("reading labels", number + 1, seen.n_rows)
    return usable


def _with_ids(order: Order, samples: Sequence[Gold]) -> list[Gold]:
    ids = split_ids([(gold.id, gold.labels) for gold in samples], order.name, order.seed)
    return [replace(gold, id=id_) for gold, id_ in zip(samples, ids, strict=True)]


def _none_left(order: Order, seen: Survey) -> str:
    first = f" The first: {seen.faults[0]}" if seen.faults else ""
    return f"{order.path}: no row can be used, of {seen.n_faults}.{first}"


def _faults(seen: Survey) -> dict[str, object]:
    return {"n_faults": seen.n_faults, "faults": [str(fault) for fault in seen.faults]}


def _check_enough(order: Order, bounds: Sequence[Bound], usable: dict[int, Labels], counts: Counter[tuple[str, str]], seen: Survey) -> None:
    """Raises DataError where the contract's least is not reached: documents in all, and each label once."""
    if len(usable) < MIN_SAMPLES:
        first = f" The first that cannot: {seen.faults[0]}" if seen.faults else ""
        message = f"{order.path}: {len(usable)} documents can be used, {seen.n_faults} cannot; a pack has {MIN_SAMPLES} or more. Label more.{first}"
        raise DataError(message, "too_few", data=_faults(seen))
    absent = [f"{b.ask.name}/{label}" for b in bounds for label in b.ask.labels if not counts[b.ask.name, label]]
    if absent:
        message = f"{order.path}: labels that no usable document has: {listed(absent)}. Take them out of --task, or label documents with them."
        raise DataError(message, "label_absent", data=_faults(seen))
    if order.most < MIN_SAMPLES:
        raise DataError(f"--samples {order.most}: a pack has {MIN_SAMPLES} or more.", "too_few")


def _check_splits(order: Order, samples: Sequence[Gold]) -> None:
    """Raises DataError where the data's own ids leave a split empty: whoever gives ids has said where they lie."""
    there = {split_of(str(gold.id)) for gold in samples}
    if empty := [split for split in SPLITS if split not in there]:
        what = f"{order.path}: of its {len(samples)} documents none would lie in {' and '.join(empty)}."
        remedy = "Label more, most of all what is rare; or, where they have ids of their own, leave these out with --no-ids: then each split has its share."
        raise DataError(f"{what} {remedy}", "empty_split")
