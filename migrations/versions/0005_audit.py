"""The audit: its table, what keeps it append-only, and on PostgreSQL the one function that appends to it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# As workers.audit.row_hash: of each field its length and its value. It runs with its owner's rights: who may call it needs
# no right on the table, and cannot give another database user as the actor. The lock gives the chain one order.
RECORD = """
CREATE FUNCTION record_audit(os_user text, action text, subject text, detail text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    made audit%ROWTYPE;
    fields text[];
BEGIN
    LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE;
    SELECT a.id + 1, a.hash INTO made.id, made.prev_hash FROM audit a ORDER BY a.id DESC LIMIT 1;
    made.id := coalesce(made.id, 1);
    made.prev_hash := coalesce(made.prev_hash, repeat('0', 64));
    made.at := extract(epoch FROM clock_timestamp());
    made.actor := os_user || ' as ' || session_user;
    made.action := action;
    made.subject := subject;
    made.detail := detail;
    fields := ARRAY[made.prev_hash, made.id::text, encode(float8send(made.at), 'hex'), made.actor, made.action, made.subject, made.detail];
    SELECT encode(sha256(convert_to(string_agg(char_length(f) || ':' || f, '' ORDER BY n), 'UTF8')), 'hex')
        INTO made.hash FROM unnest(fields) WITH ORDINALITY AS u(f, n);
    INSERT INTO audit VALUES (made.*);
    RETURN made.id;
END $$
"""
REFUSE = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: rows are added, never changed or removed' USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="number: one more than the row before",
        ),
        sa.Column("at", sa.Double(), nullable=False, comment="seconds since 1970, database clock"),
        sa.Column("actor", sa.String(length=200), nullable=False, comment="user of the operating system and, on PostgreSQL, of the database"),
        sa.Column("action", sa.String(length=20), nullable=False, comment="what was done"),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="to what: a job, a pack, a student"),
        sa.Column("detail", sa.Text(), nullable=False, comment="more of it as JSON, without text"),
        sa.Column("prev_hash", sa.String(length=64), nullable=False, comment="hash of the row before; zeros in the first"),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="SHA-256 over all other columns: the chain of who did what"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        comment="who did what, a row an act; rows are added, never changed or removed",
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _postgresql() -> None:
    schema = op.get_bind().dialect.identifier_preparer.quote(op.get_bind().execute(sa.text("SELECT current_schema()")).scalar_one())
    op.execute(sa.text(RECORD.format(schema=schema).replace(":", "\\:")))
    op.execute("REVOKE EXECUTE ON FUNCTION record_audit(text, text, text, text) FROM PUBLIC")
    op.execute(REFUSE)
    op.execute("CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()")


def _sqlite() -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'audit: rows are added, never changed or removed'); END"
        )
    # INSERT OR REPLACE removes the row in its way without the trigger of DELETE
    op.execute(
        "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'audit: rows are added, never changed or removed'); END"
    )
