"""Shows how far what a student reads lies from what it was tried on, day by day: shares of labels, scores, lengths, unknown word pieces, distances.

Nobody's labels and no text are needed: workers count as they read, and each student keeps such counts of the documents it was
tried on. The figure is the population stability index: by a rule of thumb 0.1 is little and 0.25 much; days of fewer than 30
documents are left out. Ends with 1 where a measure of the newest day is past the bound and beyond chance.

example: python manage.py drift finance
         python manage.py drift finance --days 30 --bound 0.1
         python manage.py drift finance --student finance-49668dac032f --json
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from suites.discover import find_pack
from suites.errors import RunError, StudentError
from workers.arguments import above_zero, positive
from workers.settings import Settings
from workers.show import n_of, table, words

if TYPE_CHECKING:
    from workers.drift import Drift


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("--student", metavar="ID", help="default: the one that reads")
    parser.add_argument("--days", type=positive, default=7, help="the newest days with documents enough (default 7)")
    parser.add_argument("--bound", type=above_zero, help="index from which on a measure has drifted (default 0.2)")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.release import released_student
    from workers.drift import BOUND, drifts
    from workers.store import Store
    from workers.students import usable_student
    from workers.tallies import by_day

    pack = find_pack(options.pack, settings.pack_folders)
    student = usable_student(settings, pack.name, options.student or released_student(settings.students_folder, pack.name))
    if student.reference is None:
        remedy = f"Fine-tune and release again: python manage.py finetune {pack.name}"
        raise StudentError(f"Student {student.id} was made before students kept counts of what they were tried on. {remedy}", "no_reference")
    store = Store(settings.store_url)
    with store.reading() as connection:
        days = by_day(connection, student.id)
    store.close()
    found = list(drifts(student.reference.tally, days, options.bound or BOUND))
    kept = sorted({d.day for d in found})[-options.days :]
    found = [d for d in found if d.day in kept]
    told = [asdict(d) | {"drifted": d.drifted} for d in found]
    data = {"pack": pack.name, "student": student.id, "drifts": told}
    if not found:
        words(f"No day on which {student.id} has read documents enough to tell ({n_of(len(days), 'day')} in all).")
        return data
    if not options.json:
        table(_by_measure(found, kept), title=f"{student.id}: stability index by day; * past the bound of {found[0].bound:g} and beyond chance")
    if past := [d for d in found if d.day == kept[-1] and d.drifted]:
        raise RunError("\n".join([f"{n_of(len(past), 'measure')} drifted on {kept[-1]}.", *map(_told, past)]), "drift", data)
    return data


def _by_measure(found: Sequence[Drift], days: Sequence[str]) -> list[dict[str, object]]:
    """One row a measure, one column a day."""
    cells = {(d.measure, d.day): f"{d.psi:.3f}{'*' if d.drifted else ''}" for d in found}
    return [{"measure": measure} | {day: cells.get((measure, day)) for day in days} for measure in dict.fromkeys(d.measure for d in found)]


def _told(drift: Drift) -> str:
    return f"  {drift.measure}: {drift.psi:.3f}; most at {drift.moved}, {drift.share_before:.1%} before and {drift.share_now:.1%} now"
