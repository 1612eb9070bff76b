"""FHIR DocumentReferences, one a line: the attachment is the document, and what is withdrawn, remote or damaged is a reject."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from workers.ingest import Incoming, Reject, content, fhir

from .fuzz.seeds import references, zipped
from .test_ingest import CANARY, SECRET, codes, rows_in, the_document, the_reject, written
from .test_ingest_pdf import PLAIN, lines, made

TEXT, HTML, PDF = "text/plain; charset=utf-8", "text/html", "application/pdf"


def attachment(kind: str = TEXT, holds: bytes | None = b"A note.", **more: object) -> dict[str, object]:
    held = {} if holds is None else {"data": base64.b64encode(holds).decode()}
    return {"contentType": kind, **held, **more}


def reference(*attachments: dict[str, object], **more: object) -> dict[str, object]:
    content = [{"attachment": one} for one in attachments or (attachment(),)]
    return {"resourceType": "DocumentReference", "id": "d1", "status": "current", "content": content, **more}


def read(folder: Path, *resources: Any, name: str = "DocumentReference.000.ndjson") -> list[Incoming | Reject]:
    return rows_in(written(folder, name, "".join(json.dumps(resource) + "\n" for resource in resources)))


def sha1(data: bytes) -> str:
    return base64.b64encode(hashlib.sha1(data).digest()).decode()


def test_a_document(tmp_path: Path) -> None:
    """The id of the resource is the document's; patient, encounter, date, type and status are its metadata, and nobody who wrote it is."""
    resource = reference(
        attachment("text/plain;charset=ISO-8859-1", "Größe.".encode("latin-1")),
        docStatus="final",
        type={"coding": [{"system": "http://loinc.org", "code": "18842-5", "display": "Discharge summary"}]},
        subject={"reference": "Patient/7", "display": SECRET},
        date="2024-03-01T10:00:00Z",
        author=[{"reference": "Practitioner/9", "display": SECRET}],
        custodian={"reference": "Organization/2"},
        context={"encounter": [{"reference": "Encounter/3"}]},
        text={"status": "generated", "div": f"<div>{SECRET}</div>"},
    )
    document = the_document(read(tmp_path, resource))
    assert (document.key, document.place, document.text) == ("d1", "DocumentReference.000.ndjson:1", "Größe.")
    assert document.meta == {
        "patient": "Patient/7",
        "encounter": "Encounter/3",
        "date": "2024-03-01T10:00:00Z",
        "type": "Discharge summary",
        "type_code": "18842-5",
        "status": "current",
        "doc_status": "final",
        "content_type": "text/plain",
    }
    assert CANARY not in repr(document) and "Practitioner" not in repr(document)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("text/plain", "Größe".encode(), "Größe"),
        ("TEXT/PLAIN; format=flowed; Charset='utf-8'", "Größe".encode(), "Größe"),
        ("text/plain; charset=us-ascii", "Größe".encode(), "Größe"),
        ("text/plain", b"\xef\xbb\xbfx", "x"),
        ("text/html", b"<title>T</title><p>One<p>Two", "T\nOne\nTwo"),
        ("text/html; charset=windows-1252", "<p>Größe €".encode("cp1252"), "Größe €"),
        ("application/xhtml+xml", '<?xml version="1.0"?><html><p>Größe</p></html>'.encode(), "Größe"),
        ("application/pdf", PLAIN, SECRET),
    ],
)
def test_formats(tmp_path: Path, kind: str, data: bytes, text: str) -> None:
    """Text, pages and PDF files are read, each as a file of its kind is."""
    assert the_document(read(tmp_path, reference(attachment(kind, data)))).text == text


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    """A PDF attachment has pages as a PDF file has, and scans are rejected as there."""
    document = the_document(read(tmp_path, reference(attachment(PDF, made(lines("One."), lines("Two."))))))
    assert [page.strip() for page in document.text.split("\f")] == ["One.", "Two."]
    assert (document.meta["n_pages"], document.meta["n_pages_without_text"]) == (2, 0)
    assert codes(read(tmp_path, reference(attachment(PDF, made(lines()))), reference(attachment(PDF, b"x")))) == ["no_text", "bad_pdf"]


def test_one_document_in_several_formats(tmp_path: Path) -> None:
    """Of a document's formats the one that is best read is, those of one format are its parts, and the rest are counted."""
    text, page = attachment(TEXT, b"One."), attachment(HTML, b"<p>No.")
    document = the_document(read(tmp_path, reference(attachment(PDF, PLAIN), page, text, attachment("image/png", b"x"))))
    assert (document.text, document.meta["content_type"], document.meta["n_attachments_unread"]) == ("One.", "text/plain", 3)
    assert the_document(read(tmp_path, reference(text, attachment(TEXT, b"Two.")))).text == "One.\n\nTwo."
    pages = the_document(read(tmp_path, reference(attachment(PDF, PLAIN), attachment(PDF, PLAIN))))
    assert (pages.text.count("\f"), pages.meta["n_pages"]) == (1, 2)


REJECTED: list[tuple[dict[str, object], str]] = [
    (reference(status="superseded"), "superseded"),
    (reference(status="entered-in-error"), "entered_in_error"),
    (reference(docStatus="entered-in-error"), "entered_in_error"),
    (reference(attachment(TEXT, None, url="https://example.org/Binary/1")), "remote_attachment"),
    (reference(attachment(TEXT, None, url="//example.org/x")), "remote_attachment"),
    (reference(attachment(TEXT, None, url="file:///etc/passwd")), "remote_attachment"),
    (reference(attachment(TEXT, None, url="urn:oid:1.2.3")), "remote_attachment"),
    (reference(attachment(TEXT, None, url="/etc/passwd")), "unsafe_name"),
    (reference(attachment(TEXT, None, url="../out.txt")), "unsafe_name"),
    (reference(attachment(TEXT, None, url="in/../../out.txt")), "unsafe_name"),
    (reference(attachment(TEXT, None, url="..\\out.txt")), "unsafe_name"),
    (reference(attachment(TEXT, None, url="a\0.txt")), "unsafe_name"),
    (reference(attachment(TEXT, None, url=".")), "unsafe_name"),
    (reference(attachment(TEXT, None, url=".secret")), "unsafe_name"),
    (reference(attachment(TEXT, None, url="in/%2Essh/id")), "unsafe_name"),
    (reference(*[attachment()] * 51), "too_long"),
    (reference(attachment(TEXT, None, url="Binary/1")), "missing_attachment"),
    (reference(attachment(TEXT, None, url="x" * 5_000)), "missing_attachment"),
    (reference(attachment(TEXT, None, url="folder")), "missing_attachment"),
    (reference(attachment(TEXT, None, url="link.txt")), "missing_attachment"),
    (reference(attachment(TEXT, None, url="linked/out.txt")), "missing_attachment"),
    (reference(attachment(TEXT, None, url="fifo.txt")), "missing_attachment"),
    (reference(attachment(PDF, None, url="nowhere.pdf")), "missing_attachment"),
    (reference(attachment(TEXT, None)), "no_attachment"),
    (reference() | {"content": []}, "no_attachment"),
    (reference() | {"content": SECRET}, "no_attachment"),
    (reference() | {"content": [{"attachment": [SECRET]}]}, "no_attachment"),
    (reference(attachment("image/png")), "unsupported_attachment"),
    (reference(attachment(SECRET)), "unsupported_attachment"),
    (reference(attachment("")), "unsupported_attachment"),
    (reference(attachment(TEXT, None, data="a*b=")), "bad_attachment"),
    (reference(attachment(TEXT, None, data=7)), "bad_attachment"),
    (reference(attachment(TEXT, None, data="ü")), "bad_attachment"),
    (reference(attachment(hash=sha1(b"another"))), "hash_mismatch"),
    (reference(attachment(PDF, PLAIN, hash=SECRET)), "hash_mismatch"),
    (reference(attachment(hash=7)), "hash_mismatch"),
    (reference(attachment(TEXT, b"\xe4")), "bad_encoding"),
    (reference(attachment("text/plain; charset=klingon")), "bad_encoding"),
    (reference(attachment("text/html; charset=zlib")), "bad_encoding"),
    (reference(attachment(HTML, b"<p>a<script>")), "bad_html"),
    (reference(attachment(TEXT, b" ")), "empty_text"),
    (reference(attachment(TEXT, b"x" * 1_001)), "too_long"),
    (reference(id={"x": 1}), "bad_id"),
]


@pytest.mark.parametrize(("resource", "code"), REJECTED, ids=[f"{n}-{code}" for n, (_, code) in enumerate(REJECTED)])
def test_rejects(tmp_path: Path, resource: dict[str, object], code: str) -> None:
    """What cannot be read, was withdrawn, lies elsewhere or was changed is a reject at its line, and the next line is read."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "folder").mkdir()
    written(tmp_path, "out.txt", SECRET)
    os.symlink("../out.txt", folder / "link.txt")
    os.symlink("..", folder / "linked")
    os.mkfifo(folder / "fifo.txt")
    rows = read(folder, resource, reference())
    assert codes(rows) == [code, "ok"]
    reject = the_reject(rows)
    assert reject.place == "DocumentReference.000.ndjson:1"
    assert (reject.reason[-1], reject.remedy[-1], CANARY in repr(reject)) == (".", ".", False)


def test_files_beside(tmp_path: Path) -> None:
    """A relative url names a file below the folder of its row, which is read, its hash checked; from inside an archive none is."""
    (tmp_path / "notes").mkdir()
    written(tmp_path, "notes/a b.txt", "Beside.")
    written(tmp_path, "notes/a.pdf", PLAIN)
    text = reference(attachment(TEXT, None, url="notes/a%20b.txt", hash=sha1(b"Beside.")))
    pdf = reference(attachment(PDF, None, url="./notes/a.pdf", hash=sha1(PLAIN)))
    rows = read(tmp_path, text, pdf)
    assert [row.text for row in rows if isinstance(row, Incoming)] == ["Beside.", SECRET]
    wrong = reference(attachment(PDF, None, url="notes/a.pdf", hash=sha1(b"x")))
    assert codes(read(tmp_path, wrong)) == ["hash_mismatch"]
    inside = zipped([("a.ndjson", json.dumps(text).encode()), ("notes/a b.txt", b"Beside.")])
    assert codes(rows_in(written(tmp_path, "a.zip", inside))) == ["missing_attachment", "ok"]


def test_a_row_reads_no_more_than_it_may_hold(tmp_path: Path) -> None:
    """A row that names one large file again and again is too long after the first, and the others are not opened."""
    written(tmp_path, "large.txt", "x" * 2_000_000)
    rows = read(tmp_path, reference(*[attachment(TEXT, None, url="large.txt")] * 40, attachment(TEXT, None, url="gone.txt")))
    assert codes(rows)[0] == "too_long"


def test_other_resources(tmp_path: Path) -> None:
    """Resources of other types that stand behind each other are one reject with their number; other rows are read as in any file of JSON lines."""
    patient, encounter = ({"resourceType": kind, "id": SECRET} for kind in ("Patient", "Encounter"))
    rows = read(tmp_path, patient, encounter, patient, reference(), {"id": "p", "text": "Plain."}, patient, {"resourceType": "note", "text": "Mine."}, [1])
    assert codes(rows) == ["not_a_document", "ok", "ok", "not_a_document", "ok", "bad_row"]
    first, second = [row for row in rows if isinstance(row, Reject) and row.code == "not_a_document"]
    assert (first.place[-2:], second.place[-2:]) == (":1", ":6")
    assert "3 rows from here on are FHIR resources of other types: Encounter, Patient." in first.reason
    assert CANARY not in repr(rows)
    assert codes(read(tmp_path, *[patient] * 1_000, name="Patient.ndjson")) == ["not_a_document"]


def test_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource may be longer than a row of text, for its attachment is in base64, and not longer than its bound."""
    longer = reference(attachment(TEXT, b"x " * 20), text={"div": "x" * 100_000})
    plain = {"text": "a", "more": "x" * 100_000}
    assert codes(read(tmp_path, longer, plain, reference())) == ["ok", "line_too_long", "ok"]
    monkeypatch.setattr(fhir, "LINE_BYTES", 90_000)
    assert codes(read(tmp_path, longer, reference())) == ["line_too_long", "ok"]
    monkeypatch.setattr(fhir, "FILE_BYTES", 3)
    written(tmp_path, "a.txt", "long")
    assert codes(read(tmp_path, reference(attachment(TEXT, None, url="a.txt")))) == ["too_long"]


def test_packed_exports(tmp_path: Path) -> None:
    """An export is read packed and in archives as it is by itself."""
    plain = rows_in(written(tmp_path, "a.ndjson", references()))
    assert codes(plain) == ["ok", "ok", "ok", "superseded", "missing_attachment", "not_a_document", "ok"]
    for name, data in (("a.ndjson.gz", gzip.compress(references())), ("a.zip", zipped([("a.ndjson", references())]))):
        assert codes(rows_in(written(tmp_path, name, data))) == codes(plain)
    assert content.READERS[".ndjson"] is fhir.rows
