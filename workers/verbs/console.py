"""Serves the console: jobs, results, findings, documents, charts and SQL as web pages, to browsers on this machine. Ctrl-C stops it.

It prints links that hold a token: one for analysts, and one for each --reviewer, who may see texts; each view of a text is recorded in
the audit. The tokens are new at each start, unless [console] token and reviewers set them. Beyond this machine put TLS before it.

example: python manage.py console
         python manage.py console --reviewer anna --reviewer ben
         STILLHOUSE_CONSOLE__TOKEN=... python manage.py console --port 8700
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from workers.listen import in_url, listening, port, serve_until_stopped
from workers.settings import REVIEWER, Settings

PORT = 8610
# more at once are answered with 503
CONNECTIONS = 200
# what is being answered has so long to end when the console is stopped
END_S = 5


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=port, default=PORT, help=f"default: {PORT}")
    parser.add_argument(
        "--reviewer", action="append", default=[], type=_name, metavar="NAME", help="who may see texts, by a link of their own; may be repeated"
    )


def _name(written: str) -> str:
    if not REVIEWER.fullmatch(written):
        raise ArgumentTypeError(f"{written!r} is no name of a reviewer. Expected up to 80 letters, digits and . _ @ -")
    return written


def run(options: Namespace, settings: Settings) -> object:
    from workers.console.app import app
    from workers.console.desk import Desk
    from workers.console.door import Hosts
    from workers.console.tokens import Sessions, tokens_of
    from workers.logs import notice

    socket = listening(options.host, options.port)
    desk = Desk.of(settings)
    tokens = tokens_of(settings.console, options.reviewer)
    url = f"http://{in_url(options.host)}:{options.port}/"
    for token in tokens:
        whose = f"reviewer {token.viewer.reviewer}" if token.viewer.reviewer else "analysts"
        notice(f"{whose}: {url}?token={token.text}" if token.made else f"{whose}: {url} with the token of the settings")
    made = app(desk, Sessions(tokens), Hosts(options.host), cookie=f"stillhouse_console_{options.port}")
    serve_until_stopped(made, socket, connections=CONNECTIONS, end_s=END_S)
    desk.close()
    return {"url": url}
