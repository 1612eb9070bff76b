"""What a draft of a pack says of itself: its tasks, what was renamed, what was left out, what to mind."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.importers.bind import Bound
from pipelines.importers.draft import Draft
from pipelines.importers.labelled import shown

FEW = 10  # documents with a label: with fewer, dev and test have one or none to judge it by
SHOWN = 20
RENAMED = 12


def told(draft: Draft) -> Iterator[str]:
    """The lines for people, in the order in which they matter."""
    order, seen = draft.order, draft.seen
    n_rows = len(draft.usable) + seen.n_faults
    yield f"{order.path}: {n_rows:,} rows looked at, {len(draft.usable):,} documents usable, {seen.n_faults:,} rows not."
    for fault in seen.faults[:SHOWN]:
        yield f"  - {fault}"
    if seen.n_faults > SHOWN:
        yield f"  ... and {seen.n_faults - SHOWN:,} more rows (--json lists {len(seen.faults):,})"
    yield from (f"  note: {what} ({count:,})" for what, count in sorted(seen.notes.items()))
    yield "The tasks, guessed from the labels; name them with --task to have others:" if not order.asks else "The tasks:"
    for bound in draft.bounds:
        yield from _task(draft, bound)


def _task(draft: Draft, bound: Bound) -> Iterator[str]:
    ask = bound.ask
    counts = {label: draft.counts[ask.name, label] for label in ask.labels}
    labels = ", ".join(f"{label} {count:,}" for label, count in list(counts.items())[:RENAMED])
    more = f" and {len(counts) - RENAMED} more" if len(counts) > RENAMED else ""
    yield f"  {ask.name}: {ask.what}, from {bound.field!r}, which has {len(ask.labels)} labels; documents with each: {labels}{more}"
    if not draft.order.asks:
        yield f'    that is: --task "{ask.written}"' if len(ask.written) < 200 else f"    that is: --task {ask.name}:{ask.kind}"
    if renamed := list(bound.renamed.items()):
        pairs = ", ".join(f"{shown(raw)} is {label}" for raw, label in renamed[:RENAMED])
        yield f"    labels have letters, digits and underscores: {pairs}{f' and {len(renamed) - RENAMED} more' if len(renamed) > RENAMED else ''}"
    for label, count in counts.items():
        if count < FEW:
            has = "document has" if count == 1 else "documents have"
            yield f"    {label}: {count} {has} it; with fewer than {FEW} a student hardly learns it, and no test shows whether"
