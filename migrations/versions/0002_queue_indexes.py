"""Indexes by which a claim, a look for idle jobs and a job's counts read a range alone, however many documents wait."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_work_job_id_state_n_lost_id", "work", ["job_id", "state", "n_lost", "id"])
    op.drop_index("ix_work_job_id", "work")
    op.create_index("ix_readings_job_id_n_findings", "readings", ["job_id", "n_findings"])
    op.drop_index("ix_readings_job_id", "readings")
