"""The table `<pack>_rows`: a row a document and student, with what the pack's columns show of its findings.

It is made of the findings and can be made of them again: `refresh_rows` does so when a pack's columns change. Workers write a
document's row in the transaction that writes its findings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Connection, Double, Index, Integer, MetaData, String, Table, Text, delete, insert, select, text
from sqlalchemy.schema import CreateIndex, CreateTable

from pipelines.columns import row
from suites.discover import Pack
from suites.errors import PackError
from suites.types import LEADING, Column, Finding, Task
from workers.tables import Key, views

# the role that workers.roles makes for those who ask
ANALYST = "stillhouse_analyst"
# what the groups of workers.roles may do with tables of rows, in the words of GRANT
RIGHTS = {"analyst": "SELECT", "reviewer": "SELECT", "ingest": "SELECT", "worker": "SELECT, INSERT", "eraser": "SELECT, DELETE"}
SUFFIX = "_rows"

_TYPES = {"label": Text, "labels": Text, "value": Text, "score": Double, "number": Double, "sum": Double, "count": Integer}
# the findings f of the reading r
_OF_READING = "f.document_id = r.document_id AND f.student_id = r.student_id"


def rows_table(pack: Pack) -> Table:
    """The pack's table as its columns ask for it."""
    name = f"{pack.name}{SUFFIX}"
    own: list[SqlColumn[Any]] = [SqlColumn(c.name, _TYPES[c.show], comment=c.description) for c in pack.manifest.column]
    indexed = [c.name for c in pack.manifest.column if c.index]
    return Table(
        name,
        MetaData(),
        # no foreign keys: the reading that a row is made of has them, and each would be looked up for every row
        SqlColumn("document_id", Key, primary_key=True, autoincrement=False, comment="document"),
        SqlColumn("student_id", String(80), primary_key=True, comment=LEADING["student_id"]),
        SqlColumn("document", String(255), nullable=False, comment=LEADING["document"]),
        SqlColumn("job", String(200), nullable=False, comment=LEADING["job"]),
        SqlColumn("read_at", String(19), nullable=False, comment=LEADING["read_at"]),
        SqlColumn("n_chars", Integer, nullable=False, comment=LEADING["n_chars"]),
        SqlColumn("n_findings", Integer, nullable=False, comment=LEADING["n_findings"]),
        SqlColumn("n_unsure", Integer, nullable=False, comment=LEADING["n_unsure"]),
        *own,
        # whatever is filtered by, the newest come first without a sort
        *(Index(f"ix_{name}_{c}", "student_id", *([] if c == "read_at" else [c]), "read_at") for c in ("read_at", "document", "job", *indexed)),
        comment=f"{pack.manifest.title}: one row a document and student",
    )


def shape(pack: Pack, dialect: str) -> str:
    """SHA-256 of all that decides the table and what stands in it."""
    table = rows_table(pack)
    words = [str(CreateTable(table)), *sorted(str(CreateIndex(index)) for index in table.indexes), fill_sql(pack, dialect)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def is_stale(connection: Connection, pack: Pack) -> bool:
    """Whether the store's table is not there, or of other columns than the pack's."""
    known = connection.execute(select(views.c.sha256).where(views.c.name == f"{pack.name}{SUFFIX}")).scalar()
    return known != shape(pack, connection.dialect.name)


def refresh_rows(connection: Connection, pack: Pack) -> None:
    """Makes the pack's table anew and fills it from the findings. Views that read it must be out of the way."""
    table = rows_table(pack)
    connection.execute(text(f"DROP TABLE IF EXISTS {table.name}"))
    table.create(connection)
    names = ", ".join(f'"{c.name}"' for c in table.columns)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) {fill_sql(pack, connection.dialect.name)}")
    _grant(connection, table.name)
    connection.execute(delete(views).where(views.c.name == table.name))
    connection.execute(insert(views).values(name=table.name, sha256=shape(pack, connection.dialect.name)))


def require_fresh(connection: Connection, pack: Pack) -> None:
    """Raises PackError unless the store's table has the columns that this process knows the pack by."""
    if is_stale(connection, pack):
        remedy = "Run: python manage.py migrate; and restart workers that ran before the pack was changed"
        raise PackError(f"The store's table {pack.name}{SUFFIX} has other columns than the pack {pack.name!r} as it is loaded here. {remedy}.", "rows_stale")


def row_tables(connection: Connection) -> list[Table]:
    """The tables of rows of all packs that this store has met, with the columns that are the same for all."""
    names = connection.execute(select(views.c.name).where(views.c.name.like(f"%\\{SUFFIX}", escape="\\")).order_by(views.c.name)).scalars()
    return [Table(name, MetaData(), SqlColumn("document_id", Key), SqlColumn("student_id", String(80))) for name in names]


def row_values(
    pack: Pack, document_id: int, student_id: str, document: str, job: str, read_at: float, n_chars: int, findings: Sequence[Finding]
) -> tuple[Any, ...]:
    """The document's row, in the order of the table's columns."""
    when = datetime.fromtimestamp(read_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    n_unsure = sum(f.unsure for f in findings)
    return (document_id, student_id, document, job, when, n_chars, len(findings), n_unsure, *row(pack, findings).values())


def _grant(connection: Connection, name: str) -> None:
    """The rights of workers.roles, where the store has roles."""
    if connection.dialect.name != "postgresql":
        return
    there = set(connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'stillhouse%'")).scalars())
    for role, rights in RIGHTS.items():
        if f"stillhouse_{role}" in there:
            connection.execute(text(f"GRANT {rights} ON {name} TO stillhouse_{role}"))


def fill_sql(pack: Pack, dialect: str) -> str:
    """The rows of all readings of the pack's students, made of their findings."""
    leading = [
        "r.document_id, r.student_id, d.key, j.name",
        f"{_utc('r.read_at', dialect)}",
        "d.n_chars",
        "r.n_findings",
        f"(SELECT count(*) FROM findings f WHERE {_OF_READING} AND f.unsure)",
    ]
    own = [f"({_column_sql(c, pack.tasks[c.task], dialect)})" for c in pack.manifest.column]
    source = f"FROM readings r JOIN documents d ON d.id = r.document_id AND d.pack = '{pack.name}' JOIN jobs j ON j.id = r.job_id"
    return f"SELECT {', '.join([*leading, *own])} {source}"


def _column_sql(column: Column, task: Task, dialect: str) -> str:
    """As `pipelines.columns.shown`, in SQL."""
    where = f"{_OF_READING} AND f.task = '{task.name}'"
    if column.only is not None:
        where += f" AND f.label = '{column.only}'"
    if column.show == "count":
        return f"SELECT count(*) FROM findings f WHERE {where}"
    if column.show == "sum":
        return f"SELECT sum(f.number) FROM findings f WHERE {where}"
    if column.show == "labels":
        gathered = "string_agg(label, ', ' ORDER BY label)" if dialect == "postgresql" else "group_concat(label, ', ')"
        return f"SELECT {gathered} FROM (SELECT DISTINCT f.label AS label FROM findings f WHERE {where} ORDER BY f.label) AS l"
    # rules are sure of all they find: of several the one of the latest value, a year mostly
    as_in_python = ' COLLATE "C"' if dialect == "postgresql" else ""
    latest = f"f.value IS NULL, f.value{as_in_python} DESC, " if column.show in ("number", "value") else ""
    return f"SELECT f.{column.show} FROM findings f WHERE {where} ORDER BY f.score DESC, {latest}f.start, f.label LIMIT 1"


def _utc(column: str, dialect: str) -> str:
    """A time column as text like 2026-01-31 14:05:00."""
    if dialect == "postgresql":
        # to whole seconds downwards, as Python and SQLite have it: to_timestamp rounds
        return f"to_char(to_timestamp(floor({column})) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
    return f"strftime('%Y-%m-%d %H:%M:%S', {column}, 'unixepoch')"
