"""Runs worker processes until SIGTERM or Ctrl-C; each reads with one thread.

With --poll, or [broker] url = "none", no broker is needed: the processes ask the store by themselves, a second apart.

They finish the documents in hand before they stop. A process that dies is replaced, and what it
held is read by another once its claim lapses ([worker] lease_s).

example: python manage.py worker --processes 4
         python manage.py worker --poll
"""

from __future__ import annotations

import os
import sys
import warnings
from argparse import ArgumentParser, Namespace
from contextlib import suppress

from suites.errors import BrokerError, RunError
from workers.arguments import positive
from workers.settings import Settings
from workers.threads import one_thread_each


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--processes", type=positive, help="default: [worker] processes, one a core")
    parser.add_argument("--poll", action="store_true", help="without a broker: ask the store for work")


def run(options: Namespace, settings: Settings) -> object:
    from workers.broker import has_broker, is_embedded, is_running, socket_path

    alone = options.poll or not has_broker(settings)
    if not alone and is_embedded(settings) and not is_running(settings):
        remedy = "`python manage.py up` runs broker and workers together, `worker --poll` needs none."
        raise BrokerError(f"No broker answers on {socket_path(settings)}. {remedy}")
    one_thread_each()
    from workers.integrity import require_sound
    from workers.migrate import require_newest
    from workers.store import Store

    store = Store(settings.store_url)
    require_sound(store)
    require_newest(store)
    store.close()
    processes = options.processes or settings.n_processes
    if alone:
        from workers.alone import run_alone

        run_alone(settings, processes)
    else:
        _run_celery(processes)
    return {"processes": processes}


def _run_celery(processes: int) -> None:
    # Celery's warning to root is about pickled messages; ours are JSON numbers (docs/operations.md on users)
    os.environ.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
    warnings.filterwarnings("ignore", "You're running the worker with superuser privileges")
    from workers.app import QUEUE, app
    from workers.tasks import was_stopped

    sys.argv[0] = "manage.py"  # spawned children find the program again by it
    flags = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    with suppress(SystemExit):
        app.start(["--quiet", "worker", f"--concurrency={processes}", f"--queues={QUEUE}", *flags])
    if not was_stopped():  # Celery gives 0 also where its pool broke: whoever runs us would not start us again
        raise RunError("The worker ended by itself; its reason stands above.", "worker_ended")
