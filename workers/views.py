"""The analysts' views, generated from each pack's columns: `<pack>_results` and `<pack>_findings`. No text in either.

Both show what the pack's primary student read. What other students read stands beside it in `<pack>_rows` and `findings`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, text

from suites.discover import Pack
from suites.errors import StoreError
from suites.types import LEADING
from workers.rows import ANALYST, SUFFIX, refresh_rows, shape
from workers.tables import views

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
    "document_id": "number of the document: two texts of one id have two",
}


def refresh_views(connection: Connection, packs: Iterable[Pack]) -> None:
    """Makes the tables of rows and the views of each pack where their definition changed: what is in use is not touched for nothing.

    Names come from checked manifests, never from users. Raises StoreError where there is something to make and this
    role may not: with roles, they belong to the owner, by whose rights views read.
    """
    known = {row.name: row.sha256 for row in connection.execute(select(views))}
    for pack in packs:
        wanted = _wanted(pack, connection.dialect.name)
        stale = {name for name, sha256 in wanted.items() if known.get(name) != sha256}
        if not stale:
            continue
        if not _may_make(connection):
            names = ", ".join(sorted(stale))
            raise StoreError(f"Tables and views to be made: {names}; this role may not. As the store's owner run: python manage.py migrate", "store_views")
        _make(connection, pack, rows_too=f"{pack.name}{SUFFIX}" in stale)


def _make(connection: Connection, pack: Pack, *, rows_too: bool) -> None:
    made = _definitions(pack, connection.dialect.name)
    for name in made:
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
    if rows_too:
        refresh_rows(connection, pack)
    for name, sql in made.items():
        connection.execute(text(f"CREATE VIEW {name} AS {sql}"))
        _show_to_analysts(connection, name)
        connection.execute(delete(views).where(views.c.name == name))
        connection.execute(insert(views).values(name=name, sha256=hashlib.sha256(sql.encode()).hexdigest()))


def _wanted(pack: Pack, dialect: str) -> dict[str, str]:
    """What the pack's table of rows and its views are known by."""
    hashes = {name: hashlib.sha256(sql.encode()).hexdigest() for name, sql in _definitions(pack, dialect).items()}
    return hashes | {f"{pack.name}{SUFFIX}": shape(pack, dialect)}


def _definitions(pack: Pack, dialect: str) -> dict[str, str]:
    return {f"{pack.name}_results": results_sql(pack), f"{pack.name}_findings": findings_sql(pack, dialect)}


def _may_make(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar())


def _show_to_analysts(connection: Connection, name: str) -> None:
    """Lets analysts read a new view, where the store has roles: a default privilege would let them read new tables too."""
    if connection.dialect.name == "postgresql" and connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": ANALYST}).first():
        connection.execute(text(f"GRANT SELECT ON {name} TO {ANALYST}"))


# The primary student is a constant to the databases, not a join: an index that begins with the student then gives rows in its order


def results_sql(pack: Pack) -> str:
    """One row a document, as the pack's primary student read it."""
    columns = [f'r."{name}"' for name in (*LEADING, *(c.name for c in pack.manifest.column))]
    return f"SELECT {', '.join(columns)} FROM {pack.name}{SUFFIX} r WHERE r.student_id = {_primary(pack)}"


def findings_sql(pack: Pack, dialect: str) -> str:
    """One row a finding of the primary student."""
    columns = ", ".join(f'{_finding_sql(name, dialect)} AS "{name}"' for name in FINDING_COLUMNS)
    # where a query asks for no id, PostgreSQL leaves the join out
    join = f"LEFT JOIN documents d ON d.id = f.document_id AND d.pack = '{pack.name}'"
    return f"SELECT {columns} FROM findings f {join} WHERE f.student_id = {_primary(pack)}"


def _primary(pack: Pack) -> str:
    return f"(SELECT s.id FROM students s WHERE s.pack = '{pack.name}' AND s.state = 'primary' LIMIT 1)"


def _finding_sql(name: str, dialect: str) -> str:
    if name == "document":
        return "d.key"
    if name in ("other_start", "other_end"):
        return f"CASE WHEN f.other_end > 0 THEN f.{name} END"
    # a number in stores of both kinds
    return "CAST(f.unsure AS INTEGER)" if name == "unsure" and dialect == "postgresql" else f'f."{name}"'
