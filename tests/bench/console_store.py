"""A store to look at in the console: the packs' samples, written for this project, read by students trained on them, over thirty days.

What is made up is seeded: when documents were read, which of them failed, and what two reviewers said. Everything else is real.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from pipelines.tally import Seen, tally
from suites.discover import Pack, discover
from suites.types import Finding
from workers.console.agreement import finding_of
from workers.fleet import fleet
from workers.keys import Keys
from workers.reviews import other_labels, primary
from workers.reviews.sitting import Sitting, Wanted
from workers.rows import fill_sql, rows_table
from workers.settings import PREFIX, Settings, load_settings
from workers.store import Store
from workers.tables import documents, energy, failures, findings, jobs, readings, tallies
from workers.tallies import add_tallies

ROOT = Path(__file__).parents[2]
SEED = 20260131
DAYS = 30
DAY_S = 86_400.0
# the newest document was read so long before now
AGO_S = 3_600.0
# students by pack: how each is made; the first is the primary in the end
STUDENTS = {
    "finance": (("--seed", "0", "--epochs", "6", "--teacher"), ("--seed", "1", "--epochs", "2")),
    "clinical": (("--seed", "0", "--epochs", "5"),),
    "environment": (("--seed", "0", "--epochs", "5"),),
}
# each sample so many times, that there are enough of a day for drift
COPIES = {"finance": 6}
N_FAILED = 5
# documents of one file
PART = 240
# documents that the student and its teacher read again, and decisions of two reviewers, the second of whom sees what the first has judged
N_SAMPLE, N_JUDGED = 120, {"anna": 60, "bela": 30}
# of ten findings that are looked at so many are right
RIGHT = 0.7


def made(home: Path) -> Settings:
    """The settings of a home whose store is filled; students that are there already are used again."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "settings.toml").write_text('[broker]\nurl = "none"\n[worker]\nprocesses = 2\npoll_s = 0.2\n', encoding="utf-8")
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ[f"{PREFIX}SETTINGS"] = str(home / "settings.toml")
    settings = load_settings()
    for file in (settings.home / "var").glob("stillhouse.db*"):
        file.unlink()
    manage("migrate")
    packs, _ = discover()
    with fleet(settings, 2):
        for name in STUDENTS:
            _read(settings, packs[name], home)
    store = Store(settings.store_url)
    rng = random.Random(SEED)
    with store.begin() as connection:
        _fail(connection, rng)
        _spread(connection, rng)
        for name in STUDENTS:
            _derive(connection, packs[name])
    _review(store, packs["finance"], rng)
    with store.reading() as connection:
        newest = connection.execute(select(func.max(jobs.c.id)).where(jobs.c.pack == "finance")).scalar_one()
    store.close()
    manage("energy", str(newest), "--on-teacher", "--sample", str(N_SAMPLE))
    return settings


def manage(*arguments: str) -> dict[str, Any]:
    """The data of a command."""
    done = subprocess.run([sys.executable, str(ROOT / "manage.py"), *arguments, "--json"], capture_output=True, text=True)
    said = json.loads(done.stdout or "{}")
    if not said.get("ok") and said.get("error", {}).get("code") != "job_completed_with_errors":
        raise RuntimeError(done.stderr)
    return dict(said.get("data") or {}) if not isinstance(said.get("data"), list) else {"rows": said["data"]}


def _read(settings: Settings, pack: Pack, home: Path) -> None:
    """Each student of the pack reads its samples; the first, which reads them last, is the one that the views show."""
    if not manage("students", "list", pack.name)["rows"]:
        for how in STUDENTS[pack.name]:
            manage("finetune", pack.name, *how)
    # the newest first: the first one made reads last, and is the one that the views show
    rows = manage("students", "list", pack.name)["rows"]
    students = [row["student"] for row in rows if row["student"] not in {teacher for one in rows for teacher in one["teachers"]}]
    (settings.students_folder / pack.name / "released.json").unlink(missing_ok=True)
    files = _inbox(pack, home / pack.name)
    for student in students:
        if not (settings.students_folder / pack.name / student / "metrics.json").exists():
            manage("evaluate", pack.name, "--student", student, "--no-speed", "--no-baseline")
        manage("release", pack.name, "--student", student, "--experimental")
        for file in files:
            manage("submit", pack.name, str(file), "--job", f"{pack.name} {file.stem}{'' if student == students[-1] else ', earlier student'}", "--wait")


def _inbox(pack: Pack, folder: Path) -> list[Path]:
    """The pack's samples without their gold, in files of 120; the second has two rows that are no documents."""
    folder.mkdir(exist_ok=True)
    lines = (pack.folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.dumps(row) for copy in range(COPIES.get(pack.name, 1)) for row in _copied(map(json.loads, lines), copy)]
    files = []
    for part, begin in enumerate(range(0, len(rows), PART), start=1):
        files.append(folder / f"batch-{part}.jsonl")
        broken = ['{"id": "cut-off", "text": "', '{"id": "no-text"}'] if part == 2 else []
        files[-1].write_text("\n".join([*rows[begin : begin + PART], *broken]) + "\n", encoding="utf-8")
    return files


def _copied(samples: Iterable[dict[str, Any]], copy: int) -> Iterator[dict[str, Any]]:
    for sample in samples:
        row = {name: value for name, value in sample.items() if name in ("id", "text", "meta")}
        yield row if copy == 0 else row | {"id": f"{row['id']}-{copy}", "text": f"{row['text']}\n\n({copy})"}


def _fail(connection: Connection, rng: random.Random) -> None:
    """Makes failures of a few readings, as a rule that takes too many steps would."""
    rows = connection.execute(select(readings).order_by(readings.c.document_id, readings.c.student_id)).all()
    for row in rng.sample(rows, N_FAILED):
        place = {"d": row.document_id, "s": row.student_id}
        connection.execute(text("DELETE FROM findings WHERE document_id = :d AND student_id = :s"), place)
        connection.execute(delete(readings).where(readings.c.document_id == row.document_id, readings.c.student_id == row.student_id))
        why = {"stage": "rules", "code": "rule_budget", "reason": "rule amount took more than 2,000,000 steps", "attempts": 1, "failed_at": row.read_at}
        connection.execute(insert(failures).values(job_id=row.job_id, document_id=row.document_id, student_id=row.student_id, **why))
        connection.execute(update(jobs).where(jobs.c.id == row.job_id).values(state="COMPLETED_WITH_ERRORS"))


def _spread(connection: Connection, rng: random.Random) -> None:
    """Spreads each student's jobs over the days, and what was read in them over the time to the next."""
    now = time.time() - AGO_S
    for student in connection.execute(select(jobs.c.student_id).distinct()).scalars().all():
        query = select(jobs.c.id, jobs.c.submitted_at, jobs.c.finished_at).where(jobs.c.student_id == student)
        rows = connection.execute(query.order_by(jobs.c.id)).all()
        taken = DAYS * DAY_S / len(rows)
        for i, job in enumerate(rows):
            begin = now - DAYS * DAY_S + taken * i
            for row in connection.execute(select(readings.c.document_id, readings.c.student_id).where(readings.c.job_id == job.id)).all():
                at = {"at": begin + rng.random() * taken, "d": row.document_id, "s": row.student_id}
                connection.execute(text("UPDATE readings SET read_at = :at WHERE document_id = :d AND student_id = :s"), at)
                connection.execute(text("UPDATE findings SET read_at = :at WHERE document_id = :d AND student_id = :s"), at)
            connection.execute(text("UPDATE documents SET received_at = :at WHERE job_id = :j"), {"at": begin, "j": job.id})
            connection.execute(update(energy).where(energy.c.job_id == job.id).values(started_at=begin))
            seconds = (job.finished_at or job.submitted_at + 1) - job.submitted_at
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(submitted_at=begin, finished_at=begin + seconds))


def _review(store: Store, pack: Pack, rng: random.Random) -> None:
    """Two reviewers decide what waits: mostly they accept, and mostly they agree."""
    with store.reading() as connection:
        student_id = primary(connection, pack)
    for reviewer, n in N_JUDGED.items():
        sitting = Sitting(store, pack, student_id, Keys(), Wanted(reviewer, second=reviewer != "anna"))
        sitting.begin()
        while len(sitting.decided) < n and (one := sitting.next()) is not None:
            others = other_labels(pack.tasks[one.key.task], one.key.label)
            if rng.random() < RIGHT:
                sitting.decide(one.key, "accept")
            elif others:
                sitting.decide(one.key, "correct", new_label=rng.choice(others))
            else:
                sitting.decide(one.key, "reject")


def _derive(connection: Connection, pack: Pack) -> None:
    """The rows and counts by day of all that the pack's students found, made anew."""
    names = ", ".join(f'"{column.name}"' for column in rows_table(pack).columns)
    connection.exec_driver_sql(f"DELETE FROM {pack.name}_rows")
    connection.exec_driver_sql(f"INSERT INTO {pack.name}_rows ({names}) {fill_sql(pack, connection.dialect.name)}")
    found: dict[tuple[int, str], list[Finding]] = defaultdict(list)
    for row in connection.execute(select(findings)):
        found[row.document_id, row.student_id].append(finding_of(row))
    counts: dict[str, Counter[tuple[str, str, str]]] = defaultdict(Counter)
    query = select(readings, documents.c.n_chars).join(documents, documents.c.id == readings.c.document_id).where(documents.c.pack == pack.name)
    for row in connection.execute(query):
        seen = None if row.n_tokens is None else Seen(row.n_tokens, row.n_unknown, row.distance)
        day = datetime.fromtimestamp(row.read_at, UTC).strftime("%Y-%m-%d")
        for (measure, bucket), n in tally(pack, found[row.document_id, row.student_id], seen, row.n_chars).items():
            counts[row.student_id][day, measure, bucket] += n
    for student, of_student in counts.items():
        connection.execute(delete(tallies).where(tallies.c.student_id == student))
        add_tallies(connection, student, 0, of_student)
