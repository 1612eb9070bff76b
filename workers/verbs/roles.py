"""Makes, shows and checks the roles of a PostgreSQL store: who may do what.

Without an option it shows the rights of each role. Groups cannot log in; --login makes a login that is a member of one,
and reads its password from STILLHOUSE_LOGIN_PASSWORD or asks for it. Run it as a superuser, or as a role that may
create roles and owns the store. Run --apply again after `migrate` and after an upgrade of PostgreSQL.

example: python manage.py roles --sql > roles.sql
         python manage.py roles --apply
         python manage.py roles --login alice=analyst
         python manage.py roles --check
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from getpass import getpass
from typing import TYPE_CHECKING

from suites.errors import RunError, UsageError
from workers.settings import Settings
from workers.show import table, words

if TYPE_CHECKING:
    from sqlalchemy import Connection

PASSWORD = "STILLHOUSE_LOGIN_PASSWORD"
MIN_CHARS = 12


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--sql", action="store_true", help="print the statements that --apply would run")
    what.add_argument("--apply", action="store_true", help="make the roles and rights; safe to repeat")
    what.add_argument("--check", action="store_true", help="compare the database with the plan; exit 1 where they differ")
    what.add_argument("--login", metavar="NAME=ROLE", help="make a login, or give one another role or password")


def run(options: Namespace, settings: Settings) -> object:
    from workers.store import Store

    act = _apply if options.apply else _check if options.check else _login if options.login else _sql if options.sql else _show
    store = Store(settings.store_url)
    with store.begin() as connection:
        data = act(connection, options)
    store.close()
    return data


def _show(connection: Connection, options: Namespace) -> object:
    from workers.roles import ROLES

    rows = [{"role": name, "does": role.words, "on": t, "rights": rights} for name, role in ROLES.items() for t, rights in role.tables.items()]
    if not options.json:
        table(rows)
    return rows


def _sql(connection: Connection, options: Namespace) -> object:
    from workers.roles import plan

    statements = plan(connection)
    if not options.json:
        print("BEGIN;", *(f"{statement};" for statement in statements), "COMMIT;", sep="\n")
    return statements


def _apply(connection: Connection, options: Namespace) -> object:
    from workers.audit import record
    from workers.roles import apply, differences

    n = apply(connection)
    left = differences(connection)
    record(connection, "roles", "store", {"n_statements": n})
    words(f"{n} statements were run. " + (f"{len(left)} differences are left: python manage.py roles --check" if left else "The roles are as planned."))
    return {"n_statements": n, "differences": [asdict(d) for d in left]}


def _check(connection: Connection, options: Namespace) -> object:
    from workers.roles import differences

    found = [asdict(d) for d in differences(connection)]
    if found:
        if not options.json:
            table(found)
        raise RunError(f"The database differs from the plan in {len(found)} points. Mend them: python manage.py roles --apply", "roles_differ", found)
    words("The roles are as planned.")
    return found


def _login(connection: Connection, options: Namespace) -> object:
    from workers.audit import record
    from workers.roles import make_login

    name, separator, role = options.login.partition("=")
    if not separator:
        raise UsageError("--login: expected NAME=ROLE, as alice=analyst.")
    make_login(connection, name, role, _password(name))
    record(connection, "roles", f"login {name}", {"role": role})
    words(f"{name} may log in as {role}.")
    return {"login": name, "role": role}


def _password(name: str) -> str:
    """From the environment or the terminal: an argument would show in the list of processes."""
    password = os.environ.get(PASSWORD) or getpass(f"Password of {name}: ")
    if len(password) < MIN_CHARS:
        raise UsageError(f"The password has {len(password)} characters; at least {MIN_CHARS} are needed.")
    return password
