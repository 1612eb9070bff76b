"""The store: schema, migrations, errors without text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from suites.discover import Pack
from suites.errors import SettingsError, StoreError
from workers.dictionary import data_dictionary, markdown
from workers.migrate import migrate, require_newest
from workers.store import Store
from workers.tables import metadata

MONTH = re.compile(r"findings_(rest|\d{4}_\d{2})")


def test_migrations_make_the_declared_tables(store: Store) -> None:
    """What the migrations build is what the code declares: Alembic finds no difference."""
    with store.begin() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": lambda thing, name, kind, is_found, other: not _is_month_s(thing, name, kind)})
        assert compare_metadata(context, metadata) == []


def _is_month_s(thing: Any, name: str | None, kind: str) -> bool:
    """What is not declared for both stores: PostgreSQL's partitions, its keys that hold the month, and the packs' tables of rows."""
    keys = ("uq_findings_answer", "fk_findings_reading", "fk_findings_document_id", "uq_readings_read_at")
    table = name if kind == "table" else thing.table.name
    return MONTH.fullmatch(str(table)) is not None or str(table).endswith("_rows") or name in keys


def test_findings_lie_by_month_on_postgresql(postgres_url: str, toy_pack: Pack) -> None:
    """There is a partition for this month and the two that follow, one for the rest; made again, none is made."""
    store = Store(postgres_url)
    migrate(store, [toy_pack])
    with store.begin() as connection:
        found = set(connection.execute(text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass('findings')")).scalars())
        first = connection.execute(text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")).scalar_one()
        assert {"findings_rest", f"findings_{first}"} < found and len(found) == 4
        assert connection.execute(text("SELECT make_findings_months(2)")).scalar_one() == 0
        assert connection.execute(text("SELECT make_findings_months(4)")).scalar_one() == 2
    store.close()


def test_migrating_twice_changes_nothing(store: Store, toy_pack: Pack) -> None:
    """A second migrate starts and ends at the newest revision."""
    before, after = migrate(store, [toy_pack])
    assert before == after
    require_newest(store)


def test_a_store_without_tables_says_what_to_do(store_url: str) -> None:
    """Work on an empty database ends with the command that makes its tables."""
    store = Store(store_url)
    with pytest.raises(StoreError, match=r"manage\.py migrate"):
        require_newest(store)
    store.close()


def test_database_errors_never_quote_rows(store: Store) -> None:
    """The drivers' messages hold the failing row; ours hold a code only."""
    with pytest.raises(StoreError) as caught, store.begin() as connection:
        connection.execute(text("INSERT INTO texts (document_id, text) VALUES (:d, :t)"), {"d": 999, "t": "CANARY-TEXT"})
        connection.execute(text("INSERT INTO texts (document_id, text) VALUES (:d, :t)"), {"d": 999, "t": "CANARY-TEXT"})
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b", "sqlite+foo://x"])
def test_a_bad_url_is_a_settings_error(url: str) -> None:
    """A URL that is no supported database names the setting."""
    with pytest.raises(SettingsError, match=r"\[store\] url"):
        Store(url)


def test_an_unreachable_database_says_so() -> None:
    """No server: one sentence, not a traceback."""
    store = Store("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(StoreError, match="cannot be reached"), store.begin():
        pass


def test_sqlite_is_durable_and_write_ahead(tmp_path: Path) -> None:
    """A commit survives power loss: WAL with synchronous FULL, on a SQLite without the WAL-reset defect."""
    store = Store(f"sqlite:///{tmp_path / 's.db'}")
    with store.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        version = tuple(int(p) for p in str(connection.execute(text("SELECT sqlite_version()")).scalar_one()).split("."))
    assert version >= (3, 51, 3)


def test_the_data_dictionary_describes_every_column(toy_pack: Pack) -> None:
    """Each column of each table and view says what it holds, and the page in docs/ is the generated one."""
    entries = data_dictionary([toy_pack])
    assert {"toy_results", "toy_findings", "documents", "findings"} <= {e["name"] for e in entries}
    assert all(c["description"] for e in entries for c in e["columns"])


def test_the_page_in_docs_is_up_to_date() -> None:
    """docs/data-dictionary.md is what `manage.py tables --markdown` prints."""
    from suites.discover import discover

    page = (Path(__file__).parent.parent.parent / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert page.strip() == markdown(data_dictionary(discover()[0].values())).strip()
