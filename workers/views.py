"""The analysts' views, generated from each pack's columns: `<pack>_results` and `<pack>_findings`. No text in either."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, text

from suites.discover import Pack
from suites.errors import StoreError
from suites.types import Column, Task
from workers.tables import views

# the role that workers.roles makes for those who ask
ANALYST = "stillhouse_analyst"

FINDING_COLUMNS = {
    "document": "the document's id as submitted",
    "student_id": "student that read it",
    "task": "question answered",
    "label": "answer",
    "score": "calibrated, 0 to 1; 1 for rules",
    "start": "first code point",
    "end": "one past the last code point",
    "source": "student or rule",
    "value": "normalised form, where the pack gives one",
    "number": "number, where the pack gives one",
    "unit": "unit or currency",
    "unsure": "1 where a human should look: by the costs that the pack states, or a rule is in doubt; else 0",
    "other_start": "of a pair: first code point of the second range, else NULL",
    "other_end": "of a pair: one past its last code point, else NULL",
    "page": "page that it begins on, from 1, where the document has pages",
}

# the findings f of the reading r
_OF_READING = "f.document_id = r.document_id AND f.student_id = r.student_id"


def refresh_views(connection: Connection, packs: Iterable[Pack]) -> None:
    """Makes the views of each pack where their definition changed: a view in use is not touched for nothing.

    Names come from checked manifests, never from users. Raises StoreError where there is something to make and this
    role may not: with roles, views belong to the owner, by whose rights they read.
    """
    known = {row.name: row.sha256 for row in connection.execute(select(views))}
    made = {name: sql for pack in packs for name, sql in _views_of(pack, connection.dialect.name).items()}
    stale = {name: sha256 for name, sql in made.items() if known.get(name) != (sha256 := hashlib.sha256(sql.encode()).hexdigest())}
    if stale and not _may_make(connection):
        raise StoreError(f"Views to be made: {', '.join(stale)}; this role may not. As the store's owner run: python manage.py migrate", "store_views")
    for name, sha256 in stale.items():
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
        connection.execute(text(made[name]))
        _show_to_analysts(connection, name)
        connection.execute(delete(views).where(views.c.name == name))
        connection.execute(insert(views).values(name=name, sha256=sha256))


def _views_of(pack: Pack, dialect: str) -> dict[str, str]:
    """The statements that make a pack's views, by name."""
    # security_barrier: a function in an analyst's WHERE sees no row that the view leaves out
    head = "CREATE VIEW {} WITH (security_barrier) AS " if dialect == "postgresql" else "CREATE VIEW {} AS "
    definitions = {f"{pack.name}_results": results_sql(pack, dialect), f"{pack.name}_findings": findings_sql(pack, dialect)}
    return {name: head.format(name) + sql for name, sql in definitions.items()}


def _may_make(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar())


def _show_to_analysts(connection: Connection, name: str) -> None:
    """Lets analysts read a new view, where the store has roles: a default privilege would let them read new tables too."""
    if connection.dialect.name == "postgresql" and connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": ANALYST}).first():
        connection.execute(text(f"GRANT SELECT ON {name} TO {ANALYST}"))


def results_sql(pack: Pack, dialect: str) -> str:
    """One row a document, as its primary student read it."""
    columns = [f'({_column_sql(c, pack.tasks[c.task], dialect)}) AS "{c.name}"' for c in pack.manifest.column]
    leading = [
        "d.key AS document",
        "j.name AS job",
        "r.student_id AS student_id",
        f"{_utc('r.read_at', dialect)} AS read_at",
        "d.n_chars AS n_chars",
        "r.n_findings AS n_findings",
        f"(SELECT count(*) FROM findings f WHERE {_OF_READING} AND f.unsure) AS n_unsure",
    ]
    return f"SELECT {', '.join([*leading, *columns])} {_from(pack)}"


def findings_sql(pack: Pack, dialect: str) -> str:
    """One row a finding of the primary student."""
    columns = ", ".join(f'{_finding_sql(name)} AS "{name}"' for name in FINDING_COLUMNS)
    return f"SELECT {columns} {_from(pack)} JOIN findings f ON {_OF_READING}"


def _finding_sql(name: str) -> str:
    if name == "document":
        return "d.key"
    if name in ("other_start", "other_end"):
        return f"CASE WHEN f.other_end > 0 THEN f.{name} END"
    # a number in stores of both kinds: PostgreSQL would say true, SQLite 1
    return "CAST(f.unsure AS INTEGER)" if name == "unsure" else f'f."{name}"'


def _from(pack: Pack) -> str:
    return (
        "FROM readings r JOIN documents d ON d.id = r.document_id JOIN jobs j ON j.id = r.job_id "
        f"JOIN students s ON s.id = r.student_id AND s.state = 'primary' AND s.pack = '{pack.name}'"
    )


def _column_sql(column: Column, task: Task, dialect: str) -> str:
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
        return f"to_char(to_timestamp({column}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
    return f"strftime('%Y-%m-%d %H:%M:%S', {column}, 'unixepoch')"
