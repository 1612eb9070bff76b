"""The whole story on this machine: fine-tune three packs, start broker and workers, read unseen documents, show the rows.

Everything lies in var/demo; what it starts is stopped at the end, also after Ctrl-C.

example: python manage.py demo
"""

from __future__ import annotations

import json
import os
import shutil
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.progress import OnProgress
from suites.discover import Pack, discover, find_pack
from suites.samples import read_samples
from workers.arguments import positive
from workers.settings import Settings
from workers.show import progress_bar, table, words

if TYPE_CHECKING:
    from workers.fleet import Fleet

# enough for answers that make sense; `finetune` takes twice as many
EPOCHS = 6
ROWS = 6
COLUMNS = 8


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--pack", action="append", metavar="NAME", help="show this pack alone; may be repeated")
    parser.add_argument("--epochs", type=positive, default=EPOCHS, help=f"passes over the samples (default {EPOCHS})")


def run(options: Namespace, settings: Settings) -> object:
    from workers.fleet import fleet

    started = time.monotonic()
    home = settings.runtime_folder / "demo"
    # first of all: a name that does not exist must not cost the former demo
    packs = [find_pack(name) for name in dict.fromkeys(options.pack)] if options.pack else list(discover()[0].values())
    ours = _settings(home)
    words(f"1/5  A fresh SQLite store in {home}")
    _migrate(ours, packs)
    words(f"2/5  Fine-tuning {len(packs)} students on their samples, from the embedded encoder")
    for pack in packs:
        _finetune(ours, pack, options.epochs, quiet=options.json)
    words("3/5  Starting the embedded broker and two worker processes")
    with fleet(ours, 2) as running:
        words("4/5  Submitting documents that no training has seen")
        n_read, docs_per_s = _read(ours, packs, home, running, quiet=options.json)
    words("5/5  The broker and the workers are stopped. What analysts see:\n")
    if not options.json:
        for pack in packs:
            _show(ours, pack)
    seconds = time.monotonic() - started
    words(f"\n{n_read} documents read, {docs_per_s:.0f} documents/s once the workers had started; the whole demo took {seconds:.0f} s.")
    words("\nTo try next; the first line leads this shell to the demo's store, until `unset STILLHOUSE_SETTINGS`:")
    words(f"  export STILLHOUSE_SETTINGS={home / 'settings.toml'}")
    words('  .venv/bin/python manage.py query "select verdict, count(*) as n from finance_results group by verdict"')
    words("  .venv/bin/python manage.py query \"select label, count(*) as n from clinical_findings where task = 'assertion' group by label\"")
    words("  .venv/bin/python manage.py export environment findings.parquet --what findings")
    return {"seconds": round(seconds, 1), "documents": n_read, "docs_per_s": round(docs_per_s, 1)}


def _settings(home: Path) -> Settings:
    """Settings of the demo's own, all defaults in a folder of its own: no store, student or broker of the user's is touched."""
    from workers.settings import PREFIX, load_settings

    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "settings.toml").write_text("# the demo's: every setting is the default\n", encoding="utf-8")
    for name in [n for n in os.environ if n.startswith(PREFIX)]:
        del os.environ[name]
    # the workers that we start, and the doorbell in this process, find the demo's settings by it
    os.environ[f"{PREFIX}SETTINGS"] = str(home / "settings.toml")
    return load_settings()


def _migrate(settings: Settings, packs: Sequence[Pack]) -> None:
    from workers.migrate import migrate
    from workers.store import Store

    store = Store(settings.store_url)
    migrate(store, packs)
    store.close()


def _finetune(settings: Settings, pack: Pack, epochs: int, *, quiet: bool) -> None:
    from pipelines.engines import compressed_engines
    from pipelines.evaluate import evaluate
    from pipelines.finetune import FinetuneOptions, finetune
    from pipelines.predict import make_predictor
    from pipelines.release import release
    from workers.energy import measured

    with measured(settings, "finetune", pack.name) as taken, progress_bar(quiet=quiet) as on_progress:
        chosen = FinetuneOptions(epochs=epochs, meter=taken.meter)
        student = finetune(pack, settings.students_folder, chosen, partial(_named, on_progress, pack.name))
        taken.student_id = student.id
    engine = compressed_engines(student.folder)[0]
    full, compressed = (make_predictor(pack, student, n_threads=settings.n_processes, engine=name) for name in ("f32", engine))
    evaluation = evaluate(full, student.id, compressed=(compressed, engine))
    # a minute on the samples proves no bound of the full gate: no teacher, and too few answers to judge by
    release(pack, settings.students_folder, student.id, evaluation, "experimental")
    scores = ", ".join(f"{task} {s.score:.2f}" for task, s in evaluation.scores["samples"].items())
    words(f"     {student.id} released as experimental; F1 on unseen samples: {scores}")


def _read(settings: Settings, packs: Sequence[Pack], home: Path, running: Fleet, *, quiet: bool) -> tuple[int, float]:
    """Submits each pack's test documents, waits for all; gives documents, and documents a second once workers had started."""
    from sqlalchemy import select

    from pipelines.release import released_student
    from workers.bell import ring
    from workers.follow import follow
    from workers.store import Store
    from workers.submit import submit
    from workers.tables import readings

    store = Store(settings.store_url)
    jobs = {}
    for pack in packs:
        inbox = home / f"{pack.name}_inbox.jsonl"
        rows = [{"id": e.document.id, "text": e.document.text} for e in read_samples(pack, "test")]
        inbox.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        jobs[pack.name] = submit(store, pack, released_student(settings.students_folder, pack.name), [inbox], chunk=settings.ingest.chunk, ring=ring)
    for name, job in jobs.items():
        with progress_bar(quiet=quiet) as on_progress:
            follow(store, job.job_id, partial(_named, on_progress, name), running.check)
    with store.reading() as connection:
        times = list(connection.execute(select(readings.c.read_at).order_by(readings.c.read_at)).scalars())
    store.close()
    # the first transaction ends the workers' start; what was read after it is their speed
    after = [t for t in times if t > times[0]]
    return len(times), len(after) / (after[-1] - times[0]) if after else 0.0


def _named(on_progress: OnProgress, name: str, what: str, done: int, total: int) -> None:
    on_progress(f"{name:<12} {what}", done, total)


def _show(settings: Settings, pack: Pack) -> None:
    from workers.query import read_only

    columns = ", ".join(["document", *(f'"{c.name}"' for c in pack.manifest.column)])
    rows, _ = read_only(settings.store_url, f"SELECT {columns} FROM {pack.name}_results ORDER BY document", ROWS)
    if not rows:
        return
    # a screen is not as wide as a table: what is there comes first
    telling = [name for name in rows[0] if any(row[name] not in (None, 0, "") for row in rows)][:COLUMNS]
    table(rows, title=f"{pack.name}_results (the first {len(rows)} rows, {len(telling)} of its {len(rows[0])} columns)", columns=telling)
