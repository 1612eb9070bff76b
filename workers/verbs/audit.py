"""Shows who did what, and checks that nothing of it was changed.

Every act that changes what is read, stored or given out stands in the audit, bound to the one before it by a hash.
`verify` finds a row that was changed, removed, inserted or swapped. Rows cut off at the end, and a chain made anew, show
only beside an anchor: print one now and then, and keep it where the database's administrators cannot write.

example: python manage.py audit list --since 2026-11-01 --action export
         python manage.py audit verify
         python manage.py audit anchor >> /media/safe/anchors
         python manage.py audit verify --anchor 1204:9f2c...
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from suites.errors import RunError, UsageError, unknown
from workers.arguments import add_common, positive
from workers.settings import Settings
from workers.show import line, table, words
from workers.verbs import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

LIST = """Lists acts, the newest first: when, who, what, to what.

example: python manage.py audit list --since 2026-11-01T08:00 --action export --limit 20
"""
VERIFY = """Checks the chain from its first row to its last; exit code 1 where it does not hold, with the first row at fault.

example: python manage.py audit verify --anchor 1204:9f2c...
"""
ANCHOR = """Prints the newest row as ID:HASH. Kept elsewhere, it shows later whether rows were cut off or made anew since.

example: python manage.py audit anchor
"""


def add_arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="list | verify | anchor", required=True)

    def verb(name: str, teaches: str) -> ArgumentParser:
        made = verbs.add_parser(name, description=teaches, help=teaches.partition("\n")[0], formatter_class=RawDescriptionHelpFormatter)
        add_common(made, again=True)
        return made

    listing = verb("list", LIST)
    listing.add_argument("--since", type=_moment, metavar="WHEN", help="a date or a time in UTC, as 2026-11-30 or 2026-11-30T08:15")
    listing.add_argument("--action", help="this action alone")
    listing.add_argument("--limit", type=positive, default=50, help="rows at most (default 50)")
    verb("verify", VERIFY).add_argument("--anchor", metavar="ID:HASH", help="as `audit anchor` printed it")
    verb("anchor", ANCHOR)


def _moment(given: str) -> float:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise ArgumentTypeError(f"{given!r} is no date or time such as 2026-11-30 or 2026-11-30T08:15") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def run(options: Namespace, settings: Settings) -> object:
    from workers.migrate import require_newest
    from workers.store import Store

    store = Store(settings.store_url)
    require_newest(store)
    with store.reading() as connection:
        data = {"list": _list, "verify": _verify, "anchor": _anchor}[options.what](connection, options)
    store.close()
    return data


def _list(connection: Connection, options: Namespace) -> Part:
    from workers.audit import ACTIONS, acts

    if options.action is not None and options.action not in ACTIONS:
        raise UsageError(unknown("action", options.action, ACTIONS))
    rows = acts(connection, since=options.since, action=options.action, limit=options.limit + 1)
    shown, more = rows[: options.limit], len(rows) > options.limit
    if not options.json:
        table([{"id": row["id"], "at": _utc(row["at"])} | {name: row[name] for name in ("actor", "action", "subject", "detail")} for row in shown])
    if more:
        words(f"(the newest {options.limit} rows; --limit shows more)")
    return Part(shown, more)


def _utc(at: object) -> str:
    return datetime.fromtimestamp(float(str(at)), UTC).strftime("%Y-%m-%d %H:%M:%S")


def _verify(connection: Connection, options: Namespace) -> object:
    from workers.audit import head, parse_anchor, verify_chain

    anchor = parse_anchor(options.anchor) if options.anchor else None
    broken = verify_chain(connection, anchor)
    if broken is not None:
        advice = "Keep the store as it is, and compare it with a backup and with your anchors."
        raise RunError(f"The audit does not hold at row {broken.id}: {broken.reason}. {advice}", "audit_broken", {"row": broken.id, "reason": broken.reason})
    newest = head(connection)
    n_rows = newest.id if newest else 0
    words(f"The audit holds: {n_rows} rows" + ("" if anchor is None else f", and row {anchor.id} is the one that the anchor names") + ".")
    return {"n_rows": n_rows, "anchor": str(newest) if newest else None}


def _anchor(connection: Connection, options: Namespace) -> object:
    from workers.audit import START, Anchor, head

    newest = head(connection) or Anchor(0, START)
    if not options.json:
        line(newest)
    return {"id": newest.id, "hash": newest.hash}
