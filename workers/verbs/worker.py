"""Runs worker processes until SIGTERM or Ctrl-C; each reads with one thread.

They finish the documents in hand before they stop. A process that dies is replaced, and what it
held is read by another once its claim lapses ([worker] lease_s).

example: python manage.py worker --processes 4
"""

from __future__ import annotations

import os
import sys
import warnings
from argparse import ArgumentParser, Namespace

from suites.errors import BrokerError
from workers.arguments import positive
from workers.settings import Settings
from workers.threads import one_thread_each


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--processes", type=positive, help="default: [worker] processes, one a core")


def run(options: Namespace, settings: Settings) -> object:
    from workers.broker import is_embedded, is_running, socket_path

    if is_embedded(settings) and not is_running(settings):
        raise BrokerError(f"No broker answers on {socket_path(settings)}. `python manage.py up` runs broker and workers together.")
    one_thread_each()
    # Celery's warning to root is about pickled messages; ours are JSON numbers (docs/operations.md on users)
    os.environ.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
    warnings.filterwarnings("ignore", "You're running the worker with superuser privileges")
    from workers.app import QUEUE, app
    from workers.migrate import require_newest
    from workers.store import Store

    store = Store(settings.store_url)
    require_newest(store)
    store.close()
    processes = options.processes or settings.n_processes
    sys.argv[0] = "manage.py"  # spawned children find the program again by it
    flags = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    app.start(["--quiet", "worker", f"--concurrency={processes}", f"--queues={QUEUE}", *flags])
    return {"processes": processes}
