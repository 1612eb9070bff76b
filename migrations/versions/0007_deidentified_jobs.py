"""Jobs say how the identifiers went from their documents before these were stored."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    comment = "how identifiers went before storing: mask, label, hash, shift; NULL: documents lie as they came"
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        words = "whether a human should look: by the pack's costs, or a rule is in doubt"
        op.alter_column("findings", "unsure", existing_type=sa.Boolean(), existing_nullable=False, existing_server_default=sa.false(), comment=words)
    op.add_column("jobs", sa.Column("deidentified", sa.String(10), nullable=True, comment=comment))
