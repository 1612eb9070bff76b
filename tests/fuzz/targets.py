"""What is fuzzed, and what must hold whatever the bytes are: each target takes bytes and raises where a promise is broken."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from suites.errors import PackError, SettingsError, UsageError
from workers.export import safe_cell
from workers.ingest import Incoming, ReadOptions, Reject, content, read_paths
from workers.ingest.files import escaped, rows_of
from workers.ingest.options import charset
from workers.ingest.rows import ID_CHARS, Row
from workers.settings import load_settings

from .seeds import CANARY

MAX_CHARS = 300
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ENCODINGS = ("utf-16", "utf-32", "cp1252", "shift_jis", "gb18030", "iso2022_jp", "utf-7", "hz", "utf-8-sig")

SAME = (".text", ".htm", ".xhtml")  # read as others are

Target = Callable[[bytes], None]


class Broken(AssertionError):
    """A promise was broken: the message says which."""


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise Broken(promise)


def _check_row(row: Row, options: ReadOptions) -> None:
    if isinstance(row, Reject):
        _require(all((row.place, row.code, row.reason, row.remedy)), "a reject has place, code, reason and remedy")
        _require(len(row.code) <= 40 and row.code.isidentifier() and row.code.islower(), "a code is a short name")
        _require(CANARY not in row.code + row.reason + row.remedy, "no reject quotes a text")
        _require(not UNPRINTABLE.search(row.place + row.reason + row.remedy), "a reject can be printed")
        return
    _require(isinstance(row, Incoming), "a row is a document or a reject")
    _require(0 < len(row.text) <= options.max_chars and bool(row.text.strip()), "a text is visible and within max_chars")
    _require(0 < len(row.key) <= ID_CHARS, "a key is within its length")
    stored = row.key + row.text + json.dumps(dict(row.meta), allow_nan=False, ensure_ascii=False)
    _require("\0" not in stored, "nothing stored holds a NUL")
    stored.encode()  # nor a lone surrogate
    _require(json.loads(json.dumps(dict(row.meta))) == dict(row.meta), "metadata comes back as it was stored")


def _check_rows(path: Path, options: ReadOptions) -> None:
    n_rows = 0
    for _, rows in read_paths([path], options):
        for row in rows:
            n_rows += 1
            _check_row(row, options)
    _require(n_rows > 0, "no file is passed over in silence")


class Files:
    """Writes each input to one file, as a name and options say, and reads it as a submit does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, suffix: str, data: bytes) -> None:
        path = self._folder / f"any{suffix}"
        path.write_bytes(data)
        _check_rows(path, ReadOptions(MAX_CHARS, truncate=bool(data[:1]) and data[0] % 8 == 7))

    def lying(self, data: bytes) -> None:
        """Every suffix for the same bytes: what a name says is never believed."""
        path = self._folder / "lie"
        path.write_bytes(data)
        for suffix in (*content.READERS, ".zip", ".tar", ".gz", ".txt.gz", ".doc", ""):
            options = ReadOptions(MAX_CHARS)
            for row in rows_of(path, "lie", partial(content.rows, name=f"lie{suffix}", label="lie", options=options)):
                _check_row(row, options)

    def encoding(self, data: bytes) -> None:
        """Text, CSV and JSON lines in each encoding, by what the first byte says."""
        pick = data[0] if data else 0
        options = ReadOptions(MAX_CHARS, charset(ENCODINGS[pick % len(ENCODINGS)]), "replace" if pick & 64 else "strict")
        path = self._folder / f"encoded{list(content.TEXTUAL)[pick % len(content.TEXTUAL)]}"
        path.write_bytes(data[1:])
        _check_rows(path, options)

    def settings(self, data: bytes) -> None:
        """A settings file gives settings or SettingsError."""
        path = self._folder / "settings.toml"
        path.write_bytes(data)
        name, _, value = data[-40:].decode("latin-1").partition("=")
        environ = {} if len(data) % 2 else {"STILLHOUSE_WORKER__CHUNK": value, f"STILLHOUSE_{name.strip()}": value}
        try:
            load_settings(path, environ=environ)
        except SettingsError as error:
            _require(bool(error.message), "an error says what is wrong")

    def rules(self, data: bytes) -> None:
        """A rules file gives rules that read a text, or PackError."""
        from pipelines.rules import Rules

        (self._folder / "rules.jsonl").write_bytes(data)
        try:
            rules = Rules(self._folder)
        except PackError as error:
            _require(bool(error.message), "an error says what is wrong")
        else:
            for finding in rules.read("The ABC123 kettle weighs 3 kg. " * 3).findings:
                _require(0 <= (finding.start or 0) <= (finding.end or 0) <= 93, "a finding lies in its text")


def names(data: bytes) -> None:
    """A name of any bytes has a printable label that no other name has: it can be turned back."""
    name = os.fsdecode(data)
    label = escaped(name)
    _require(not UNPRINTABLE.search(label), "a label can be printed")
    back, rest = b"", label
    while rest:
        head, percent, rest = rest.partition("%")
        back += head.encode()
        if percent:
            code = rest[:2]
            is_escape = len(code) == 2 and all(c in "0123456789ABCDEFabcdef" for c in code)
            back += bytes.fromhex(code) if is_escape else b"%"
            rest = rest[2:] if is_escape else rest
    _require(back == data, "a label stands for one name")
    with suppress(UsageError):
        charset(data.decode("latin-1"))


def cells(data: bytes) -> None:
    """No cell that a spreadsheet would run leaves the guard, and other cells are as they were."""
    text = data.decode("utf-8", "surrogateescape")
    cell = safe_cell(text)
    seen = cell.lstrip(" \u200b\u200c\u200d\ufeff")
    _require(not seen.startswith(tuple("=+-@\t\r\n＝＋－＠")), "no cell is run as a formula")
    _require(cell in (text, "'" + text), "a cell is kept")


def targets(folder: Path | None = None) -> dict[str, Target]:
    """All targets by name; those of files write below `folder`."""
    files = Files(folder or Path(tempfile.mkdtemp()))
    suffixes = (*content.READERS, ".jsonl.gz", ".csv.bz2", ".txt.xz", ".jsonl.zst", ".zip", ".tar", ".tgz")
    read: dict[str, Target] = {suffix: partial(files.read, suffix) for suffix in suffixes if suffix not in SAME}
    return {**read, "lying": files.lying, "encoding": files.encoding, "names": names, "cells": cells, "settings": files.settings, "rules": files.rules}
