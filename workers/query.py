"""Reading for analysts: a connection that cannot write and cannot see texts."""

from __future__ import annotations

import difflib
import math
import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pysqlite3.dbapi2 as driver
from sqlalchemy import Connection, CursorResult, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from suites.errors import StoreError, UsageError
from workers.store import Store

QUERY_S = 60
SEVERAL = "`query` takes one statement; the text holds several."
# more of an answer than this would be held in memory to no use: `export` writes as much as there is
ANSWER_BYTES = 64 * 2**20
# what a query may take of memory beside what the process has: one function can ask for a gigabyte
QUERY_BYTES = 2**30
FORBIDDEN = ("texts", "data_keys")
# PostgreSQL's functions that reach texts where no lock of ours shows it, or only once they ran and their error
# could quote them: SQL in a string, another session, files, raw pages and logs; set_config would lift the time limit.
# With U&"..." any name can be written so that it is not seen here.
UNSEEN = re.compile(
    r'u&"|\b(?:(?:query|cursor|table|schema|database)_to_xml\w*|ts_stat|ts_rewrite|crosstab\w*|connectby|xpath_table|dblink\w*'
    r"|pg_read_(?:binary_)?file|pg_file_\w+|lo_\w+|loread|lowrite|get_raw_page|pg_logical_\w+|pg_get_wal_\w+|set_config"
    # and what touches other sessions, without a right on any table
    r"|pg_(?:try_)?advisory_\w+|pg_notify|pg_export_snapshot|pg_terminate_backend|pg_cancel_backend|record_audit)\b",
    re.IGNORECASE,
)
# what the two databases say of a name that is not there
_MISSED = re.compile(r"(?:no such (?:column|table): |(?:column|relation) )\"?(?:\w+\.)?(?P<name>\w+)")
# a statement locks all that it reads, under whatever name, until its transaction ends: the texts, where their
# long values lie (toast), and the planner's samples of them
_NAMES = ", ".join(f"'{name}'" for name in FORBIDDEN)
LOCKED = f"""
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid()
AND (c.relname IN ({_NAMES}, 'pg_statistic', 'pg_statistic_ext_data')
OR c.oid IN (SELECT reltoastrelid FROM pg_class WHERE relname IN ({_NAMES})))"""


@contextmanager
def reading(url: str, limit_s: float | None = QUERY_S) -> Iterator[Connection]:
    """A connection that may only read; a statement of more than `limit_s` is ended.

    SQLite: opened read-only, with an authorizer that denies all but reading, and the texts.
    PostgreSQL: every transaction of the session is read-only; there the right to read texts is the
    role's matter (docs/operations.md), and `read_only` refuses what it sees of them.
    """
    engine = reader(url, limit_s)
    try:
        with engine.connect() as connection:
            yield connection
            connection.rollback()
    except DBAPIError as error:
        raise _explained(error, limit_s, url) from None
    finally:
        engine.dispose()


def reader(url: str, limit_s: float | None) -> Engine:
    """Connections that may only read, as `reading` says; what one of them is asked between two rollbacks is ended after `limit_s`."""
    store = Store(url)
    return _sqlite_reader(url, limit_s) if store.is_sqlite else _postgresql_reader(store.engine, limit_s)


def _sqlite_reader(url: str, limit_s: float | None) -> Engine:
    file = make_url(url).database or ""
    options = {"check_same_thread": False}  # a pool lends a connection to one thread at a time
    engine = create_engine(f"sqlite:///file:{quote(file)}?mode=ro&uri=true", module=driver, hide_parameters=True, connect_args=options)
    allowed = {driver.SQLITE_SELECT, driver.SQLITE_READ, driver.SQLITE_FUNCTION, driver.SQLITE_RECURSIVE}

    def authorize(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
        if action not in allowed or (action == driver.SQLITE_READ and first in FORBIDDEN):
            return int(driver.SQLITE_DENY)
        if action == driver.SQLITE_FUNCTION and second in ("load_extension", "fts3_tokenizer"):
            return int(driver.SQLITE_DENY)
        return int(driver.SQLITE_OK)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")
        connection.set_authorizer(authorize)
        # asked every so many steps: ends a query that runs too long, and lets Ctrl-C through
        connection.set_progress_handler(lambda: int(time.monotonic() > record.info.get("ends", math.inf)), 100_000)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.info["ends"] = time.monotonic() + (math.inf if limit_s is None else limit_s)

    return engine


def _postgresql_reader(engine: Engine, limit_s: float | None) -> Engine:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        # of the session, not of one transaction: what ends the transaction still cannot write in the next
        connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        connection.execute(f"SET statement_timeout = {0 if limit_s is None else math.ceil(limit_s * 1000)}")
        connection.commit()

    return engine


def _explained(error: DBAPIError, limit_s: float | None, url: str) -> Exception:
    """A user's SQL is at fault, so the database's own words help; of other errors only the kind is told."""
    words = str(error.orig).split("\n")[0]
    if type(error.orig).__name__ in ("OperationalError", "DatabaseError") and "unable to open" in words:
        return StoreError("The store does not exist yet. Run: python manage.py migrate", "store_schema")
    if "out of memory" in words or "too big" in words:
        return _too_large()
    if words == "interrupted" or "statement timeout" in words:
        return UsageError(f"The query took more than {limit_s} s and was ended. Ask for less, or `export` and ask there.", "too_slow")
    if "multiple commands" in words:
        return UsageError(SEVERAL, "bad_sql")
    if "data-modifying" in words or "prohibited" in words or "not authorized" in words or "read-only" in words or "readonly" in words:
        return UsageError(f"Refused: {words}. `query` only reads, and never the tables {' and '.join(FORBIDDEN)}.", "read_only")
    near = _nearest(words, url)
    return UsageError(f"SQL: {words}.{near} `query` takes one statement that reads; `python manage.py tables` shows what there is to ask.", "bad_sql")


def _nearest(words: str, url: str) -> str:
    """The name of a table, view or column that is near to one that the database misses, in words; "" where there is none."""
    missed = _MISSED.search(words)
    if missed is None:
        return ""
    store = Store(url)  # a reader of SQLite's may not ask for columns
    try:
        inspector = inspect(store.engine)
        tables = [name for name in (*inspector.get_view_names(), *inspector.get_table_names()) if name not in FORBIDDEN]
        is_column = "column" in missed.group()
        names = {column["name"] for table in tables for column in inspector.get_columns(table)} if is_column else tables
    except SQLAlchemyError:  # a view of the operator's own may be broken
        return ""
    finally:
        store.close()
    near = difflib.get_close_matches(missed["name"].lower(), set(names) - {missed["name"]}, 1)
    return f" Did you mean {near[0]}?" if near else ""


def read_only(url: str, sql: str, limit: int, *, limit_s: float | None = QUERY_S) -> tuple[list[dict[str, object]], bool]:
    """The first rows of one statement, and whether there are more."""
    with _bounded(), reading(url, limit_s) as connection:
        if connection.dialect.name == "postgresql":
            _refuse_unseen(sql)
        with _opened(connection, sql) as result:
            if not result.returns_rows:
                raise UsageError("The statement gives no rows. `query` takes one statement that reads.", "bad_sql")
            # before the first row: an error on the way could quote a text; and after the last, for functions of the site's own
            _refuse_locked(connection)
            rows = _fetched(result, limit + 1)
            _refuse_locked(connection)
    return rows[:limit], len(rows) > limit


def _opened(connection: Connection, sql: str) -> CursorResult[Any]:
    # on PostgreSQL a cursor of the server's: it takes one statement that reads, where psycopg's simple protocol runs several;
    # without parameters a % in the SQL is a % of LIKE
    try:
        return connection.exec_driver_sql(sql, execution_options={"no_parameters": True, "stream_results": True})
    except driver.Warning:  # so the SQLite driver refuses two statements in one
        raise UsageError(SEVERAL, "bad_sql") from None


def _fetched(result: CursorResult[Any], n_rows: int) -> list[dict[str, object]]:
    """The first rows. Raises UsageError once they are larger than an answer may be."""
    rows: list[dict[str, object]] = []
    size = 0
    while len(rows) < n_rows and (row := result.fetchone()) is not None:
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > ANSWER_BYTES:
            raise _too_large()
        rows.append(dict(row._mapping))
    return rows


@contextmanager
def _bounded() -> Iterator[None]:
    """Within it the process gets no more than QUERY_BYTES of memory beside what it has. Raises UsageError where that is not enough."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if Path("/proc/self/statm").exists() else None
    if n_pages is not None:  # elsewhere than on Linux the limit does nothing
        most = n_pages * os.sysconf("SC_PAGESIZE") + QUERY_BYTES
        bounds = [most, *(bound for bound in before if bound != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), before[1]))
    try:
        yield
    except MemoryError:
        raise _too_large() from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _too_large() -> UsageError:
    return UsageError("The answer, or what it takes to make it, is too large to hold in memory. Ask for less, or `export` and ask there.", "too_large")


def _refuse_unseen(sql: str) -> None:
    if found := UNSEEN.search(sql):
        raise UsageError(f"Refused: {found[0]!r} could reach texts or other sessions. `query` reads tables and views alone.", "read_only")


def _refuse_locked(connection: Connection) -> None:
    """Refuses a statement that PostgreSQL says reads texts; on SQLite the authorizer has done so."""
    if connection.dialect.name == "postgresql" and connection.exec_driver_sql(LOCKED).scalar_one():
        raise UsageError(f"Refused: `query` never reads the tables {' and '.join(FORBIDDEN)}, nor statistics of them.", "read_only")
