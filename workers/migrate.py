"""Bringing a store to the newest schema with Alembic, and its views to the packs found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from suites.discover import Pack
from suites.errors import StoreError
from workers.store import Store
from workers.views import refresh_views

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The newest revision that this code knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def revision(connection: Connection) -> str | None:
    """The store's revision; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(store: Store, packs: Iterable[Pack]) -> tuple[str | None, str]:
    """Runs what is missing, in one transaction; gives the revisions before and after."""
    with store.begin() as connection:
        before = revision(connection)
        command.upgrade(_config(connection), "head")
        refresh_views(connection, packs)
        return before, newest()


def require_newest(store: Store) -> None:
    """Raises StoreError unless the store's schema is the one this code was written for."""
    with store.reading() as connection:
        found = revision(connection)
    if found != newest():
        state = "no tables yet" if found is None else f"schema {found}, this code wants {newest()}"
        raise StoreError(f"The store at {store.url} has {state}. Run: python manage.py migrate", "store_schema")
