"""A whole installation that things are done to: store, broker behind a proxy, workers as real processes, and documents that are submitted in waves."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from suites.errors import StoreError
from tests.faults.oracle import Expected, record_effects
from tests.faults.proxy import Proxy
from tests.faults.servers import Postgres, Rabbit, Redis, Valkey
from tests.faults.toy import ROOT, SLEEP, write_wave
from workers.store import Store

POINTS = Path(__file__).parent / "points"
SHORT = {"lease_s": 2.5, "sweep_s": 0.4, "poll_s": 0.5, "stall_s": 4.0, "memory_mb": 1500}
LONGEST_S = 600.0


@dataclass
class World:
    """`kind` is sqlite or postgresql, `broker` valkey, redis, rabbit or none. `worker` are settings of [worker]; times are short unless given."""

    folder: Path
    toy: Path
    kind: str
    seed: int
    broker: str = "valkey"
    worker: Mapping[str, float] = field(default_factory=lambda: SHORT)
    n_workers: int = 2
    n_processes: int = 2
    sleep_ms: float = 8.0
    poison_share: float = 0.004
    ablation: str = ""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.expected = Expected()
        self.killed: list[tuple[float, tuple[int, ...]]] = []
        self.stopped: set[int] = set()
        self.stop_s: list[float] = []
        self.jobs: list[int] = []
        self.n_waves = 0
        self._workers: list[subprocess.Popen[bytes]] = []
        self.points = self.folder / "points"
        for name in ("points", "inbox", "tmp", "pg", "broker"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.postgres = Postgres(self.folder / "pg") if self.kind == "postgresql" else None
        self.server = {"valkey": Valkey, "redis": Redis, "rabbit": Rabbit, "none": lambda folder: None}[self.broker](self.folder / "broker")
        self.proxy = Proxy(self.server.port) if self.server else None
        self._write_settings()
        self.log = (self.folder / "log").open("ab")
        self.manage("migrate")
        self.store = Store(self.url)
        record_effects(self.store)

    @property
    def url(self) -> str:
        return self.postgres.url if self.postgres else f"sqlite:///{self.folder / 'store.db'}"

    def _write_settings(self) -> None:
        broker = self.server.url(self.proxy.port) if self.server and self.proxy else "none"
        worker = "".join(f"{name} = {value}\n" for name, value in self.worker.items())
        content = f'[store]\nurl = "{self.url}"\n[broker]\nurl = "{broker}"\n[students]\nfolder = "{self.toy / "students"}"\n'
        content += f'[packs]\nfolders = ["{self.toy / "packs"}"]\n[ingest]\nchunk = 100\nreserve_mb = 0\n[inference]\nengine = "f32"\n[worker]\n{worker}'
        (self.folder / "settings.toml").write_text(content, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "STILLHOUSE_SETTINGS": str(self.folder / "settings.toml"),
            "PYTHONPATH": f"{POINTS}{os.pathsep}{ROOT}",
            "STILLHOUSE_FAULT_POINTS": str(self.points),
            "STILLHOUSE_ABLATION": self.ablation,
            SLEEP: str(self.sleep_ms),
            "TMPDIR": str(self.folder / "tmp"),
        }

    # commands

    def manage(self, *arguments: str, check: bool = True) -> Any:
        """Runs a command; gives the data of --json, or None where it failed."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, timeout=LONGEST_S)
        self.log.write(done.stderr)
        if done.returncode:
            assert not check, done.stderr.decode()
            return None
        return json.loads(done.stdout)["data"]

    def new_wave(self, n: int) -> Path:
        """The file of the next wave."""
        path = self.folder / "inbox" / f"wave{self.n_waves}.jsonl"
        self.expected.poisons |= write_wave(path, self.n_waves, n, self.rng, self.poison_share)
        self.expected.keys |= {f"w{self.n_waves}-{i}" for i in range(n)}
        self.n_waves += 1
        return path

    def submit(self, path: Path) -> int:
        """Submits a file, again and again until it is stored: what a script of a user would do."""
        ends = time.monotonic() + LONGEST_S
        while (data := self.manage("submit", "toy", str(path), check=False)) is None:
            assert time.monotonic() < ends, "a submit never succeeded"
            time.sleep(0.5)
        self.jobs.append(int(data["job_id"]))
        return self.jobs[-1]

    # workers

    def start_workers(self) -> None:
        while len(self._workers) < self.n_workers:
            self._workers.append(self._start())

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "manage.py"), "worker", "--processes", str(self.n_processes)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=self.log, start_new_session=True)

    def tend(self) -> None:
        """Starts workers that ended anew, as `up` or systemd would."""
        for i, worker in enumerate(self._workers):
            if worker.poll() is not None:
                _kill_session(worker)
                self._workers[i] = self._start()

    @property
    def workers(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self._workers if worker.poll() is None]

    def stop_workers(self) -> None:
        self.wake_all()
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(timeout=20)
            _kill_session(worker)
            worker.wait()
        self._workers = []

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        _kill_session(worker)
        worker.wait()

    # processes that hold documents

    def holder(self, wait_s: float = 5.0) -> int | None:
        """A process that holds documents; looked for until there is one."""
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends:
            with suppress(StoreError), self.store.reading() as connection:
                rows = connection.execute(text("SELECT DISTINCT owner FROM work WHERE state = 'leased'")).scalars().all()
                pids = [int(owner.rpartition(":")[2]) for owner in rows]
                alive = [pid for pid in pids if Path(f"/proc/{pid}").exists() and pid not in self.stopped]
                if alive:
                    return self.rng.choice(sorted(alive))
            time.sleep(0.05)
        return None

    def note_held(self, *pids: int) -> None:
        """Remembers what these processes hold, and the time, for how long it takes until others have read it."""
        with suppress(StoreError), self.store.reading() as connection:
            at = self.now(connection)
            rows = connection.execute(text("SELECT document_id, owner FROM work WHERE state = 'leased'")).all()
            held = tuple(document for document, owner in rows if int(owner.rpartition(":")[2]) in pids)
            if held:
                self.killed.append((at, held))

    def now(self, connection: Any) -> float:
        sql = "SELECT unixepoch('subsec')" if self.kind == "sqlite" else "SELECT extract(epoch from clock_timestamp())"
        return float(connection.execute(text(sql)).scalar_one())

    def at(self) -> float:
        """The database's time; waited for where the database is away."""
        for _ in range(200):
            with suppress(StoreError), self.store.reading() as connection:
                return self.now(connection)
            time.sleep(0.1)
        raise AssertionError("the database never came back")

    def stop_for(self, pid: int, seconds: float) -> None:
        """SIGSTOP now, SIGCONT later: a process that wakes up when its claim is another's."""
        self.stopped.add(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)

        def wake() -> None:
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self.stopped.discard(pid)

        threading.Thread(target=wake, daemon=True).start()

    def wake_all(self) -> None:
        for pid in list(self.stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self.stopped.discard(pid)

    def wake_points(self) -> None:
        """Wakes those that a fail-point stopped."""
        for done in self.points.glob("*.done"):
            pid = int(done.name.split(".")[-2])
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def arm(self, point: str, action: str) -> Path:
        """Arms a fail-point: the next process that reaches it does what `action` says."""
        path = self.points / point
        path.write_text(action, encoding="ascii")
        return path

    @contextmanager
    def limit(self, what: int, most: int, only: Sequence[int] = ()) -> Iterator[None]:
        """Lowers a limit of the processes that write: the workers and, where files are meant to be full, PostgreSQL. With RLIMIT_FSIZE as if the disk were."""
        before = {pid: _limit(pid, what, most) for pid in only or self._writers(what)}
        yield
        for pid in only or {*before, *self._writers(what)}:
            _limit(pid, what, before.get(pid))

    def _writers(self, what: int) -> list[int]:
        if self.postgres is not None and what == resource.RLIMIT_FSIZE:
            postmaster = self.postgres.pid
            return [postmaster, *_children(postmaster)] if postmaster else []
        return [pid for worker in self.workers for pid in [worker.pid, *_children(worker.pid)]]

    # how far

    def waiting(self) -> int:
        with suppress(StoreError), self.store.reading() as connection:
            return int(connection.execute(text("SELECT count(*) FROM work WHERE state <> 'paused'")).scalar_one())
        return -1

    def settle(self, limit_s: float = LONGEST_S) -> None:
        """Waits until all jobs have ended. Raises AssertionError telling what is left."""
        ends = time.monotonic() + limit_s
        while time.monotonic() < ends:
            self.tend()
            with suppress(StoreError), self.store.reading() as connection:
                open_jobs = connection.execute(text("SELECT count(*) FROM jobs WHERE state IN ('OPEN', 'RUNNING')")).scalar_one()
                if not open_jobs and not connection.execute(text("SELECT count(*) FROM work")).scalar_one():
                    return
            time.sleep(0.3)
        raise AssertionError(f"{self.waiting()} documents still wait after {limit_s} s")

    def calm_findings(self) -> dict[str, Any]:
        """The findings of every document that is no poison, as `predict` reads them without queue, faults or haste."""
        inbox = self.folder / "calm.jsonl"
        with inbox.open("w", encoding="utf-8") as file:
            for path in (self.folder / "inbox").iterdir():
                file.writelines(line for line in path.open(encoding="utf-8") if " poison " not in line)
        self.sleep_ms, kept = 0.0, self.sleep_ms
        read = self.manage("predict", "toy", str(inbox))["documents"]
        self.sleep_ms = kept
        places = ("task", "label", "start", "end", "source")
        return {row["id"]: sorted(tuple(found[name] for name in places) for found in row["findings"]) for row in read}

    def recoveries(self) -> list[float]:
        """Seconds from the death of a process that held a document until it was read, or failed, one for each document."""
        with self.store.reading() as connection:
            read = {row.document_id: row.read_at for row in connection.execute(text("SELECT document_id, read_at FROM readings"))}
        return [read[document] - at for at, documents in self.killed for document in documents if read.get(document, 0.0) > at]

    def close(self) -> None:
        self.stop_workers()
        self.store.close()
        if self.proxy:
            self.proxy.close()
        if self.server:
            self.server.kill()
        if self.postgres:
            self.postgres.close()
        self.log.close()


def _kill_session(worker: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return []


def _limit(pid: int, what: int, most: int | None) -> int | None:
    """Sets the soft limit, None: as high as it may be; gives what it was."""
    with suppress(ProcessLookupError, OSError):
        soft, hard = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (hard if most is None else most, hard))
        return soft
    return None
