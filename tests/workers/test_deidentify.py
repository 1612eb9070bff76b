"""Documents are stored without their identifiers, and what could not be read for them is not stored at all."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from suites.discover import Pack
from suites.errors import PackError
from workers.deidentify import how
from workers.settings import Settings
from workers.store import Store

from .conftest import manage, manage_json

CODE = re.compile(r"[A-Z]{3}\d{3}")


def notices(path: Path) -> Path:
    """Four notices of two patients; the last one is a duplicate of the first."""
    rows = [("a", "The storm was awful under QRX123.", "p1"), ("b", "No dog near QRX123 or ZUV777.", "p2"), ("c", "The fog was lovely.", "p1")]
    rows.append(rows[0])
    lines = [json.dumps({"id": key, "text": text, "meta": {"patient": patient, "kind": "note", "author": "QRX555"}}) for key, text, patient in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def stored(settings: Settings) -> list[tuple[str, str, dict[str, object]]]:
    store = Store(settings.store_url)
    with store.reading() as connection:
        rows = connection.execute(text("SELECT d.key, t.text, d.meta FROM documents d JOIN texts t ON t.document_id = d.id ORDER BY d.key")).all()
    store.close()
    return [(key, body, json.loads(meta)) for key, body, meta in rows]


def test_nothing_of_an_identifier_is_stored(home: Settings, tmp_path: Path) -> None:
    """With the setting on, no byte of a code is in the store's files; pseudonyms are the same in all jobs; a repeated submit adds nothing."""
    path = notices(tmp_path / "docs.jsonl")
    manage("migrate", home=home)
    first = manage_json("submit", "toy", str(path), home=home, STILLHOUSE_PRIVACY__DEIDENTIFY="hash")
    assert (first["seen"], first["accepted"], first["duplicate"]) == (4, 3, 1)
    (_, a, meta), (_, b, _), (_, c, again) = stored(home)
    pseudonym = re.findall(r"\[CODE-[a-f][0-9a-f]{10}\]", a)
    assert a == f"The storm was awful under {pseudonym[0]}."
    assert b.startswith(f"No dog near {pseudonym[0]} or [CODE-")
    assert c == "The fog was lovely."
    assert meta["kind"] == "note" and meta["patient"] == again["patient"] != "p1" and "author" not in meta
    raw = b"".join(file.read_bytes() for file in Path(home.store_url.removeprefix("sqlite:///")).parent.glob("*.db*"))
    assert not any(found in raw for found in (b"QRX123", b"ZUV777", b"QRX555"))
    assert manage_json("submit", "toy", str(path), "--job", "again", "--deidentify", "hash", home=home)["duplicate"] == 4
    acts = manage_json("audit", "list", home=home)
    assert "hash" in json.dumps(acts)


def test_originals_in_the_store_are_told(home: Settings, tmp_path: Path) -> None:
    """Submitted as they are and then without identifiers, documents lie side by side under their ids: it is said until the former are erased."""
    path = notices(tmp_path / "docs.jsonl")
    manage("migrate", home=home)
    manage("submit", "toy", str(path), "--job", "raw", home=home)
    done = manage("submit", "toy", str(path), "--deidentify", "label", home=home)
    assert "documents of 3 ids among these are stored as they came" in done.stderr
    assert "purge --job" in done.stderr
    again = manage_json("submit", "toy", str(path), "--deidentify", "label", home=home)
    assert (again["duplicate"], again["originals"]) == (4, 3)
    manage("purge", "--job", "raw", "--yes", home=home)
    assert manage_json("submit", "toy", str(path), "--deidentify", "label", "--job", "other", home=home)["originals"] == 0
    refused = manage("submit", "toy", str(path), "--job", "other", home=home, check=False)
    assert (refused.returncode, "Choose another --job" in refused.stderr) == (2, True)


def test_the_verb_writes_what_would_be_stored(home: Settings, tmp_path: Path) -> None:
    """`deidentify` gives JSON lines without identifiers; with one key file two runs make the same pseudonyms, without it they do not."""
    path = notices(tmp_path / "docs.jsonl")
    key = tmp_path / "study.key"
    manage("keys", "new", str(key), home=home)
    runs = [manage("deidentify", "toy", str(path), "--mode", "hash", "--key-file", str(key), home=home).stdout for _ in range(2)]
    assert runs[0] == runs[1] != manage("deidentify", "toy", str(path), "--mode", "hash", home=home).stdout
    lines = [json.loads(line) for line in runs[0].splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c", "a"]
    assert not any(CODE.search(json.dumps(line)) for line in lines)
    masked = [json.loads(line)["text"] for line in manage("deidentify", "toy", str(path), "--mode", "mask", home=home).stdout.splitlines()]
    assert masked[0] == "The storm was awful under ******."


def test_a_document_that_cannot_be_read_is_not_stored(home: Settings, tmp_path: Path) -> None:
    """Where hooks or rules fail on a document it is rejected with its place, and its neighbours are stored."""
    pack = tmp_path / "packs" / "toy"
    source = home.pack_folders[0] / "toy"
    pack.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            (pack / file.name).write_bytes(file.read_bytes())
    (pack / "hooks.py").write_text("def clean(text):\n    if 'ZUV777' in text:\n        raise ValueError('no')\n    return text\n", encoding="utf-8")
    (home.home / "settings.toml").write_text((home.home / "settings.toml").read_text().replace(str(source.parent), str(pack.parent)))
    manage("migrate", home=home)
    done = manage_json("submit", "toy", str(notices(tmp_path / "docs.jsonl")), "--deidentify", "label", home=home)
    assert (done["accepted"], done["rejected"], done["by_code"]) == (2, 1, {"not_deidentified": 1})
    assert [key for key, _, _ in stored(home)] == ["a", "c"]


def test_a_pack_without_identifiers_says_so(toy_pack: Pack) -> None:
    """Asked for de-identification, a pack that finds no identifiers is an error that names what is missing."""
    pack = dataclasses.replace(toy_pack, manifest=toy_pack.manifest.model_copy(update={"deidentify": None}))
    with pytest.raises(PackError, match=r"no \[deidentify\]"):
        how(pack, "label", b"x" * 32, ())
