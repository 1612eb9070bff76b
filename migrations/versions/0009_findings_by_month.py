"""Indexes for what analysts and reviewers ask of findings; on PostgreSQL the table is partitioned by month of reading."""

import sqlalchemy as sa
from alembic import op

from suites.errors import StoreError

revision = "0009"
down_revision = "0008"

# it runs with its owner's rights: who may call it need not be able to make tables. A month whose rows lie in the rest already stays there
MAKE_MONTHS = """
CREATE FUNCTION make_findings_months(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    last timestamp := month + make_interval(months => ahead);
    name text;
    made integer := 0;
BEGIN
    WHILE month <= last LOOP
        name := 'findings_' || to_char(month, 'YYYY_MM');
        IF to_regclass('{schema}.' || name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE {schema}.%I PARTITION OF {schema}.findings FOR VALUES FROM (%s) TO (%s)', name,
                    extract(epoch FROM month), extract(epoch FROM month + interval '1 month'));
                made := made + 1;
            EXCEPTION WHEN check_violation OR duplicate_table THEN NULL;
            END;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$
"""
MONTHS_BEFORE = """
SELECT DISTINCT date_trunc('month', to_timestamp(read_at) AT TIME ZONE 'UTC') AS month FROM findings_before WHERE read_at > 0 ORDER BY month
"""
VIEWS = """
SELECT quote_ident(relname) AS name, pg_get_viewdef(oid) AS sql, array_to_string(reloptions, ', ') AS options,
       ARRAY(SELECT quote_ident(r.rolname) FROM aclexplode(relacl) a JOIN pg_roles r ON r.oid = a.grantee WHERE a.privilege_type = 'SELECT') AS readers
FROM pg_class WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace ORDER BY oid
"""
ORPHANS = """
SELECT count(*) FROM findings f WHERE NOT EXISTS (SELECT 1 FROM readings r WHERE r.document_id = f.document_id AND r.student_id = f.student_id)
"""
ANSWER = 'document_id, student_id, task, start, "end", label, other_start, other_end'


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _partition()
    op.create_index("ix_findings_student_id_task_label_score", "findings", ["student_id", "task", "label", "score"])
    where = {"sqlite_where": sa.text("unsure = 1"), "postgresql_where": sa.text("CAST(unsure AS INTEGER) = 1")}
    op.create_index("ix_findings_unsure", "findings", ["student_id", "task", "score"], **where)


def _partition() -> None:
    """The table made anew and its rows moved. A view reads the table that it was made over: all are put aside meanwhile, an operator's own too."""
    connection = op.get_bind()
    schema = connection.dialect.identifier_preparer.quote(connection.execute(sa.text("SELECT current_schema()")).scalar_one())
    if orphans := connection.execute(sa.text(ORPHANS)).scalar_one():
        raise StoreError(f"{orphans} findings belong to no reading (law `read` of `verify`), and nothing was changed. Delete those, then migrate again.", "store_broken")
    views = connection.execute(sa.text(VIEWS)).all()
    for view in reversed(views):
        op.execute(f"DROP VIEW {view.name}")
    _make_parent()
    op.execute(sa.text(MAKE_MONTHS.format(schema=schema).replace(":", "\\:")))
    op.execute("REVOKE EXECUTE ON FUNCTION make_findings_months(integer) FROM PUBLIC")
    for (month,) in connection.execute(sa.text(MONTHS_BEFORE)).all():
        bounds = f"FROM (extract(epoch FROM timestamp '{month}')) TO (extract(epoch FROM timestamp '{month}' + interval '1 month'))"
        op.execute(sa.text(f"CREATE TABLE findings_{month:%Y_%m} PARTITION OF findings FOR VALUES {bounds}".replace(":", "\\:")))
    op.execute("SELECT make_findings_months(2)")
    op.execute("INSERT INTO findings SELECT * FROM findings_before")
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # checked now: what waits to be checked holds up changes of the table
    op.execute("DROP TABLE findings_before")
    for view in views:
        options = f" WITH ({view.options})" if view.options else ""
        connection.exec_driver_sql(f"CREATE VIEW {view.name}{options} AS {view.sql}")
        for reader in view.readers:
            op.execute(f"GRANT SELECT ON {view.name} TO {reader}")


def _make_parent() -> None:
    op.execute("ALTER TABLE findings RENAME TO findings_before")
    op.execute("ALTER SEQUENCE findings_id_seq OWNED BY NONE")
    for name in ("pk_findings", "uq_findings_answer", "fk_findings_document_id"):
        op.execute(f"ALTER TABLE findings_before DROP CONSTRAINT {name}")
    op.execute("CREATE TABLE findings (LIKE findings_before INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE (read_at)")
    op.execute("ALTER SEQUENCE findings_id_seq OWNED BY findings.id")
    op.execute("COMMENT ON TABLE findings IS 'answers, one row each'")
    # A partitioned table's keys hold what it is partitioned by; that read_at is the reading's makes them as strict as if they did not.
    # Deferred: a purge takes readings before findings
    op.execute("ALTER TABLE findings ADD CONSTRAINT pk_findings PRIMARY KEY (id, read_at)")
    op.execute(f"ALTER TABLE findings ADD CONSTRAINT uq_findings_answer UNIQUE ({ANSWER}, read_at)")
    op.execute("ALTER TABLE readings ADD CONSTRAINT uq_readings_read_at UNIQUE (document_id, student_id, read_at)")
    reading = "(document_id, student_id, read_at)"
    op.execute(f"ALTER TABLE findings ADD CONSTRAINT fk_findings_reading FOREIGN KEY {reading} REFERENCES readings {reading} DEFERRABLE INITIALLY DEFERRED")
    op.execute("CREATE TABLE findings_rest PARTITION OF findings DEFAULT")
