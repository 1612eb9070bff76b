"""Other encodings, errors that are replaced, texts that are cut, and folders without end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workers.ingest
from suites.errors import UsageError
from workers.ingest import Incoming, ReadOptions, Reject, read_paths
from workers.ingest.options import charset
from workers.ingest.rows import Row

from .fuzz.seeds import CANARY, SECRET
from .test_ingest import MAX_CHARS, codes, mail, parquet_bytes, rows_in, the_document, the_reject, written


def read(path: Path, **options: object) -> list[Row]:
    return [row for _, rows in read_paths([path], ReadOptions(**{"max_chars": MAX_CHARS, **options})) for row in rows]  # type: ignore[arg-type]


TEXT = "Grüße, “quoted”\tand a line"
CONTENT = {
    "a.txt": TEXT,
    "a.jsonl": json.dumps({"id": "1", "text": TEXT}, ensure_ascii=False) + "\n",
    "a.csv": f'id,text\r\n1,"{TEXT}"\r\n',
    "a.tsv": 'id\ttext\r\n1\t"' + TEXT + '"\r\n',
}


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "gb18030"])
@pytest.mark.parametrize("name", CONTENT)
def test_a_named_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    """Text, CSV, TSV and JSON lines in a named encoding give the text that they give as UTF-8."""
    path = written(tmp_path, name, CONTENT[name].encode(encoding))
    assert the_document(read(path, encoding=charset(encoding))).text == TEXT


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("cp1252", b'{"text": "a"}\n{"text": "\x81"}\n{"text": "b"}\n', ["ok", "bad_encoding", "ok"]),
        ("ascii", b'{"text": "a"}\n{"text": "\xe4"}\n{"text": "b"}\n', ["ok", "bad_encoding", "ok"]),
        ("utf-16", '{"text": "a"}\n{"text": "'.encode("utf-16") + b"\x00\xd8" + '"}\n{"text": "b"}\n'.encode("utf-16-le"), ["ok", "bad_encoding", "ok"]),
        ("shift_jis", b'{"text": "a"}\n{"text": "\x82"}\n{"text": "b"}\n', ["ok", "bad_encoding", "ok"]),
    ],
)
def test_what_does_not_decode_rejects_its_row(tmp_path: Path, encoding: str, data: bytes, expected: list[str]) -> None:
    """Bytes that are not in the named encoding reject the row they stand in and no other; with `replace` they become U+FFFD."""
    path = written(tmp_path, "a.jsonl", data)
    rows = read(path, encoding=charset(encoding))
    assert codes(rows) == expected
    assert charset(encoding) in the_reject(rows).reason
    replaced = read(path, encoding=charset(encoding), errors="replace")
    assert codes(replaced) == ["ok"] * 3
    assert "\ufffd" in [row.text for row in replaced if isinstance(row, Incoming)][1]


@pytest.mark.parametrize("name", CONTENT)
def test_utf8_with_bad_bytes_replaced(tmp_path: Path, name: str) -> None:
    """With `replace` UTF-8 with bad bytes is read in every format of text, and without it no text is."""
    data = CONTENT[name].encode().replace("ß".encode(), b"\xdf")
    assert codes(rows_in(written(tmp_path, name, data))) == ["bad_encoding"]
    assert the_document(read(tmp_path / name, errors="replace")).text == TEXT.replace("ß", "\ufffd")


def test_an_encoding_that_its_file_contradicts(tmp_path: Path) -> None:
    """A byte-order mark of another encoding, a missing one, and UTF-16 without a mark are rejects: nothing is guessed."""
    data = TEXT.encode("utf-16")
    assert codes(read(written(tmp_path, "a.txt", data), encoding="cp1252")) == ["bad_encoding"]
    assert codes(read(written(tmp_path, "b.txt", TEXT.encode("utf-8-sig")), encoding="cp1252")) == ["bad_encoding"]
    assert codes(read(written(tmp_path, "c.txt", data[2:]), encoding="utf-16")) == ["bad_encoding"]
    for encoding in ("utf-16-le", "utf-16-be"):
        unmarked = the_reject(rows_in(written(tmp_path, "d.csv", f"text\n{SECRET}\n".encode(encoding))))
        assert unmarked.code == "bad_encoding" and encoding in unmarked.remedy and CANARY not in repr(unmarked)
        assert the_document(read(tmp_path / "d.csv", encoding=encoding)).text == SECRET


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "punycode", "unicode_escape", "undefined", "a\0b", ""])
def test_an_encoding_that_is_none(name: str) -> None:
    """A name that is no encoding of text is a usage error that tells some."""
    with pytest.raises(UsageError, match="cp1252"):
        charset(name)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.parquet", "a.eml"])
def test_truncate(tmp_path: Path, name: str) -> None:
    """With `truncate` a text over the limit is cut to it and flagged, in every format; a shorter one is as it was."""
    long = "ä" * 50 + " words"
    data = {
        "a.txt": long.encode(),
        "a.jsonl": json.dumps({"text": long}).encode(),
        "a.csv": f"text\n{long}\n".encode(),
        "a.parquet": parquet_bytes([long], columns=["text"]),
        "a.eml": mail(long, subject=""),
    }[name]
    path = written(tmp_path, name, data)
    assert codes(read(path, max_chars=10)) == ["too_long"]
    document = the_document(read(path, max_chars=10, truncate=True))
    assert (document.text, document.meta["truncated"]) == ("ä" * 10, True)
    assert "truncated" not in the_document(read(path, max_chars=100, truncate=True)).meta


def test_truncate_cuts_between_characters(tmp_path: Path) -> None:
    """A text file far over the limit is cut without its end being looked at, and where a character is whole."""
    path = written(tmp_path, "a.txt", ("ä" * 8_000).encode() + b"\xff")
    assert the_document(read(path, max_chars=11, truncate=True)).text == "ä" * 11
    blank = written(tmp_path, "b.txt", " " * 50 + "x")
    assert codes(read(blank, max_chars=11, truncate=True)) == ["empty_text"]


def test_a_folder_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of more entries than are held at once is one reject, and its neighbours are read."""
    monkeypatch.setattr(workers.ingest, "FOLDER_ENTRIES", 3)
    (tmp_path / "many").mkdir()
    for number in range(4):
        written(tmp_path / "many", f"{number}.txt", "x")
    written(tmp_path, "ok.txt", "x")
    rows = [row for _, found in read_paths([tmp_path], MAX_CHARS) for row in found]
    assert [(row.place, "ok" if isinstance(row, Incoming) else row.code) for row in rows] == [("many/", "folder_too_large"), ("ok.txt", "ok")]
    assert isinstance(rows[0], Reject) and "3" in rows[0].reason
