"""The audit chain: whatever was changed in it is found, and it stays one chain however many write."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text

from suites.discover import Pack
from suites.errors import StoreError, UsageError
from workers.audit import ACTIONS, Anchor, acts, head, note, parse_anchor, record, record_alone, row_hash, verify_chain
from workers.cli import main
from workers.migrate import migrate
from workers.queue import lock_job
from workers.settings import Settings
from workers.store import Store
from workers.tables import audit, jobs

N_ROWS = 8
COLUMNS = ("id", "at", "actor", "action", "subject", "detail", "prev_hash", "hash")
# found: no row may be another's, so each change is undone with its transaction
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def chain(store: Store) -> Store:
    """A store of each kind with a chain of N_ROWS acts."""
    with store.begin() as connection:
        for number in range(N_ROWS - len(acts(connection, limit=N_ROWS))):
            record(connection, ACTIONS[number % len(ACTIONS)], f"job {number}", {"n": number, "what": "x" * number})
    return store


def unguarded(connection: Connection) -> None:
    """Takes away what refuses changes, as one who owns the store could; undone with the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
    else:
        for (name,) in connection.execute(text("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'")).all():
            connection.execute(text(f"DROP TRIGGER {name}"))


def rows(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(select(audit).order_by(audit.c.id))]


def write(connection: Connection, changed: list[dict[str, Any]]) -> None:
    """The table with these rows in place of its own."""
    connection.execute(text("DELETE FROM audit"))
    if changed:
        connection.execute(insert(audit), changed)


@pytest.fixture
def tampering(chain: Store) -> Iterator[Connection]:
    """A connection without guards, whose changes are undone at the end."""
    connection = chain.engine.connect()
    unguarded(connection)
    yield connection
    connection.rollback()
    connection.close()


def differing(row: dict[str, Any], column: str, data: st.DataObject) -> Any:
    """Another value for a column."""
    kinds: dict[str, st.SearchStrategy[Any]] = {"id": st.integers(-5, 50), "at": st.floats(allow_nan=False, allow_infinity=False)}
    letters = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
    return data.draw(kinds.get(column, letters).filter(lambda value: value != row[column]))


@EXAMPLES
@given(data=st.data())
def test_a_changed_value_is_found(tampering: Connection, data: st.DataObject) -> None:
    """Whichever column of whichever row has another value, the chain breaks at that row, or where that row should be."""
    kept = rows(tampering)
    at, column = data.draw(st.integers(0, N_ROWS - 1)), data.draw(st.sampled_from(COLUMNS))
    value = differing(kept[at], column, data)
    if column == "id" and value in {row["id"] for row in kept}:
        return
    write(tampering, [*kept[:at], kept[at] | {column: value}, *kept[at + 1 :]])
    broken = verify_chain(tampering)
    write(tampering, kept)
    assert verify_chain(tampering) is None
    if column == "id" and at == N_ROWS - 1 and value < 1:
        assert broken is not None
        return
    assert broken is not None and (column == "id" or broken.id == at + 1)


@EXAMPLES
@given(data=st.data())
def test_a_removed_inserted_or_swapped_row_is_found(tampering: Connection, data: st.DataObject) -> None:
    """A row taken out, put in with a right hash of its own, or put in another's place breaks the chain; only rows cut off its end need the anchor."""
    kept = rows(tampering)
    anchor = Anchor(N_ROWS, kept[-1]["hash"])
    at = data.draw(st.integers(0, N_ROWS - 1))
    act = data.draw(st.sampled_from(("remove", "insert", "swap", "cut")))
    if act == "remove":
        changed = kept[:at] + kept[at + 1 :]
    elif act == "insert":
        forged = kept[at] | {"actor": "somebody else", "prev_hash": kept[at - 1]["hash"] if at else "0" * 64}
        forged["hash"] = row_hash(forged)
        changed = [*kept[:at], forged, *(row | {"id": row["id"] + 1} for row in kept[at:])]
    elif act == "swap":
        other = data.draw(st.integers(0, N_ROWS - 1).filter(lambda n: n != at))
        changed = [row | {"id": {at: other, other: at}.get(n, n) + 1} for n, row in enumerate(kept)]
    else:
        changed = kept[:at]
    write(tampering, changed)
    alone, beside = verify_chain(tampering), verify_chain(tampering, anchor)
    write(tampering, kept)
    assert beside is not None
    assert (alone is not None) == (changed != kept[: len(changed)])


def test_a_chain_made_anew_is_found_beside_an_anchor(tampering: Connection) -> None:
    """Who rewrites a row and all that follow makes a chain that holds; the anchor of before shows that it is another."""
    kept = rows(tampering)
    anchor = head(tampering)
    forged: list[dict[str, Any]] = []
    for row in kept:
        row = row | {"actor": "nobody", "prev_hash": forged[-1]["hash"] if forged else "0" * 64}
        forged.append(row | {"hash": row_hash(row)})
    write(tampering, forged)
    assert verify_chain(tampering) is None
    broken = verify_chain(tampering, anchor)
    assert broken is not None and broken.id == N_ROWS


def test_the_store_refuses_changes(chain: Store) -> None:
    """Rows are added and never changed or removed, whoever asks: not even the owner, as long as the guards stand."""
    sentences = ["UPDATE audit SET actor = 'x'", "UPDATE audit SET actor = 'x' WHERE id = -1", "DELETE FROM audit WHERE id = 1"]
    if chain.is_sqlite:
        sentences = [sentences[0], sentences[2], "DELETE FROM audit", "REPLACE INTO audit SELECT * FROM audit WHERE id = 1"]
        sentences.append("INSERT INTO audit SELECT * FROM audit WHERE true ON CONFLICT DO UPDATE SET actor = 'x'")
    else:
        sentences += ["TRUNCATE audit", "INSERT INTO audit SELECT * FROM audit WHERE id = 1 ON CONFLICT (id) DO UPDATE SET actor = 'x'"]
    for sql in sentences:
        with pytest.raises(StoreError), chain.begin() as connection:
            connection.execute(text(sql))
    with chain.reading() as connection:
        assert verify_chain(connection) is None and head(connection) == Anchor(N_ROWS, rows(connection)[-1]["hash"])


def test_several_writers_make_one_chain(store: Store) -> None:
    """Four that write at once, each holding a job's lock first, make one chain without a gap; none waits for another for ever."""
    with store.begin() as connection:
        n_before = len(acts(connection, limit=100))
        for name in ("a", "b"):
            connection.execute(insert(jobs).values(name=name, pack="toy", student_id="toy-0", state="OPEN", submitted_at=0.0))
    errors: list[Exception] = []

    def act(number: int) -> None:
        own = Store(store.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
        try:
            for turn in range(15):
                with own.begin() as connection:
                    for job in (1, 2) if turn % 3 == 0 else ((number + turn) % 2 + 1,):
                        lock_job(connection, job)
                    record(connection, "cancel", f"job {number}", {"turn": turn})
        except Exception as error:
            errors.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=act, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == [] and not any(thread.is_alive() for thread in threads)
    with store.reading() as connection:
        assert verify_chain(connection) is None
        assert [row["id"] for row in rows(connection)] == list(range(1, n_before + 61))


def test_an_act_is_stored_with_its_transaction_or_not_at_all(chain: Store) -> None:
    """What is rolled back leaves no row, and the next row takes its place."""
    with pytest.raises(RuntimeError), chain.begin() as connection:
        record(connection, "cancel", "job 1")
        raise RuntimeError
    record_alone(chain, "export", "pack toy", {"file": "a\nb\0c\udcff"})
    with chain.reading() as connection:
        assert verify_chain(connection) is None
        newest = acts(connection, limit=1)[0]
    assert newest["id"] == N_ROWS + 1 and json.loads(str(newest["detail"])) == {"file": "a\nb\0c\udcff"}


def test_unknown_actions_and_long_details_are_refused(store: Store) -> None:
    """An act that is in no list, or a detail long enough to hold a text, is an error of the program."""
    with store.begin() as connection:
        with pytest.raises(ValueError, match="gossip"):
            record(connection, "gossip", "job 1")
        with pytest.raises(ValueError, match="characters"):
            record(connection, "cancel", "job 1", {"text": "x" * 3000})


@pytest.mark.parametrize("given_", ["", "3", "3:abc", "x:" + "a" * 64, "-1:" + "a" * 64, "3:" + "g" * 64])
def test_a_bad_anchor_is_told(given_: str) -> None:
    """What is no anchor is a wrong usage, with what an anchor looks like."""
    with pytest.raises(UsageError, match="ID:HASH"):
        parse_anchor(given_)


def test_an_anchor_is_read_as_it_is_printed() -> None:
    """The printed anchor gives the anchor again."""
    anchor = Anchor(12, "0123456789abcdef" * 4)
    assert parse_anchor(f"{anchor}\n") == anchor


def test_the_verb_lists_verifies_and_anchors(
    store_url: str, toy_pack: Pack, home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`audit` shows acts by kind and time, prints an anchor, and exits 1 with the row where the chain does not hold."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", store_url)

    def run(*arguments: str) -> tuple[int, Any]:
        code = main(["audit", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    store = Store(store_url)
    migrate(store, [toy_pack])
    record_alone(store, "export", "pack toy")
    assert [act["action"] for act in run("list")[1]["data"]] == ["export", "migrate"]
    assert [act["action"] for act in run("list", "--action", "migrate", "--since", "2020-01-01")[1]["data"]] == ["migrate"]
    assert run("list", "--since", "2999-01-01")[1]["data"] == []
    assert run("list", "--limit", "1")[1]["more"] is True
    assert run("list", "--action", "exprot")[0] == 2
    assert main(["audit", "anchor"]) == 0
    anchor = capsys.readouterr().out.strip()
    assert run("verify", "--anchor", anchor)[0] == 0
    with store.begin() as connection:
        unguarded(connection)
        connection.execute(text("DELETE FROM audit WHERE id = 2"))
    assert run("verify")[0] == 0
    code, answer = run("verify", "--anchor", anchor)
    assert code == 1 and answer["error"]["code"] == "audit_broken" and answer["data"]["row"] == 2
    store.close()


def test_an_act_in_files_without_a_store_is_done_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A release before the first migrate is told not to be in the audit, and makes no store."""
    note(f"sqlite:///{tmp_path / 's.db'}", "release", "student a")
    assert "Not in the audit" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_act_of_a_command_is_recorded(home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that changes what is read, stored or given out leaves one row that names its subject, and no text."""
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "a", "text": "CANARYXY"}) + "\n", encoding="utf-8")
    for command in (
        ["migrate"],
        ["submit", "toy", str(tmp_path / "a.jsonl")],
        ["pause", "1"],
        ["resume", "1"],
        ["retry", "1"],
        ["cancel", "1"],
        ["export", "toy", str(tmp_path / "out.jsonl")],
    ):
        assert main(command) == 0, capsys.readouterr().err
    store = Store(home.store_url)
    with store.reading() as connection:
        told = [(act["action"], act["subject"]) for act in reversed(acts(connection, limit=20))]
        assert "CANARY" not in json.dumps(rows(connection))
    store.close()
    assert [action for action, _ in told] == ["migrate", "submit", "pause", "resume", "retry", "cancel", "export"]
    assert dict(told)["cancel"] == "job 1" and dict(told)["export"] == "pack toy"
