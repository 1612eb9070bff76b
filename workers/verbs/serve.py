"""Answers `POST /score` over HTTP: short texts read at once by the packs' released students. Ctrl-C stops it.

It listens on this machine alone unless --host says otherwise; beyond it, set a token (STILLHOUSE_SCORE__TOKEN) and put TLS before it. Requests
are JSON, `{"text": "..."}`; the answer holds the row and the findings that the queue would give. /openapi.json describes
the interface. Texts are neither stored nor logged. It does not see a later release: start it again.

example: python manage.py serve finance
         curl -s 127.0.0.1:8600/score -H 'content-type: application/json' -d '{"text": "You have won! Reply WIN to claim."}'
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from workers.listen import in_url, listening, port, require_token, serve_until_stopped
from workers.logs import notice
from workers.settings import Settings
from workers.threads import one_thread_each

# more at once are answered with 503: each may hold a body in memory
CONNECTIONS = 100


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack", nargs="+")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=port, default=8600, help="default: 8600")


def run(options: Namespace, settings: Settings) -> object:
    one_thread_each()
    from workers.http import app
    from workers.score import Scorer

    token = settings.score.token.get_secret_value()
    require_token(options.host, token, "STILLHOUSE_SCORE__TOKEN")
    socket = listening(options.host, options.port)
    scorers = {name: Scorer.of(settings, name) for name in options.pack}
    for name, scorer in scorers.items():
        notice(f"{name}: {scorer.student_id}")
    notice(f"http://{in_url(options.host)}:{options.port}/score (see /openapi.json)")
    serve_until_stopped(app(scorers, token), socket, connections=CONNECTIONS)
    return {"served": list(scorers)}
