"""Measures this machine: our student beside the systems that others read with, on the same documents, in one table.

Documents of mixed lengths (60 % short messages, 30 % abstracts, 10 % notes) are read by our released student, by
transformers.pipeline with BERT-base, DistilBERT-base, MiniLM and the very same student, and by ONNX Runtime, OpenVINO,
sentence-transformers and spaCy. Each runs in a process of its own with the same number of threads; their rounds are
interleaved, so that a busy machine slows all alike, and medians count. Where no student is released, and for shapes
that are not at hand, weights are random: they cost what learned ones cost, and the table marks them.

A run takes under 5 minutes on 2 cores and about 3 GB of memory; leave the machine alone meanwhile. Nothing is
downloaded. A peer that is not installed has a row that says what to do (`make setup-bench` installs them all).

example: python manage.py bench
         python manage.py bench --quick                          (a minute: few peers, one round)
         python manage.py bench --student clinical --plot bench.png
         python manage.py bench --peers bert-base,onnxruntime --rounds 5
         python manage.py bench --only-ours --threads 1 --json > bench.json
         python manage.py bench --grid 56                        (gCO2e a kWh of your electricity)
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from workers.arguments import positive
from workers.settings import Settings
from workers.show import progress_bar, table, words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--student", metavar="PACK/ID", help="our student, or PACK alone for the one that reads for it (default: the first released one)")
    parser.add_argument("--peers", type=_names, metavar="A,B", help="these peers alone; an unknown name lists all that there are")
    parser.add_argument("--only-ours", action="store_true", help="no peers")
    parser.add_argument("--quick", action="store_true", help="a minute: one short round, few peers, batch 1 alone")
    parser.add_argument("--rounds", type=positive, metavar="N", help="rounds of each system (default 3)")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of every system (default: as [worker] processes, one a core)")
    parser.add_argument("--grid", type=_factor, metavar="G", help="gCO2e a kWh of your electricity (default: 475, the world's average)")
    parser.add_argument("--data-root", type=Path, help="read texts of the real sets in this folder (default: the packs' samples)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the table into this PNG")


def run(options: Namespace, settings: Settings) -> object:
    from pipelines.engines import RECORD

    # the one verb that reaches into the tests: what is measured here for a user is what `make results-speed` publishes,
    # by the same code, and nothing that reads documents needs it
    from tests.bench.ours import chosen
    from tests.bench.speed import Plan, check_peers, measure, quick
    from tests.bench.speed_page import notes, table_rows

    wanted: dict[str, Any] = quick() if options.quick else {}
    given = {"rounds": options.rounds, "grid": options.grid, "peers": () if options.only_ours else options.peers, "data_root": options.data_root}
    wanted |= {name: value for name, value in given.items() if value is not None}
    plan = Plan(n_threads=options.threads or settings.n_processes, **wanted)
    check_peers(plan.peers)
    ours = chosen(options.student, settings.students_folder, settings.pack_folders, settings.inference.engine, settings.runtime_folder / RECORD)
    if ours is None:
        words("No student is released: ours has random weights. `python manage.py demo` shows how one comes to be.")
    with progress_bar(quiet=options.json) as on_progress:
        results = measure(plan, ours, on_progress)
    if not options.json:
        table(table_rows(results), title=f"{results['student']['id']}, {plan.n_threads} threads")
        for note in notes(results):
            words(note)
    if options.plot:
        from tests.bench.speed_picture import picture

        picture(options.plot, results)
        words(f"The picture is {options.plot}.")
    return results


def _names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name for name in text.split(",") if name)


def _factor(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return number
