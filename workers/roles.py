"""The roles of a PostgreSQL store: who may do what, as rights that can be granted, read back and compared.

Groups hold the rights and cannot log in; a login is a member of one group. Views belong to the owner and read by its
rights, so analysts need none on the texts. What is not named here nobody but the owner may do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, text

from suites.errors import StoreError, UsageError, unknown
from workers.rows import ANALYST, RIGHTS, row_tables
from workers.tables import metadata

PREFIX = "stillhouse_"
OWNER = f"{PREFIX}owner"
RECORD = "record_audit(text, text, text, text)"
MAKE_MONTHS = "make_findings_months(integer)"
FUNCTIONS = (RECORD, "refuse_audit_change()", MAKE_MONTHS)
ALEMBIC = "alembic_version"
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# any role may call these by default: they lock, write to disk or reach other sessions without a right on any table
OPEN_FUNCTIONS = ("pg_advisory%", "pg_try_advisory%", "lo_%", "lowrite", "pg_logical_emit_message", "pg_notify", "pg_export_snapshot")

READS_ONLY = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "idle_session_timeout": "1h",
}
WRITES = {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
NO_META = "id, pack, key, content_sha256, n_chars, received_at"


@dataclass(frozen=True, slots=True)
class Role:
    """A group: its rights on each table in the words of GRANT, what it sets for its logins, and how many connections each has (-1: any)."""

    words: str
    tables: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=lambda: WRITES)
    records: bool = True
    connections: int = -1

    def all_settings(self, schema: str) -> dict[str, str]:
        return {**self.settings, "search_path": schema}


ROLES: dict[str, Role] = {
    "owner": Role("owns tables and views; runs migrate and roles", {}),
    "ingest": Role(
        "submits, follows, pauses, cancels and verifies jobs; cannot read texts",
        {
            "jobs": "SELECT, INSERT, UPDATE",
            "sources": "SELECT, INSERT, UPDATE",
            "rejects": "SELECT, INSERT",
            "documents": "SELECT, INSERT, UPDATE (received_at)",  # the right to lock them while they become work
            "texts": "INSERT, SELECT (document_id)",
            "data_keys": "SELECT, INSERT",
            "tombstones": "SELECT",
            "erasures": "SELECT",
            "students": "SELECT, INSERT, UPDATE",
            "work": "SELECT, INSERT, UPDATE, DELETE",
            "readings": "SELECT",
            "findings": "SELECT",
            "failures": "SELECT, DELETE",
            "views": "SELECT",
            "audit": "SELECT",
            "tallies": "SELECT",
            "energy": "SELECT, INSERT",
            ALEMBIC: "SELECT",
        },
    ),
    "worker": Role(
        "reads texts, writes readings, findings and failures, ends jobs",
        {
            "jobs": "SELECT, UPDATE (state, finished_at, message, n_refused)",
            "sources": "SELECT",
            "rejects": "SELECT",
            "documents": "SELECT",
            "texts": "SELECT",
            "data_keys": "SELECT",
            "students": "SELECT",
            "work": "SELECT, UPDATE, DELETE",
            "readings": "SELECT, INSERT",
            "findings": "SELECT, INSERT",
            "failures": "SELECT, INSERT",
            "tallies": "SELECT, INSERT, UPDATE",
            "energy": "SELECT, INSERT, UPDATE",
            "views": "SELECT",
            ALEMBIC: "SELECT",
        },
        records=False,
    ),
    "analyst": Role(
        "asks the views and what holds no text, read-only",
        {
            "jobs": "SELECT",
            "sources": "SELECT",
            "rejects": "SELECT",
            "documents": f"SELECT ({NO_META})",
            "students": "SELECT",
            "work": "SELECT",
            "readings": "SELECT",
            "findings": "SELECT",
            "failures": "SELECT",
            "tallies": "SELECT",
            "energy": "SELECT",
            "reviews": "SELECT",
            "views": "SELECT",
            ALEMBIC: "SELECT",
        },
        READS_ONLY,
        connections=20,
    ),
    "reviewer": Role(
        "looks at texts: reviews findings, compares students over stored texts, exports them; the one role of a person that reads texts",
        {
            "jobs": "SELECT",
            "documents": "SELECT",
            "texts": "SELECT",
            "data_keys": "SELECT",
            "work": "SELECT",
            "students": "SELECT",
            "readings": "SELECT",
            "findings": "SELECT",
            "failures": "SELECT",
            "tallies": "SELECT",
            "energy": "SELECT, INSERT",
            "reviews": "SELECT, INSERT, UPDATE, DELETE",
            "views": "SELECT",
            ALEMBIC: "SELECT",
        },
        READS_ONLY,
        connections=5,
    ),
    "eraser": Role(
        "purges documents and destroys keys; cannot read texts",
        {
            "jobs": "SELECT, UPDATE",
            "sources": "SELECT, UPDATE (label, path_sha256)",
            "rejects": "SELECT, UPDATE (place)",
            "documents": "SELECT, DELETE",
            "texts": "SELECT (document_id, key_id), DELETE",
            "data_keys": "SELECT, INSERT, UPDATE",
            "tombstones": "SELECT, INSERT",
            "erasures": "SELECT, INSERT, UPDATE",
            "students": "SELECT",
            "work": "SELECT, DELETE",
            "readings": "SELECT, DELETE",
            "findings": "SELECT, DELETE",
            "failures": "SELECT, DELETE",
            "tallies": "SELECT",
            "energy": "SELECT",
            "reviews": "SELECT, DELETE",
            "views": "SELECT",
            ALEMBIC: "SELECT",
        },
    ),
}
GROUPS = {PREFIX + name: role for name, role in ROLES.items()}
assert ANALYST in GROUPS


class Right(NamedTuple):
    """One privilege of one role on one thing; `thing` is written as GRANT writes it."""

    role: str
    privilege: str
    thing: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What the database has and should not, or should have and has not."""

    what: str
    remedy: str


# --- what should be


def wanted_rights(connection: Connection) -> set[Right]:
    """All rights that the groups should have on this database."""
    schema, database = _place(connection)
    found = {Right(name, "CONNECT", f"DATABASE {database}") for name in GROUPS} | {Right(name, "USAGE", f"SCHEMA {schema}") for name in GROUPS}
    found.add(Right(OWNER, "CREATE", f"SCHEMA {schema}"))
    sequences = _sequences(connection, schema)
    for name, role in GROUPS.items():
        for table, rights in role.tables.items():
            found |= {Right(name, privilege, f"TABLE {schema}.{table}") for privilege in split_rights(rights)}
            if "INSERT" in rights and table in sequences:
                found.add(Right(name, "USAGE", f"SEQUENCE {schema}.{sequences[table]}"))
        if role.records and name != OWNER:
            found.add(Right(name, "EXECUTE", f"FUNCTION {schema}.{RECORD}"))
    found.add(Right(f"{PREFIX}worker", "EXECUTE", f"FUNCTION {schema}.{MAKE_MONTHS}"))
    tables = [table.name for table in row_tables(connection)]
    for name, rights in RIGHTS.items():
        found |= {Right(PREFIX + name, privilege, f"TABLE {schema}.{table}") for table in tables for privilege in split_rights(rights)}
    return found | {Right(ANALYST, "SELECT", f"TABLE {schema}.{view}") for view in _views(connection)}


def _views(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM views WHERE name NOT LIKE '%\\_rows' ORDER BY name")).scalars())


def split_rights(rights: str) -> list[str]:
    """`SELECT, UPDATE (a, b)` as `SELECT`, `UPDATE (a)`, `UPDATE (b)`."""
    found = re.findall(r"(\w+)(?: \(([^)]*)\))?", rights)
    return [privilege if not columns else f"{privilege} ({column})" for privilege, columns in found for column in (columns.split(", ") if columns else [""])]


def plan(connection: Connection) -> list[str]:
    """The statements that make this database as it should be; each may run again. Raises StoreError without a migrated PostgreSQL."""
    schema, database = _place(connection)
    present = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    everyone = ", ".join(["PUBLIC", *GROUPS])
    said = [f"CREATE ROLE {name} NOLOGIN" for name in GROUPS if name not in present]
    said += [f"ALTER ROLE {name} NOLOGIN" for name in GROUPS]
    is_superuser = _is_superuser(connection)
    if not is_superuser:
        said.append(f"GRANT {OWNER} TO CURRENT_USER")  # to hand what is ours over to it
    said.append(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {OWNER}")
    said += [f"ALTER {kind} {schema}.{name} OWNER TO {OWNER}" for kind, name in _ours(connection, schema)]
    said += [f"REVOKE ALL ON DATABASE {database} FROM {everyone}", f"REVOKE ALL ON SCHEMA {schema} FROM {everyone}"]
    said += [f"REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM {', '.join(['PUBLIC', *(g for g in GROUPS if g != OWNER)])}" for kind in _KINDS]
    said += [_grant(right) for right in sorted(wanted_rights(connection))]
    said.append(f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    said += [statement for login, group in _logins(connection) for statement in _login_settings(login, group, schema)]
    if is_superuser:
        said.append(f"REVOKE EXECUTE ON FUNCTION {', '.join(_open_functions(connection))} FROM PUBLIC")
    return said


_KINDS = ("TABLES", "SEQUENCES", "FUNCTIONS")


def _grant(right: Right) -> str:
    return f"GRANT {right.privilege} ON {right.thing} TO {right.role}"


def apply(connection: Connection) -> int:
    """Runs the plan in the caller's transaction; gives the number of statements."""
    statements = plan(connection)
    for statement in statements:
        connection.exec_driver_sql(statement)
    return len(statements)


# --- logins


def make_login(connection: Connection, name: str, role: str, password: str) -> None:
    """A login that is a member of one group, made or changed; of the password the server gets a SCRAM verifier alone. Raises UsageError."""
    if role not in ROLES:
        raise UsageError(unknown("role", role, ROLES))
    if not NAME.fullmatch(name) or name in GROUPS or name.startswith("pg_"):
        raise UsageError(f"{name!r} is no name for a login. Expected small letters, digits and _, at most 63, no {PREFIX} group and not pg_.")
    schema, _ = _place(connection)
    attributes = connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = :name"), {"name": name}).scalar()
    if attributes:
        raise UsageError(f"{name!r} is a superuser: rights bind it to nothing. Choose another login.")
    made = "CREATE" if attributes is None else "ALTER"
    connection.exec_driver_sql(f"{made} ROLE {name} LOGIN PASSWORD '{_verifier(connection, name, password)}'")
    for group in GROUPS:
        if group != PREFIX + role and (name, group) in _logins(connection):
            connection.exec_driver_sql(f"REVOKE {group} FROM {name}")
    connection.exec_driver_sql(f"GRANT {PREFIX + role} TO {name}")
    for statement in _login_settings(name, PREFIX + role, schema):
        connection.exec_driver_sql(statement)


def _verifier(connection: Connection, name: str, password: str) -> str:
    # a password in a statement would stand in the server's log
    driver: Any = connection.connection.driver_connection
    return cast(bytes, driver.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")).decode()


def _login_settings(login: str, group: str, schema: str) -> list[str]:
    """What members do not inherit from their group."""
    quoted, role = _quoted(login), GROUPS[group]
    said = [f"ALTER ROLE {quoted} RESET ALL", f"ALTER ROLE {quoted} CONNECTION LIMIT {role.connections}"]
    said += [f"ALTER ROLE {quoted} SET {name} = '{value}'" for name, value in role.all_settings(schema).items()]
    if group == OWNER:
        said.append(f"ALTER ROLE {quoted} SET role = {OWNER}")  # what it makes belongs to the group
    return said


# --- what is


def differences(connection: Connection) -> list[Difference]:
    """Where the database is not as it should be. Raises UsageError on SQLite, StoreError where there are no tables."""
    _place(connection)
    return [fault for look in (_role_faults, _owner_faults, _right_faults, _login_faults, _function_faults) for fault in look(connection)]


def _role_faults(connection: Connection) -> Iterator[Difference]:
    rows = {row.rolname: row for row in connection.execute(text("SELECT * FROM pg_roles"))}
    for name in GROUPS:
        row = rows.get(name)
        if row is None:
            yield Difference(f"role {name} is missing", "roles --apply")
        elif row.rolcanlogin or _powers(row):
            yield Difference(f"role {name} has {', '.join([*_powers(row), *(['LOGIN'] if row.rolcanlogin else [])])}", f"ALTER ROLE {name} NO...")
    among = "SELECT m.rolname AS member, g.rolname AS other FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid"
    for member, other in connection.execute(text(among)):
        if member in GROUPS:
            yield Difference(f"role {member} is a member of {other}", f"REVOKE {other} FROM {member}")


_POWERS = {"rolsuper": "SUPERUSER", "rolcreaterole": "CREATEROLE", "rolcreatedb": "CREATEDB", "rolreplication": "REPLICATION", "rolbypassrls": "BYPASSRLS"}


def _powers(row: Any) -> list[str]:
    return [name for column, name in _POWERS.items() if getattr(row, column)]


def _owner_faults(connection: Connection) -> Iterator[Difference]:
    schema, _ = _place(connection)
    owners = {row.name: row.owner for row in connection.execute(text(_OWNERS), {"schema": schema})}
    for kind, name in _ours(connection, schema):
        owner = owners.get(name)
        if owner != OWNER:
            yield Difference(f"{kind.lower()} {name} belongs to {owner}", f"ALTER {kind} {name} OWNER TO {OWNER}")


_OWNERS = """
SELECT c.relname AS name, r.rolname AS owner FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relnamespace = CAST(:schema AS regnamespace)
UNION ALL SELECT p.proname || '(' || oidvectortypes(p.proargtypes) || ')', r.rolname FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
WHERE p.pronamespace = CAST(:schema AS regnamespace)"""


def _right_faults(connection: Connection) -> Iterator[Difference]:
    wanted, had = wanted_rights(connection), actual_rights(connection)
    yield from (Difference(f"{r.role} lacks {r.privilege} on {r.thing}", _grant(r)) for r in sorted(wanted - had))
    yield from (Difference(f"{r.role} has {r.privilege} on {r.thing}", f"REVOKE {r.privilege} ON {r.thing} FROM {r.role}") for r in sorted(had - wanted))


def actual_rights(connection: Connection) -> set[Right]:
    """All rights that anybody but a thing's owner has in our schema and on the database, PUBLIC among them."""
    schema, database = _place(connection)
    rows = connection.execute(text(_RIGHTS.format(schema=schema, database=database)), {"schema": schema})
    return {Right(*row) for row in rows}


# an owner's own rights are left out, but for schema and database, whose owner another may be; 0 stands for PUBLIC
_RIGHTS = """
WITH acl(thing, owner, col, list) AS (
  SELECT (CASE WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END) || '{schema}.' || c.relname, c.relowner, NULL,
         coalesce(c.relacl, acldefault((CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END)::"char", c.relowner))
    FROM pg_class c WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL SELECT 'TABLE {schema}.' || c.relname, c.relowner, a.attname, a.attacl
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = CAST(:schema AS regnamespace) AND a.attacl IS NOT NULL
  UNION ALL SELECT 'FUNCTION {schema}.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')', p.proowner, NULL,
         coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p WHERE p.pronamespace = CAST(:schema AS regnamespace)
  UNION ALL SELECT 'SCHEMA {schema}', nspowner, NULL, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace WHERE oid = CAST(:schema AS regnamespace)
  UNION ALL SELECT 'DATABASE {database}', datdba, NULL, coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()
)
SELECT coalesce(r.rolname, 'PUBLIC'), x.privilege_type || coalesce(' (' || acl.col || ')', ''), acl.thing
FROM acl, aclexplode(acl.list) x LEFT JOIN pg_roles r ON r.oid = x.grantee WHERE x.grantee <> acl.owner"""


def _login_faults(connection: Connection) -> Iterator[Difference]:
    schema, _ = _place(connection)
    rows = {row.rolname: row for row in connection.execute(text("SELECT * FROM pg_roles"))}
    groups: dict[str, list[str]] = defaultdict(list)
    for login, group in _logins(connection, GROUPS):
        groups[login].append(group)
    for login, held in groups.items():
        if powers := _powers(rows[login]):
            yield Difference(f"login {login} has {', '.join(powers)}", f"ALTER ROLE {login} ...")
        if others := [group for group in _memberships(connection, login) if group not in held[:1]]:
            yield Difference(f"login {login} is also a member of {', '.join(others)}", f"REVOKE {', '.join(others)} FROM {login}")
        if missing := _unset(rows[login], held[0], schema):
            yield Difference(f"login {login} lacks its settings: {', '.join(missing)}", "roles --apply")


def _function_faults(connection: Connection) -> Iterator[Difference]:
    """Functions that anybody may call. Only a superuser can mend that, so nobody else is told."""
    sql = "SELECT has_function_privilege('public', CAST(f AS regprocedure), 'EXECUTE') FROM unnest(CAST(:functions AS text[])) u(f)"
    if _is_superuser(connection) and any(connection.execute(text(sql), {"functions": list(_open_functions(connection))}).scalars()):
        yield Difference("PUBLIC may call functions that lock, write to disk or reach other sessions", "roles --apply")


def _unset(row: Any, group: str, schema: str) -> list[str]:
    has = dict(entry.split("=", 1) for entry in row.rolconfig or ())
    wanted = GROUPS[group].all_settings(schema) | ({"role": OWNER} if group == OWNER else {})
    return [name for name, value in wanted.items() if has.get(name) != value] + (["CONNECTION LIMIT"] if row.rolconnlimit != GROUPS[group].connections else [])


def _memberships(connection: Connection, login: str) -> Sequence[str]:
    sql = "SELECT g.rolname FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member WHERE m.rolname = :login"
    return connection.execute(text(f"{sql} ORDER BY 1"), {"login": login}).scalars().all()


def _logins(connection: Connection, groups: Mapping[str, Role] = GROUPS) -> list[tuple[str, str]]:
    """The logins of each group."""
    sql = "SELECT m.rolname, g.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid WHERE m.rolcanlogin"
    # who runs the plan without being superuser is a member of all that it made
    found = connection.execute(text(f"{sql} AND m.rolname <> current_user AND NOT a.admin_option ORDER BY 1, 2"))
    return [(login, group) for login, group in found if group in groups]


def _place(connection: Connection) -> tuple[str, str]:
    """The schema and the database, quoted."""
    if connection.dialect.name != "postgresql":
        raise UsageError("SQLite has no roles: who can read its file can read all of it. Roles are PostgreSQL's ([store] url; docs/operations.md).")
    row = connection.execute(text("SELECT current_schema(), current_database(), to_regclass('audit') IS NOT NULL")).one()
    if not row[2]:
        raise StoreError("The store has no tables yet. Run: python manage.py migrate", "store_schema")
    return _quoted(row[0]), _quoted(row[1])


def _quoted(name: str) -> str:
    return name if NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _sequences(connection: Connection, schema: str) -> dict[str, str]:
    """The sequence that numbers each table's rows."""
    sql = """SELECT t.relname, s.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i') JOIN pg_class t ON t.oid = d.refobjid
    WHERE s.relkind = 'S' AND s.relnamespace = CAST(:schema AS regnamespace)"""
    return {row[0]: row[1] for row in connection.execute(text(sql), {"schema": schema})}


def _ours(connection: Connection, schema: str) -> list[tuple[str, str]]:
    """Tables, views and functions of the store, as ALTER names their kinds."""
    views, rows = _views(connection), [table.name for table in row_tables(connection)]
    months = connection.execute(text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass('findings') ORDER BY 1")).scalars()
    tables = [*metadata.tables, *rows, *months, ALEMBIC]
    return [*(("TABLE", name) for name in tables), *(("VIEW", name) for name in views), *(("FUNCTION", name) for name in FUNCTIONS)]


def _is_superuser(connection: Connection) -> bool:
    return bool(connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar_one())


def _open_functions(connection: Connection) -> Sequence[str]:
    sql = """SELECT 'pg_catalog.' || proname || '(' || oidvectortypes(proargtypes) || ')' FROM pg_proc
    WHERE pronamespace = CAST('pg_catalog' AS regnamespace) AND proname LIKE ANY (CAST(:names AS text[])) ORDER BY 1"""
    return connection.execute(text(sql), {"names": list(OPEN_FUNCTIONS)}).scalars().all()
