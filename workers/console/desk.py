"""What the pages work with: settings, packs, the store as it may be read, and the store itself for what only reviewers do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Semaphore

from starlette.requests import Request

from suites.discover import Pack, discover
from suites.errors import StoreError, UsageError, unknown
from workers.console.asking import PAGE_S, Asking
from workers.console.pulse import Pulse
from workers.console.seats import Seats
from workers.console.sql_child import Child
from workers.console.tokens import Viewer
from workers.keys import Keys
from workers.migrate import require_newest
from workers.settings import Settings
from workers.store import Store

# a reviewer's login has five connections (workers/roles.py)
VIEWS_AT_ONCE = 4


@dataclass(frozen=True)
class Desk:
    """Made once, when the console starts; used by all requests."""

    settings: Settings
    packs: Mapping[str, Pack]
    store: Store
    asking: Asking
    child: Child
    keys: Keys
    pulse: Pulse = field(default_factory=Pulse)
    seats: Seats = field(default_factory=Seats)
    viewing: Semaphore = field(default_factory=lambda: Semaphore(VIEWS_AT_ONCE))

    @classmethod
    def of(cls, settings: Settings) -> Desk:
        """Raises StoreError where the store is not there, or of another schema."""
        packs, _ = discover(settings.pack_folders)
        store = Store(settings.store_url)
        require_newest(store)
        return cls(settings, packs, store, Asking(settings.query_url), Child(settings), Keys.of(settings))

    def pack(self, name: str) -> Pack:
        """Raises UsageError."""
        if name not in self.packs:
            raise UsageError(unknown("pack", name, self.packs), "no_pack")
        return self.packs[name]

    def close(self) -> None:
        self.asking.close()
        self.store.close()


@contextmanager
def held(lock: Lock | Semaphore) -> Iterator[None]:
    """A lock or place that is waited for as long as a page may take. Raises StoreError where it is not free by then."""
    if not lock.acquire(timeout=PAGE_S):
        raise StoreError("Other pages that open texts are still waiting for the store. Try again.", "busy")
    try:
        yield
    finally:
        lock.release()


def desk(request: Request) -> Desk:
    """The desk of the console that answers this request."""
    found = request.app.state.desk
    assert isinstance(found, Desk)
    return found


def viewer(request: Request) -> Viewer:
    """Who looks; the door has let them in."""
    found = request.state.viewer
    assert isinstance(found, Viewer)
    return found


def reviewer(request: Request) -> str:
    """The reviewer who looks. Raises UsageError for an analyst."""
    found = viewer(request).reviewer
    if found is None:
        raise UsageError("This is for reviewers: ask for a link of your own, made by `python manage.py console --reviewer NAME`.", "no_reviewer")
    return found
