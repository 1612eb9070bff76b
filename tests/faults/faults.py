"""The faults, by name: each does one thing to a world and leaves it able to go on."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import text

from suites.errors import StoreError
from tests.faults.toy import ROOT
from tests.faults.world import World, _children

# gives False where it struck nobody
Fault = Callable[[World], bool | None]
FAULTS: dict[str, Fault] = {}
# where a process can die, in the order of a document's life; each is also a fault of its own
POINTS = (
    *("wake.before", "claim.before", "claim.after", "read.before", "read.after", "finish.before", "finish.after", "commit.before", "commit.after"),
    *("renew.before", "give_back.before", "settle.before", "settle.after", "sweeper.sweep.before", "sweeper.sweep.after", "sweeper.settle.after"),
)
POINT_S = 1.5  # a point that nobody reaches within this is disarmed


def fault(needs: str = "") -> Callable[[Fault], Fault]:
    def named(function: Fault) -> Fault:
        FAULTS[function.__name__] = function
        function.needs = needs  # type: ignore[attr-defined]
        return function

    return named


def faults_for(world: World) -> list[str]:
    """The faults that this world can suffer."""
    has = {"", world.kind, *(["broker"] if world.server else []), *(["valkey"] if world.broker in ("valkey", "redis") else [])}
    return [name for name, function in FAULTS.items() if function.needs in has]  # type: ignore[attr-defined]


@fault()
def kill_child(world: World) -> bool:
    """SIGKILL to a process that holds documents."""
    pid = world.holder()
    if pid is not None:
        world.note_held(pid)
        _signal(pid, signal.SIGKILL)
    return pid is not None


@fault()
def kill_worker(world: World) -> bool:
    """SIGKILL to one worker and all its processes."""
    chosen = world.rng.sample(world.workers, k=min(1, len(world.workers)))
    _kill(world, chosen)
    return bool(chosen)


@fault()
def kill_all_workers(world: World) -> bool:
    """SIGKILL to every process that reads or sweeps."""
    chosen = world.workers
    _kill(world, chosen)
    return bool(chosen)


@fault()
def stop_past_lease(world: World) -> bool:
    """SIGSTOP to a process that holds documents, until its claim has lapsed and been given to another."""
    pid = world.holder()
    if pid is not None:
        world.stop_for(pid, world.worker["lease_s"] + 4 * world.worker["sweep_s"])
    return pid is not None


@fault()
def sleep_before_finish(world: World) -> bool:
    """The same between reading and writing: what wakes up writes at once."""
    point = world.arm("read.after", "stop")  # outside a transaction: SQLite has one writer, and it would be this one
    time.sleep(POINT_S)
    if point.exists():
        point.unlink(missing_ok=True)
        return False
    time.sleep(world.worker["lease_s"] + 3 * world.worker["sweep_s"])
    world.wake_points()
    return True


@fault()
def sigterm(world: World) -> None:
    """A stop in order: it must end within 20 s, and be started again."""
    if world.workers:
        worker = world.rng.choice(world.workers)
        started = time.monotonic()
        worker.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=30)
        world.stop_s.append(time.monotonic() - started)


@fault()
def sigquit(world: World) -> None:
    """A cold stop."""
    if world.workers:
        world.rng.choice(world.workers).send_signal(signal.SIGQUIT)


@fault()
def exit_in_commit(world: World) -> bool:
    """SystemExit between the last statement and the commit."""
    return _armed(world, "commit.before", "exit")


@fault("broker")
def broker_killed(world: World) -> None:
    """SIGKILL to the broker, which comes back empty."""
    world.server.kill()
    time.sleep(world.rng.uniform(0, 1))
    world.server.start()


@fault("broker")
def broker_flushed(world: World) -> None:
    """All messages are gone."""
    world.server.flush()


@fault("broker")
def broker_outage(world: World) -> None:
    """Nobody reaches the broker for some seconds."""
    world.proxy.refuse(True)
    time.sleep(world.rng.uniform(2, 5))
    world.proxy.refuse(False)


@fault("broker")
def broker_half_open(world: World) -> None:
    """All links to the broker are half-open: no end, no reset, no byte."""
    world.proxy.forget()


@fault("broker")
def broker_reset(world: World) -> None:
    """All links to the broker end with a reset."""
    world.proxy.reset()


@fault("valkey")
def broker_out_of_memory(world: World) -> None:
    """The broker takes no message for lack of memory."""
    _for_a_while(lambda client: client.config_set("maxmemory", "1"), lambda client: client.config_set("maxmemory", "0"), world)


@fault("valkey")
def broker_read_only(world: World) -> None:
    """The broker has become a replica of nobody: it answers, and takes nothing."""
    _for_a_while(lambda client: client.replicaof("127.0.0.1", "1"), lambda client: client.replicaof("NO", "ONE"), world)


def _for_a_while(begin: Callable[[Any], object], end: Callable[[Any], object], world: World) -> None:
    with suppress(Exception):
        begin(world.server.client)
        time.sleep(2.0)
    with suppress(Exception):
        end(world.server.client)


@fault("valkey")
def doorbell_storm(world: World) -> None:
    """A thousand wake-ups, of jobs that are and that are not."""
    with suppress(Exception):
        pipeline = world.server.client.pipeline()
        for i in range(1000):
            pipeline.lpush("stillhouse:stillhouse.wake", _message(json.dumps([[i % 7], {}, {}])))
        pipeline.execute()


@fault("valkey")
def forged_messages(world: World) -> None:
    """Messages that nobody of ours wrote: no JSON, pickles, other tasks, arguments of all kinds."""
    bodies = ["[[", "null", '[["x"], {}, {}]', "[[-1], {}, {}]", "[[1e999], {}, {}]", "[[], {}, {}]", '[[1, 2], {"a": 1}, {}]', "[" * 2000]
    with suppress(Exception):
        for body in bodies:
            world.server.client.lpush("stillhouse:stillhouse.wake", _message(body))
        world.server.client.lpush("stillhouse:stillhouse.wake", _message("[[1], {}, {}]", task="os.system"))
        world.server.client.lpush("stillhouse:stillhouse.wake", _message("gASVAAAA", content="application/x-python-serialize"))


@fault("postgresql")
def store_stopped(world: World) -> None:
    """PostgreSQL is stopped as if its machine had died, and comes back."""
    assert world.postgres is not None
    world.postgres.stop_at_once()
    time.sleep(world.rng.uniform(0, 1))
    world.postgres.start()


@fault("postgresql")
def sessions_killed(world: World) -> None:
    """All sessions but ours are ended, whatever they do."""
    with suppress(StoreError), world.store.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"))


@fault()
def disk_full(world: World) -> None:
    """For two seconds no file of the store can grow."""
    with world.limit(resource.RLIMIT_FSIZE, _largest(world)):
        time.sleep(2.0)


@fault()
def no_more_files(world: World) -> None:
    """For two seconds no process of the workers can open another file or socket."""
    with world.limit(resource.RLIMIT_NOFILE, 4):
        time.sleep(2.0)


@fault()
def memory_short(world: World) -> bool:
    """For two seconds a process that holds documents gets next to no memory beyond what it has."""
    pid = world.holder()
    if pid is None:
        return False
    with world.limit(resource.RLIMIT_DATA, _data_bytes(pid) + world.rng.randrange(16 << 20), [pid]):
        time.sleep(2.0)
    return True


@fault()
def cancel_in_flight(world: World) -> None:
    """A job is cancelled while it is read: nothing of it is written afterwards."""
    job = world.submit(world.new_wave(60))
    world.holder(2.0)
    if world.manage("cancel", str(job), check=False):
        world.expected.cancelled[job] = world.at()
    elif not _ended(world, job):
        cancel_again(world, job)


def cancel_again(world: World, job: int) -> None:
    """A cancel that met a fault is given once more."""
    if world.manage("cancel", str(job), check=False):
        world.expected.cancelled[job] = world.at()


@fault()
def pause_and_resume(world: World) -> None:
    """A job is paused while it is read, and resumed: nothing of it is written in between."""
    job = world.submit(world.new_wave(60))
    world.holder(2.0)
    if world.manage("pause", str(job), check=False):
        paused_at = world.at()
        time.sleep(1.0)
        world.expected.paused.append((job, paused_at, world.at()))
    while world.manage("resume", str(job), check=False) is None:
        time.sleep(0.5)


@fault()
def erase_in_flight(world: World) -> bool:
    """A document is erased while it may be read, by a purge that dies once and is repeated: it never comes back."""
    key = None
    with suppress(StoreError), world.store.reading() as connection:
        key = connection.execute(text("SELECT d.key FROM work w JOIN documents d ON d.id = w.document_id ORDER BY w.state, w.id LIMIT 1")).scalar()
    if key is None:
        return False
    world.arm(world.rng.choice(("purge.chunk.before", "purge.chunk.after")), "kill")
    while world.manage("purge", "--document", key, "--pack", "toy", "--yes", check=False) is None:
        time.sleep(0.3)
    world.expected.erased[key] = world.at()
    return True


@fault()
def submit_killed(world: World) -> None:
    """SIGKILL to a submit at some moment; it is repeated."""
    path = world.new_wave(120)
    command = [sys.executable, str(ROOT / "manage.py"), "submit", "toy", str(path)]
    process = subprocess.Popen(command, env=world.environment, stdout=subprocess.DEVNULL, stderr=world.log)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=world.rng.uniform(0.4, 1.2))
    process.kill()
    process.wait()
    world.submit(path)


@fault()
def submit_killed_in_a_chunk(world: World) -> None:
    """SIGKILL to a submit before or after a chunk's rows, in their transaction; it is repeated while what was stored is read."""
    world.arm(world.rng.choice(("submit.chunk.before", "submit.chunk.after")), "kill")
    world.submit(world.new_wave(220))


@fault()
def two_submits_at_once(world: World) -> None:
    """The same file is submitted twice at the same time, while its documents are read."""
    path = world.new_wave(300)
    command = [sys.executable, str(ROOT / "manage.py"), "submit", "toy", str(path), "--job", f"again-{world.n_waves}"]
    process = subprocess.Popen(command, env=world.environment, stdout=subprocess.DEVNULL, stderr=world.log)
    world.submit(path)
    process.wait()
    world.manage("submit", "toy", str(path), "--job", f"again-{world.n_waves}", check=False)


def _point(name: str) -> Fault:
    def die(world: World) -> bool:
        return _armed(world, name, "kill")

    die.__name__ = f"die_at_{name}"
    return die


for _name in POINTS:
    fault()(_point(_name))


def _armed(world: World, point: str, action: str) -> bool:
    """Arms a point for POINT_S; gives whether a process reached it."""
    path = world.arm(point, action)
    ends = time.monotonic() + POINT_S
    while path.exists() and time.monotonic() < ends:
        time.sleep(0.02)
    struck = not path.exists()
    path.unlink(missing_ok=True)
    return struck


def _kill(world: World, workers: list[subprocess.Popen[bytes]]) -> None:
    world.note_held(*(pid for worker in workers for pid in _children(worker.pid)))
    for worker in workers:
        world.kill_worker(worker)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _message(body: str, task: str = "workers.tasks.wake", content: str = "application/json") -> str:
    import base64

    identity = str(uuid.uuid4())
    headers = {"lang": "py", "task": task, "id": identity, "root_id": identity, "retries": 0, "timelimit": [None, None], "argsrepr": "-", "kwargsrepr": "-"}
    properties = {
        "correlation_id": identity,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "stillhouse.wake"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": identity,
    }
    body = base64.b64encode(body.encode()).decode()
    return json.dumps({"body": body, "content-encoding": "utf-8", "content-type": content, "headers": headers, "properties": properties})


def _data_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return 0


def _largest(world: World) -> int:
    """A limit that the store's files have reached."""
    if world.kind == "sqlite":
        return max((path.stat().st_size for path in world.folder.glob("store.db*")), default=4096)
    return 1 << 13


def _ended(world: World, job: int) -> bool:
    rows: Any = world.manage("status", str(job), check=False)
    return bool(rows) and rows[0]["state"] not in ("OPEN", "RUNNING", "PAUSED")
