"""Many rows and keys at once: what the fast ways write and find is what the plain ones do, on both stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from pipelines.predict import Reading
from suites.discover import Pack
from suites.errors import StoreError
from suites.types import Finding
from workers.bulk import among, insert_rows, listed, not_among, pairs_among
from workers.queue import claim
from workers.store import Store
from workers.submit import submit
from workers.tables import documents, findings, readings, texts, work

from .conftest import finish, write_documents

STUDENT = "toy-000000000000"
FOUND = (
    Finding("topic", "one", 0.1 + 0.2, 0, 5),
    Finding("topic", "two", 1.0, 0, 2**31 - 1, "rule", "tab\there, line\nbreak, back\\slash, \\N, ä, \U0001f600", 2**53, "m³", unsure=True),
    Finding("topic", "three", 0.0, 3, 3, value="", number=-0.0, unit=""),
    Finding("topic", "four", 5e-324, 3, 4, number=1.7976931348623157e308),
)


@pytest.fixture
def ids(store: Store, toy_pack: Pack, tmp_path: Path) -> list[int]:
    """The ids of ten documents that wait."""
    submit(store, toy_pack, STUDENT, [write_documents(tmp_path / "ten.jsonl", 10)], chunk=4, ring=lambda job_id: None)
    with store.reading() as connection:
        return list(connection.execute(select(documents.c.id).order_by(documents.c.id)).scalars())


def test_findings_in_bulk_equal_those_inserted_one_by_one(store: Store, ids: list[int]) -> None:
    """Every value of a finding comes back as it was, and as Core's insert stores it: None, empty, tabs and breaks, large and small numbers."""
    columns = [c for c in findings.c if c.name != "id"]
    with store.begin() as connection:
        claims = claim(connection, "a", 1, 60.0)
        assert claims is not None
        (held,) = claims.held
        finish(connection, claims, [(held, Reading("x", FOUND))])
        other = next(i for i in ids if i != held.document_id)
        reading = dict(connection.execute(select(readings)).one()._mapping) | {"document_id": other}
        connection.execute(insert(readings), [reading])
        for finding in FOUND:
            row = {c.name: getattr(finding, c.name, None) for c in columns}
            row |= {"document_id": other, "student_id": STUDENT, "read_at": reading["read_at"]}
            connection.execute(insert(findings), [row])

    def stored(document_id: int) -> list[tuple[Any, ...]]:
        with store.reading() as connection:
            kept = [c for c in columns if c.name != "document_id"]
            return [tuple(r) for r in connection.execute(select(*kept).where(findings.c.document_id == document_id).order_by(findings.c.id))]

    assert stored(held.document_id) == stored(other)
    own = [c for c in columns[2:] if c.name != "read_at"]
    assert [row[:-1] for row in stored(other)] == [(STUDENT, *(getattr(f, c.name) for c in own)) for f in FOUND]


def test_rows_refused_in_bulk_leave_nothing_and_tell_no_text(store: Store, ids: list[int]) -> None:
    """A row that the database refuses undoes its transaction with an error that quotes nothing; the store goes on working."""
    with pytest.raises(StoreError) as caught, store.begin() as connection:
        insert_rows(connection, (texts.c.document_id, texts.c.text), [(ids[-1] + 1, "CANARY"), (ids[0], "CANARY")])
    assert "CANARY" not in str(caught.value) and caught.value.__cause__ is None
    with store.begin() as connection:
        assert connection.execute(select(func.count()).select_from(texts)).scalar_one() == 10
        insert_rows(connection, (texts.c.document_id, texts.c.text), [])


def test_a_list_of_keys_is_one_parameter(store: Store, ids: list[int]) -> None:
    """`among`, `not_among` and `pairs_among` find what an ordinary IN finds, for integers and strings, none and many."""
    keys = ["doc-1", "doc-2 ' \" \\", "doc-3"]
    with store.begin() as connection:
        found = connection.execute(select(documents.c.id).where(among(documents.c.id, "ids")), {"ids": listed(ids[2:5])}).scalars()
        assert set(found) == set(ids[2:5])
        assert set(connection.execute(select(documents.c.key).where(among(documents.c.key, "keys")), {"keys": listed(keys)}).scalars()) == {"doc-1", "doc-3"}
        others = select(documents.c.id).where(not_among(documents.c.id, "ids"))
        assert set(connection.execute(others, {"ids": listed(ids[2:])}).scalars()) == set(ids[:2])
        assert set(connection.execute(others, {"ids": listed([])}).scalars()) == set(ids)
        pairs = [(row.id, row.epoch) for row in connection.execute(select(work.c.id, work.c.epoch))]
        wrong = [(work_id, epoch + 1) for work_id, epoch in pairs]
        statement = select(work.c.id).where(pairs_among(work.c.id, work.c.epoch, "pairs"))
        for asked, n in ((pairs, 10), (wrong, 0), (wrong[:5] + pairs[5:], 5), ([], 0)):
            assert len(connection.execute(statement, {"pairs": listed(asked)}).all()) == n
