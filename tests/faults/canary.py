"""Planted words, looked for wherever text must not be: logs, the broker, temporary files, exports without text, all tables but that of the texts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import text

from tests.faults.toy import CANARY
from tests.faults.world import World

# the command line's own words to the one who asked are no log; these files hold what the driver itself wrote
OURS = ("inbox", "calm.jsonl", "store.db", "store.db-wal", "store.db-shm", "pg")


def canaries(world: World) -> dict[str, int]:
    """Where planted words were found, and how often; empty is as it must be. The texts' own table is the positive control: without a hit there it raises."""
    found = {"logs and files": _files(world), "broker": _broker(world), "tables": _tables(world), "exports": _exports(world)}
    assert _in_texts(world), "the planted words are nowhere: the search finds nothing"
    return {place: n for place, n in found.items() if n}


def _files(world: World) -> int:
    world.log.flush()
    paths = [path for path in world.folder.rglob("*") if path.is_file() and path.relative_to(world.folder).parts[0] not in OURS]
    return sum(path.read_bytes().count(CANARY.encode()) for path in paths) + _server_log(world)


def _server_log(world: World) -> int:
    return sum(path.read_bytes().count(CANARY.encode()) for path in (world.folder / "pg").glob("*log*") if path.is_file())


def _broker(world: World) -> int:
    if world.broker not in ("valkey", "redis"):
        return 0
    client = world.server.client
    n = 0
    for key in client.keys("*"):
        n += key.count(CANARY.encode())
        with suppress(Exception):
            n += b"".join(client.lrange(key, 0, -1)).count(CANARY.encode())
        with suppress(Exception):
            n += client.dump(key).count(CANARY.encode())
    return n


def _tables(world: World) -> int:
    n = 0
    with world.store.reading() as connection:
        for table in _names(connection, world.kind):
            if table != "texts":
                n += sum(CANARY in str(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{table}"')))
    return n


def _in_texts(world: World) -> bool:
    with world.store.reading() as connection:
        return bool(connection.execute(text("SELECT count(*) FROM texts WHERE text LIKE :c"), {"c": f"%{CANARY}%"}).scalar_one())


def _names(connection: Any, kind: str) -> list[str]:
    listed = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    if kind == "postgresql":
        listed = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    return [str(name) for name in connection.execute(text(listed)).scalars()]


def _exports(world: World) -> int:
    n = 0
    for suffix in ("csv", "jsonl"):
        path = world.folder / f"results.{suffix}"
        world.manage("export", "toy", str(path))
        n += path.read_bytes().count(CANARY.encode())
    return n
