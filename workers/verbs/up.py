"""Runs the embedded broker and the workers together until Ctrl-C or SIGTERM, then stops both.

With [broker] url set to a server of yours, it runs the workers alone.

example: python manage.py up
"""

from __future__ import annotations

import signal
from argparse import ArgumentParser, Namespace
from types import FrameType

from workers.settings import Settings
from workers.show import words


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, help="default: [worker] processes, one a core")


def run(options: Namespace, settings: Settings) -> object:
    from workers.fleet import fleet

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with fleet(settings, options.processes) as worker:
        words(f"Broker and {options.processes or settings.n_processes} worker processes run. Ctrl-C stops them.")
        code = worker.wait()
    return {"exit_code": code}
