"""Runs the embedded broker and the workers together until Ctrl-C or SIGTERM, then stops both.

A broker or a worker that dies is started again. With [broker] url set to a server of yours, it runs the workers alone.

example: python manage.py up
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

from workers.arguments import positive
from workers.logs import notice
from workers.settings import Settings


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--processes", type=positive, help="default: [worker] processes, one a core")


def run(options: Namespace, settings: Settings) -> object:
    from workers.broker import is_embedded, is_running
    from workers.fleet import fleet
    from workers.migrate import require_newest
    from workers.store import Store

    store = Store(settings.store_url)
    require_newest(store)
    store.close()
    if is_embedded(settings) and is_running(settings):
        notice("A broker runs here already, of another `up`: it is used, and these workers come beside those.")
    try:
        with fleet(settings, options.processes) as running:
            notice(f"Broker and {options.processes or settings.n_processes} worker processes run. Ctrl-C stops them.")
            while True:
                running.check()
                time.sleep(1.0)
    except KeyboardInterrupt:
        notice("Stopped.")
    return {"stopped": True}
