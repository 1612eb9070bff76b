"""Fail-points in real processes: on PYTHONPATH of a worker under test, this wraps the product's functions as they are imported.

A point is armed by a file of its name in the folder STILLHOUSE_FAULT_POINTS; the process that reaches it takes the file away and does
what it says: `kill` (SIGKILL to itself), `stop` (SIGSTOP), `exit` (SystemExit, as a cold stop inside a commit). With STILLHOUSE_ABLATION
the product is broken on purpose: what the faults then find shows that they can find anything.
"""

from __future__ import annotations

import functools
import importlib.abc
import os
import signal
import sys
from contextlib import contextmanager

FOLDER = os.environ.get("STILLHOUSE_FAULT_POINTS", "")
ABLATION = os.environ.get("STILLHOUSE_ABLATION", "")


def reach(name):
    """Does what the file of this point says, once, in one process."""
    taken = f"{FOLDER}/{name}.taken-{os.getpid()}"
    try:
        os.rename(f"{FOLDER}/{name}", taken)
    except OSError:
        return
    with open(taken, encoding="ascii") as file:
        action = file.read()
    os.rename(taken, f"{FOLDER}/{name}.{os.getpid()}.done")
    if action == "exit":
        raise SystemExit(1)
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


def around(module, name, point):
    inner = getattr(module, name)

    @functools.wraps(inner)
    def wrapped(*args, **kwargs):
        reach(f"{point}.before")
        answer = inner(*args, **kwargs)
        reach(f"{point}.after")
        return answer

    setattr(module, name, wrapped)


def patch_drain(module):
    for name in ("claim", "finish", "renew", "give_back", "settle"):
        around(module, name, name)
    around(module, "_predict", "read")
    if ABLATION == "no_fence":
        module.finish = unfenced


def patch_sweeper(module):
    for name in ("sweep", "settle"):
        around(module, name, f"sweeper.{name}")
    if ABLATION == "broker_is_truth":
        sweep = module.sweep_once
        module.sweep_once = lambda store, settings, ring: sweep(store, settings, lambda job_id: None)


def patch_reader(module):
    around(module.Reader, "_read", "wake")
    if ABLATION == "broker_is_truth":  # a message is a chunk of work: nobody asks by himself, nobody rings again
        module.Reader.ask_beside = lambda self, every_s: None
        module.DRAIN_S = 0.3


def patch_tasks(module):
    if ABLATION == "broker_is_truth":
        module.ring = lambda job_id: True


def patch_store(module):
    inner = module.Store.begin

    @contextmanager
    def begin(self):
        with inner(self) as connection:
            yield connection
            reach("commit.before")
        reach("commit.after")

    module.Store.begin = begin
    if ABLATION == "two_transactions":
        module.Store.write = write_in_two


def patch_submit(module):
    around(module, "_store_chunk", "submit.chunk")


def patch_purge(module):
    around(module._Purge, "_erase_next", "purge.chunk")


def unfenced(connection, claims, done, derived):
    """Completes by id alone: what is written does not ask whether the claim is still ours."""
    from sqlalchemy import delete

    from workers.queue import write_read
    from workers.rows import row_tables
    from workers.tables import findings, readings, work

    ids = [c.work_id for c, _ in done]
    documents = [c.document_id for c, _ in done]
    connection.execute(delete(work).where(work.c.id.in_(ids)))
    good = [(c, r) for c, r in done if not r.failed]
    mine = readings.c.student_id == claims.student_id
    connection.execute(delete(readings).where(mine, readings.c.document_id.in_(documents)))
    for table in (findings, *row_tables(connection)):
        connection.execute(delete(table).where(table.c.student_id == claims.student_id, table.c.document_id.in_(documents)))
    write_read(connection, claims, [(c, r, 0.0) for c, r in good], derived)
    return 0


def write_in_two(self, step, before=lambda: None):
    """Ends the work in one transaction and writes the results in another."""
    from workers.bulk import listed
    from workers.statements import END

    if getattr(step, "func", None) is None or step.func.__name__ != "_finish":
        with self.begin() as connection:
            return step(connection)
    claims, done, derived = step.args
    with self.begin() as connection:
        ended = dict(tuple(row) for row in connection.execute(END, {"held": listed((c.work_id, c.epoch) for c, _ in done)}))
    reach("between.transactions")
    with self.begin() as connection:
        write_ended(connection, claims, done, derived, ended)
        return 0, step.func.__self__._claim(connection) if step.keywords["goes_on"] else None


def write_ended(connection, claims, done, derived, ended_at):
    from workers.queue import write_read

    write_read(connection, claims, [(c, r, ended_at[c.work_id]) for c, r in done if not r.failed and c.work_id in ended_at], derived)


PATCHES = {
    "workers.drain": patch_drain,
    "workers.sweeper": patch_sweeper,
    "workers.reader": patch_reader,
    "workers.store": patch_store,
    "workers.submit": patch_submit,
    "workers.purge": patch_purge,
    "workers.tasks": patch_tasks,
}


class Finder(importlib.abc.MetaPathFinder):
    """Lets the others find a module, and patches it once it has been executed."""

    def find_spec(self, name, path, target=None):
        if name not in PATCHES:
            return None
        spec = next((s for f in sys.meta_path if f is not self and (s := f.find_spec(name, path, target))), None)
        if spec is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                PATCHES[name](module)

            spec.loader.exec_module = exec_module
        return spec


if FOLDER:
    sys.meta_path.insert(0, Finder())
