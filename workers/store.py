"""Connections to the store: SQLite by pysqlite3 (a newer SQLite than Python's own), PostgreSQL by psycopg."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from suites.errors import SettingsError, StoreError

# versions with the WAL-reset defect corrupt a database that several connections write: sqlite.org/wal.html#walresetbug
SAFE_SQLITE = ((3, 51, 3),)
BUSY_MS = 30_000
# a server that restarts is back in seconds; all waits together are well within a lease and the watchdog's time
RETRIES_S = (0.1, 0.3, 1.0, 2.0, 4.0)
# codes of errors that pass: no connection, server starting or stopping, deadlock, serialisation, a lock that is held
TRANSIENT = frozenset(
    f"store_{code}" for code in ("operationalerror", "57p01", "57p02", "57p03", "08000", "08003", "08006", "40001", "40p01", "55p03", "53300", "sqlite_busy")
)

# a server that went without a word is known as gone within 15 s; by the kernel's defaults it would take a quarter of an hour
HALF_OPEN = {"keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 15_000}

log = logging.getLogger(__name__)
T = TypeVar("T")


class Store:
    """A database. `begin()` gives a connection in one writing transaction."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise SettingsError("[store] url: not a database URL. Expected sqlite:///FILE or postgresql://USER@HOST/DATABASE.") from None
        if parsed.drivername == "sqlite":
            self.engine = _sqlite(parsed.database or "")
        elif parsed.drivername in ("postgresql", "postgresql+psycopg"):
            self.engine = _postgresql(url)
        else:
            raise SettingsError(f"[store] url: {parsed.drivername!r} is not supported. Expected sqlite or postgresql.")
        self.url = parsed.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for a server, and for a store in memory."""
        name = self.engine.url.database
        return Path(name) if self.is_sqlite and name and name != ":memory:" else None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error. Raises StoreError."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    def write(self, step: Callable[[Connection], T], before: Callable[[], object] = lambda: None) -> T:
        """One transaction like `begin`, done again where the database was away or another transaction stood in the way. Raises StoreError.

        A step may run more than once, also after a commit whose answer was lost: it must find out what is done already. `before` is called before each run.
        """
        for wait_s in RETRIES_S:
            before()
            try:
                with self.begin() as connection:
                    return step(connection)
            except StoreError as error:
                if error.code not in TRANSIENT:
                    raise
                log.warning("the database was away or busy, trying again", extra={"code": error.code, "seconds": wait_s})
                time.sleep(wait_s)
        before()
        with self.begin() as connection:
            return step(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that reads: on SQLite it takes no lock, so it never waits for a writer."""
        with _translated(), self.engine.connect().execution_options(reading=True) as connection:
            yield connection

    def refresh_statistics(self) -> None:
        """Lets SQLite look again at how its tables are filled, where they have grown much: else it finds analysts' documents the long way round.

        PostgreSQL does so by itself. It takes a second or two at a million documents; where another process writes for long it is left out.
        """
        if not self.is_sqlite:
            return
        import pysqlite3.dbapi2 as driver

        with closing(self.engine.raw_connection()) as raw, suppress(driver.Error):
            raw.cursor().execute("PRAGMA analysis_limit=400")
            raw.cursor().execute("PRAGMA optimize")

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def writing(store: Store) -> Iterator[Connection]:
    """One transaction that writes, also in sessions that only read by default, as reviewers' do. Raises StoreError."""
    with store.begin() as connection:
        writable(connection)
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """Database errors as StoreError: the drivers' own messages quote rows, and rows hold text."""
    try:
        yield
    except DBAPIError as error:
        code = _code(error)
        raise StoreError(_sentence(str(code), error), f"store_{str(code).lower()}") from None


def _code(error: DBAPIError) -> str:
    """SQLSTATE, or SQLite's name, or the error's kind."""
    code = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__)
    # the driver tells no extended code; the message names columns alone
    return f"{code}_UNIQUE" if code == "SQLITE_CONSTRAINT" and str(error.orig).startswith("UNIQUE") else code


def _sentence(code: str, error: DBAPIError) -> str:
    if error.connection_invalidated or (type(error.orig).__name__ in ("OperationalError",) and code in ("OperationalError", "SQLITE_CANTOPEN")):
        return "The database cannot be reached. Is it running, and is [store] url right?"
    if code in ("SQLITE_BUSY", "55P03"):
        return "The database is busy: another process holds it. Try again."
    if code in ("40P01", "40001"):
        return "Another transaction stood in the way, and the database gave this one up; nothing of this step was stored. Give the command again."
    if code == "57014":
        return "The database took longer than is allowed for one statement, and ended it; nothing of this step was stored."
    if code in ("SQLITE_FULL", "53100"):
        return "The disk is full: nothing of the last step was stored. Free space, then run the command again."
    if code == "42P01" or "no such table" in str(error.orig):
        return "The store has no tables yet. Run: python manage.py migrate"
    return f"The database refused ({type(error.orig).__name__}, {code})."


def _sqlite(database: str) -> Engine:
    import pysqlite3.dbapi2 as driver

    if driver.sqlite_version_info < SAFE_SQLITE[0]:
        raise StoreError(f"SQLite {driver.sqlite_version} can corrupt a database with several writers. Install pysqlite3 0.6.1 or newer: make setup")
    if database and database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{database}", module=driver, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # take the write lock at once: a deferred one fails half-way when another writer came between
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reading") else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> Engine:
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    options = "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
    connect_args = {"connect_timeout": 5, "keepalives_idle": 5, "options": options} | HALF_OPEN
    return create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args=connect_args)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], **values: Any) -> None:
    """Inserts rows; those that are already there, by any unique key, are left as they are.

    `values` are SQL expressions that all rows share, such as the database's time.
    """
    if rows:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing(), list(rows))


def ping(store: Store) -> str:
    """The database's name and version."""
    with store.reading() as connection:
        sql = "select 'SQLite ' || sqlite_version()" if store.is_sqlite else "select 'PostgreSQL ' || current_setting('server_version')"
        return str(connection.execute(text(sql)).scalar_one())


def writable(connection: Connection) -> None:
    """Lets this transaction write also where the login's sessions only read (workers/roles.py): call it first."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION READ WRITE"))


def unhurried(connection: Connection) -> None:
    """Lets this transaction's statements take as long as they need: those over a whole store or job."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
