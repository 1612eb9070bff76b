"""Many rows or keys in one statement: what SQLAlchemy would render or bind value by value goes to the driver at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, Boolean, Column, ColumnElement, Connection, Double, Integer, String, Text, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

# names that psycopg knows PostgreSQL's types by; the first class that fits counts: a BigInteger is an Integer too
_PG_TYPES = ((BigInteger, "int8"), (Integer, "int4"), (Double, "float8"), (Boolean, "bool"), (JSON, "json"), (String, "text"))


def insert_rows(connection: Connection, columns: Sequence[Column[Any]], rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows of plain values in the order of `columns`, all of one table: by COPY on PostgreSQL, by one prepared statement on SQLite.

    Nothing is added: no defaults of Python's, no SQL expressions, JSON as text. Core's `insert` takes four times as long on this path.
    """
    if not rows:
        return
    quote = connection.dialect.identifier_preparer.format_column
    table, names = columns[0].table.name, ", ".join(quote(c) for c in columns)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", list(rows))
    else:
        _copy(connection, f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", [_pg_type(c) for c in columns], rows)


def _pg_type(column: Column[Any]) -> str:
    return next(name for kind, name in _PG_TYPES if isinstance(column.type, kind))


def _copy(connection: Connection, sql: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """COPY inside the connection's transaction. Raises DBAPIError, as SQLAlchemy's own statements do: it does not see this one."""
    import psycopg

    held = connection.connection
    try:
        with cast(psycopg.Connection[Any], held.driver_connection).cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        lost = connection.dialect.is_disconnect(error, held, None)  # type: ignore[arg-type]
        if lost:
            connection.invalidate(error)
        raise DBAPIError(sql, None, error, hide_parameters=True, connection_invalidated=lost) from error


# Neither has SQLAlchemy's Boolean as its type: it would write "= 1" after them for SQLite, which then uses no index


class _In(FunctionElement[bool]):
    """Whether a column is one of the integers or strings of a JSON array: a list of any length is one parameter and one statement."""

    inherit_cache = True


class _NotIn(FunctionElement[bool]):
    """Whether a column is none of the integers of a JSON array."""

    inherit_cache = True


class _InPairs(FunctionElement[bool]):
    """Whether two columns are one of the pairs of integers of a JSON array of arrays."""

    inherit_cache = True


@compiles(_In, "sqlite")
def _in_sqlite(element: _In, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(_In, "postgresql")
def _in_postgresql(element: _In, compiler: Any, **options: Any) -> str:
    # an array, not a join: the planner then goes by the key, whatever it believes of the table
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    kind = "bigint" if isinstance(next(iter(element.clauses)).type, Integer) else "text"
    return f"{column} = ANY (ARRAY(SELECT CAST(value AS {kind}) FROM json_array_elements_text(CAST({values} AS json))))"


@compiles(_NotIn, "sqlite")
def _not_in_sqlite(element: _NotIn, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} NOT IN (SELECT value FROM json_each({values}))"


@compiles(_NotIn, "postgresql")
def _not_in_postgresql(element: _NotIn, compiler: Any, **options: Any) -> str:
    # no array here: of one it does not know the planner believes that it leaves nothing, and sorts all that is left
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} NOT IN (SELECT CAST(value AS bigint) FROM json_array_elements_text(CAST({values} AS json)))"


@compiles(_InPairs, "sqlite")
def _in_pairs_sqlite(element: _InPairs, compiler: Any, **options: Any) -> str:
    first, second, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({first}, {second}) IN (SELECT value ->> 0, value ->> 1 FROM json_each({values}))"


@compiles(_InPairs, "postgresql")
def _in_pairs_postgresql(element: _InPairs, compiler: Any, **options: Any) -> str:
    first, second, values = (compiler.process(clause, **options) for clause in element.clauses)
    array = f"json_array_elements(CAST({values} AS json))"
    keys = f"{first} = ANY (ARRAY(SELECT CAST(value ->> 0 AS bigint) FROM {array}))"
    return f"({keys} AND ({first}, {second}) IN (SELECT CAST(value ->> 0 AS bigint), CAST(value ->> 1 AS bigint) FROM {array}))"


def listed(values: Iterable[Any]) -> str:
    """What the parameter of `among`, `not_among` and `pairs_among` holds."""
    return json.dumps(list(values))


def among(column: Column[Any], name: str) -> ColumnElement[bool]:
    """Whether the column, of integers or strings, is one of those that the parameter `name` lists."""
    return _In(column, bindparam(name, type_=Text))


def not_among(column: Column[int], name: str) -> ColumnElement[bool]:
    """Whether the column is none of the integers that the parameter `name` lists."""
    return _NotIn(column, bindparam(name, type_=Text))


def pairs_among(first: Column[int], second: Column[int], name: str) -> ColumnElement[bool]:
    """Whether the two columns are one of the pairs of integers that the parameter `name` lists."""
    return _InPairs(first, second, bindparam(name, type_=Text))
