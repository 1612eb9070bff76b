"""Prints what operators watch in Prometheus' text format, or serves it: GET /metrics, and GET /healthz, which says whether all is well.

The store is asked when somebody looks, in cheap questions; labels hold no document's id. /healthz answers 200, or 503 with the reasons:
the store is away, its schema is another, or documents wait and nobody reads. Beyond this machine it wants a token.

example: python manage.py metrics
         python manage.py metrics --health                    exit code 1 where something is not well
         python manage.py metrics --serve --port 8620
         STILLHOUSE_METRICS__TOKEN=... python manage.py metrics --serve --host 0.0.0.0
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from suites.errors import RunError
from workers.listen import in_url, listening, port, require_token, serve_until_stopped
from workers.settings import Settings
from workers.show import words

PORT = 8620
# scrapes at once: each has the store asked
CONNECTIONS = 20


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--serve", action="store_true", help="answer over HTTP until Ctrl-C or SIGTERM")
    what.add_argument("--health", action="store_true", help="print what /healthz would answer")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=port, default=PORT, help=f"default: {PORT}")


def run(options: Namespace, settings: Settings) -> object:
    if options.serve:
        return _serve(options, settings)
    if options.health:
        return _health(options, settings)
    from workers.metrics import exposition

    told = exposition(settings.store_url).decode()
    if not options.json:
        print(told, end="")
    return {"metrics": told}


def _health(options: Namespace, settings: Settings) -> object:
    from workers.health import health

    checks = health(settings.store_url)
    for name, check in checks.items():
        words(f"{'ok' if check.ok else 'FAILING'}  {name}: {check.words}")
    data = {name: asdict(check) for name, check in checks.items()}
    if failing := [name for name, check in checks.items() if not check.ok]:
        raise RunError(f"Not well: {', '.join(failing)}; see above.", "not_well", data)
    return data


def _serve(options: Namespace, settings: Settings) -> object:
    from workers.logs import notice
    from workers.metrics_http import app

    token = settings.metrics.token.get_secret_value()
    require_token(options.host, token, "STILLHOUSE_METRICS__TOKEN")
    socket = listening(options.host, options.port)
    url = f"http://{in_url(options.host)}:{options.port}/metrics"
    notice(url)
    serve_until_stopped(app(settings.store_url, token), socket, connections=CONNECTIONS)
    return {"served": url}
