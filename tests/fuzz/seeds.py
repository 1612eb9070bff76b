"""Valid files of each format, small: what mutations start from."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
import zlib
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


def page() -> bytes:
    row = "<tr><td rowspan=2>Scope 1<td colspan=2>1,234</tr><tr><th>2023<td hidden>x</tr>"
    head = f"<!DOCTYPE html><html><head><meta charset=utf-8><title>{SECRET}</title><style>p {{}}</style></head>"
    return f"{head}<nav>n</nav><h1>Gr\u00f6\u00dfe</h1><p>{SECRET}<!-- c --><p hidden>h<pre>a\nb</pre><table>{row}</table></html>".encode()


def pdf() -> bytes:
    """Two pages of text below each other and beside each other, one of them packed."""
    content = b"BT /F 10 Tf 1 0 0 1 50 700 Tm (%s) Tj 0 -14 Td (Scope 1) Tj 200 0 Td (1,234) Tj 80 0 Td (987) Tj ET" % SECRET.encode()
    packed = zlib.compress(content)
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2/MediaBox[0 0 600 800]/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Type/Page/Parent 2 0 R/Contents 6 0 R>>",
        b"<</Type/Page/Parent 2 0 R/Contents[6 0 R 7 0 R]/Rotate 90>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed),
    )
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(b"%010d 00000 n \n" % len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, b"".join(places))
    return data + table + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(data))


def references() -> bytes:
    """DocumentReferences as a Bulk Data export has them, with each kind of attachment."""
    kinds = (("text/plain; charset=latin-1", b"Gr\xf6\xdfe " + SECRET.encode()), ("text/html", page()), ("application/pdf", pdf()))
    rows: list[dict[str, object]] = []
    for number, (kind, data) in enumerate(kinds):
        attachment = {"contentType": kind, "data": base64.b64encode(data).decode(), "hash": base64.b64encode(hashlib.sha1(data).digest()).decode()}
        subject, coding = {"reference": f"Patient/{number}"}, {"coding": [{"code": "18842-5", "display": SECRET}]}
        row = {"resourceType": "DocumentReference", "id": f"d{number}", "status": "current", "subject": subject, "type": coding}
        rows.append(row | {"context": {"encounter": [{"reference": "Encounter/1"}]}, "content": [{"attachment": attachment}]})
    rows += [rows[0] | {"status": "superseded"}, rows[0] | {"content": [{"attachment": {"contentType": "text/plain", "url": "any.txt"}}]}]
    return "".join(json.dumps(row) + "\n" for row in [*rows, {"resourceType": "Patient", "id": SECRET}, {"text": SECRET}]).encode()


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
    ".ndjson": [references()],
    ".html": [page(), page().replace(b"utf-8", b"cp1252"), page().decode().encode("utf-16")],
    ".pdf": [pdf()],
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
