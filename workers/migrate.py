"""Bringing a store to the newest schema with Alembic, and its views to the packs found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from suites.discover import Pack
from suites.errors import StoreError
from workers.audit import record
from workers.store import Store, unhurried
from workers.views import refresh_views

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def newest() -> str:
    """The newest revision that this code knows: the number that its file's name begins with."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revision(connection: Connection) -> str | None:
    """The store's revision; None before the first migration. Asked without Alembic, whose import every start would wait 0.4 s for."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def migrate(store: Store, packs: Iterable[Pack]) -> tuple[str | None, str]:
    """Runs what is missing, in one transaction; gives the revisions before and after."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.begin() as connection:
        unhurried(connection)
        before = revision(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        refresh_views(connection, packs)
        if before != newest():
            record(connection, "migrate", f"schema {newest()}", {"before": before or "none"})
        return before, newest()


def require_newest(store: Store) -> None:
    """Raises StoreError unless the store's schema is the one this code was written for."""
    with store.reading() as connection:
        found = revision(connection)
    if found != newest():
        state = "no tables yet" if found is None else f"schema {found}, this code wants {newest()}"
        raise StoreError(f"The store at {store.url} has {state}. Run: python manage.py migrate", "store_schema")
