"""Readers of input files: what each format yields, and that bad input becomes a reject without text."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import os
import socket
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suites.errors import UsageError
from workers.ingest import SUFFIXES, Incoming, ReadOptions, Reject, Source, csvfile, eml, files, parquet, read_paths
from workers.ingest.content import READERS
from workers.ingest.rows import ID_CHARS, Row, checked, names
from workers.tables import documents

MAX_CHARS = 1_000
CANARY = "KESTREL4417"
SECRET = f"{CANARY} was seen on the ward on Monday with a fever"


def rows_in(path: Path, max_chars: int = MAX_CHARS) -> list[Row]:
    return [row for _, rows in read_paths([path], max_chars) for row in rows]


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def codes(rows: list[Row]) -> list[str]:
    return ["ok" if isinstance(row, Incoming) else row.code for row in rows]


def the_reject(rows: list[Row]) -> Reject:
    (reject,) = [row for row in rows if isinstance(row, Reject)]
    return reject


def the_document(rows: list[Row]) -> Incoming:
    (document,) = rows
    assert isinstance(document, Incoming), document
    return document


def parquet_bytes(*arrays: object, columns: list[str], **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([a if isinstance(a, pa.Array) else pa.array(a) for a in arrays], names=columns), sink, **options)
    return sink.getvalue()


def mail(body: str = "Body.", subject: str = "Hello", html: str = "", date: str = "", n_attachments: int = 0) -> bytes:
    message = EmailMessage()
    message["From"] = "someone@example.org"
    if subject:
        message["Subject"] = subject
    if date:
        message["Date"] = date
    if body or not html:
        message.set_content(body)
    if html:
        message.set_content(html, subtype="html") if not body else message.add_alternative(html, subtype="html")
    for n in range(n_attachments):
        message.add_attachment(b"data", maintype="application", subtype="pdf", filename=f"{n}.pdf")
    return message.as_bytes()


def raw_mail(headers: str, body: bytes = b"") -> bytes:
    return headers.encode() + b"\n\n" + body


def mail_part(kind: str, body: str, *headers: str) -> str:
    return "\n".join([f"Content-Type: {kind}", *headers, "", body])


def multipart(kind: str, *parts: str, parameter: str = "") -> str:
    boundary = f"b{sum(map(len, parts))}"  # longer than that of any part, and so another
    return mail_part(f"multipart/{kind}; boundary={boundary}{parameter}", "".join(f"--{boundary}\n{part}\n" for part in parts) + f"--{boundary}--\n")


def plain(text: str, *headers: str) -> str:
    return mail_part("text/plain", text, *headers)


def page(text: str, *headers: str) -> str:
    return mail_part("text/html; charset=utf-8", f"<p>{text}</p>", *headers)


def carried(subject: str, mail: str, *headers: str) -> str:
    return mail_part("message/rfc822", f"Subject: {subject}\n{mail}", *headers)


ATTACHED = 'Content-Disposition: attachment; filename="a.txt"'


# ── what every format yields ────────────────────────────────────────────────────────────────────────────────────────

GOOD: dict[str, bytes] = {
    "d.jsonl": b'{"id": "a", "text": "One.", "meta": {"site": 3}}\n{"text": "Two."}\n',
    "d.NDJSON": b'\xef\xbb\xbf{"id": "a", "text": "One.", "site": 3}\r\n\r\n{"text": "Two."}',
    "d.jsonl.gz": gzip.compress(b'{"id": "a", "text": "One.", "meta": {"site": 3}}\n{"text": "Two."}\n'),
    "d.csv": b"\xef\xbb\xbfid,text,site\r\na,One.,3\r\n,Two.,\r\n",
    "d.tsv": b"id\ttext\tsite\na\tOne.\t3\n\tTwo.\t\n",
    "d.parquet": parquet_bytes(["a", None], ["One.", "Two."], [3, None], columns=["id", "text", "site"]),
}


@pytest.mark.parametrize("name", GOOD)
def test_tables(tmp_path: Path, name: str) -> None:
    """Every table format gives the texts, the row's id or else its place as key, and the other columns as metadata."""
    rows = rows_in(written(tmp_path, name, GOOD[name]))
    assert codes(rows) == ["ok", "ok"]
    first, second = [row for row in rows if isinstance(row, Incoming)]
    assert (first.key, first.text, str(first.meta["site"])) == ("a", "One.", "3")
    assert (second.text, second.key) == ("Two.", second.place)
    assert second.place.startswith(f"{name}:")


def test_places_are_line_numbers(tmp_path: Path) -> None:
    """A place is the 1-based line of the file, blank lines and the header counted; in Parquet the row."""
    assert [row.place for row in rows_in(written(tmp_path, "a.jsonl", '\n{"text": "x"}\n\n{"text": "y"}'))] == ["a.jsonl:2", "a.jsonl:4"]
    assert [row.place for row in rows_in(written(tmp_path, "a.csv", 'text\n"x\ny"\n\nz\n'))] == ["a.csv:2", "a.csv:5"]
    table = parquet_bytes([f"t{n}" for n in range(40)], columns=["text"], row_group_size=25)
    assert [row.place for row in rows_in(written(tmp_path, "a.parquet", table))] == [f"a.parquet:{n}" for n in range(1, 41)]


@pytest.mark.parametrize(
    ("data", "text"),
    [("Ä one\r\ntwo".encode(), "Ä one\r\ntwo"), ("\ufeffÄ".encode(), "Ä"), ("Ä\U0001f600".encode("utf-16"), "Ä\U0001f600"), (b"\xfe\xff\x00A", "A")],
)
def test_text_file(tmp_path: Path, data: bytes, text: str) -> None:
    """A text file is one document under its label, its line ends kept and its byte-order mark removed."""
    assert the_document(rows_in(written(tmp_path, "note.TXT", data))) == Incoming("note.TXT", "note.TXT", text, {})


def test_mail(tmp_path: Path) -> None:
    """A mail gives its subject and plain body, its date and number of attachments, and no address."""
    data = mail("Plain.\n", "Größe", html="<p>No</p>", date="Mon, 02 Mar 2026 10:00:00 +0100", n_attachments=2)
    document = the_document(rows_in(written(tmp_path, "m.eml", data)))
    assert document.text == "Subject: Größe\n\nPlain.\n"
    assert document.meta == {"date": "2026-03-02T10:00:00+01:00", "n_attachments": 2}
    assert "example.org" not in repr(document)


def test_html_mail(tmp_path: Path) -> None:
    """A mail with an HTML body alone gives what a reader of the page would see, block by block."""
    html = "<html><head><title>T</title><style>p {}</style></head><body><p>One &amp;\n two</p><script>x()</script><div>three<br>four</div></body></html>"
    assert the_document(rows_in(written(tmp_path, "m.eml", mail("", "S", html=html)))).text == "Subject: S\n\nOne & two\nthree\nfour"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (raw_mail("Subject: a\n b"), "Subject: a b\n\n"),
        (raw_mail("Subject: Größe", "ü".encode()), "Subject: Größe\n\nü"),
        (raw_mail("From: x", b"a\r\nb"), "a\nb"),
        (raw_mail("Subject: =?utf-8?q?=C3=A4=0Ab?=", b"x"), "Subject: ä b\n\nx"),
        (raw_mail("Content-Type: text/plain; charset=latin-1", b"\xe4"), "ä"),
        (raw_mail("Subject: s\nDate: never", b"x"), "Subject: s\n\nx"),
    ],
)
def test_mail_as_it_is_sent(tmp_path: Path, data: bytes, text: str) -> None:
    """Folded, unencoded, absent and foreign headers and charsets are read as mail readers read them."""
    assert the_document(rows_in(written(tmp_path, "m.eml", data))).text == text


@pytest.mark.parametrize("blank", ["", " \n\t\n", "\u200b\u200c\ufeff", "\u034f \u00ad\u2007", "\u2800\u3164"])
def test_an_alternative_that_shows_nothing_is_passed_over(tmp_path: Path, blank: str) -> None:
    """Where the plain text of a mail is blank or of zero width the HTML is read, and the plain text where the HTML is blank too."""
    both = "Subject: S\n" + multipart("alternative", mail_part("text/plain; charset=utf-8", blank), page("Pay now."))
    assert the_document(rows_in(written(tmp_path, "m.eml", both))).text == "Subject: S\n\nPay now."
    neither = "Subject: S\n" + multipart("alternative", mail_part("text/plain; charset=utf-8", blank), page("&nbsp;"))
    assert the_document(rows_in(written(tmp_path, "m.eml", neither))).text == f"Subject: S\n\n{blank}"


FORWARDED = carried("Inner", plain("Inner.\n"))
SHOWN: dict[str, tuple[str, str, int]] = {
    # the mail below its subject, the text, the number of attachments
    "texts in order": (multipart("mixed", plain("One.\n"), page("Two."), plain("Three.")), "One.\n\nTwo.\n\nThree.", 0),
    "blank texts between": (multipart("mixed", plain("\n"), page("Two."), plain(" ")), "Two.", 0),
    "attached text": (multipart("mixed", plain("One."), plain("Two.", ATTACHED), page("Three.", "Content-Disposition: attachment")), "One.", 2),
    "named text that is shown": (multipart("mixed", plain("One."), plain("Two.", "Content-Disposition: inline; filename=a")), "One.\n\nTwo.", 1),
    "nested": (multipart("mixed", multipart("alternative", plain("One."), page("No.")), multipart("mixed", page("Two."))), "One.\n\nTwo.", 0),
    "HTML first, footer of a list": (multipart("mixed", page("One."), plain("Two.")), "One.\n\nTwo.", 0),
    "alternative of several": (multipart("alternative", plain(" "), multipart("mixed", page("One."), page("Two."))), "One.\n\nTwo.", 0),
    "signed": (multipart("signed", plain("One."), mail_part("application/pgp-signature", "x")), "One.", 0),
    "related": (multipart("related", page("One."), mail_part("image/png", "x"), page("Two.")), "One.", 1),
    "related with a start": (multipart("related", page("No."), page("One.", "Content-ID: <r>"), parameter='; start="<r>"'), "One.", 1),
    "unknown text": (multipart("alternative", plain("One."), mail_part("text/calendar", "BEGIN:VCALENDAR")), "One.", 1),
    "unknown text alone": (mail_part("text/enriched", "<bold>x</bold>"), "", 1),
    "delivery status": (multipart("report", plain("One."), mail_part("message/delivery-status", "Action: failed\n\nStatus: 5.0.0\n")), "One.", 1),
    "carried": (multipart("mixed", plain("One.\n"), FORWARDED), "One.\n\nSubject: Inner\n\nInner.", 0),
    "carried as attachment": (multipart("mixed", carried("Inner", page("Inner."), ATTACHED), plain("One.")), "One.\n\nSubject: Inner\n\nInner.", 1),
    "carried beside the chosen": (
        multipart("alternative", plain("One."), multipart("mixed", page("No."), FORWARDED)),
        "One.\n\nSubject: Inner\n\nInner.",
        0,
    ),
    "carried alone": (FORWARDED, "Subject: Inner\n\nInner.", 0),
    "carried in carried": (
        multipart("mixed", plain("One."), carried("Mid", multipart("mixed", FORWARDED, plain("Mid."))), carried("Last", plain("Last."))),
        "One.\n\nSubject: Mid\n\nMid.\n\nSubject: Inner\n\nInner.\n\nSubject: Last\n\nLast.",
        0,
    ),
    "digest": (multipart("digest", "\nSubject: A\n\nOne.", "\nSubject: B\n\nTwo."), "Subject: A\n\nOne.\n\nSubject: B\n\nTwo.", 0),
    "carried, but coded": (multipart("mixed", plain("One."), mail_part("message/rfc822", "U3ViamVjdA==", "Content-Transfer-Encoding: base64")), "One.", 1),
}


@pytest.mark.parametrize("name", SHOWN)
def test_all_texts_of_a_mail(tmp_path: Path, name: str) -> None:
    """All texts that a mail shows are read in order, then those of mails that it carries; text that is not read counts as attached."""
    body, text, n_attachments = SHOWN[name]
    document = the_document(rows_in(written(tmp_path, "m.eml", f"Subject: S\n{body}")))
    assert document.text.rstrip("\n") == f"Subject: S\n\n{text}".rstrip("\n")
    assert document.meta == {"n_attachments": n_attachments}


def test_line_separator_is_no_line_end(tmp_path: Path) -> None:
    """U+2028, U+0085 and a form feed inside a line of JSON or CSV do not end it."""
    text = "a\u2028b\u0085c\x0cd"
    assert the_document(rows_in(written(tmp_path, "a.jsonl", json.dumps({"text": text}, ensure_ascii=False)))).text == text
    assert the_document(rows_in(written(tmp_path, "a.csv", f"text\n{text}\n"))).text == text


def test_quoted_newlines(tmp_path: Path) -> None:
    """A quoted CSV field keeps its line ends, separators and doubled quotes, up to 2,000 lines."""
    path = written(tmp_path, "a.csv", 'text,site\r\n"a,\r\nsaid ""x""",1\r\n')
    assert the_document(rows_in(path)).text == 'a,\r\nsaid "x"'
    long = "\n".join("x" * csvfile.FIELD_LINES)
    assert the_document(rows_in(written(tmp_path, "b.csv", f'text\n"{long}"\n'), 10_000)).text == long


def test_semicolons_part_the_fields_where_the_header_says_so(tmp_path: Path) -> None:
    """A CSV file as spreadsheets of many countries write it: commas in its texts part nothing; a header of both keeps the comma."""
    document = the_document(rows_in(written(tmp_path, "a.csv", 'id;"text";site\r\nk;one, two, three;"a;b"\r\n')))
    assert (document.key, document.text, document.meta["site"]) == ("k", "one, two, three", "a;b")
    assert the_document(rows_in(written(tmp_path, "b.csv", "id,text,a;b\nk,one;two,3\n"))).text == "one;two"
    assert the_document(rows_in(written(tmp_path, "c.csv", '"text","note (a; b; c)"\none,x\n'))).text == "one"
    assert the_document(rows_in(written(tmp_path, "d.csv", "\n\nid;text\nk;one\n"))).text == "one"


def test_csv_field_over_the_default_limit(tmp_path: Path) -> None:
    """A CSV field longer than Python's own limit of 131,072 characters is read."""
    assert len(the_document(rows_in(written(tmp_path, "a.csv", "text\n" + "x" * 200_000), 300_000)).text) == 200_000


# ── the check that all readers share ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "text", "code"),
    [
        ("k", None, "bad_text"),
        ("k", 7, "bad_text"),
        ("k", ["x"], "bad_text"),
        ("k", "", "empty_text"),
        ("k", " \n\t\u00a0", "empty_text"),
        ("k", "\0\0", "empty_text"),
        ("k", "a\ud800b", "bad_surrogate"),
        ("k", "x" * 11, "too_long"),
        ("k" * 201, "x", "bad_id"),
        ("a\nb", "x", "bad_id"),
        ("a\0b", "x", "bad_id"),
        ("a\udc80", "x", "bad_id"),
        (1.5, "x", "bad_id"),
        (True, "x", "bad_id"),
        (["k"], "x", "bad_id"),
    ],
)
def test_checked_rejects(key: object, text: object, code: str) -> None:
    """A text that is none, has a surrogate, is blank or too long, and an id that cannot be a key, are rejected by code."""
    row = checked("f:1", key, text, {}, ReadOptions(10))
    assert isinstance(row, Reject)
    assert (row.place, row.code) == ("f:1", code)


def test_longest_text_and_id() -> None:
    """A text of exactly the limit and an id of exactly 200 characters are accepted, and the store has room for it."""
    assert isinstance(checked("f:1", "k" * 200, "x" * 10, {}, ReadOptions(10)), Incoming)
    assert ID_CHARS == 200 < documents.c.key.type.length  # type: ignore[attr-defined]


@pytest.mark.parametrize(("id_", "key"), [(None, "f:1"), ("", "f:1"), ("  ", "f:1"), (" a ", "a"), (17, "17"), (0, "0")])
def test_keys(id_: object, key: str) -> None:
    """The key is the id as a stripped string, or the place where there is none."""
    row = checked("f:1", id_, "x", {}, ReadOptions(10))
    assert isinstance(row, Incoming)
    assert row.key == key


def test_nul_is_replaced_and_counted() -> None:
    """NUL becomes U+FFFD at the same offset and is counted in the metadata, which holds none either."""
    row = checked("f:1", "k", "a\0b\0", {"x\0": ["\0", {"y": "\0"}]}, ReadOptions(10))
    assert row == Incoming("f:1", "k", "a\ufffdb\ufffd", {"x\ufffd": ["\ufffd", {"y": "\ufffd"}], "nul_replaced": 2})


@pytest.mark.parametrize("meta", [{"a": "\ud800"}, {"\ud800": 1}, {"a": [{"b": "\udfff"}]}])
def test_bad_meta(meta: dict[str, object]) -> None:
    """Metadata with a lone surrogate at any depth is rejected, for no store takes it."""
    row = checked("f:1", "k", "x", meta, ReadOptions(10))
    assert isinstance(row, Reject)
    assert row.code == "bad_meta"


def test_names_of_a_file_without_header() -> None:
    """At most 10 names, each cut to 40 characters, are shown, and none where one looks like text."""
    assert names(["id", "Clinical Note", "n" * 60]) == f"id, Clinical Note, {'n' * 40}"
    assert names([f"c{n}" for n in range(12)]).endswith("c9 and 2 more")
    assert CANARY not in names([CANARY, SECRET])


# ── bad input, file by file ─────────────────────────────────────────────────────────────────────────────────────────

OK = '{"text": "fine"}\n'
LONG = "x" * (files.line_bytes(MAX_CHARS) + 1)
CSV = "id,text\n"


class _Unknown(pa.ExtensionType):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(pa.string(), "stillhouse.test")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> _Unknown:
        raise AssertionError("code of an extension type was run")


def _bad_utf8_parquet() -> bytes:
    offsets, data = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xe4x")
    return parquet_bytes(pa.StringArray.from_buffers(2, offsets, data), columns=["text"])


def _named(columns: list[str]) -> bytes:
    return parquet_bytes(*[[SECRET] for _ in columns], columns=columns)


BAD: list[tuple[str, bytes | str, list[str], str]] = [
    # name, content, codes of all rows, what the reason says
    ("a.jsonl", "", ["empty_file"], "no rows"),
    ("a.jsonl", "\n \r\n", ["empty_file"], "no rows"),
    ("a.jsonl", b'{"text": "\xe4"}\n' + OK.encode(), ["bad_encoding", "ok"], "Byte 10 of line 1"),
    ("a.jsonl", OK.encode("utf-16"), ["bad_encoding"], "byte 0"),
    ("a.jsonl", OK.encode("utf-32"), ["bad_encoding"], "byte 0"),
    ("a.jsonl", OK + '{"text": "a" "b"}\n' + OK, ["ok", "bad_json", "ok"], "line 2, column 14"),
    ("a.jsonl", '{"text": "a"\n', ["bad_json"], "line 1, column 13"),
    ("a.jsonl", '{"text": "a\tb"}\n', ["bad_json"], "line 1, column 12"),
    ("a.jsonl", '{"text": "a", "x": NaN}\n' + OK, ["bad_json", "ok"], "NaN"),
    ("a.jsonl", '{"text": "a", "x": -Infinity}\n', ["bad_json"], "-Infinity"),
    ("a.jsonl", '{"text": "a", "x": 1e999}\n', ["bad_json"], "too large"),
    ("a.jsonl", '{"text": "a", "text": "b"}\n', ["bad_json"], "twice: text"),
    ("a.jsonl", '{"text": "a", "meta": {"b": 1, "b": 2}}\n', ["bad_json"], "twice: b"),
    ("a.jsonl", '{"text": "a", "x": ' + "9" * 5_000 + "}\n" + OK, ["bad_json", "ok"], "digits"),
    ("a.jsonl", '{"x": ' * 10_000 + "\n" + OK, ["bad_json", "ok"], "deep"),
    ("a.jsonl", '{"text": "a", "meta": {"x": ' + "[" * 200 + "]" * 200 + "}}\n", ["bad_meta"], "64 levels"),
    ("a.jsonl", '["a"]\n' + OK, ["bad_row", "ok"], "an array"),
    ("a.jsonl", '"a"\n', ["bad_row"], "a string"),
    ("a.jsonl", "null\n", ["bad_row"], "null"),
    ("a.jsonl", '{"body": "a", "id": 1}\n', ["no_text"], "body, id"),
    ("a.jsonl", json.dumps({SECRET: 1}), ["no_text"], "1 that do not look like names"),
    ("a.jsonl", '{"text": null}\n', ["bad_text"], "null"),
    ("a.jsonl", '{"text": 5}\n', ["bad_text"], "a number"),
    ("a.jsonl", '{"text": "\\ud800"}\n', ["bad_surrogate"], "character 0"),
    ("a.jsonl", '{"text": "a", "id": {"x": 1}}\n', ["bad_id"], "an object"),
    ("a.jsonl", '{"text": " "}\n', ["empty_text"], "1 characters"),
    ("a.jsonl", json.dumps({"text": "x" * 1_001}) + "\n" + OK, ["too_long", "ok"], "1001 characters > 1000"),
    ("a.jsonl", f'{{"text": "{LONG}"}}\n' + OK, ["line_too_long", "ok"], f"{len(LONG) + 13} bytes > {len(LONG) - 1}"),
    ("a.jsonl.gz", OK, ["bad_gzip"], "damaged"),
    ("a.jsonl.gz", gzip.compress(OK.encode() * 9)[:-9], ["ok"] * 9 + ["bad_gzip"], "cut off"),
    ("a.jsonl.gz", gzip.compress(OK.encode() + b" " * 5_000_000 + b"\n" + OK.encode()), ["ok", "line_too_long", "ok"], "5000001 bytes"),
    ("a.csv", "", ["empty_file"], "no rows"),
    ("a.csv", "id,body\n1,x\n", ["no_text"], "id, body"),
    ("a.csv", f"1,{SECRET}\n2,x\n", ["no_text"], "2 that do not look like names"),
    ("a.csv", "id|text\n1|x\n", ["no_text"], "do not look like names"),
    ("a.csv", "text,text\nx,y\n", ["bad_header"], "text"),
    ("a.csv", f"Smith,Smith,{SECRET}\n", ["bad_header"], "not shown"),
    ("a.csv", CSV + "1,a\n2\n3,b,c\n4,d\n", ["ok", "ragged_row", "ragged_row", "ok"], ""),
    ("a.csv", CSV + '1,a\n2,"b\n3,c\n4,d\n', ["ok", "csv_unclosed_quote"], "line 3"),
    ("a.csv", CSV + '2,"b\n' + "3,c\n" * 3_000 + '4,"d"\n', ["csv_unclosed_quote"], "starts at line 2 is not closed within 2001"),
    ("a.csv", CSV + '1,"' + ("x" * 9_000 + "\n") * 20 + '"\n', ["csv_unclosed_quote"], "line 2"),
    ("a.csv", CSV + '1,a\n2,"b" c\n3,d\n', ["ok", "bad_csv"], "line 3"),
    ("a.csv", CSV + "1,a\rb\n", ["bad_csv"], "line 2"),
    ("a.csv", CSV.encode() + b"1,\xe4\n2,ok\n", ["bad_encoding", "ok"], "Byte 2 of line 2"),
    ("a.csv", CSV.encode() + b'1,"a\n\xe4\n,b"\n2,ok\n', ["bad_encoding", "ok"], "Byte 0 of line 3"),
    ("a.csv", b"id,t\xe4xt\n1,x\n", ["bad_encoding"], "Byte 4 of line 1"),
    ("a.csv", (CSV + "1,x").encode("utf-16"), ["bad_encoding"], "byte 0"),
    ("a.csv", f"{CSV}1,{LONG}\n2,ok\n", ["line_too_long", "ok"], "bytes >"),
    ("a.csv", f'{CSV}1,"{LONG}\nb,c"\n2,ok\n', ["line_too_long", "ok"], "bytes >"),
    ("a.csv", f'{CSV}1,"a,\n{LONG}"\n2,ok\n', ["line_too_long", "ok"], "bytes >"),
    ("a.csv", CSV + "1,\n2," + "x" * 1_001 + "\n", ["empty_text", "too_long"], ""),
    ("a.tsv", "id,text\n1,x\n", ["no_text"], "do not look like names"),
    ("a.parquet", "", ["bad_parquet"], "after 0 rows"),
    ("a.parquet", b"PAR1 no parquet PAR1", ["bad_parquet"], "after 0 rows"),
    ("a.parquet", GOOD["d.parquet"][:-20], ["bad_parquet"], "after 0 rows"),
    ("a.parquet", GOOD["d.parquet"][:-4] + b"PARE", ["bad_parquet"], "encrypted"),
    ("a.parquet", _named(["id", "body"]), ["no_text"], "id, body"),
    ("a.parquet", _named(["text", "text"]), ["bad_header"], "text"),
    ("a.parquet", parquet_bytes([b"x"], columns=["text"]), ["bad_column_type"], "'text' is not a string"),
    ("a.parquet", parquet_bytes([["x"]], columns=["text"]), ["bad_column_type"], "'text' is not a string"),
    ("a.parquet", parquet_bytes(["x"], [1.0], columns=["text", "id"]), ["bad_column_type"], "'id' is not"),
    ("a.parquet", parquet_bytes(["x", None, ""], columns=["text"]), ["ok", "bad_text", "empty_text"], ""),
    ("a.parquet", parquet_bytes(pa.array([], pa.string()), columns=["text"]), ["empty_file"], "no rows"),
    ("a.parquet", _bad_utf8_parquet(), ["bad_encoding", "ok"], "Byte 0 of a string"),
    ("a.txt", "", ["empty_text"], "0 characters"),
    ("a.txt", " \n", ["empty_text"], "2 characters"),
    ("a.txt", b"ab\xe4", ["bad_encoding"], "Byte 2 of the file is not UTF-8"),
    ("a.txt", b"\xef\xbb\xbfab\xe4", ["bad_encoding"], "Byte 5 of the file is not UTF-8"),
    ("a.txt", b"\xff\xfea\0b", ["bad_encoding"], "Byte 4 is not UTF-16-LE"),
    ("a.txt", "a".encode("utf-32"), ["bad_encoding"], "UTF-32"),
    ("a.txt", "x" * 1_001, ["too_long"], "1001 characters > 1000"),
    ("a.txt", "x" * 9_999, ["too_long"], "> 1000 characters"),
    ("a.eml", "", ["empty_text"], ""),
    ("a.eml", mail("", ""), ["empty_text"], ""),
    ("a.eml", f"{SECRET}\nwithout any header\n", ["bad_eml"], "no header"),
    ("a.eml", mail("x", html="<p>y</p>")[:-30], ["bad_eml"], "ends before"),
    ("a.eml", raw_mail("Content-Type: multipart/mixed", SECRET.encode()), ["bad_eml"], "ends before"),
    ("a.eml", raw_mail("Subject: s", b"\xe4"), ["bad_encoding"], "Byte 0 of the decoded text"),
    ("a.eml", b"Subject: \xe4\n\nx", ["bad_encoding"], "Byte 0 of the subject"),
    ("a.eml", raw_mail("Content-Type: text/plain; charset=klingon", b"x"), ["bad_encoding"], "not known"),
    ("a.eml", raw_mail("Content-Type: text/plain; charset=punycode", b"x"), ["bad_encoding"], "not known"),
    ("a.eml", raw_mail("Content-Transfer-Encoding: base64", b"abcde"), ["bad_eml"], "base64"),
    ("a.eml", raw_mail("Subject: " + "s" * 5_000), ["bad_eml"], "subject has 5000"),
    ("a.eml", raw_mail("Content-Type: text/plain; x=" + "(" * 5_000), ["bad_eml"], "header of a part"),
    ("a.eml", raw_mail("Content-Type: text/plain; x=" + "(" * 1_900, b"x"), ["bad_eml"], "RecursionError"),
    ("a.eml", raw_mail("Content-Type: text/html", b"<!--" * 5_000), ["bad_eml"], "does not end"),
    ("a.eml", raw_mail("Content-Type: text/html", b"a<style>b"), ["bad_eml"], "<style>"),
    ("a.eml", raw_mail("Content-Type: text/html", LONG.encode()), ["too_long"], "HTML has"),
    ("a.eml", mail("x" * 1_001), ["too_long"], "characters > 1000"),
    ("a.pdf", "%PDF-1.7", ["bad_pdf"], "cut off"),
    ("a.pdf", SECRET, ["bad_pdf"], "cut off"),
    ("a.html", "", ["empty_text"], "0 characters"),
    ("a.html", b"<p>\xe4", ["bad_encoding"], "Byte 3 of the page is not UTF-8"),
    ("a.htm", f"<p>a<style>{SECRET}", ["bad_html"], "<style>"),
    ("a.csv.gz", b"", ["empty_file"], "no rows"),
    ("a.odt.gz", b"", ["unsupported_format"], "'.gz'"),
    ("noname", "", ["unsupported_format"], "''"),
]


@pytest.mark.parametrize(("name", "data", "expected", "says"), BAD, ids=[f"{n}-{case[0]}-{case[2][-1]}" for n, case in enumerate(BAD)])
def test_bad_input(tmp_path: Path, name: str, data: bytes | str, expected: list[str], says: str) -> None:
    """Bad input gives rejects with stable codes and a place, the rows around it are read, and no reason holds text."""
    rows = rows_in(written(tmp_path, name, data))
    assert codes(rows) == expected
    rejects = [row for row in rows if isinstance(row, Reject)]
    assert any(says in reject.reason for reject in rejects)
    for reject in rejects:
        assert reject.place.startswith(name)
        assert (reject.reason[-1], reject.remedy[-1]) == (".", ".")
        assert CANARY not in repr(reject)


def test_unsupported_format_lists_the_supported() -> None:
    """The remedy of an unsupported format lists every suffix that is read."""
    rows = [row for _, found in read_paths([Path(__file__)], MAX_CHARS) for row in found]
    assert all(suffix in the_reject(rows).remedy for suffix in SUFFIXES)


def test_meta_of_a_row_is_plain(tmp_path: Path) -> None:
    """Without a meta object the other scalar columns are the metadata; lists, nulls, the id and the text are not."""
    row = {"id": 1, "text": "x", "a": 1.5, "b": None, "c": [1], "d": True, "meta": "m"}
    assert the_document(rows_in(written(tmp_path, "a.jsonl", json.dumps(row)))).meta == {"a": 1.5, "d": True, "meta": "m"}
    nested = {"text": "x", "other": 1, "meta": {"text": "x", "list": [1, {"k": None}]}}
    assert the_document(rows_in(written(tmp_path, "b.jsonl", json.dumps(nested)))).meta == {"list": [1, {"k": None}]}


def test_meta_of_parquet_is_plain(tmp_path: Path) -> None:
    """Parquet dates become ISO strings, categories their values, and bytes, lists, NaN and nulls are dropped."""
    day = datetime.datetime(2026, 3, 2, 10, 30)
    columns: dict[str, pa.Array] = {
        "text": pa.array(["x"], pa.large_string()),
        "id": pa.array([7], pa.uint64()),
        "day": pa.array([day.date()]),
        "time": pa.array([day]),
        "far": pa.array([2**60], pa.timestamp("ms")),
        "ns": pa.array([1], pa.timestamp("ns")),
        "zone": pa.array([day], pa.timestamp("us", tz="Nowhere/Land")),
        "kind": pa.array(["k"]).dictionary_encode(),
        "nan": pa.array([float("nan")]),
        "raw": pa.array([b"\xff"]),
        "list": pa.array([[1]]),
        "null": pa.array([None], pa.int8()),
        "flag": pa.array([True]),
        "span": pa.array([datetime.timedelta(seconds=90)]),
    }
    document = the_document(rows_in(written(tmp_path, "a.parquet", parquet_bytes(*columns.values(), columns=list(columns)))))
    assert document.key == "7"
    assert {name: document.meta[name] for name in ("day", "time", "kind", "flag", "span")} == {
        "day": "2026-03-02",
        "time": "2026-03-02T10:30:00",
        "kind": "k",
        "flag": True,
        "span": 90.0,
    }
    assert not {"text", "id", "nan", "raw", "list", "null"} & set(document.meta)
    json.dumps(dict(document.meta), allow_nan=False)


def test_meta_struct_of_parquet(tmp_path: Path) -> None:
    """A Parquet column `meta` of objects is the row's metadata, its bytes and NaN as null."""
    table = parquet_bytes(["x"], [{"site": 3, "raw": b"\xff", "score": float("nan")}], [1], columns=["text", "meta", "other"])
    assert the_document(rows_in(written(tmp_path, "a.parquet", table))).meta == {"site": 3, "raw": None, "score": None}


def test_parquet_bomb_ends_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary that unfolds into more bytes than a batch may have is refused after one small batch."""
    monkeypatch.setattr(parquet, "BATCH_BYTES", 4_000_000)
    unfolding = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000), ["x" * 500_000])
    table = parquet_bytes(unfolding, columns=["text"], store_schema=False)
    assert len(table) < 100_000  # of 5 GB
    rows = rows_in(written(tmp_path, "a.parquet", table))
    assert codes(rows) == ["batch_too_large"]
    assert the_reject(rows).reason.startswith("The rows from 1 on")


def test_parquet_that_declares_too_much_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group whose footer says that its rows are over the bound is refused before anything is decoded."""
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1_000)
    table = parquet_bytes(["x" * 200_000], columns=["text"], use_dictionary=False)
    assert the_reject(rows_in(written(tmp_path, "a.parquet", table))).reason.startswith("A row group of 1 rows declares")


def test_extension_types_run_no_code(tmp_path: Path) -> None:
    """A Parquet text of an extension type is refused, other such columns are left out, and none of their code runs."""
    column = pa.ExtensionArray.from_storage(_Unknown(), pa.array(["x"]))
    assert codes(rows_in(written(tmp_path, "a.parquet", parquet_bytes(column, columns=["text"])))) == ["bad_column_type"]
    assert codes(rows_in(written(tmp_path, "a.parquet", parquet_bytes(["x"], column, columns=["text", "id"])))) == ["bad_column_type"]
    assert the_document(rows_in(written(tmp_path, "a.parquet", parquet_bytes(["x"], column, columns=["text", "other"])))).meta == {}


def test_a_line_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that goes on beyond the bytes that may be skipped ends the reading of its file."""
    monkeypatch.setattr(files, "SKIP_BYTES", 1 << 20)
    bomb = gzip.compress(b" " * (4 << 20) + b"\n" + OK.encode())
    rows = rows_in(written(tmp_path, "a.jsonl.gz", bomb))
    assert codes(rows) == ["line_too_long"]
    assert "not read further" in the_reject(rows).reason


def test_mail_with_too_many_parts(tmp_path: Path) -> None:
    """A mail of more than 1,000 parts is rejected."""
    data = raw_mail("Content-Type: multipart/mixed; boundary=b", b"--b\n\n\n" * 1_001 + b"--b--\n")
    assert the_reject(rows_in(written(tmp_path, "a.eml", data))).code == "bad_eml"


@pytest.mark.parametrize(("n_mails", "code"), [(eml.MAIL_DEPTH, "ok"), (eml.MAIL_DEPTH + 1, "bad_eml")])
def test_mails_in_mails(tmp_path: Path, n_mails: int, code: str) -> None:
    """Mails inside mails are read 10 deep; a mail that carries them deeper is rejected, not cut."""
    inner = plain("x")
    for _ in range(n_mails):
        inner = carried("s", inner)
    assert codes(rows_in(written(tmp_path, "a.eml", inner))) == [code]


@pytest.mark.parametrize(("html", "code"), [("<a " * 3_000, "bad_eml"), ("<p>" * (files.line_bytes(20_000) // 4), "too_long")])
def test_bounds_hold_for_all_parts_of_a_mail(tmp_path: Path, html: str, code: str) -> None:
    """HTML within the bounds by itself is rejected where the parts of a mail together are over them: their cost adds up."""
    part = mail_part("text/html", html)
    assert codes(rows_in(written(tmp_path, "a.eml", multipart("mixed", part, plain("x"))), 20_000)) == ["ok"]
    assert codes(rows_in(written(tmp_path, "b.eml", multipart("mixed", part, carried("s", part))), 20_000)) == [code]


def test_a_bad_part_rejects_the_mail(tmp_path: Path) -> None:
    """A later part or a carried mail that cannot be decoded rejects the mail: nothing is left out in silence."""
    bad = mail_part("text/plain; charset=klingon", SECRET)
    for whole in (multipart("mixed", plain("One."), bad), multipart("mixed", plain("One."), carried("s", bad))):
        reject = the_reject(rows_in(written(tmp_path, "a.eml", whole)))
        assert reject.code == "bad_encoding"
        assert CANARY not in repr(reject)


# ── folders and paths ───────────────────────────────────────────────────────────────────────────────────────────────


def test_folders_in_sorted_order(tmp_path: Path) -> None:
    """Folders are walked in sorted order, labels are relative to the given folder, and hidden entries are skipped."""
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".git/x.txt", ".hidden.txt", "a/.x/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path, name, "x")
    sources = [source for source, _ in read_paths([tmp_path, tmp_path / "b.txt"], MAX_CHARS)]
    assert [source.label for source in sources] == ["a/b/c.txt", "a/z.txt", "b.txt", "b.txt"]
    assert sources[0] == Source(tmp_path / "a/b/c.txt", "a/b/c.txt", 1)


def labels_of(*paths: Path) -> list[str]:
    return [source.label for source, _ in read_paths(paths, MAX_CHARS)]


def test_labels_tell_files_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several paths are given no two files share a label, and one file has the same label by whichever path it is found."""
    for name in ("one/x.txt", "two/x.txt", "two/in/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path, name, "x")
    one, two = tmp_path / "one", tmp_path / "two"
    assert labels_of(one) == labels_of(one / "x.txt") == ["x.txt"]
    assert labels_of(one / "x.txt", one / "x.txt") == ["x.txt", "x.txt"]
    assert labels_of(one, two) == ["one/x.txt", "two/in/y.txt", "two/x.txt"]
    assert labels_of(one / "x.txt", two / "x.txt") == ["one/x.txt", "two/x.txt"]
    assert labels_of(two / "in/y.txt", two / "x.txt") == ["in/y.txt", "x.txt"]
    assert labels_of(two, two / "in") == ["in/y.txt", "x.txt", "in/y.txt"]
    monkeypatch.chdir(one)
    assert labels_of(Path("."), Path("../two")) == labels_of(one, two)
    assert labels_of(Path(".")) == ["x.txt"]


def test_paths_are_told_apart_by_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has one hash by whatever path and folder it is given, another file has another, and so has a link to it."""
    (tmp_path / "real").mkdir()
    real = written(tmp_path, "real/x.txt", "x")
    os.symlink("x.txt", tmp_path / "real/link.txt")
    os.symlink("real", tmp_path / "also")
    monkeypatch.chdir(tmp_path)
    same = (real, Path("real/x.txt"), tmp_path / "real/../real/x.txt", tmp_path / "also/x.txt")
    (sha256,) = {source.path_sha256 for path in same for source, _ in read_paths([path], MAX_CHARS)}
    assert len({source.path_sha256 for source, _ in read_paths([tmp_path / "real"], MAX_CHARS)} | {sha256}) == 2
    assert (len(sha256), Source(tmp_path / "x.txt", "x.txt", 1).path_sha256 == sha256) == (64, False)


def test_only_the_whole_stem_tells_a_readme(tmp_path: Path) -> None:
    """In a folder a file whose name merely begins with readme or licence is a document."""
    for name in ("license-2024-17.txt", "readme_letters.txt", "Licences.txt", "readme.de.txt", "LICENSE.txt"):
        written(tmp_path, name, "x")
    found = {source.label: codes(list(rows)) for source, rows in read_paths([tmp_path], MAX_CHARS)}
    assert sorted(name for name, said in found.items() if said == ["ok"]) == ["Licences.txt", "license-2024-17.txt", "readme_letters.txt"]
    assert found["readme.de.txt"] == found["LICENSE.txt"] == ["unsupported_format"]


def test_nothing_in_a_folder_is_silent(tmp_path: Path) -> None:
    """A README, a licence, Markdown and unknown formats in a folder are rejected with the supported formats."""
    for name in ("README.txt", "LICENSE", "notes.md", "x.docx", "ok.txt"):
        written(tmp_path, name, "x")
    found = {source.label: codes(list(rows)) for source, rows in read_paths([tmp_path], MAX_CHARS)}
    assert found.pop("ok.txt") == ["ok"]
    assert found == {name: ["unsupported_format"] for name in ("README.txt", "LICENSE", "notes.md", "x.docx")}
    assert codes(rows_in(tmp_path / "README.txt")) == ["ok"]


@pytest.mark.parametrize("name", ["none.txt", "file.txt/below.txt", "nul\0.txt"])
def test_missing_path(tmp_path: Path, name: str) -> None:
    """A path that does not exist is a usage error that names it, before any file is read."""
    good = written(tmp_path, "file.txt", "x")
    with pytest.raises(UsageError, match=name.split("/")[-1].split("\0")[0]):
        read_paths([good, tmp_path / name], MAX_CHARS)


def test_special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, FIFOs, sockets and devices are rejected without blocking, in a folder as by their own path."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "real.txt", "x")
    os.symlink("real.txt", "link.txt")
    os.symlink(".", "loop")
    os.symlink("nowhere", "dangling.jsonl")
    os.mkfifo("fifo.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.csv")
        paths = (tmp_path, Path("/dev/zero"), tmp_path / "loop")
        found = {source.label: list(rows) for path in paths for source, rows in read_paths([path], MAX_CHARS)}
    assert codes(found.pop("real.txt")) == ["ok"]
    assert set(found) == {"link.txt", "loop", "dangling.jsonl", "fifo.jsonl", "socket.csv", "zero"}
    assert all(codes(rows) == ["not_a_file"] for rows in found.values())


def test_what_is_opened_is_checked(tmp_path: Path) -> None:
    """The opening itself refuses a link, FIFO, socket, folder or missing file: what was checked may have been replaced since."""
    os.mkfifo(tmp_path / "fifo")
    os.symlink(__file__, tmp_path / "link")
    (tmp_path / "folder").mkdir()
    expected = {"fifo": "not_a_file", "link": "not_a_file", "folder": "not_a_file", "missing": "unreadable", "nul\0": "unreadable"}
    found = {name: codes(list(files.rows_of(tmp_path / name, "label", lambda file: iter([])))) for name in expected}
    assert found == {name: [code] for name, code in expected.items()}


def test_unreadable_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or folder without permission is one reject, and its neighbours are read."""
    (tmp_path / "shut").mkdir()
    written(tmp_path, "shut.txt", "x")
    written(tmp_path, "open.txt", "x")

    def refusing(real: Callable[..., object]) -> Callable[..., object]:
        def call(path: Path, *rest: int) -> object:
            if "shut" in Path(path).name:
                raise PermissionError(13, "denied")
            return real(path, *rest)

        return call

    monkeypatch.setattr(os, "open", refusing(os.open))  # the tests may run as root, whom no mode stops
    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    found = {source.label: codes(list(rows)) for source, rows in read_paths([tmp_path], MAX_CHARS)}
    assert found == {"open.txt": ["ok"], "shut.txt": ["unreadable"], "shut/": ["unreadable"]}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_labels_are_printable(tmp_path: Path) -> None:
    """A name with bytes that are not UTF-8, line breaks or direction marks has a printable label, and no two names share one."""
    raw = [b"a\xff.txt", b"a%FF.txt", b"a\nb.txt", "a\u202eb.txt".encode(), b"100%.txt"]
    for name in raw:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    labels = {source.label for source, rows in read_paths([tmp_path], MAX_CHARS) if codes(list(rows)) == ["ok"]}
    assert labels == {"a%FF.txt", "a%25FF.txt", "a%0Ab.txt", "a%E2%80%AEb.txt", "100%.txt"}


def _change(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _replace(path: Path) -> None:
    state = path.stat()
    other = path.with_suffix(".other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize("change", [_change, _replace, Path.unlink, lambda path: os.truncate(path, 3), lambda path: os.utime(path, (1, 1))])
def test_source_changed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A file that grows, is cut or replaced, vanishes or gets a new time while it is read ends with a reject that says so."""
    path = written(tmp_path, "a.jsonl", OK * 3)
    ((_, rows),) = read_paths([path], MAX_CHARS)
    assert isinstance(next(rows), Incoming)
    change(path)
    assert codes(list(rows))[-1] == "source_changed"


def test_deep_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders nested deeper than Python may recurse are walked."""
    monkeypatch.chdir(tmp_path)
    for _ in range(1_200):
        os.mkdir("d")
        os.chdir("d")
    Path("x.txt").write_text("x")
    (row,) = rows_in(tmp_path)
    os.unlink("x.txt")
    for _ in range(1_200):  # here, because pytest's own clean-up recurses
        os.chdir("..")
        os.rmdir("d")
    assert isinstance(row, Reject)
    assert row.code == "bad_id"  # the path is its key, and too long


# ── any bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────

HEADS = [b"", b"text\n", b"id,text\n1,", b'id\ttext\n1\t"', b'{"text": "', b"Subject: s\n\n", b"Content-Type: text/html\n\n<p>", b"\xff\xfe", b"\x1f\x8b"]
JUNK = st.one_of(st.binary(max_size=60), st.text(alphabet='",\t\n\r{}[]:\\<>!-&=?/ax1\0', max_size=60).map(str.encode))


def _mutants(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with one stretch replaced or cut."""
    at = st.integers(0, len(data))
    return st.tuples(at, at, st.binary(max_size=6)).map(lambda cut: data[: cut[0]] + cut[2] + data[cut[1] :])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def _assert_told_without_text(folder: Path, suffix: str, data: bytes) -> None:
    rows = rows_in(written(folder, f"any{suffix}", data), 60)
    assert rows, "a file was passed over in silence"
    for row in rows:
        assert isinstance(row, Incoming | Reject)
        if isinstance(row, Reject):
            assert CANARY not in repr(row)
        else:
            json.dumps(dict(row.meta), allow_nan=False).encode()
            assert "\0" not in (row.key + row.text).encode().decode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([*READERS, ".jsonl.gz", ".zip", ".tar", ".tgz", ".csv.xz"]),
    head=st.sampled_from(HEADS),
    before=JUNK,
    after=JUNK,
    zipped=st.booleans(),
)
def test_any_bytes(folder: Path, suffix: str, head: bytes, before: bytes, after: bytes, zipped: bool) -> None:
    """Whatever bytes a file holds, each format yields documents or rejects, at least one, and no reject holds the text."""
    data = head + before + SECRET.encode() + after
    _assert_told_without_text(folder, suffix, gzip.compress(data) if zipped and suffix.endswith("gz") else data)


SEEDS = {
    ".parquet": parquet_bytes(["a"], [SECRET], [SECRET], columns=["id", "text", "note"]),
    ".eml": mail(SECRET, SECRET, html=f"<p>{SECRET}</p>", date=SECRET, n_attachments=1),
    " carried.eml": multipart("mixed", page(SECRET), carried(SECRET, multipart("alternative", plain(" "), page(SECRET)), ATTACHED)).encode(),
    ".jsonl": json.dumps({"id": "a", "text": SECRET, "meta": {"note": SECRET}}).encode(),
    ".csv": f'id,text,note\n1,"{SECRET}",{SECRET}\n2,"{SECRET}\n{SECRET}",x\n'.encode(),
    ".jsonl.gz": gzip.compress(json.dumps({"text": SECRET}).encode()),
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(sorted(SEEDS)).flatmap(lambda suffix: st.tuples(st.just(suffix), _mutants(SEEDS[suffix]))))
def test_damaged_files(folder: Path, case: tuple[str, bytes]) -> None:
    """A good file with one stretch cut or overwritten yields documents or rejects, and no reject holds the text."""
    _assert_told_without_text(folder, *case)
