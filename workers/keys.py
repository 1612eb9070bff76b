"""The keys of a store: data keys in it, one a job, wrapped by a master key that never lies in it.

A job's data key seals its documents. Once it is destroyed they are unreadable wherever they lie; a copy of the store from
before holds it still, wrapped, and needs the master key of then. The index key, number 0, names contents and erased documents:
without it nobody can tell whether a digest is that of a text they guess. It is wrapped as well once the store encrypts.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from suites.errors import SettingsError, UsageError
from workers.bulk import among, listed
from workers.seal import KEY_BYTES, BrokenSeal, keyed_digest, new_key, place_of, plain_digest, seal, seal_document, unseal, unseal_document
from workers.settings import PREFIX, Settings
from workers.store import insert_new
from workers.tables import data_keys, documents, now_s, texts

INDEX = 0
# a text, and the metadata sealed with it; None: it lay in clear, and its metadata do so too
Whole = tuple[str, Mapping[str, Any] | None]
EXPECTED = f"Expected [privacy] key_file, or {PREFIX}PRIVACY__KEY: {KEY_BYTES} random bytes in base64, as `python manage.py keys new` makes them."

_INDEX_ROW = select(data_keys).where(data_keys.c.id == INDEX)
_OF_JOB = select(data_keys).where(data_keys.c.job_id == bindparam("job"), data_keys.c.destroyed_at.is_(None))
_BY_ID = select(data_keys).where(among(data_keys.c.id, "ids"))
_PLACES = select(documents.c.id, documents.c.pack, documents.c.content_sha256).where(among(documents.c.id, "ids"))


@dataclass(frozen=True, slots=True)
class Master:
    """The master key; `id` names it without telling it."""

    key: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return keyed_digest(self.key, "master key")[:16]


@dataclass(frozen=True, slots=True)
class Body:
    """A text as it is stored; `key_id` is the data key that it is sealed with, None where it lies in clear."""

    document_id: int
    text: str
    key_id: int | None


@dataclass(frozen=True, slots=True)
class Unopened:
    """Why a text cannot be opened: a code and a reason without text."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sealing:
    """How documents are stored: in clear, or sealed with a job's data key.

    `index`: the index key, where the store has one. `mixed`: the store encrypts or did once, so the same content may be known by two digests.
    """

    index: bytes | None = field(default=None, repr=False)
    mixed: bool = False
    key_id: int | None = None
    key: bytes | None = field(default=None, repr=False)

    def digest(self, text: str) -> str:
        """What stands for a document's content."""
        return plain_digest(text) if self.key is None else self.keyed(text)

    def digests(self, text: str) -> tuple[str, ...]:
        """All that the same content may be known by: it may have been stored before encryption was switched on, or off."""
        return (plain_digest(text), self.keyed(text)) if self.mixed else (plain_digest(text),)

    def keyed(self, text: str) -> str:
        assert self.index is not None
        return keyed_digest(self.index, "content", text)

    def body(self, document_id: int, pack: str, digest: str, text: str, meta: str) -> str:
        """The text as it is stored; sealed, it holds the metadata too."""
        return text if self.key is None else seal_document(self.key, place_of(document_id, pack, digest), text, meta)


class Keys:
    """The keys as this process may use them. The master key is read when it is first needed, and not where nothing is sealed."""

    def __init__(self, *, encrypts: bool = False, read_master: Callable[[], Master | None] = lambda: None) -> None:
        self._encrypts, self._read_master = encrypts, read_master
        self._master: Master | None = None

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        return cls(encrypts=settings.privacy.encrypt, read_master=lambda: master_of(settings))

    @property
    def master(self) -> Master:
        """Raises SettingsError where there is none."""
        self._master = self._master or self._read_master()
        if self._master is None:
            raise SettingsError(f"The documents are sealed, and there is no master key. {EXPECTED}", "no_master_key")
        return self._master

    def sealing(self, connection: Connection, job_id: int) -> Sealing:
        """How a job's documents are stored by these settings. Its data key is made where it has none.

        Raises SettingsError where the store encrypts, or once did, and the master key is missing or another.
        """
        if not self._encrypts:
            made = connection.execute(_INDEX_ROW).first()
            return Sealing() if made is None else Sealing(self._unwrapped(made), mixed=made.master_id is not None)
        index = self.make_index(connection)
        row = connection.execute(_OF_JOB, {"job": job_id}).first() or self._make(connection, job_id)
        return Sealing(index, True, row.id, self._unwrapped(row))

    def make_index(self, connection: Connection) -> bytes:
        """The index key, made where there is none, and wrapped once the store encrypts."""
        row = connection.execute(_INDEX_ROW).first()
        if row is None:
            insert_new(connection, data_keys, [{"id": INDEX} | self._wrapped(new_key(), None, wraps=self._encrypts)], made_at=now_s())
            row = connection.execute(_INDEX_ROW).one()  # of two that made one the first counts
        index = self._unwrapped(row)
        if row.master_id is None and self._encrypts:
            connection.execute(update(data_keys).where(data_keys.c.id == INDEX).values(**self._wrapped(index, None)))
        return index

    def opened(self, connection: Connection, bodies: Iterable[Body]) -> dict[int, str | Unopened]:
        """The texts by document. Raises SettingsError where the master key is missing or another."""
        return {i: whole if isinstance(whole, Unopened) else whole[0] for i, whole in self.opened_whole(connection, bodies).items()}

    def opened_whole(self, connection: Connection, bodies: Iterable[Body]) -> dict[int, Whole | Unopened]:
        """The texts by document, and the metadata sealed with them: the one way by which texts are read. Raises as `opened`."""
        found: dict[int, Whole | Unopened] = {}
        sealed: list[tuple[int, str, int]] = []
        for body in bodies:
            if body.key_id is None:
                found[body.document_id] = body.text, None
            else:
                sealed.append((body.document_id, body.text, body.key_id))
        if sealed:
            rows = connection.execute(_BY_ID, {"ids": listed({key_id for _, _, key_id in sealed})})
            keys = {row.id: self._unwrapped(row) for row in rows if row.wrapped is not None}
            ids = listed(document_id for document_id, _, _ in sealed)
            places = {row.id: place_of(row.id, row.pack, row.content_sha256) for row in connection.execute(_PLACES, {"ids": ids})}
            found |= {document_id: _opened(keys.get(key_id), places.get(document_id), text) for document_id, text, key_id in sealed}
        return found

    def destroy(self, connection: Connection, ids: Collection[int]) -> dict[int, str]:
        """Destroys data keys; gives those destroyed, each with the id of the master key that wrapped it."""
        alive = update(data_keys).where(among(data_keys.c.id, "ids"), data_keys.c.wrapped.is_not(None), data_keys.c.id != INDEX)
        done = connection.execute(alive.values(wrapped=None, destroyed_at=now_s()).returning(data_keys.c.id, data_keys.c.master_id), {"ids": listed(ids)})
        return {row.id: row.master_id for row in done}

    def rotate(self, connection: Connection, new: Master) -> int:
        """Wraps all keys with another master key; no text is touched. Gives their number.

        Call it where no submit runs meanwhile (`tombstones.exclude`): one that has the former key makes no more keys after it.
        """
        rows = connection.execute(select(data_keys).where(data_keys.c.wrapped.is_not(None)).order_by(data_keys.c.id)).all()
        for row in rows:
            rewrapped = {"wrapped": _wrap(new, self._unwrapped(row), row.job_id), "master_id": new.id}
            connection.execute(update(data_keys).where(data_keys.c.id == row.id).values(**rewrapped))
        return len(rows)

    def _make(self, connection: Connection, job_id: int) -> Row[Any]:
        connection.execute(insert(data_keys).values(job_id=job_id, made_at=now_s(), **self._wrapped(new_key(), job_id)))
        return connection.execute(_OF_JOB, {"job": job_id}).one()

    def _wrapped(self, key: bytes, job_id: int | None, *, wraps: bool = True) -> dict[str, Any]:
        if not wraps:
            return {"wrapped": base64.b64encode(key).decode("ascii"), "master_id": None}
        return {"wrapped": _wrap(self.master, key, job_id), "master_id": self.master.id}

    def _unwrapped(self, row: Row[Any]) -> bytes:
        if row.master_id is None:
            return base64.b64decode(row.wrapped)
        if row.master_id != self.master.id:
            told = f"The store's keys are wrapped by master key {row.master_id}; the one given is {self.master.id}."
            raise SettingsError(f"{told} Give that one, and restart what still has the former one.", "wrong_master_key")
        try:
            return unseal(self.master.key, row.wrapped, _bound(row.job_id))
        except BrokenSeal:
            raise SettingsError(f"Data key {row.id} was changed in the store. Restore the table data_keys from a backup.", "damaged_key") from None


def _opened(key: bytes | None, place: bytes | None, sealed: str) -> Whole | Unopened:
    if key is None or place is None:
        return Unopened("key_destroyed", "the key that its text is sealed with was destroyed by a purge")
    try:
        text, meta = unseal_document(key, place, sealed)
    except BrokenSeal:
        return Unopened("seal_broken", "the sealed text was changed in the store, or moved to this document from another")
    return text, json.loads(meta)


def _wrap(master: Master, key: bytes, job_id: int | None) -> str:
    return seal(master.key, key, _bound(job_id))


def _bound(job_id: int | None) -> bytes:
    return b"index key" if job_id is None else f"data key of job {job_id}".encode()


def unused(connection: Connection) -> list[int]:
    """Data keys that seal nothing any more."""
    used = select(texts.c.document_id).where(texts.c.key_id == data_keys.c.id).exists()
    return list(connection.execute(select(data_keys.c.id).where(data_keys.c.id != INDEX, data_keys.c.wrapped.is_not(None), ~used)).scalars())


def census(connection: Connection) -> list[dict[str, object]]:
    """How many keys each master key wraps, and how many were destroyed."""
    counted = select(data_keys.c.master_id, func.count(data_keys.c.wrapped).label("keys"), func.count(data_keys.c.destroyed_at).label("destroyed"))
    return [dict(row._mapping) for row in connection.execute(counted.group_by(data_keys.c.master_id).order_by(data_keys.c.master_id))]


def master_of(settings: Settings) -> Master | None:
    """The master key by the settings, the environment's before the file's; None: there is none. Raises SettingsError."""
    if given := settings.privacy.key.get_secret_value():
        return _parsed(given, f"{PREFIX}PRIVACY__KEY")
    return None if settings.key_file is None else read_key(settings.key_file)


def read_key(file: Path) -> Master:
    """The master key in a file that nobody but its owner can read. Raises SettingsError."""
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            raw = opened.read(4096)
    except OSError as error:
        raise SettingsError(f"{file}: the master key cannot be read: {error.strerror}. {EXPECTED}", "no_master_key") from None
    if mode & 0o077:
        raise SettingsError(f"{file}: mode {mode:04o}: others may read or change the master key. Expected 0600: chmod 600 {file}", "exposed_master_key")
    return _parsed(raw.decode("ascii", "replace"), str(file))


def write_key(file: Path) -> Master:
    """A new master key in a new file of mode 0600, safe on the disk. Raises UsageError where there is a file already: it may hold a key in use."""
    master = Master(new_key())
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(base64.b64encode(master.key) + b"\n")
            made.flush()
            os.fsync(made.fileno())
    except FileExistsError:
        raise UsageError(f"{file} exists already, and what is sealed by the key in it would be lost. Name another file.") from None
    except OSError as error:
        raise UsageError(f"{file}: the key cannot be written: {error.strerror}. Name a file in a folder that exists.") from None
    return master


def _parsed(given: str, where: str) -> Master:
    try:
        key = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(f"{where}: no master key. {EXPECTED}", "bad_master_key")
    return Master(key)
