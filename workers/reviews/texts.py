"""The texts that reviewers are shown, opened."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from workers.bulk import among, listed
from workers.keys import Body, Keys, Unopened
from workers.tables import texts

_BODIES = select(texts.c.document_id, texts.c.text, texts.c.key_id).where(among(texts.c.document_id, "ids"))


def stored_texts(connection: Connection, keys: Keys, document_ids: Iterable[int]) -> dict[int, str | Unopened]:
    """The texts by document; one that was erased is not among them.

    Who may call it is the database's matter (workers/roles.py), and the caller records that it was done. Raises
    SettingsError where texts are sealed and the master key is missing or another.
    """
    rows = connection.execute(_BODIES, {"ids": listed(document_ids)})
    return keys.opened(connection, [Body(row.document_id, row.text, row.key_id) for row in rows])
