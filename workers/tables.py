"""The tables of the store. Each column says what it holds: the data dictionary is made from here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, false, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from suites.types import UNIT_CHARS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# integer keys: UUIDs cost SQLite nearly three times as much (docs/performance.md); it counts only INTEGER up
Key = BigInteger().with_variant(Integer, "sqlite")


class now_s(FunctionElement[float]):
    """Seconds since 1970 on the database's clock, the only clock that leases know."""

    type = Double()
    inherit_cache = True


@compiles(now_s, "sqlite")
def _now_sqlite(element: now_s, compiler: Any, **options: Any) -> str:
    return "unixepoch('subsec')"


@compiles(now_s, "postgresql")
def _now_postgresql(element: now_s, compiler: Any, **options: Any) -> str:
    # clock_timestamp, not now(): the time of the statement, not of the transaction's start
    return "extract(epoch from clock_timestamp())"


# what a human should look at, as a query of the views says it to the database: an index of these alone is found by this very expression
UNSURE = {"sqlite": "unsure = 1", "postgresql": "CAST(unsure AS INTEGER) = 1"}


class is_unsure(FunctionElement[bool]):
    """Whether a finding is one of those that the index holds."""

    inherit_cache = True


@compiles(is_unsure, "sqlite")
@compiles(is_unsure, "postgresql")
def _is_unsure(element: is_unsure, compiler: Any, **options: Any) -> str:
    return UNSURE[compiler.dialect.name].replace("unsure", "findings.unsure")


def _key(table: str, comment: str, *, index: bool = False, primary_key: bool = False) -> Column[int]:
    """A column that points at `table`'s id."""
    return Column(f"{table.removesuffix('s')}_id", Key, ForeignKey(f"{table}.id"), nullable=False, index=index, primary_key=primary_key, comment=comment)


jobs = Table(
    "jobs",
    metadata,
    Column("id", Key, primary_key=True, comment="number of the job"),
    Column("name", String(200), nullable=False, unique=True, comment="name given by --job, or made from pack, student and paths"),
    Column("pack", String(40), nullable=False, comment="pack that reads the documents"),
    Column("student_id", String(80), nullable=False, comment="student that reads them, fixed when the job is made"),
    Column("state", String(24), nullable=False, comment="OPEN while being filled, RUNNING, then COMPLETED, COMPLETED_WITH_ERRORS, FAILED or CANCELLED"),
    Column("submitted_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    Column("finished_at", Double, comment="when the last document was done"),
    Column("n_cancelled", Integer, nullable=False, default=0, comment="documents given up by cancel"),
    Column("n_refused", Integer, nullable=False, default=0, comment="writes of lapsed claims that the fence refused"),
    Column("n_erased", Integer, nullable=False, server_default="0", comment="documents erased by purge, whatever had become of them"),
    Column("message", Text, comment="why its documents wait, when a student or pack cannot be used; or which law of conservation does not hold"),
    Column("paused_at", Double, comment="when it was paused, database clock; NULL: it is not paused"),
    Column(
        "deidentified",
        String(10),
        comment="how identifiers went before storing: mask, label, hash, shift; NULL: documents lie as they came",
    ),
    comment="what users submitted",
)

sources = Table(
    "sources",
    metadata,
    Column("id", Key, primary_key=True, comment="number of the reading of one file"),
    _key("jobs", "job it was read for", index=True),
    Column("label", Text, nullable=False, comment="the file's path below the folder given, or below the one that holds all paths given"),
    Column("path_sha256", String(64), nullable=False, comment="SHA-256 of the file's resolved path: of the readings of a file in one job the newest counts"),
    Column("size", BigInteger, nullable=False, comment="bytes"),
    Column("n_seen", Integer, nullable=False, default=0, comment="rows seen = accepted + duplicate + rejected"),
    Column("n_accepted", Integer, nullable=False, default=0, comment="documents that became work"),
    Column("n_duplicate", Integer, nullable=False, default=0, comment="documents already read or waiting for this student"),
    Column("n_rejected", Integer, nullable=False, default=0, comment="rows that could not become documents"),
    Column("finished_at", Double, comment="when its last row was stored; NULL: interrupted"),
    comment="files read, one row for each reading",
)

rejects = Table(
    "rejects",
    metadata,
    Column("id", Key, primary_key=True, comment="number"),
    _key("sources", "reading of the file", index=True),
    Column("place", Text, nullable=False, comment="file and row"),
    Column("code", String(40), nullable=False, comment="what is wrong, machine-readable"),
    Column("reason", Text, nullable=False, comment="what is wrong, without text"),
    Column("remedy", Text, nullable=False, comment="what to do"),
    comment="rows that never became a document",
)

documents = Table(
    "documents",
    metadata,
    Column("id", Key, primary_key=True, comment="number of the document"),
    Column("pack", String(40), nullable=False, comment="pack it was submitted to"),
    Column("key", String(255), nullable=False, comment="its id as submitted, or file and row"),
    Column("content_sha256", String(64), nullable=False, comment="SHA-256 of the text in UTF-8; of a sealed text HMAC-SHA-256 under the store's index key"),
    Column("n_chars", Integer, nullable=False, comment="length of the text in code points"),
    Column("meta", JSON, nullable=False, comment="metadata as submitted; empty where the text is sealed: they lie sealed with it"),
    Column("received_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    # no foreign key: jobs are never deleted, and a check of every row would slow the submit down
    Column("job_id", Key, comment="job that brought it; NULL: brought by a job of former versions that has no reading of it"),
    UniqueConstraint("pack", "key", "content_sha256"),
    comment="documents without their text",
)

texts = Table(
    "texts",
    metadata,
    _key("documents", "document", primary_key=True),
    Column("text", Text, nullable=False, comment="the document's text, or in base64 what it is sealed to; analysts have no right to read this table"),
    Column("key_id", Key, comment="data key that it is sealed with; NULL: it lies in clear"),
    Index("ix_texts_key_id", "key_id", sqlite_where=text("key_id IS NOT NULL"), postgresql_where=text("key_id IS NOT NULL")),
    comment="the texts, apart from all else",
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True, comment="number; 0: the index key, which names contents and erased documents"),
    Column("job_id", Key, ForeignKey("jobs.id"), index=True, comment="job whose documents are sealed with it; NULL: the index key"),
    Column("wrapped", String(88), comment="the key in base64, wrapped by the master key; NULL: destroyed"),
    Column("master_id", String(16), comment="which master key wraps it; NULL: none, the store is not encrypted"),
    Column("made_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    Column("destroyed_at", Double, comment="when it was destroyed, and what was sealed with it for good"),
    comment="the keys of an encrypted store, wrapped by the master key, which lies elsewhere",
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", String(64), primary_key=True, comment="HMAC-SHA-256 of pack, id and content, or of pack and id alone, under the store's index key"),
    Column("erasure_id", Key, nullable=False, comment="erasure that laid it"),
    comment="documents that were erased and are not taken in again",
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Key, primary_key=True, comment="number of the certificate"),
    Column("scope", Text, nullable=False, comment="what was to be erased, as JSON; a document's id as a digest"),
    Column("begun_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    Column("finished_at", Double, comment="when the last row was erased; NULL: interrupted, the same purge goes on with it"),
    Column("erased", Text, nullable=False, comment="rows erased by table, as JSON"),
    Column("keys_destroyed", Text, nullable=False, comment="data keys destroyed, each with the master key that wrapped it, as JSON"),
    Column("remains", Text, nullable=False, comment="where copies may still lie, as JSON"),
    Column("sha256", String(64), comment="SHA-256 of the certificate's content"),
    comment="certificates of purges; no text and no id of a document in them",
)

students = Table(
    "students",
    metadata,
    Column("id", String(80), primary_key=True, comment="id derived from the student's files"),
    Column("pack", String(40), nullable=False, comment="its pack"),
    Column("state", String(20), nullable=False, comment="primary: the one shown in the views; retired otherwise"),
    Column("seen_at", Double, nullable=False, comment="when this store first met it"),
    comment="students whose findings lie in this store",
)

work = Table(
    "work",
    metadata,
    Column("id", Key, primary_key=True, comment="order of reading"),
    _key("jobs", "job"),
    _key("documents", "document to be read"),
    Column("student_id", String(80), nullable=False, comment="student to read it"),
    Column("state", String(10), nullable=False, default="ready", comment="ready, leased, or paused with its job"),
    Column("epoch", Integer, nullable=False, default=0, comment="fence: rises with every claim, every lapse and every pause"),
    Column("attempts", Integer, nullable=False, default=0, comment="claims so far"),
    Column("n_lost", Integer, nullable=False, default=0, comment="claims that lapsed: a lost document is read alone"),
    Column("owner", String(80), comment="process that holds the claim"),
    Column("lease_until", Double, comment="when the claim lapses, database clock"),
    UniqueConstraint("document_id", "student_id"),
    # the oldest that nobody holds, of all jobs and of one: whatever is asked of a queue is the first entry of a range, never a sort
    Index("ix_work_state_n_lost_id", "state", "n_lost", "id"),
    Index("ix_work_job_id_state_n_lost_id", "job_id", "state", "n_lost", "id"),
    # SQLite gives the highest id again once its row is gone: a claim of a cancelled document would pass the fence of another's row
    sqlite_autoincrement=True,
    comment="documents that still have to be read; a row goes when its findings are written",
)

readings = Table(
    "readings",
    metadata,
    _key("documents", "document", primary_key=True),
    Column("student_id", String(80), primary_key=True, comment="student that read it"),
    _key("jobs", "job"),
    Column("epoch", Integer, nullable=False, comment="epoch of the claim that wrote it"),
    Column("n_findings", Integer, nullable=False, comment="findings written with it"),
    Column("read_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    Column("n_tokens", Integer, comment="word pieces that the text became; NULL: not counted"),
    Column("n_unknown", Integer, comment="of these, pieces that the student does not know"),
    Column("distance", Double, comment="how far the text lies from those that the student was tried on; NULL: the student has no reference"),
    Index("ix_readings_job_id_n_findings", "job_id", "n_findings"),  # holds all that the counts of a job ask for
    comment="documents that were read, one row a document and student",
)

findings = Table(
    "findings",
    metadata,
    Column("id", Key, primary_key=True, comment="number"),
    Column("document_id", Key, ForeignKey("documents.id"), nullable=False, comment="document"),
    Column("student_id", String(80), nullable=False, comment="student that read it"),
    Column("task", String(40), nullable=False, comment="question answered"),
    Column("label", String(60), nullable=False, comment="answer"),
    Column("score", Double, nullable=False, comment="calibrated, 0 to 1; 1 for rules"),
    Column("start", Integer, nullable=False, comment="first code point"),
    Column("end", Integer, nullable=False, comment="one past the last code point"),
    Column("source", String(10), nullable=False, comment="student or rule"),
    Column("value", Text, comment="normalised form, where the pack gives one"),
    Column("number", Double, comment="number, where the pack gives one"),
    Column("unit", String(UNIT_CHARS), comment="unit or currency of the number"),
    Column("unsure", Boolean, nullable=False, server_default=false(), comment="whether a human should look: by the pack's costs, or a rule is in doubt"),
    Column("other_start", Integer, nullable=False, server_default="0", comment="of a pair: first code point of the second range"),
    Column("other_end", Integer, nullable=False, server_default="0", comment="one past its last; 0: no pair"),
    Column("page", Integer, comment="page of the document that it begins on, from 1; NULL: the text has no pages"),
    Column("read_at", Double, nullable=False, server_default="0", comment="seconds since 1970, database clock: that of its reading"),
    # offsets are never NULL: a NULL in a unique key would let doubles in. On PostgreSQL the table is partitioned by month of read_at, which then is
    # part of both keys, and the reference is to document, student and time of a reading (migrations/versions/0009_findings_by_month.py)
    UniqueConstraint("document_id", "student_id", "task", "start", "end", "label", "other_start", "other_end", name="uq_findings_answer"),
    # holds all that counts of labels and their surest and least sure findings ask for
    Index("ix_findings_student_id_task_label_score", "student_id", "task", "label", "score"),
    Index("ix_findings_unsure", "student_id", "task", "score", sqlite_where=text(UNSURE["sqlite"]), postgresql_where=text(UNSURE["postgresql"])),
    comment="answers, one row each",
)

tallies = Table(
    "tallies",
    metadata,
    Column("student_id", String(80), primary_key=True, comment="student that read"),
    Column("day", String(10), primary_key=True, comment="day of reading, UTC: 2026-01-31"),
    Column("measure", String(60), primary_key=True, comment="what is counted: documents, label:TASK, score:TASK, length, unknown, distance"),
    Column("bucket", String(60), primary_key=True, comment="a label, or the number of a bin"),
    Column("slot", Integer, primary_key=True, comment="which processes counted: theirs add up, and none waits for another"),
    Column("n", BigInteger, nullable=False, comment="how many"),
    comment="counts by day of what each student found, without text: what charts and drift are made of",
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", Key, primary_key=True, comment="number"),
    Column("document_id", Key, ForeignKey("documents.id"), nullable=False, comment="document"),
    Column("student_id", String(80), nullable=False, comment="student whose finding was looked at"),
    Column("task", String(40), nullable=False, comment="question answered"),
    Column("label", String(60), nullable=False, comment="the student's answer; of an added finding the reviewer's"),
    Column("start", Integer, nullable=False, comment="first code point"),
    Column("end", Integer, nullable=False, comment="one past the last code point"),
    Column("other_start", Integer, nullable=False, server_default="0", comment="of a pair: first code point of the second range"),
    Column("other_end", Integer, nullable=False, server_default="0", comment="one past its last; 0: no pair"),
    Column("reviewer", String(80), nullable=False, comment="who looked"),
    Column("verdict", String(10), nullable=False, comment="accept, correct or reject; add: a finding that the student missed"),
    Column("new_label", String(60), comment="of a correction: the right label"),
    Column("new_start", Integer, comment="of a correction: first code point of the right range"),
    Column("new_end", Integer, comment="one past its last"),
    Column("reviewed_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    UniqueConstraint(
        *("document_id", "student_id", "task", "start", "end", "label", "other_start", "other_end", "reviewer"), name="uq_reviews_answer_reviewer"
    ),
    comment="what reviewers said of findings; no text",
)

energy = Table(
    "energy",
    metadata,
    Column("id", Key, primary_key=True, comment="number"),
    Column(
        "kind",
        String(10),
        nullable=False,
        comment="job: a process reading a job; run: a training or evaluation; sample: a part of a job read again to compare students",
    ),
    Column("name", String(200), nullable=False, comment="the job's name, or the command of the run"),
    Column("pack", String(40), nullable=False, comment="pack"),
    Column("job_id", Key, comment="job; NULL: a run"),
    Column("student_id", String(80), comment="student that read, or was made"),
    Column("engine", String(10), comment="arithmetic that the student was read with: int8, bf16, f32"),
    Column("owner", String(80), nullable=False, comment="host and process"),
    Column("started_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    Column("n_documents", Integer, nullable=False, comment="documents read; of a run 0 where it reads none"),
    Column("duration", Double, nullable=False, comment="seconds of work"),
    Column("cpu_seconds", Double, nullable=False, comment="processor seconds of all threads of the process"),
    Column("cpu_energy", Double, nullable=False, comment="kWh of the processor"),
    Column("gpu_energy", Double, nullable=False, comment="kWh of the accelerator"),
    Column("ram_energy", Double, nullable=False, comment="kWh of the memory that the process held"),
    Column("energy_consumed", Double, nullable=False, comment="kWh in all"),
    Column("emissions", Double, nullable=False, comment="kg CO2e of that by the grid of country_iso_code"),
    Column("country_iso_code", String(3), nullable=False, comment="whose grid: an ISO 3166 code, or WOR, the world's average"),
    Column("tracking_mode", String(10), nullable=False, comment="process: what this process alone is answerable for"),
    Column(
        "method",
        String(20),
        nullable=False,
        comment="rapl: the processor's counter, shared by processor time; nvml: and the accelerator's; estimate: processor seconds times watts",
    ),
    Column("cpu_model", String(120), nullable=False, comment="processor"),
    Column("cpu_power", Double, nullable=False, comment="watts of one busy core that an estimate took; 0: measured"),
    UniqueConstraint("kind", "job_id", "owner", "engine"),
    comment="energy of jobs and runs, with CodeCarbon's names and units",
)

failures = Table(
    "failures",
    metadata,
    Column("id", Key, primary_key=True, comment="number"),
    _key("jobs", "job", index=True),
    Column("document_id", Key, ForeignKey("documents.id"), nullable=False, comment="document that could not be read"),
    Column("student_id", String(80), nullable=False, comment="student that should have read it"),
    Column("stage", String(20), nullable=False, comment="where it failed: open, clean, rules, refine, predict (elsewhere), store, worker (claims lapsed)"),
    Column("code", String(40), nullable=False, comment="what went wrong, machine-readable"),
    Column("reason", Text, nullable=False, comment="what went wrong, without text"),
    Column("attempts", Integer, nullable=False, comment="attempts made"),
    Column("failed_at", Double, nullable=False, comment="seconds since 1970, database clock"),
    UniqueConstraint("document_id", "student_id"),
    comment="documents that could not be read; `retry` makes work of them again",
)

views = Table(
    "views",
    metadata,
    Column("name", String(80), primary_key=True, comment="name of a generated view"),
    Column("sha256", String(64), nullable=False, comment="SHA-256 of its definition, so that it is made anew only when a pack changed"),
    comment="generated views and their versions",
)

audit = Table(
    "audit",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False, comment="number: one more than the row before"),
    Column("at", Double, nullable=False, comment="seconds since 1970, database clock"),
    Column("actor", String(200), nullable=False, comment="user of the operating system and, on PostgreSQL, of the database"),
    Column("action", String(20), nullable=False, comment="what was done"),
    Column("subject", String(200), nullable=False, comment="to what: a job, a pack, a student"),
    Column("detail", Text, nullable=False, comment="more of it as JSON, without text"),
    Column("prev_hash", String(64), nullable=False, comment="hash of the row before; zeros in the first"),
    Column("hash", String(64), nullable=False, comment="SHA-256 over all other columns: the chain of who did what"),
    comment="who did what, a row an act; rows are added, never changed or removed",
)
