"""Jobs say how the identifiers went from their documents before these were stored."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    comment = "how identifiers went before storing: mask, label, hash, shift; NULL: documents lie as they came"
    op.add_column("jobs", sa.Column("deidentified", sa.String(10), nullable=True, comment=comment))
