"""The first schema: jobs, sources, documents and texts, work, readings, findings, failures, rejects, students, views."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table('documents',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='number of the document'),
    sa.Column('pack', sa.String(length=40), nullable=False, comment='pack it was submitted to'),
    sa.Column('key', sa.String(length=255), nullable=False, comment='its id as submitted, or file and row'),
    sa.Column('content_sha256', sa.String(length=64), nullable=False, comment='SHA-256 of the text in UTF-8'),
    sa.Column('n_chars', sa.Integer(), nullable=False, comment='length of the text in code points'),
    sa.Column('meta', sa.JSON(), nullable=False, comment='metadata as submitted'),
    sa.Column('received_at', sa.Double(), nullable=False, comment='seconds since 1970, database clock'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_documents')),
    sa.UniqueConstraint('pack', 'key', 'content_sha256', name=op.f('uq_documents_pack_key_content_sha256')),
    comment='documents without their text'
    )
    op.create_table('jobs',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='number of the job'),
    sa.Column('name', sa.String(length=200), nullable=False, comment='name given by --job, or made from pack, student and paths'),
    sa.Column('pack', sa.String(length=40), nullable=False, comment='pack that reads the documents'),
    sa.Column('student_id', sa.String(length=80), nullable=False, comment='student that reads them, fixed when the job is made'),
    sa.Column('state', sa.String(length=24), nullable=False, comment='OPEN while being filled, RUNNING, then COMPLETED, COMPLETED_WITH_ERRORS, FAILED or CANCELLED'),
    sa.Column('submitted_at', sa.Double(), nullable=False, comment='seconds since 1970, database clock'),
    sa.Column('finished_at', sa.Double(), nullable=True, comment='when the last document was done'),
    sa.Column('n_cancelled', sa.Integer(), nullable=False, comment='documents given up by cancel'),
    sa.Column('n_refused', sa.Integer(), nullable=False, comment='writes of lapsed claims that the fence refused'),
    sa.Column('message', sa.Text(), nullable=True, comment='why its documents wait, when a student or pack cannot be used'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs')),
    sa.UniqueConstraint('name', name=op.f('uq_jobs_name')),
    comment='what users submitted'
    )
    op.create_table('students',
    sa.Column('id', sa.String(length=80), nullable=False, comment="id derived from the student's files"),
    sa.Column('pack', sa.String(length=40), nullable=False, comment='its pack'),
    sa.Column('state', sa.String(length=20), nullable=False, comment='primary: the one shown in the views; retired otherwise'),
    sa.Column('seen_at', sa.Double(), nullable=False, comment='when this store first met it'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_students')),
    comment='students whose findings lie in this store'
    )
    op.create_table('views',
    sa.Column('name', sa.String(length=80), nullable=False, comment='name of a generated view'),
    sa.Column('sha256', sa.String(length=64), nullable=False, comment='SHA-256 of its definition, so that it is made anew only when a pack changed'),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_views')),
    comment='generated views and their versions'
    )
    op.create_table('failures',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='number'),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='job'),
    sa.Column('document_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='document that could not be read'),
    sa.Column('student_id', sa.String(length=80), nullable=False, comment='student that should have read it'),
    sa.Column('stage', sa.String(length=20), nullable=False, comment='where it failed: clean, rules, refine, predict (anywhere else in reading), worker (claims lapsed)'),
    sa.Column('code', sa.String(length=40), nullable=False, comment='what went wrong, machine-readable'),
    sa.Column('reason', sa.Text(), nullable=False, comment='what went wrong, without text'),
    sa.Column('attempts', sa.Integer(), nullable=False, comment='attempts made'),
    sa.Column('failed_at', sa.Double(), nullable=False, comment='seconds since 1970, database clock'),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_failures_document_id')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_failures_job_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_failures')),
    sa.UniqueConstraint('document_id', 'student_id', name=op.f('uq_failures_document_id_student_id')),
    comment='documents that could not be read; `retry` makes work of them again'
    )
    op.create_index(op.f('ix_failures_job_id'), 'failures', ['job_id'], unique=False)
    op.create_table('findings',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='number'),
    sa.Column('document_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='document'),
    sa.Column('student_id', sa.String(length=80), nullable=False, comment='student that read it'),
    sa.Column('task', sa.String(length=40), nullable=False, comment='question answered'),
    sa.Column('label', sa.String(length=60), nullable=False, comment='answer'),
    sa.Column('score', sa.Double(), nullable=False, comment='calibrated, 0 to 1; 1 for rules'),
    sa.Column('start', sa.Integer(), nullable=False, comment='first code point'),
    sa.Column('end', sa.Integer(), nullable=False, comment='one past the last code point'),
    sa.Column('source', sa.String(length=10), nullable=False, comment='student or rule'),
    sa.Column('value', sa.Text(), nullable=True, comment='normalised form, where the pack gives one'),
    sa.Column('number', sa.Double(), nullable=True, comment='number, where the pack gives one'),
    sa.Column('unit', sa.String(length=40), nullable=True, comment='unit or currency of the number'),
    sa.Column('unsure', sa.Boolean(), server_default=sa.false(), nullable=False, comment='whether a human should look, by the costs that the pack states'),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_findings_document_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_findings')),
    sa.UniqueConstraint('document_id', 'student_id', 'task', 'start', 'end', 'label', name=op.f('uq_findings_document_id_student_id_task_start_end_label')),
    comment='answers, one row each'
    )
    op.create_table('readings',
    sa.Column('document_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='document'),
    sa.Column('student_id', sa.String(length=80), nullable=False, comment='student that read it'),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='job'),
    sa.Column('epoch', sa.Integer(), nullable=False, comment='epoch of the claim that wrote it'),
    sa.Column('n_findings', sa.Integer(), nullable=False, comment='findings written with it'),
    sa.Column('read_at', sa.Double(), nullable=False, comment='seconds since 1970, database clock'),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_readings_document_id')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_readings_job_id')),
    sa.PrimaryKeyConstraint('document_id', 'student_id', name=op.f('pk_readings')),
    comment='documents that were read, one row a document and student'
    )
    op.create_index(op.f('ix_readings_job_id'), 'readings', ['job_id'], unique=False)
    op.create_table('sources',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='number of the reading of one file'),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='job it was read for'),
    sa.Column('label', sa.Text(), nullable=False, comment="the file's path below the folder given, or below the one that holds all paths given"),
    sa.Column('path_sha256', sa.String(length=64), nullable=False, comment="SHA-256 of the file's resolved path: of the readings of a file in one job the newest counts"),
    sa.Column('size', sa.BigInteger(), nullable=False, comment='bytes'),
    sa.Column('n_seen', sa.Integer(), nullable=False, comment='rows seen = accepted + duplicate + rejected'),
    sa.Column('n_accepted', sa.Integer(), nullable=False, comment='documents that became work'),
    sa.Column('n_duplicate', sa.Integer(), nullable=False, comment='documents already read or waiting for this student'),
    sa.Column('n_rejected', sa.Integer(), nullable=False, comment='rows that could not become documents'),
    sa.Column('finished_at', sa.Double(), nullable=True, comment='when its last row was stored; NULL: interrupted'),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_sources_job_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sources')),
    comment='files read, one row for each reading'
    )
    op.create_index(op.f('ix_sources_job_id'), 'sources', ['job_id'], unique=False)
    op.create_table('texts',
    sa.Column('document_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='document'),
    sa.Column('text', sa.Text(), nullable=False, comment="the document's text; analysts have no right to read this table"),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_texts_document_id')),
    sa.PrimaryKeyConstraint('document_id', name=op.f('pk_texts')),
    comment='the texts, apart from all else'
    )
    op.create_table('work',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='order of reading'),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='job'),
    sa.Column('document_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='document to be read'),
    sa.Column('student_id', sa.String(length=80), nullable=False, comment='student to read it'),
    sa.Column('state', sa.String(length=10), nullable=False, comment='ready or leased'),
    sa.Column('epoch', sa.Integer(), nullable=False, comment='fence: rises with every claim and every lapse'),
    sa.Column('attempts', sa.Integer(), nullable=False, comment='claims so far'),
    sa.Column('n_lost', sa.Integer(), nullable=False, comment='claims that lapsed: a lost document is read alone'),
    sa.Column('owner', sa.String(length=80), nullable=True, comment='process that holds the claim'),
    sa.Column('lease_until', sa.Double(), nullable=True, comment='when the claim lapses, database clock'),
    sa.ForeignKeyConstraint(['document_id'], ['documents.id'], name=op.f('fk_work_document_id')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_work_job_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_work')),
    sa.UniqueConstraint('document_id', 'student_id', name=op.f('uq_work_document_id_student_id')),
    comment='documents that still have to be read; a row goes when its findings are written'
    )
    op.create_index(op.f('ix_work_job_id'), 'work', ['job_id'], unique=False)
    op.create_index('ix_work_state_n_lost_id', 'work', ['state', 'n_lost', 'id'], unique=False)
    op.create_table('rejects',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='number'),
    sa.Column('source_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='reading of the file'),
    sa.Column('place', sa.Text(), nullable=False, comment='file and row'),
    sa.Column('code', sa.String(length=40), nullable=False, comment='what is wrong, machine-readable'),
    sa.Column('reason', sa.Text(), nullable=False, comment='what is wrong, without text'),
    sa.Column('remedy', sa.Text(), nullable=False, comment='what to do'),
    sa.ForeignKeyConstraint(['source_id'], ['sources.id'], name=op.f('fk_rejects_source_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rejects')),
    comment='rows that never became a document'
    )
    op.create_index(op.f('ix_rejects_source_id'), 'rejects', ['source_id'], unique=False)
