"""Encryption at rest: what is sealed opens only in its place and with its keys, and findings are the same with and without."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from pipelines.predict import Reading
from pipelines.student import Student
from suites.discover import Pack
from suites.errors import SettingsError, UsageError
from workers.cli import main
from workers.drain import drain
from workers.flips import Comparison, flips, stored_documents
from workers.keys import INDEX, Body, Keys, Master, census, read_key, write_key
from workers.migrate import migrate
from workers.purge import Scope, purge
from workers.queue import counts, settle
from workers.seal import BrokenSeal, keyed_digest, new_key, place_of, plain_digest, seal, seal_document, unseal, unseal_document
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.submit import Submitted, submit
from workers.tables import data_keys, documents, failures, findings, jobs, texts, work
from workers.tombstones import exclude

from .conftest import write_documents
from .test_drain import Reader
from .test_purge import files

STUDENT = "toy-000000000000"
CANARY = "Zanzibarquux"
MASTER = Master(bytes(range(32)))


def keys_of(master: Master | None = MASTER, *, encrypts: bool = True) -> Keys:
    return Keys(encrypts=encrypts, read_master=lambda: master)


def sent(store: Store, pack: Pack, path: Path, keys: Keys, student: str = STUDENT, name: str | None = None) -> Submitted:
    return submit(store, pack, student, [path], name=name, chunk=50, ring=lambda job_id: None, keys=keys)


def one(path: Path, word: str = CANARY, about: str = CANARY) -> Path:
    path.write_text(json.dumps({"id": "x", "text": f"The {word} near the zoo was lovely.", "meta": {"about": about}}) + "\n")
    return path


@pytest.fixture
def sealed_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that encrypt, with the master key in the environment."""
    (tmp_path / "settings.toml").write_text("[privacy]\nencrypt = true\n")
    monkeypatch.setenv("STILLHOUSE_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY", base64.b64encode(MASTER.key).decode())
    return load_settings()


def read(store: Store, settings: Settings, reader: Any = None) -> int:
    return drain(store, settings, budget_s=30.0, get_predictor=lambda pack, student: reader or Reader()).n_read  # type: ignore[arg-type, return-value]


def message(store: Store) -> str | None:
    with store.reading() as connection:
        return connection.execute(select(jobs.c.message)).scalars().first()


# --- seals


def test_a_seal_opens_in_its_place_alone() -> None:
    """Any text and metadata come back; with another key, document, pack or content, or one bit changed, nothing does."""
    key, place = new_key(), place_of(7, "toy", "ab")
    for given in ("", "a", "NUL \0 inside", "ü\U0001f600" * 1000):
        assert unseal_document(key, place, seal_document(key, place, given, '{"a": 1}')) == (given, '{"a": 1}')
    sealed = seal_document(key, place, "text", "{}")
    raw = bytearray(base64.b64decode(sealed))
    raw[-1] ^= 1
    wrong = [(new_key(), place, sealed), (key, place, base64.b64encode(bytes(raw)).decode()), (key, place, "not base64"), (key, place, "")]
    wrong += [(key, other, sealed) for other in (place_of(8, "toy", "ab"), place_of(7, "toys", "ab"), place_of(7, "toy", "b"), place_of(7, "toya", "b"))]
    for attempt in wrong:
        with pytest.raises(BrokenSeal):
            unseal_document(*attempt)


def test_equal_texts_are_sealed_otherwise_each_time() -> None:
    """A nonce is used once: ten thousand seals of one text all differ, in nonce and body."""
    key = new_key()
    raws = [base64.b64decode(seal(key, b"x" * 8, b"")) for _ in range(10_000)]
    assert len({raw[:12] for raw in raws}) == len({raw[12:] for raw in raws}) == 10_000
    assert unseal(key, base64.b64encode(raws[0]).decode(), b"") == b"x" * 8


def test_digests_keep_their_parts_apart() -> None:
    """A keyed digest depends on the key and on where one part ends and the next begins."""
    assert len({keyed_digest(k, *parts) for k in (b"a" * 32, b"b" * 32) for parts in (("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""))}) == 8


# --- the master key


def test_a_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    """A new key lies in a file of mode 0600; a second one never takes its place, and one that others may read is refused."""
    file = tmp_path / "master.key"
    made = write_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and read_key(file) == made
    with pytest.raises(UsageError, match="exists already"):
        write_key(file)
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="0600"):
        read_key(file)
    assert read_key_error(tmp_path / "none.key", None) == read_key_error(tmp_path / "short.key", "QUJD") == read_key_error(tmp_path / "odd.key", "!!") == "said"
    assert base64.b64encode(made.key).decode() not in repr(made) and str(made.key) not in repr(made)


def read_key_error(file: Path, content: str | None) -> str:
    if content is not None:
        file.write_text(content)
        file.chmod(0o600)
    with pytest.raises(SettingsError, match="keys new") as caught:
        read_key(file)
    assert str(file) in caught.value.message and (content is None or content not in caught.value.message.replace(str(file), ""))
    return "said"


def test_the_master_key_does_not_lie_in_the_settings(tmp_path: Path, sealed_home: Settings) -> None:
    """settings.toml may not hold it; from the environment it is taken and never shown."""
    assert base64.b64encode(MASTER.key).decode() not in repr(sealed_home) + sealed_home.model_dump_json()
    (tmp_path / "settings.toml").write_text('[privacy]\nkey = "QUJD"\n')
    with pytest.raises(SettingsError, match="does not lie in the settings"):
        load_settings(tmp_path / "settings.toml", environ={})


# --- stores


def test_findings_are_the_same_sealed_and_in_clear(store: Store, toy_pack: Pack, home: Settings, toy_student: tuple[Path, Student], tmp_path: Path) -> None:
    """The real student finds the same in a sealed store and in one in clear, and `diff` reads the same texts."""
    path = write_documents(tmp_path / "a.jsonl", 60)
    sealing = home.model_copy(update={"privacy": home.privacy.model_copy(update={"encrypt": True, "key_file": "master.key"})})
    write_key(home.home / "master.key")
    found, read_texts = [], []
    clear = Store(f"sqlite:///{tmp_path / 'clear.db'}")
    migrate(clear, [toy_pack])
    for one_store, settings in ((clear, home), (store, sealing)):
        sent(one_store, toy_pack, path, Keys.of(settings), toy_student[1].id)
        assert drain(one_store, settings, budget_s=60.0).n_read == 60
        with one_store.reading() as connection:
            columns = [c for c in findings.c if c.name not in ("id", "document_id", "read_at")]
            rows = connection.execute(select(documents.c.key, *columns).join(documents))
            found.append(sorted((tuple(row) for row in rows), key=repr))
        read_texts.append([row[1:] for chunk in stored_documents(one_store, toy_pack, None, 100, Keys.of(settings)) for row in chunk])
    clear.close()
    assert len(found[0]) > 60 and found[0] == found[1] and read_texts[0] == read_texts[1]


def test_no_text_and_no_metadata_lie_in_clear(toy_pack: Pack, tmp_path: Path) -> None:
    """Of a sealed store neither the files nor any table show a word of text or metadata, nor a digest that a guessed text could be held against."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    migrate(store, [toy_pack])
    path = one(tmp_path / "a.jsonl")
    sent(store, toy_pack, path, keys_of())
    raw = files(tmp_path)
    guessed = plain_digest(f"The {CANARY} near the zoo was lovely.")
    assert CANARY.encode() not in raw and guessed.encode() not in raw and base64.b64encode(MASTER.key) not in raw and MASTER.key not in raw
    with store.reading() as connection:
        row = connection.execute(select(texts.c.document_id, texts.c.text, texts.c.key_id)).one()
        assert keys_of().opened(connection, [Body(*row)]) == {row.document_id: f"The {CANARY} near the zoo was lovely."}
        key = connection.execute(select(documents)).one()
        assert key.meta == {}
    store.close()


def test_a_sealed_store_knows_what_it_holds(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """A repeated submit counts duplicates, also after the master key was rotated, and after encryption was switched on or off."""
    a, b = write_documents(tmp_path / "a.jsonl", 10), write_documents(tmp_path / "b.jsonl", 20)
    assert sent(store, toy_pack, a, keys_of(encrypts=False), name="a").accepted == 10
    done = sent(store, toy_pack, b, keys_of(), name="b")
    assert (done.accepted, done.duplicate) == (10, 10)
    new = Master(new_key())
    with store.begin() as connection:
        exclude(connection)
        assert keys_of().rotate(connection, new) == 2
    for number, keys in enumerate((keys_of(new), keys_of(new, encrypts=False))):
        assert sent(store, toy_pack, b, keys, name=f"c{number}").duplicate == 20
    assert sent(store, toy_pack, write_documents(tmp_path / "d.jsonl", 25), keys_of(new, encrypts=False), name="d").accepted == 5
    with store.reading() as connection:
        assert [row[0] for row in connection.execute(select(texts.c.key_id).order_by(texts.c.document_id))] == [None] * 10 + [1] * 10 + [None] * 5
        assert len(keys_of(new).opened(connection, [Body(*row) for row in connection.execute(select(texts.c.document_id, texts.c.text, texts.c.key_id))])) == 25
    with pytest.raises(SettingsError) as caught:
        sent(store, toy_pack, b, keys_of(), name="e")
    assert caught.value.code == "wrong_master_key" and MASTER.id in caught.value.message and new.id in caught.value.message


def test_rotation_touches_no_text(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Rotating wraps every key anew, leaves the texts' bytes as they are, and makes the former master key useless."""
    for name in ("a", "b"):
        sent(store, toy_pack, one(tmp_path / f"{name}.jsonl", name), keys_of(), name=name)
    new = Master(new_key())

    def stored() -> tuple[list[Any], list[Any]]:
        with store.reading() as connection:
            return list(connection.execute(select(texts.c.text)).scalars()), list(connection.execute(select(data_keys.c.wrapped)).scalars())

    before = stored()
    with store.begin() as connection:
        keys_of().rotate(connection, new)
        assert census(connection) == [{"master_id": new.id, "keys": 3, "destroyed": 0}]
    after = stored()
    assert before[0] == after[0] and not set(before[1]) & set(after[1])
    with store.reading() as connection:
        bodies = [Body(*row) for row in connection.execute(select(texts.c.document_id, texts.c.text, texts.c.key_id))]
        assert all(isinstance(found, str) for found in keys_of(new).opened(connection, bodies).values())
        with pytest.raises(SettingsError, match="wrapped by master key"):
            keys_of().opened(connection, bodies)


@pytest.mark.parametrize("wrong", ["none", "another"])
def test_without_the_master_key_documents_wait(
    store: Store, toy_pack: Pack, sealed_home: Settings, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the key, or with another, leaves sealed documents waiting and unspent, tells why in the job, and reads what lies in clear."""
    sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 5), Keys.of(sealed_home))
    monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY", "" if wrong == "none" else base64.b64encode(new_key()).decode())
    without = load_settings()
    for _ in range(5):  # more often than a poison document is tried
        assert read(store, without) == 0
    told = message(store)
    assert told is not None and ("there is no master key" if wrong == "none" else MASTER.id) in told
    with store.reading() as connection:
        assert {tuple(row) for row in connection.execute(select(work.c.state, work.c.attempts, work.c.n_lost))} == {("ready", 0, 0)}
    (tmp_path / "b.jsonl").write_text('{"id": "clear", "text": "In clear."}\n')
    other = Store(f"sqlite:///{tmp_path / 'clear.db'}")
    migrate(other, [toy_pack])
    sent(other, toy_pack, tmp_path / "b.jsonl", Keys())
    assert read(other, without) == 1
    other.close()
    assert read(store, sealed_home) == 5 and message(store) is None


def test_what_no_key_opens_fails_by_itself(store: Store, toy_pack: Pack, sealed_home: Settings, tmp_path: Path) -> None:
    """Texts of a destroyed key, swapped or changed in the store, are failures of stage `open`; their neighbours are read, and nothing is given wrongly."""
    keys = Keys.of(sealed_home)
    (tmp_path / "b.jsonl").write_text('{"id": "gone", "text": "one"}\n')
    first = sent(store, toy_pack, tmp_path / "b.jsonl", keys, name="b").job_id
    job = sent(store, toy_pack, write_documents(tmp_path / "a.jsonl", 6), keys, name="a").job_id
    with store.begin() as connection:
        rows = connection.execute(select(texts).order_by(texts.c.document_id)).all()
        assert keys.destroy(connection, [rows[0].key_id, INDEX]) == {rows[0].key_id: MASTER.id}
        for row, other in ((rows[1], rows[2]), (rows[2], rows[1])):
            connection.execute(update(texts).where(texts.c.document_id == row.document_id).values(text=other.text))
        connection.execute(update(texts).where(texts.c.document_id == rows[3].document_id).values(text=rows[3].text[:-8] + "AAAAAAA="))
    seen: list[str] = []

    class Noting(Reader):
        def predict(self, documents: Any, on_batch: Callable[[], None]) -> Any:
            seen.extend(d.text for d in documents)
            return super().predict(documents, on_batch)

    assert read(store, sealed_home, Noting()) == 3 == len(seen)
    with store.begin() as connection:
        settle(connection)
        told = [tuple(row) for row in connection.execute(select(failures.c.job_id, failures.c.stage, failures.c.code).order_by(failures.c.document_id))]
        assert told == [(first, "open", "key_destroyed"), *[(job, "open", "seal_broken")] * 3]
        assert counts(connection, job).conserved and counts(connection, first).conserved
    comparison = Comparison("a", "b")
    reader: Any = type("Pair", (), {"pack": toy_pack, "predict": lambda self, asked: [Reading(d.id) for d in asked]})()
    assert list(flips(store, (reader, reader), comparison, tasks=(), limit=10, keys=keys)) == []
    assert comparison.n_documents == 7 and {(u.stage, u.code) for u in comparison.unread} == {("open", "key_destroyed"), ("open", "seal_broken")}


def test_a_purge_destroys_the_job_s_key(store: Store, toy_pack: Pack, sealed_home: Settings, tmp_path: Path) -> None:
    """After a job's purge no key opens what a copy of its texts holds, other jobs read on, and the job's next documents get a new key."""
    keys = Keys.of(sealed_home)
    a, b = write_documents(tmp_path / "a.jsonl", 10), one(tmp_path / "b.jsonl")
    job = sent(store, toy_pack, a, keys, name="a").job_id
    sent(store, toy_pack, b, keys, name="b")
    with store.reading() as connection:
        copy = [Body(*row) for row in connection.execute(select(texts.c.document_id, texts.c.text, texts.c.key_id).where(texts.c.key_id == 1))]
    made = purge(store, keys, Scope(job_id=job))
    assert made["keys_destroyed"] == {"1": MASTER.id} and any(MASTER.id in told for told in made["remains"])
    with store.reading() as connection:
        assert {type(found).__name__ for found in keys.opened(connection, copy).values()} == {"Unopened"}
        assert connection.execute(select(data_keys.c.wrapped).where(data_keys.c.id == 1)).scalar_one() is None
    assert submit(store, toy_pack, STUDENT, [a], name="a", chunk=50, ring=lambda job_id: None, keys=keys, allow_erased=True).accepted == 10
    assert read(store, sealed_home) == 11


def test_a_key_goes_with_the_last_text_it_sealed(store: Store, toy_pack: Pack, sealed_home: Settings, tmp_path: Path) -> None:
    """Erasing documents one by one destroys the key once it seals nothing more; what was erased is rejected in a sealed store too."""
    keys = Keys.of(sealed_home)
    path = write_documents(tmp_path / "a.jsonl", 2)
    sent(store, toy_pack, path, keys)
    assert purge(store, keys, Scope(pack="toy", key="doc-0"))["keys_destroyed"] == {}
    assert purge(store, keys, Scope(pack="toy", key="doc-1"))["keys_destroyed"] == {"1": MASTER.id}
    for again in (keys, keys_of(encrypts=False)):
        assert sent(store, toy_pack, path, again, name=str(id(again))).by_code == {"erased": 2}
    with pytest.raises(SettingsError, match="no master key"):
        purge(store, Keys(), Scope(days=1))


def test_a_store_in_clear_makes_no_key(store: Store, toy_pack: Pack, tmp_path: Path) -> None:
    """Without encryption and purges no key, seal or keyed digest is made, and the content's digest is the text's SHA-256."""
    sent(store, toy_pack, one(tmp_path / "a.jsonl"), Keys())
    with store.reading() as connection:
        assert connection.execute(select(data_keys)).all() == []
        row = connection.execute(select(documents.c.content_sha256, documents.c.meta, texts.c.text).join(texts)).one()
    assert row.content_sha256 == plain_digest(row.text) and row.meta == {"about": CANARY}


def test_keys_by_command(home: Settings, toy_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`keys new` makes a key and never shows it, `list` counts, `rotate` changes the one in use; the former one is then refused by name."""

    def say(*arguments: str) -> tuple[int, Any]:
        code = main(["keys", *arguments, "--json"])
        told = json.loads(capsys.readouterr().out)
        return code, told.get("data", told.get("error"))

    first, second = tmp_path / "a.key", tmp_path / "b.key"
    monkeypatch.setenv("STILLHOUSE_PRIVACY__ENCRYPT", "true")
    assert say("new")[1]["message"].startswith("No file for the key")
    monkeypatch.setenv("STILLHOUSE_PRIVACY__KEY_FILE", str(first))
    made = say("new")[1]
    assert say("new")[0] == 2 and say("new", str(second))[0] == 0
    for file in (first, second):
        assert file.read_text().strip() not in json.dumps(made)
    store = Store(load_settings().store_url)
    migrate(store, [toy_pack])
    sent(store, toy_pack, one(tmp_path / "a.jsonl"), Keys.of(load_settings()))
    assert say("list")[1] == {"master_id": made["master_id"], "keys": [{"master_id": made["master_id"], "keys": 2, "destroyed": 0}]}
    assert say("rotate", str(second))[1]["n_keys"] == 2
    code, error = say("rotate", str(second))
    assert code == 2 and error["code"] == "wrong_master_key"
    assert main(["submit", "toy", str(one(tmp_path / "b.jsonl", "other"))]) == 2
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit WHERE action = 'keys'")).scalar_one() == 1
    store.close()
