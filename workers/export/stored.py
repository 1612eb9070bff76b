"""Documents as they lie in the store: read by the primary student, each with all its findings, streamed in the order of their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Result, Row, UnaryExpression, func, null, select, text
from sqlalchemy.sql.operators import custom_op

from suites.discover import Pack
from suites.errors import RunError, StoreError
from workers.bulk import among, listed
from workers.export.asked import Asked
from workers.keys import Body, Keys, Unopened
from workers.query import reading
from workers.store import Store, unhurried
from workers.tables import documents, findings, readings, students, texts

# findings that are held of their stream
ROWS = 2000
# texts that are held at once: so many documents and, but for one larger document, so many characters
PORTION = 200
PORTION_CHARS = 2_000_000
# what the role of those who export texts may read, each as a whole
TABLES = ("documents", "texts", "data_keys", "readings", "findings", "students")
_BODIES = select(texts.c.document_id, texts.c.text, texts.c.key_id).where(among(texts.c.document_id, "ids"))


class Found(NamedTuple):
    """A finding as it is stored. `other_start` and `other_end` are the second range of a pair, else both 0."""

    id: int
    document_id: int
    task: str
    label: str
    score: float
    start: int
    end: int
    source: str
    value: str | None
    number: float | None
    unit: str | None
    unsure: bool
    page: int | None = None
    other_start: int = 0
    other_end: int = 0

    @property
    def is_pair(self) -> bool:
        return self.other_end > 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A document that was read. `text` is None where it was not asked for, or could not be opened: then `unopened` is the code that says why."""

    number: int
    pack: str
    key: str
    digest: str
    received_at: float
    student_id: str
    read_at: float
    meta: Mapping[str, Any]
    findings: tuple[Found, ...]
    text: str | None = field(default=None, repr=False)
    unopened: str | None = None


@contextmanager
def access(url: str, asked: Asked) -> Iterator[Connection]:
    """A connection in one transaction that reads, and sees the store as it was at its begin.

    It cannot read texts where none was asked for. Raises StoreError where the role may not read those asked for.
    """
    if not asked.opens:
        with reading(url, limit_s=None) as connection:
            _as_it_is_now(connection)
            yield connection
        return
    store = Store(url)
    if store.file is not None and not store.file.exists():
        raise StoreError("The store does not exist yet. Run: python manage.py migrate", "store_schema")
    try:
        with store.reading() as connection:
            _as_it_is_now(connection)
            unhurried(connection)
            _refuse_without_right(connection)
            yield connection
    finally:
        store.close()


def _as_it_is_now(connection: Connection) -> None:
    """Else documents and findings, which are two streams, could be of two moments; on SQLite a stream that is open keeps its moment."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


def _refuse_without_right(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    asked = text("SELECT has_table_privilege(current_user, :name, 'SELECT')")
    if missing := [name for name in TABLES if not connection.execute(asked, {"name": name}).scalar()]:
        told = f"This role may not read {', '.join(missing)}, and an export with texts or sealed patients reads them."
        raise StoreError(f"{told} Ask as a reviewer (docs/operations.md), or export without --with-text and --with-patient.", "no_right")


def may_read_meta(connection: Connection) -> bool:
    """Whether the role may read the documents' metadata; analysts may not."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(text("SELECT has_column_privilege(current_user, 'documents', 'meta', 'SELECT')")).scalar())


def primaries(connection: Connection, pack: Pack) -> list[str]:
    """The students whose findings are shown, one at most."""
    return list(connection.execute(select(students.c.id).where(students.c.pack == pack.name, students.c.state == "primary").order_by(students.c.id)).scalars())


def count(connection: Connection, student_ids: Sequence[str]) -> int:
    """How many documents these students have read."""
    return int(connection.execute(select(func.count()).select_from(readings).where(readings.c.student_id.in_(student_ids))).scalar_one())


def stored_documents(connection: Connection, student_ids: Iterable[str], asked: Asked, keys: Keys) -> Iterator[Stored]:
    """The documents that these students have read. Raises RunError where a document's findings are not those that were written."""
    has_meta = may_read_meta(connection)
    for student_id in student_ids:
        for portion in _portions(_joined(connection, student_id, has_meta)):
            bodies = _bodies(connection, [row.id for row, _ in portion], keys) if asked.opens else {}
            for row, found in portion:
                yield _stored(row, found, bodies, asked)


def _joined(connection: Connection, student_id: str, has_meta: bool) -> Iterator[tuple[Row[Any], tuple[Found, ...]]]:
    """Each document with its findings. Two streams in one order: joined in SQL, every finding would carry its document's columns."""
    groups = groupby(_streamed_findings(connection, student_id), key=lambda found: found.document_id)
    group = next(groups, None)
    for row in _streamed_documents(connection, student_id, has_meta):
        found: tuple[Found, ...] = ()
        if group is not None and group[0] == row.id:
            found = tuple(sorted(group[1], key=lambda f: (f.start, f.end, f.task, f.label, f.id)))
            group = next(groups, None)
        if len(found) != row.n_findings:
            told = f"Document {row.id}: {row.n_findings} findings were written, {len(found)} are there. Nothing was exported."
            raise RunError(f"{told} Run: python manage.py verify", "findings_differ")
        yield row, found


def _streamed_documents(connection: Connection, student_id: str, has_meta: bool) -> Result[Any]:
    columns: list[ColumnElement[Any]] = [documents.c.id, documents.c.pack, documents.c.key, documents.c.content_sha256, documents.c.n_chars]
    columns += [documents.c.received_at, readings.c.student_id, readings.c.n_findings, readings.c.read_at]
    columns.append(documents.c.meta if has_meta else null().label("meta"))
    query = select(*columns).join(readings, readings.c.document_id == documents.c.id).where(readings.c.student_id == student_id)
    # by the readings' key, which is in this order; their metadata may be large
    return _streamed(connection, query.order_by(readings.c.document_id), PORTION)


def _streamed_findings(connection: Connection, student_id: str) -> Iterator[Found]:
    columns = [findings.c[name] for name in Found._fields]
    of_student: ColumnElement[str] = findings.c.student_id
    if connection.dialect.name == "sqlite":
        # by the index of documents, not of students: what that gives SQLite would sort in memory (sqlite.org/optoverview.html#uplus)
        of_student = UnaryExpression(of_student, operator=custom_op("+"))
    query = select(*columns).where(of_student == student_id).order_by(findings.c.document_id)
    return map(Found._make, _streamed(connection, query, ROWS))


def _streamed(connection: Connection, query: Any, n_rows: int) -> Result[Any]:
    return connection.execute(query, execution_options={"stream_results": True, "max_row_buffer": n_rows})


def _portions(rows: Iterable[tuple[Row[Any], tuple[Found, ...]]]) -> Iterator[list[tuple[Row[Any], tuple[Found, ...]]]]:
    """The rows in portions that are bounded in documents and, but for one document, in characters."""
    portion: list[tuple[Row[Any], tuple[Found, ...]]] = []
    n_chars = 0
    for row, found in rows:
        if portion and (len(portion) == PORTION or n_chars + row.n_chars > PORTION_CHARS):
            yield portion
            portion, n_chars = [], 0
        portion.append((row, found))
        n_chars += row.n_chars
    if portion:
        yield portion


def _bodies(connection: Connection, numbers: Sequence[int], keys: Keys) -> dict[int, Any]:
    rows = connection.execute(_BODIES, {"ids": listed(numbers)})
    return keys.opened_whole(connection, [Body(row.document_id, row.text, row.key_id) for row in rows])


def _stored(row: Row[Any], found: tuple[Found, ...], bodies: Mapping[int, Any], asked: Asked) -> Stored:
    body = bodies.get(row.id, Unopened("no_text", "its text is not in the store"))
    meta, words, unopened = row.meta or {}, None, None
    if isinstance(body, Unopened):
        unopened = body.code if asked.opens else None
    else:
        words, sealed = body
        meta = meta if sealed is None else sealed
    text = words if asked.text else None
    return Stored(row.id, row.pack, row.key, row.content_sha256, row.received_at, row.student_id, row.read_at, meta, found, text, unopened)
