"""The copy for analysts' own tools: all that they may read and nothing else, from stores of both kinds; and what Datasette is told of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text

from pipelines.progress import silent
from suites.discover import Pack
from suites.errors import StoreError
from workers.copy_store import copy_store, readable
from workers.datasette import datasette_metadata
from workers.export import export
from workers.roles import ROLES
from workers.rows import rows_table
from workers.store import Store
from workers.tables import findings, metadata

from .test_export_clinical import MASTER, keys_of, roles  # noqa: F401
from .test_roles import url_of as login_url
from .ward import CANARY, N_FINDINGS, fill, note, url_of, ward_pack


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return ward_pack(tmp_path)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def asked(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return database.execute(sql).fetchall()


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return sorted(database.iterdump())


def columns(file: Path) -> dict[str, tuple[str, ...]]:
    """By table its columns, as the file has them."""
    names = [name for (name,) in asked(file, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
    return {name: tuple(row[1] for row in asked(file, f"PRAGMA table_info({name})")) for name in names}


def test_it_holds_what_analysts_may_read(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Tables and columns are those of the role's rights and the packs' rows; every row is there; both views answer as the store's do."""
    fill(store, pack, tmp_path, 5)
    file = tmp_path / "copy.db"
    counts = copy_store(url_of(store), [pack], file, silent)
    wanted = readable() | {"ward_rows": tuple(c.name for c in rows_table(pack).columns), "alembic_version": ("version_num",)}
    assert columns(file) == wanted
    assert (counts["findings"], counts["documents"], counts["ward_rows"]) == (5 * N_FINDINGS, 5, 5)
    assert set(wanted) - {"ward_rows"} == set(ROLES["analyst"].tables) and "meta" not in wanted["documents"] and len(wanted["jobs"]) > 10
    for what in ("results", "findings"):
        for url, place in ((url_of(store), "a"), (f"sqlite:///{file}", "b")):
            export(url, pack, what, tmp_path / f"{place}.jsonl", silent)
        assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes() != b""


def test_no_byte_of_a_text_is_in_it(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Neither words of a text nor metadata nor keys lie in the file, in pages that are free either."""
    fill(store, pack, tmp_path, 40, more=[("secret", f"{CANARY} alone", [], {"patient": "Patienta Zero"})])
    file = tmp_path / "copy.db"
    copy_store(url_of(store), [pack], file, silent)
    raw = file.read_bytes()
    assert CANARY.encode() not in raw and b"Patienta" not in raw and b'"patient"' not in raw and note(1).text[:30].encode() not in raw
    assert not list(tmp_path.glob("copy.db-*")) and not list(tmp_path.glob(".copy*"))
    assert asked(file, "PRAGMA journal_mode") == [("delete",)] and asked(file, "PRAGMA integrity_check") == [("ok",)]
    assert asked(file, "PRAGMA foreign_key_check") == []


def test_a_sealed_store_is_copied_without_its_keys(store: Store, pack: Pack, tmp_path: Path) -> None:
    """No master key is asked for, and none of the data keys is in the copy."""
    fill(store, pack, tmp_path, 3, keys=keys_of(MASTER, encrypts=True))
    counts = copy_store(url_of(store), [pack], tmp_path / "copy.db", silent)
    assert counts["findings"] == 3 * N_FINDINGS and "data_keys" not in columns(tmp_path / "copy.db")


def test_it_is_of_one_moment(store: Store, pack: Pack, tmp_path: Path) -> None:
    """What is deleted while it is written is still in it, in all tables."""
    fill(store, pack, tmp_path, 4)

    def meanwhile(what: str, done: int, total: int) -> None:
        with store.begin() as connection:
            connection.execute(delete(findings))
            connection.execute(text("DELETE FROM ward_rows"))

    counts = copy_store(url_of(store), [pack], tmp_path / "copy.db", meanwhile)
    assert (counts["findings"], counts["ward_rows"]) == (4 * N_FINDINGS, 4)


@pytest.mark.usefixtures("roles")
def test_an_analyst_makes_it(postgres_url: str, pack: Pack, tmp_path: Path) -> None:
    """An analyst's login on PostgreSQL copies all that it may read: the same file as the owner's."""
    for login, name in ((login_url(postgres_url, "a_analyst"), "a.db"), (postgres_url, "b.db")):
        copy_store(login, [pack], tmp_path / name, silent)
    assert dump(tmp_path / "a.db") == dump(tmp_path / "b.db")


def test_a_pack_that_the_store_has_not_met_is_left_out(store: Store, pack: Pack, toy_pack: Pack, tmp_path: Path) -> None:
    """Its views would read tables that are not there."""
    fill(store, pack, tmp_path, 1)
    copy_store(url_of(store), [pack, toy_pack], tmp_path / "copy.db", silent)
    assert asked(tmp_path / "copy.db", "SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY 1") == [("ward_findings",), ("ward_results",)]


def test_a_store_of_another_schema_is_told(store: Store, pack: Pack, tmp_path: Path) -> None:
    """Nothing is written, and `migrate` is named."""
    fill(store, pack, tmp_path, 1)
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(StoreError, match="migrate"):
        copy_store(url_of(store), [pack], tmp_path / "copy.db", silent)
    assert not (tmp_path / "copy.db").exists()


# --- Datasette's metadata


@pytest.fixture
def both(pack: Pack, tmp_path: Path) -> tuple[Path, Path]:
    """A SQLite store and its copy."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    fill(store, pack, tmp_path, 3)
    store.close()
    copy_store(f"sqlite:///{tmp_path / 'store.db'}", [pack], tmp_path / "copy.db", silent)
    return tmp_path / "store.db", tmp_path / "copy.db"


def test_metadata_of_the_store_denies_what_analysts_may_not_read(both: tuple[Path, Path], pack: Pack) -> None:
    """Every table that the role has no right on, or not on all its columns, is denied, and SQL of one's own; what it may read is described."""
    database = datasette_metadata([pack], both[0])["databases"]["store"]
    denied = {name for name, entry in database["tables"].items() if entry.get("allow") is False}
    may = readable()
    whole = {name for name in may if may[name] == tuple(c.name for c in metadata.tables[name].columns)}
    assert denied == set(metadata.tables) - whole | {"alembic_version"} and {"texts", "data_keys", "documents", "audit", "erasures", "tombstones"} <= denied
    assert database["allow_sql"] is False
    assert set(database["tables"]) - denied == whole | {"ward_results", "ward_findings", "ward_rows"}
    assert not [name for name, query in database["queries"].items() if "documents" in query["sql"].split()]


def test_metadata_of_a_copy_denies_nothing(both: tuple[Path, Path], pack: Pack) -> None:
    """There is nothing to hide: every table is described, and SQL is let through."""
    database = datasette_metadata([pack], both[1])["databases"]["copy"]
    assert "allow_sql" not in database and not [entry for entry in database["tables"].values() if "allow" in entry]
    assert {name for name, entry in database["tables"].items() if "columns" in entry} == set(columns(both[1])) - {"alembic_version"} | {
        "ward_results",
        "ward_findings",
    }


def test_descriptions_and_queries_fit_the_file(both: tuple[Path, Path], pack: Pack) -> None:
    """Each column that is described is one of its table, each has words, and each worked query runs on the file as it stands."""
    for file in both:
        (database,) = datasette_metadata([pack], file)["databases"].values()
        for name, entry in database["tables"].items():
            if "columns" in entry:
                there = {row[1] for row in asked(file, f"PRAGMA table_info({name})")}
                assert set(entry["columns"]) == there and all(entry["columns"].values()) and len(entry["description"]) > 10
        assert len(database["queries"]) > 10
        for query in database["queries"].values():
            asked(file, query["sql"])


def test_a_file_that_is_no_store_is_told(tmp_path: Path, pack: Pack) -> None:
    """Nothing there, or something else: the error names `copy`, and no file is made."""
    (tmp_path / "other.db").write_bytes(b"")
    for name in ("other.db", "none.db"):
        with pytest.raises(StoreError, match="copy"):
            datasette_metadata([pack], tmp_path / name)
    assert not (tmp_path / "none.db").exists()


def test_the_commands(both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`copy` is audited and refuses the store itself; `tables --datasette` prints JSON, of the store with a warning."""
    from workers.cli import main

    settings = tmp_path / "settings.toml"
    settings.write_text('[store]\nurl = "sqlite:///store.db"\n', encoding="utf-8")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(settings))
    assert main(["copy", str(tmp_path / "again.db")]) == 0 and (tmp_path / "again.db").exists()
    assert main(["copy", str(both[0])]) == 2
    capsys.readouterr()
    assert main(["tables", "--datasette", str(tmp_path / "again.db")]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)["databases"]) == ["again"] and "holds texts" not in err
    assert main(["tables", "--datasette"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["databases"]["store"]["tables"]["texts"] == {"allow": False} and "holds texts" in err
    assert main(["audit", "list", "--json"]) == 0
    assert json.loads(json.loads(capsys.readouterr().out)["data"][0]["detail"]) == {"file": "again.db", "what": "copy"}
