"""A store as a year of reading leaves it, of any size: the same seed gives the same rows. Nothing in it was read by a student, and it holds no text."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select, text

from pipelines.progress import OnProgress, silent
from pipelines.tally import Seen, tally
from suites.discover import Pack
from suites.types import Finding
from workers.audit import record
from workers.bulk import insert_rows
from workers.migrate import migrate
from workers.queue import _ANSWER, _FINDING_COLUMNS, _READING_COLUMNS
from workers.rows import row_values, rows_table
from workers.store import Store
from workers.tables import documents, energy, erasures, failures, jobs, rejects, reviews, sources, students, work
from workers.tallies import add_tallies

# the first is primary and reads all; the second has read a tenth of it
STUDENTS = ("{}-a", "{}-b")
PORTION = 5_000
DAYS = 90
DAY_S = 86_400
# so many different documents are drawn; the others repeat their findings at other times
DRAWN = 5_000
JOBS = 200


def fill(store: Store, packs: dict[str, Pack], pack: Pack, n: int, seed: int = 1, on_progress: OnProgress = silent) -> None:
    """Migrates the store and puts `n` documents of the pack in it, what was found in them, and all that stands around them."""
    migrate(store, packs.values())
    rng = random.Random(seed)
    drawn = [_drawn(pack, rng) for _ in range(min(DRAWN, n))]
    with store.begin() as connection:
        now = connection.execute(select(func.coalesce(func.max(students.c.seen_at), datetime.now(UTC).timestamp()))).scalar_one()
        begins = now - DAYS * DAY_S
        _make_months(connection, begins, now)
        for state, name in zip(("primary", "retired"), STUDENTS, strict=True):
            connection.execute(insert(students).values(id=name.format(pack.name), pack=pack.name, state=state, seen_at=begins))
        _fill_jobs(connection, pack, n, begins, rng)
    counts: Counter[tuple[str, str, str]] = Counter()
    for at in range(0, n, PORTION):
        with store.begin() as connection:
            _fill_portion(connection, pack, range(at, min(at + PORTION, n)), n, begins, drawn, counts)
        on_progress("fill", min(at + PORTION, n), n)
    with store.begin() as connection:
        add_tallies(connection, STUDENTS[0].format(pack.name), 0, counts)
        _fill_around(connection, pack, n, begins, rng)
    _settle(store)


def _make_months(connection: Connection, begins: float, now: float) -> None:
    """Past months' partitions, which a store of a year would have made as they came."""
    if connection.dialect.name != "postgresql":
        return
    months = {datetime.fromtimestamp(begins + i * DAY_S, UTC).strftime("%Y-%m-01") for i in range(int((now - begins) / DAY_S))}
    for month in sorted(months):
        name = f"findings_{month[:7].replace('-', '_')}"
        if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is None:
            bounds = f"FROM (extract(epoch FROM timestamp '{month}')) TO (extract(epoch FROM timestamp '{month}' + interval '1 month'))"
            connection.exec_driver_sql(f"CREATE TABLE {name} PARTITION OF findings FOR VALUES {bounds}")


def _drawn(pack: Pack, rng: random.Random) -> tuple[int, tuple[Finding, ...]]:
    """The length and the findings of a document: each task is answered as its kind asks, labels by falling shares."""
    n_chars = int(rng.lognormvariate(6.0, 0.8)) + 20
    found: dict[tuple[str, str, int, int], Finding] = {}
    for task in pack.manifest.task:
        whole = task.is_of_document
        for _ in range(1 if whole else rng.randrange(3)):
            label = task.labels[min(int(rng.expovariate(0.9)), len(task.labels) - 1)]
            start = 0 if whole else rng.randrange(n_chars - 10)
            end = n_chars if whole else start + rng.randrange(3, 10)
            rule = task.answered_by != "student"
            score = 1.0 if rule else round(1 - rng.random() ** 2 * 0.7, 4)
            made = Finding(task.name, label, score, start, end, "rule" if rule else "student", unsure=not rule and score < 0.45)
            if rule and rng.random() < 0.3:
                made = replace(made, value=f"value-{rng.randrange(500)}", number=float(rng.randrange(1000)))
            if task.kind == "pairs":
                made = replace(made, other_start=start, other_end=end)
            found[task.name, label, start, end] = made
    return n_chars, tuple(found.values())


def _fill_jobs(connection: Connection, pack: Pack, n: int, begins: float, rng: random.Random) -> None:
    step = DAYS * DAY_S / JOBS
    rows, files, refused = [], [], []
    for i in range(1, JOBS + 1):
        start = begins + (i - 1) * step
        state = rng.choice(["COMPLETED", "COMPLETED", "COMPLETED_WITH_ERRORS"]) if i < JOBS else "RUNNING"
        ends = None if state == "RUNNING" else start + step / 2
        rows.append(
            {
                "id": i,
                "name": f"job {i}",
                "pack": pack.name,
                "student_id": STUDENTS[0].format(pack.name),
                "state": state,
                "submitted_at": start,
                "finished_at": ends,
            }
        )
        each = n // JOBS
        files.append(
            {
                "id": i,
                "job_id": i,
                "label": f"day-{i}.jsonl",
                "path_sha256": f"{i:064x}",
                "size": each * 500,
                "n_seen": each + 5,
                "n_accepted": each,
                "n_rejected": 5,
            }
        )
        refused += [
            {"source_id": i, "place": f"day-{i}.jsonl row {k}", "code": code, "reason": "as told", "remedy": "as told"}
            for k, code in enumerate(("bad_json", "no_text", "bad_json", "too_long", "no_id"))
        ]
    connection.execute(insert(jobs), rows)
    connection.execute(insert(sources), files)
    connection.execute(insert(rejects), refused)


def _fill_portion(
    connection: Connection,
    pack: Pack,
    numbers: range,
    n: int,
    begins: float,
    drawn: list[tuple[int, tuple[Finding, ...]]],
    counts: Counter[tuple[str, str, str]],
) -> None:
    ids = [number + 1 for number in numbers]
    at = {i: begins + (i - 1) / n * DAYS * DAY_S for i in ids}
    names = ("id", "pack", "key", "content_sha256", "n_chars", "meta", "received_at", "job_id")
    job = {i: 1 + (i - 1) * JOBS // n for i in ids}
    stored = [(i, pack.name, f"doc-{i:06d}", f"{i:064x}", drawn[i % len(drawn)][0], "{}", at[i] - 60, job[i]) for i in ids]
    insert_rows(connection, [documents.c[name] for name in names], stored)
    shown = tuple(rows_table(pack).columns)
    for k, student in enumerate(STUDENTS):
        mine = ids if k == 0 else [i for i in ids if i % 10 == 0]
        # another student finds in a document what ours found in the next: mostly the same labels at other places
        found = {i: drawn[(i + k) % len(drawn)][1] for i in mine}
        student_id = student.format(pack.name)
        insert_rows(connection, _READING_COLUMNS, [(i, student_id, job[i], 1, len(found[i]), at[i], 100, i % 3, 0.9 + i % 7 / 10) for i in mine])
        insert_rows(connection, _FINDING_COLUMNS, [(i, student_id, at[i], *(getattr(f, name) for name in _ANSWER)) for i in mine for f in found[i]])
        insert_rows(
            connection, shown, [row_values(pack, i, student_id, f"doc-{i:06d}", f"job {job[i]}", at[i], drawn[i % len(drawn)][0], found[i]) for i in mine]
        )
    for i in ids[:: max(1, len(ids) // 500)]:
        day = datetime.fromtimestamp(at[i], UTC).strftime("%Y-%m-%d")
        n_chars, one = drawn[i % len(drawn)]
        for key, m in tally(pack, one, Seen(100, i % 3, 0.9 + i % 7 / 10), n_chars).items():
            counts[day, *key] += m * max(1, len(ids) // 500)


def _fill_around(connection: Connection, pack: Pack, n: int, begins: float, rng: random.Random) -> None:
    """Failures, reviews, energy, what waits, the audit and a certificate."""
    student = STUDENTS[0].format(pack.name)
    few = range(1, 1 + min(20_000, n // 2))
    gone = [
        {"job_id": 1 + i % JOBS, "document_id": i, "student_id": f"{pack.name}-c", "stage": rng.choice(["clean", "rules", "worker"]), "attempts": 1}
        for i in few
    ]
    connection.execute(insert(failures), [row | {"code": "too_long", "reason": "as told", "failed_at": begins + 60} for row in gone])
    task = pack.student_tasks[0]
    said = [{"document_id": i, "student_id": student, "task": task.name, "label": task.labels[i % len(task.labels)], "start": 0, "end": 9} for i in few]
    verdicts = [("accept", None), ("correct", task.labels[0]), ("reject", None)]
    looked = [row | dict(zip(("verdict", "new_label"), rng.choice(verdicts), strict=True)) | {"reviewer": "ada", "reviewed_at": begins + 90} for row in said]
    connection.execute(insert(reviews), looked)
    used = {"kind": "job", "pack": pack.name, "engine": "int8", "started_at": begins, "n_documents": n // JOBS, "duration": 60.0, "cpu_seconds": 55.0}
    used |= {"cpu_energy": 5e-5, "gpu_energy": 0.0, "ram_energy": 1e-6, "energy_consumed": 5.1e-5, "emissions": 2.4e-5, "country_iso_code": "WOR"}
    used |= {"tracking_mode": "process", "method": "estimate", "cpu_model": "a processor", "cpu_power": 3.5, "student_id": student}
    connection.execute(insert(energy), [used | {"name": f"job {i}", "job_id": i, "owner": f"host:{k}"} for i in range(1, JOBS + 1) for k in range(2)])
    waiting = [{"job_id": JOBS, "document_id": i, "student_id": f"{pack.name}-d", "state": "ready", "epoch": 0, "attempts": 0, "n_lost": 0} for i in few]
    connection.execute(insert(work), waiting)
    told = {"scope": json.dumps({"job": 1}), "begun_at": begins, "finished_at": begins + 1, "erased": "{}", "keys_destroyed": "{}", "remains": "[]"}
    connection.execute(insert(erasures).values(**told))
    for i in range(min(500, n)):
        record(connection, "view" if i % 5 else "export", f"document {i}", {"reviewer": "ada"})


def _settle(store: Store) -> None:
    """What a worker does at a job's end, and what PostgreSQL does by itself in time: statistics, and the map of pages that need not be looked at."""
    store.refresh_statistics()
    if not store.is_sqlite:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.exec_driver_sql("VACUUM ANALYZE")
