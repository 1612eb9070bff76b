"""A copy of the store for analysts' own tools: one SQLite file that holds what the role of analysts may read, and nothing that it may not.

Texts, keys and metadata are never written to it: where all SQL is let through, there must be nothing to hide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as driver
from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    select,
    text,
)

from pipelines.progress import OnProgress
from suites.discover import Pack
from suites.errors import StoreError
from workers.bulk import insert_rows
from workers.export import require_columns
from workers.export.asked import Asked
from workers.export.draft import drafted
from workers.export.stored import access
from workers.migrate import newest
from workers.roles import ALEMBIC, ROLES, split_rights
from workers.rows import rows_table
from workers.tables import metadata
from workers.views import findings_sql, results_sql

CHUNK = 5000
# of the pages that are being filled, KB: several indexes grow at once
CACHE_KB = 64_000


def copy_store(url: str, packs: Iterable[Pack], file: Path, on_progress: OnProgress) -> dict[str, int]:
    """Writes the copy, of one moment of the store; gives the number of rows by table. The file appears whole or not at all."""
    counts: dict[str, int] = {}
    with drafted(file) as draft, access(url, Asked()) as source, _one_moment(source), _new(draft) as target:
        _require_newest(source)
        met = [pack for pack in packs if _is_there(source, rows_table(pack).name)]
        for pack in met:
            require_columns(source, rows_table(pack).name, [column.name for column in rows_table(pack).columns])
        for table in _tables(met):
            counts[table.name] = _copied(source, target, table)
            on_progress("copy", sum(counts.values()), 0)
        for pack in met:
            for name, sql in ((f"{pack.name}_results", results_sql(pack)), (f"{pack.name}_findings", findings_sql(pack, "sqlite"))):
                target.execute(text(f"CREATE VIEW {name} AS {sql}"))
    return counts


def readable() -> dict[str, tuple[str, ...]]:
    """By table the columns that analysts may read, by the rights of their role."""
    found = {}
    for name, rights in ROLES["analyst"].tables.items():
        if name in metadata.tables:
            named = [right.partition("(")[2].rstrip(")") for right in split_rights(rights) if "(" in right]
            found[name] = tuple(named) or tuple(column.name for column in metadata.tables[name].columns)
    return found


@contextmanager
def _new(file: Path) -> Iterator[Connection]:
    """An empty SQLite database in one transaction. Whoever serves it need not write beside it: it is in no WAL mode."""
    file.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{file}", module=driver, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        # what a crash leaves half-written is a draft, which nobody reads
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KB}"):
            connection.execute(f"PRAGMA {pragma}")

    try:
        with engine.begin() as connection:
            yield connection
            # how the tables are filled, or the planner guesses; of each index a sample
            connection.exec_driver_sql("PRAGMA analysis_limit=400")
            connection.exec_driver_sql("ANALYZE")
    finally:
        engine.dispose()


@contextmanager
def _one_moment(source: Connection) -> Iterator[None]:
    """On SQLite a statement that is not at its end keeps the moment that it began in, for others beside it too; on PostgreSQL the transaction does."""
    if source.dialect.name != "sqlite":
        yield
        return
    held = source.execute(text("SELECT name FROM sqlite_master"))
    held.fetchone()
    yield
    held.close()


def _require_newest(source: Connection) -> None:
    found = source.execute(text(f"SELECT version_num FROM {ALEMBIC}")).scalar()
    if found != newest():
        raise StoreError(f"The store has schema {found}, this code wants {newest()}. As the store's owner run: python manage.py migrate", "store_schema")


def _is_there(source: Connection, table: str) -> bool:
    sqlite = source.dialect.name == "sqlite"
    asked = "SELECT count(*) FROM sqlite_master WHERE name = :name" if sqlite else "SELECT count(to_regclass(:name))"
    return bool(source.execute(text(asked), {"name": table}).scalar_one())


def _tables(packs: Sequence[Pack]) -> Iterator[Table]:
    """The tables as the copy has them, those that others refer to first."""
    made, allowed = MetaData(), readable()
    for table in metadata.sorted_tables:
        if table.name in allowed:
            yield _narrowed(table, allowed[table.name], allowed, made)
    for pack in packs:
        table = rows_table(pack)
        yield _narrowed(table, [column.name for column in table.columns], allowed, made)
    yield Table(ALEMBIC, made, Column("version_num", String(32), primary_key=True))


def _narrowed(table: Table, names: Sequence[str], allowed: dict[str, tuple[str, ...]], made: MetaData) -> Table:
    """The table with these columns alone, their keys and indexes; references to tables that the copy has not are left out."""
    columns = []
    for name in names:
        column = table.columns[name]
        references = [ForeignKey(key.target_fullname) for key in column.foreign_keys if key.column.table.name in allowed]
        columns.append(Column(name, column.type, *references, nullable=column.nullable))
    narrowed = Table(table.name, made, *columns, PrimaryKeyConstraint(*[column.name for column in table.primary_key]))
    indexes = {str(index.name): [column.name for column in index.columns] for index in table.indexes}
    indexes |= {str(u.name): [column.name for column in u.columns] for u in table.constraints if isinstance(u, UniqueConstraint)}
    for index, of in sorted(indexes.items()):
        if set(of) <= set(names):
            Index(index, *(narrowed.columns[name] for name in of))
    return narrowed


def _copied(source: Connection, target: Connection, table: Table) -> int:
    columns = tuple(table.columns)
    table.create(target)
    rows = source.execute(select(*columns), execution_options={"stream_results": True, "max_row_buffer": CHUNK})
    n = 0
    while chunk := rows.fetchmany(CHUNK):
        insert_rows(target, columns, [tuple(row) for row in chunk])
        n += len(chunk)
    return n
