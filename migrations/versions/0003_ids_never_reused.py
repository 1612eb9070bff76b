"""Ids of work are never given twice (SQLite gave the highest again once its row was gone), and jobs can be paused."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

CHANGED = (
    ("jobs", "message", "why its documents wait, when a student or pack cannot be used; or which law of conservation does not hold"),
    ("work", "state", "ready, leased, or paused with its job"),
    ("work", "epoch", "fence: rises with every claim, every lapse and every pause"),
)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("paused_at", sa.Double(), nullable=True, comment="when it was paused, database clock; NULL: it is not paused"))
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("work", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
        return
    for table, column, comment in CHANGED:
        op.alter_column(table, column, comment=comment)
