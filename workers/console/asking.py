"""How pages ask the store: by connections that may only read and see no texts, and for a bounded time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, FromClause, Select, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from suites.errors import StoreError
from workers.query import reader

# what one page asks is ended after so long
PAGE_S = 10.0
TOO_SLOW = "too_slow"
ENDED = ("interrupted", "statement timeout")
FORBIDDEN = "permission denied"

log = logging.getLogger(__name__)


class Asking:
    """A store that is read. `url`: an analyst's login, where the store has roles."""

    def __init__(self, url: str) -> None:
        self._engine = reader(url, PAGE_S)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for one page. Raises StoreError, with code `too_slow` where it took too long."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except PoolTimeout:
            raise StoreError("More pages are asked for than the store is read by at once. Try again.", "busy") from None
        except DBAPIError as error:
            raise _explained(error) from None

    def close(self) -> None:
        self._engine.dispose()


def _explained(error: DBAPIError) -> StoreError:
    words = str(error.orig)
    if any(ended in words for ended in ENDED):
        return StoreError(f"The store took more than {PAGE_S:.0f} s for this page. Narrow it by a filter, or order it by another column.", TOO_SLOW)
    if FORBIDDEN in words:
        reason = "The login that the console reads by may not read what this page shows"
        return StoreError(f"{reason}. Give an analyst's: [console] query_url, STILLHOUSE_CONSOLE__QUERY_URL.", "forbidden")
    log.error("the store could not be read", extra={"error": type(error.orig).__name__})
    return StoreError("The store could not be read. Is the database running, and migrated? The console's log has the kind of error.", "store")


def count_to(connection: Connection, query: Select[tuple[object]] | FromClause, bound: int) -> int:
    """How many rows there are; counting ends at one more than `bound`."""
    rows = query if isinstance(query, Select) else select(literal(1)).select_from(query)
    return int(connection.execute(select(func.count()).select_from(rows.limit(bound + 1).subquery())).scalar_one())
