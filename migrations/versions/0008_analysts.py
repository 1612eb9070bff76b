"""What analysts, reviewers and operators ask of: tallies by day, reviews, energy, what a reading saw, and when a finding was made."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ANSWER = ("document_id", "student_id", "task", "start", "end", "label", "other_start", "other_end")
READ_AT = "SELECT r.read_at FROM readings r WHERE r.document_id = findings.document_id AND r.student_id = findings.student_id"


def upgrade() -> None:
    op.add_column("readings", sa.Column("n_tokens", sa.Integer(), comment="word pieces that the text became; NULL: not counted"))
    op.add_column("readings", sa.Column("n_unknown", sa.Integer(), comment="of these, pieces that the student does not know"))
    op.add_column("readings", sa.Column("distance", sa.Double(), comment="how far the text lies from those that the student was tried on; NULL: the student has no reference"))
    when = "seconds since 1970, database clock: that of its reading"
    op.add_column("findings", sa.Column("read_at", sa.Double(), nullable=False, server_default="0", comment=when))
    op.execute(f"UPDATE findings SET read_at = coalesce(({READ_AT}), 0)")
    _tallies()
    _reviews()
    _energy()


def _tallies() -> None:
    op.create_table(
        "tallies",
        sa.Column("student_id", sa.String(length=80), nullable=False, comment="student that read"),
        sa.Column("day", sa.String(length=10), nullable=False, comment="day of reading, UTC: 2026-01-31"),
        sa.Column("measure", sa.String(length=60), nullable=False, comment="what is counted: documents, label:TASK, score:TASK, length, unknown, distance"),
        sa.Column("bucket", sa.String(length=60), nullable=False, comment="a label, or the number of a bin"),
        sa.Column("slot", sa.Integer(), nullable=False, comment="which processes counted: theirs add up, and none waits for another"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="how many"),
        sa.PrimaryKeyConstraint("student_id", "day", "measure", "bucket", "slot", name=op.f("pk_tallies")),
        comment="counts by day of what each student found, without text: what charts and drift are made of",
    )


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", KEY, nullable=False, comment="number"),
        sa.Column("document_id", KEY, nullable=False, comment="document"),
        sa.Column("student_id", sa.String(length=80), nullable=False, comment="student whose finding was looked at"),
        sa.Column("task", sa.String(length=40), nullable=False, comment="question answered"),
        sa.Column("label", sa.String(length=60), nullable=False, comment="the student's answer; of an added finding the reviewer's"),
        sa.Column("start", sa.Integer(), nullable=False, comment="first code point"),
        sa.Column("end", sa.Integer(), nullable=False, comment="one past the last code point"),
        sa.Column("other_start", sa.Integer(), server_default="0", nullable=False, comment="of a pair: first code point of the second range"),
        sa.Column("other_end", sa.Integer(), server_default="0", nullable=False, comment="one past its last; 0: no pair"),
        sa.Column("reviewer", sa.String(length=80), nullable=False, comment="who looked"),
        sa.Column("verdict", sa.String(length=10), nullable=False, comment="accept, correct or reject; add: a finding that the student missed"),
        sa.Column("new_label", sa.String(length=60), comment="of a correction: the right label"),
        sa.Column("new_start", sa.Integer(), comment="of a correction: first code point of the right range"),
        sa.Column("new_end", sa.Integer(), comment="one past its last"),
        sa.Column("reviewed_at", sa.Double(), nullable=False, comment="seconds since 1970, database clock"),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_reviews_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint(*ANSWER, "reviewer", name=op.f("uq_reviews_answer_reviewer")),
        comment="what reviewers said of findings; no text",
    )


def _energy() -> None:
    kinds = "job: a process reading a job; run: a training or evaluation; sample: a part of a job read again to compare students"
    methods = "rapl: the processor's counter, shared by processor time; nvml: and the accelerator's; estimate: processor seconds times watts"
    op.create_table(
        "energy",
        sa.Column("id", KEY, nullable=False, comment="number"),
        sa.Column("kind", sa.String(length=10), nullable=False, comment=kinds),
        sa.Column("name", sa.String(length=200), nullable=False, comment="the job's name, or the command of the run"),
        sa.Column("pack", sa.String(length=40), nullable=False, comment="pack"),
        sa.Column("job_id", KEY, comment="job; NULL: a run"),
        sa.Column("student_id", sa.String(length=80), comment="student that read, or was made"),
        sa.Column("engine", sa.String(length=10), comment="arithmetic that the student was read with: int8, bf16, f32"),
        sa.Column("owner", sa.String(length=80), nullable=False, comment="host and process"),
        sa.Column("started_at", sa.Double(), nullable=False, comment="seconds since 1970, database clock"),
        sa.Column("n_documents", sa.Integer(), nullable=False, comment="documents read; of a run 0 where it reads none"),
        sa.Column("duration", sa.Double(), nullable=False, comment="seconds of work"),
        sa.Column("cpu_seconds", sa.Double(), nullable=False, comment="processor seconds of all threads of the process"),
        sa.Column("cpu_energy", sa.Double(), nullable=False, comment="kWh of the processor"),
        sa.Column("gpu_energy", sa.Double(), nullable=False, comment="kWh of the accelerator"),
        sa.Column("ram_energy", sa.Double(), nullable=False, comment="kWh of the memory that the process held"),
        sa.Column("energy_consumed", sa.Double(), nullable=False, comment="kWh in all"),
        sa.Column("emissions", sa.Double(), nullable=False, comment="kg CO2e of that by the grid of country_iso_code"),
        sa.Column("country_iso_code", sa.String(length=3), nullable=False, comment="whose grid: an ISO 3166 code, or WOR, the world's average"),
        sa.Column("tracking_mode", sa.String(length=10), nullable=False, comment="process: what this process alone is answerable for"),
        sa.Column("method", sa.String(length=20), nullable=False, comment=methods),
        sa.Column("cpu_model", sa.String(length=120), nullable=False, comment="processor"),
        sa.Column("cpu_power", sa.Double(), nullable=False, comment="watts of one busy core that an estimate took; 0: measured"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_energy")),
        sa.UniqueConstraint("kind", "job_id", "owner", "engine", name=op.f("uq_energy_kind_job_id_owner_engine")),
        comment="energy of jobs and runs, with CodeCarbon's names and units",
    )
