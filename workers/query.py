"""Reading for analysts: a connection that cannot write and cannot see texts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pysqlite3.dbapi2 as driver
from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from suites.errors import StoreError, UsageError
from workers.store import Store

QUERY_S = 60
FORBIDDEN_TABLE = "texts"


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection that may only read, and not the texts.

    SQLite: opened read-only, with an authorizer that denies all but reading. PostgreSQL: a
    read-only transaction; there the right to read texts is the role's matter (docs/operations.md),
    and a query naming the table is refused here too.
    """
    store = Store(url)
    engine = _sqlite_reader(url) if store.is_sqlite else store.engine
    try:
        with engine.connect() as connection:
            if not store.is_sqlite:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {QUERY_S * 1000}")
            yield connection
            connection.rollback()
    except DBAPIError as error:
        raise _explained(error) from None
    finally:
        engine.dispose()
        store.close()


def _sqlite_reader(url: str) -> Any:
    file = make_url(url).database or ""
    engine = create_engine(f"sqlite:///file:{quote(file)}?mode=ro&uri=true", module=driver, hide_parameters=True)
    allowed = {driver.SQLITE_SELECT, driver.SQLITE_READ, driver.SQLITE_FUNCTION, driver.SQLITE_RECURSIVE}

    def authorize(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
        if action not in allowed or (action == driver.SQLITE_READ and first == FORBIDDEN_TABLE):
            return int(driver.SQLITE_DENY)
        if action == driver.SQLITE_FUNCTION and second == "load_extension":
            return int(driver.SQLITE_DENY)
        return int(driver.SQLITE_OK)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")
        connection.set_authorizer(authorize)
        ends = time.monotonic() + QUERY_S
        # asked every so many steps: ends a query that runs too long, and lets Ctrl-C through
        connection.set_progress_handler(lambda: int(time.monotonic() > ends), 100_000)

    return engine


def _explained(error: DBAPIError) -> Exception:
    """A user's SQL is at fault, so the database's own words help; of other errors only the kind is told."""
    words = str(error.orig).split("\n")[0]
    if type(error.orig).__name__ in ("OperationalError", "DatabaseError") and "unable to open" in words:
        return StoreError("The store does not exist yet. Run: python manage.py migrate", "store_schema")
    if words == "interrupted" or "statement timeout" in words:
        return UsageError(f"The query took more than {QUERY_S} s and was ended. Ask for less, or `export` and ask there.", "too_slow")
    if "prohibited" in words or "not authorized" in words or "read-only" in words or "readonly" in words:
        return UsageError(f"Refused: {words}. `query` only reads, and never the table {FORBIDDEN_TABLE}.", "read_only")
    return UsageError(f"SQL: {words}. `python manage.py tables` shows what there is to ask.", "bad_sql")


def read_only(url: str, sql: str, limit: int) -> tuple[list[dict[str, object]], bool]:
    """The first rows of one statement, and whether there are more."""
    with reading(url) as connection:
        if connection.dialect.name == "postgresql" and FORBIDDEN_TABLE in sql.lower():
            raise UsageError(f"Refused: `query` never reads the table {FORBIDDEN_TABLE}.", "read_only")
        try:
            # without parameters a % in the SQL is a % of LIKE
            result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
        except driver.Warning:  # so the SQLite driver refuses two statements in one
            raise UsageError("`query` takes one statement; the text holds several.", "bad_sql") from None
        if not result.returns_rows:
            raise UsageError("The statement gives no rows. `query` takes one statement that reads.", "bad_sql")
        rows = [dict(row._mapping) for row in result.fetchmany(limit + 1)]
    return rows[:limit], len(rows) > limit
