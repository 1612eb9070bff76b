"""Privacy at rest: data keys, texts sealed with them, the job that brought a document, erasures and tombstones."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CHANGED = (
    ("documents", "content_sha256", "SHA-256 of the text in UTF-8; of a sealed text HMAC-SHA-256 under the store's index key"),
    ("documents", "meta", "metadata as submitted; empty where the text is sealed: they lie sealed with it"),
    ("texts", "text", "the document's text, or in base64 what it is sealed to; analysts have no right to read this table"),
    ("failures", "stage", "where it failed: open, clean, rules, refine, predict (elsewhere), store, worker (claims lapsed)"),
)
# a document of former days was brought by the first job that is known to have dealt with it
BROUGHT = """
UPDATE documents SET job_id = (SELECT min(job_id) FROM (
    SELECT job_id FROM readings WHERE document_id = documents.id UNION ALL
    SELECT job_id FROM failures WHERE document_id = documents.id UNION ALL
    SELECT job_id FROM work WHERE document_id = documents.id) t)
"""


def upgrade() -> None:
    op.add_column("jobs", sa.Column("n_erased", sa.Integer(), server_default="0", nullable=False, comment="documents erased by purge, whatever had become of them"))
    op.add_column("documents", sa.Column("job_id", KEY, nullable=True, comment="job that brought it; NULL: brought by a job of former versions that has no reading of it"))
    op.add_column("texts", sa.Column("key_id", KEY, nullable=True, comment="data key that it is sealed with; NULL: it lies in clear"))
    sealed = sa.text("key_id IS NOT NULL")
    op.create_index("ix_texts_key_id", "texts", ["key_id"], sqlite_where=sealed, postgresql_where=sealed)
    op.create_table(
        "data_keys",
        sa.Column("id", KEY, autoincrement=True, nullable=False, comment="number; 0: the index key, which names contents and erased documents"),
        sa.Column("job_id", KEY, nullable=True, comment="job whose documents are sealed with it; NULL: the index key"),
        sa.Column("wrapped", sa.String(length=88), nullable=True, comment="the key in base64, wrapped by the master key; NULL: destroyed"),
        sa.Column("master_id", sa.String(length=16), nullable=True, comment="which master key wraps it; NULL: none, the store is not encrypted"),
        sa.Column("made_at", sa.Double(), nullable=False, comment="seconds since 1970, database clock"),
        sa.Column("destroyed_at", sa.Double(), nullable=True, comment="when it was destroyed, and what was sealed with it for good"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_data_keys_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_keys")),
        comment="the keys of an encrypted store, wrapped by the master key, which lies elsewhere",
    )
    op.create_index(op.f("ix_data_keys_job_id"), "data_keys", ["job_id"])
    op.create_table(
        "tombstones",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="HMAC-SHA-256 of pack, id and content, or of pack and id alone, under the store's index key"),
        sa.Column("erasure_id", KEY, nullable=False, comment="erasure that laid it"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tombstones")),
        comment="documents that were erased and are not taken in again",
    )
    op.create_table(
        "erasures",
        sa.Column("id", KEY, nullable=False, comment="number of the certificate"),
        sa.Column("scope", sa.Text(), nullable=False, comment="what was to be erased, as JSON; a document's id as a digest"),
        sa.Column("begun_at", sa.Double(), nullable=False, comment="seconds since 1970, database clock"),
        sa.Column("finished_at", sa.Double(), nullable=True, comment="when the last row was erased; NULL: interrupted, the same purge goes on with it"),
        sa.Column("erased", sa.Text(), nullable=False, comment="rows erased by table, as JSON"),
        sa.Column("keys_destroyed", sa.Text(), nullable=False, comment="data keys destroyed, each with the master key that wrapped it, as JSON"),
        sa.Column("remains", sa.Text(), nullable=False, comment="where copies may still lie, as JSON"),
        sa.Column("sha256", sa.String(length=64), nullable=True, comment="SHA-256 of the certificate's content"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
        comment="certificates of purges; no text and no id of a document in them",
    )
    op.execute(BROUGHT)
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        for table, column, comment in CHANGED:
            op.alter_column(table, column, comment=comment)
