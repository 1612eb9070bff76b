"""A store with rows and views of its own is brought to the newest schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from suites.discover import Pack
from workers.migrate import MIGRATIONS, migrate, newest, revision
from workers.store import Store

FILL = (
    "INSERT INTO documents (id, pack, key, content_sha256, n_chars, meta, received_at) VALUES (1, 'toy', 'a', 'x', 9, '{}', 0)",
    "INSERT INTO jobs (id, name, pack, student_id, state, submitted_at, n_cancelled, n_refused) VALUES (1, 'j', 'toy', 's', 'COMPLETED', 0, 0, 0)",
    "INSERT INTO readings (document_id, student_id, job_id, epoch, n_findings, read_at) VALUES (1, 's', 1, 1, 1, 1790000000)",
    'INSERT INTO findings (id, document_id, student_id, task, label, score, start, "end", source) '
    "VALUES (7, 1, 's', 'topic', 'animals', 0.5, 0, 9, 'student')",
    "CREATE VIEW an_operators AS SELECT count(*) AS n, min(label) AS least FROM findings",
    "CREATE VIEW on_a_view AS SELECT n + 1 AS more FROM an_operators",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of each kind at schema 0005, with a finding and two views that no pack made."""
    url = f"sqlite:///{tmp_path / 'old.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    store = Store(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        for statement in FILL:
            connection.execute(text(statement))
    yield store
    with store.begin() as connection:
        for name in ("on_a_view", "an_operators"):
            connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
    store.close()


def test_rows_and_views_of_an_operator_stay(old: Store, toy_pack: Pack) -> None:
    """Findings keep their values and numbers, have no second range and no page, and what the operator's views say is what it was."""
    assert migrate(old, [toy_pack]) == ("0005", newest())
    with old.reading() as connection:
        assert revision(connection) == newest()
        row = connection.execute(text('SELECT id, label, score, "end", unsure, other_start, other_end, page, read_at FROM findings')).one()
        assert tuple(row) == (7, "animals", 0.5, 9, False, 0, 0, None, 1790000000)
        assert connection.execute(text("SELECT n, least FROM an_operators")).one() == (1, "animals")
        assert connection.execute(text("SELECT more FROM on_a_view")).scalar_one() == 2
        assert connection.execute(text("SELECT count(*) FROM toy_findings")).scalar_one() == 0
    with pytest.raises(Exception, match=r"(?i)unique"), old.begin() as connection:
        connection.execute(text(FILL[3].replace("(7, 1", "(8, 1").replace("source)", "source, read_at)").replace("'student')", "'student', 1790000000)")))
