"""Valid files of each format, small: what mutations start from."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage

import pyarrow as pa
import pyarrow.parquet as pq

CANARY = "KESTREL;4417"  # no name of a column, which a reject may show: it has a semicolon
SECRET = f"{CANARY} was seen on the ward on Monday with a fever"


def jsonl() -> bytes:
    rows = [{"id": "a", "text": SECRET, "meta": {"note": SECRET, "n": [1, {"k": None}]}}, {"text": "Zwei\u2028\U0001f600", "site": 3.5, "ok": True}]
    return "".join(json.dumps(row, ensure_ascii=bool(n)) + "\n" for n, row in enumerate(rows)).encode()


def delimited(separator: str) -> bytes:
    lines = [["id", "text", "note"], ["1", f'"{SECRET}"', SECRET], ["2", f'"{SECRET}\n{SECRET} ""x"""', "=1+1"], ["", "Dré", ""]]
    return "\r\n".join(separator.join(line) for line in lines).encode()


def parquet(**options: object) -> bytes:
    columns = {
        "id": pa.array(["a", None]),
        "text": pa.array([SECRET, "Two."]),
        "note": pa.array([SECRET, None]).dictionary_encode(),
        "at": pa.array([1, 2**60], pa.timestamp("ns")),
        "meta": pa.array([{"site": 3, "raw": b"\xff"}, None]),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["From"] = "someone@example.org"
    message["Subject"] = f"Grüße {SECRET}"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    message.set_content(SECRET)
    message.add_alternative(f"<html><head><style>p {{}}</style></head><p>{SECRET}&amp;<br>x</p><!-- c --></html>", subtype="html")
    message.add_attachment(b"data", maintype="application", subtype="pdf", filename="a.pdf")
    inner = EmailMessage()
    inner["Subject"] = "Inner"
    inner.set_content(SECRET, charset="latin-1", cte="quoted-printable")
    message.add_attachment(inner)
    return message.as_bytes()


MEMBERS: tuple[tuple[str, bytes], ...] = (
    ("a/one.txt", SECRET.encode()),
    ("rows.jsonl", jsonl()),
    ("t.csv", delimited(",")),
    ("A/ONE.TXT", b"again"),
    ("../out.txt", b"out"),
    ("inner.zip", b"PK\x03\x04"),
    ("x.pdf", b"%PDF-1.7"),
    ("t.parquet", parquet()),
    ("m.eml", mail()),
    (".hidden/x.txt", b"x"),
)


def zipped(members: Sequence[tuple[str, bytes]] = MEMBERS, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return sink.getvalue()


def tarred(members: Sequence[tuple[str, bytes]] = MEMBERS, form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            special = tarfile.TarInfo(f"special{kind.decode()}.txt")
            special.type, special.linkname = kind, "/etc/passwd"
            archive.addfile(special)
        long = tarfile.TarInfo("long/" * 40 + "ü.txt")
        long.size = 1
        archive.addfile(long, io.BytesIO(b"x"))
    return sink.getvalue()


TAR = tarred(MEMBERS[:3])
SETTINGS = b'[worker]\nprocesses = 2\nlease_s = 4.0\n[packs]\nfolders = ["a", "b"]\n[store]\nurl = "sqlite:///x.db"\n[inference]\nengine = "f32"\n'
RULES = b"""{"label": "codes/code", "pattern": [{"TEXT": {"REGEX": "^[A-Z]{3}[0-9]+$"}}]}
{"label": "codes/word", "pattern": "quick kettle"}
{"label": "codes/amount", "pattern": [{"LIKE_NUM": true, "OP": "+"}, {"LOWER": {"IN": ["kg", "t"]}}]}
"""

# target -> its valid inputs
SEEDS: dict[str, list[bytes]] = {
    ".jsonl": [jsonl()],
    ".csv": [delimited(",")],
    ".tsv": [delimited("\t")],
    ".txt": [SECRET.encode(), SECRET.encode("utf-16"), b"%PDF-1.7\n" + SECRET.encode(), b"<html><p>" + SECRET.encode()],
    ".eml": [mail()],
    ".parquet": [parquet(), parquet(compression="none", use_dictionary=False), parquet(compression="zstd", row_group_size=1)],
    ".jsonl.gz": [gzip.compress(jsonl(), mtime=0), gzip.compress(jsonl(), 0, mtime=0) * 2],
    ".csv.bz2": [bz2.compress(delimited(","))],
    ".txt.xz": [lzma.compress(SECRET.encode()), lzma.compress(SECRET.encode(), check=lzma.CHECK_NONE)],
    ".jsonl.zst": [pa.compress(jsonl(), codec="zstd", asbytes=True)],
    ".zip": [zipped(), zipped(MEMBERS[:3], zipfile.ZIP_STORED), zipped(MEMBERS[:1], zipfile.ZIP_BZIP2)],
    ".tar": [tarred(), tarred(form=tarfile.GNU_FORMAT), tarred(MEMBERS[:3], tarfile.USTAR_FORMAT)],
    ".tgz": [gzip.compress(TAR, mtime=0), gzip.compress(TAR, 0, mtime=0)],
    "encoding": [SECRET.encode("utf-16"), delimited(",").decode().encode("cp1252"), jsonl().decode().encode("shift_jis", "replace"), SECRET.encode("utf-7")],
    "rules": [RULES, b"[" * 20_000],
    "settings": [SETTINGS, b"# HOME__X=1", b"[worker]\n# STORE__URL=7", b"worker = 3\nhome = [1]\nprivacy = 2\n"],
    "names": [b"a\xff.txt", b"a%FF\n.txt", "a\u202e../x\u2028.txt".encode()],
    "cells": [b"=1+1", " \u200b＝cmd".encode(), b"@x", b"\tx", b"plain"],
}
