"""Findings that are pairs of ranges, and the page that a finding stands on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ANSWER = ("document_id", "student_id", "task", "start", "end", "label", "other_start", "other_end")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _change()


def _on_sqlite() -> None:
    """SQLite makes the table anew, and lets none go that views read: all views, an operator's own too, are put aside meanwhile."""
    connection = op.get_bind()
    views = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY rowid")).all()
    for name, _ in views:
        connection.execute(sa.text('DROP VIEW "{}"'.format(name.replace('"', '""'))))
    _change()
    for _, sql in views:
        connection.exec_driver_sql(sql)


def _change() -> None:
    with op.batch_alter_table("findings", table_kwargs={"comment": "answers, one row each"}) as table:
        table.add_column(sa.Column("other_start", sa.Integer(), nullable=False, server_default="0", comment="of a pair: first code point of the second range"))
        table.add_column(sa.Column("other_end", sa.Integer(), nullable=False, server_default="0", comment="one past its last; 0: no pair"))
        table.add_column(sa.Column("page", sa.Integer(), comment="page of the document that it begins on, from 1; NULL: the text has no pages"))
        table.drop_constraint("uq_findings_document_id_student_id_task_start_end_label", type_="unique")
        table.create_unique_constraint("uq_findings_answer", list(ANSWER))
