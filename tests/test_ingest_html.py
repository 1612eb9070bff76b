"""Saved pages: what a reader would see, line by line, tables as rows, in the charset that the page has."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from workers.ingest import Incoming, ReadOptions, Reject, htmlfile, read_paths, visible
from workers.ingest.visible import page_text

from .test_ingest import CANARY, SECRET, mail, rows_in, the_document, the_reject, written

SHOWN: dict[str, tuple[str, str]] = {
    "blocks": ("<h1>Head</h1><p>One &amp;\n two<div>three<br>four</div><ul><li>a<li>b</ul>", "Head\nOne & two\nthree\nfour\na\nb"),
    "inline": ("<p>CO<sub>2</sub> of <b>bold</b><i>ness</i>", "CO2 of boldness"),
    "hidden": ("<nav>menu</nav><script>x<p></script><style>p{}</style><template>t</template><noscript>n</noscript><p>seen", "seen"),
    "hidden by itself": ('<div hidden>a<div>b</div>c</div><div style="color:red; DISPLAY : none">d</div><p>seen', "seen"),
    "a hidden row": ("<table><tr><td>a<td>b<tr hidden><td>x<td>y<tr><td>c<td>d</table>z", "a | b\nc | d\nz"),
    "a hidden cell with blocks": ("<table><tr><td hidden><p>x</p><td>a<td>b<tr><td>c<td>d</table>", "a | b\nc | d"),
    "a hidden item with blocks": ("<ul><li hidden><div>x</div>y<ul><li>z</ul>w<li>seen</ul>", "seen"),
    "a hidden item at the end": ("<div><ul><li>a<li hidden>x</ul>b</div>c", "a\nb\nc"),
    "a hidden item without a list": ("<div><li hidden>x</div>b", "b"),
    "hidden without an end": ("<p hidden>a<p>seen<ul><li hidden>b<li>too</ul>", "seen\ntoo"),
    "body that a script shows": ('<body style="display:none"><p>seen', "seen"),
    "lists of choices": ("<select><option>a<option>b</select><p>seen", "seen"),
    "title": ("<title>Report\n 2023</title><p>x", "Report 2023\nx"),
    "title that is the heading": ("<title>Report</title><h1>Report</h1>x", "Report\nx"),
    "title of an image": ("<title>Report</title><svg><title>No</title></svg>x", "Report\nx"),
    "preformatted": ("<pre>a  b\n  c</pre><p>d\ne", "a b\nc\nd e"),
    "unclosed": ("<b><i><p>a</b><p>b</i></div></p></table>c", "a\nb\nc"),
    "leftovers of editors": ("<![if !x]><p>a<![endif]><![><p>b<?xml:x?><o:p></o:p>", "a\nb"),
    "no markup": ("just a text < 5 & more", "just a text < 5 & more"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_visible_text(tmp_path: Path, name: str) -> None:
    """A page gives what its reader sees: blocks on lines of their own, nothing hidden, its title first."""
    html, text = SHOWN[name]
    assert the_document(rows_in(written(tmp_path, "a.html", html))) == Incoming("a.html", "a.html", text, {})


def table(*rows: str, more: str = "") -> str:
    return f"<p>Before<table {more}>{''.join(f'<tr>{row}' for row in rows)}</table>After"


TABLES: dict[str, tuple[str, list[str]]] = {
    "rows": (table("<th>Metric<th>2022<th>2023", "<td>Scope 1<td>1,234<td>987"), ["Metric | 2022 | 2023", "Scope 1 | 1,234 | 987"]),
    "blocks in cells": (table("<td><p>a<p>b<td><ul><li>c<li>d</ul>", "<td>e<td>f"), ["a b | c d", "e | f"]),
    "empty cells": (table("<td><td>2022<td>2023", "<td>a<td><td>1", "<td>b<td>2<td>"), ["| 2022 | 2023", "a | | 1", "b | 2"]),
    "colspan": (table("<td>a<td colspan=2>both<td>c", "<td>1<td>2<td>3<td>4"), ["a | both | | c", "1 | 2 | 3 | 4"]),
    "rowspan": (table("<td rowspan=2>a<td>1<td rowspan=2>x", "<td>2", "<td>b<td>3<td>y"), ["a | 1 | x", "| 2", "b | 3 | y"]),
    "sections and caption": (
        table("<td>a<td>1").replace("<tr>", "<caption>Energy</caption><thead><tr><th>k<th>v</thead><tbody><tr>"),
        ["Energy", "k | v", "a | 1"],
    ),
    "pipes": (table("<td>a|b<td>1", "<td>c<td>2"), ["a/b | 1", "c | 2"]),
    "a heading in a row": (table("<th>k<th>v", "<td colspan=2>Energy", "<td>a<td>1"), ["k | v", "Energy", "a | 1"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    """Rows of a table are lines of cells; a cell over several columns or rows stands in the first, and the others stay empty."""
    html, rows = TABLES[name]
    assert page_text(html).split("\n") == ["Before", *rows, "After"]


LAYOUTS: dict[str, tuple[str, str]] = {
    "a single row": (table("<td>menu<td>content"), "Before\nmenu\ncontent\nAfter"),
    "a single column": (table("<td>a", "<td>b"), "Before\na\nb\nAfter"),
    "said to be none": (table("<td>a<td>b", "<td>c<td>d", more="role=presentation"), "Before\na\nb\nc\nd\nAfter"),
    "a long cell": (table(f"<td>a<td><p>{'x ' * 600}<p>y", "<td>c<td>d"), f"Before\na\n{('x ' * 600).strip()}\ny\nc\nd\nAfter"),
    "a table in a table": (table(f"<td>m<td>{table('<td>a<td>1', '<td>b<td>2')}", "<td>c<td>d"), "Before\nm\nBefore\na | 1\nb | 2\nAfter\nc\nd\nAfter"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_tables_that_lay_out(name: str) -> None:
    """A table that lays the page out is no table: its cells are blocks."""
    html, text = LAYOUTS[name]
    assert page_text(html) == text


@pytest.mark.parametrize("html", ["<tr><td>x<td>y" * 2 + "<td colspan=50 rowspan=50>z" * 20_000, "<tr><td>x<td>y<td colspan=50 rowspan=50>z" * 10_000])
def test_a_table_of_claims_stays_small(html: str) -> None:
    """Cells that claim to be fifty columns and rows wide make no text many times as long as the page, and each is still there."""
    text = page_text(f"<table>{html}</table>")
    assert len(text) < 2 * len(html) and text.count("z") == html.count("z")


def test_mails_have_no_rows(tmp_path: Path) -> None:
    """A mail's tables nearly always lay it out: its cells are lines, as before."""
    assert (
        the_document(rows_in(written(tmp_path, "a.eml", mail("", "S", html=table("<td>a<td>1", "<td>b<td>2"))))).text
        == "Subject: S\n\nBefore\na\n1\nb\n2\nAfter"
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<p>Größe".encode(), "Größe"),
        ("\ufeff<p>Größe".encode(), "Größe"),
        ("<p>Größe".encode("utf-16"), "Größe"),
        ('<meta charset="windows-1252"><p>Größe €'.encode("cp1252"), "Größe €"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"><p>\u201cGröße\u201d'.encode("cp1252"), "\u201cGröße\u201d"),
        ("<?xml version='1.0' encoding='ISO-8859-2'?><html><p>Łódź".encode("iso-8859-2"), "Łódź"),
        ("<meta charset=utf-16><p>Größe".encode(), "Größe"),
        ("\ufeff<meta charset=latin-1><p>Größe".encode(), "Größe"),
    ],
)
def test_charsets(tmp_path: Path, data: bytes, text: str) -> None:
    """The byte-order mark says the charset, then the page itself; without either it is UTF-8."""
    assert the_document(rows_in(written(tmp_path, "a.html", data))).text == text


def read(path: Path, **options: object) -> Incoming | Reject:
    ((_, rows),) = read_paths([path], ReadOptions(1_000, **options))  # type: ignore[arg-type]
    (row,) = rows
    return row


def test_an_encoding_that_was_named(tmp_path: Path) -> None:
    """--encoding says more than the page, and --errors replace puts U+FFFD where bytes are not in it."""
    path = written(tmp_path, "a.html", "<meta charset=utf-8><p>Größe".encode("cp1252"))
    assert read(path).code == "bad_encoding"  # type: ignore[union-attr]
    assert read(path, encoding="cp1252").text == "Größe"  # type: ignore[union-attr]
    assert read(path, errors="replace").text == "Gr\ufffd\ufffde"  # type: ignore[union-attr]


BAD: list[tuple[str | bytes, str, str]] = [
    (b"<meta charset=klingon><p>x", "bad_encoding", "not known"),
    (b"<meta charset=punycode><p>x", "bad_encoding", "not known"),
    (b"<meta charset=zlib><p>x", "bad_encoding", "not known"),
    (b"<meta charset=shift_jis><p>\xff\xff", "bad_encoding", "Byte 27 of the page is not SHIFT_JIS"),
    (f"<p>a<script>{SECRET}", "bad_html", "<script>"),
    (f"<p>a<nav>{SECRET}", "bad_html", "<nav>"),
    (f"<div hidden>{SECRET}<div></div>", "bad_html", "<div>"),
    (f"<{CANARY} hidden>a", "bad_html", "an element"),
    ("<!--" * 5_000 + SECRET, "bad_html", "does not end"),
    ("<a " * 5_000 + SECRET, "bad_html", "does not end"),
    ("<p> &nbsp; <img src=x>", "empty_text", "none of them visible"),
    ("<p>" + "x" * 1_001, "too_long", "1001 characters > 1000"),
]


@pytest.mark.parametrize(("data", "code", "says"), BAD, ids=[f"{n}-{code}" for n, (_, code, _) in enumerate(BAD)])
def test_bad_pages(tmp_path: Path, data: str | bytes, code: str, says: str) -> None:
    """A page that cannot be decoded, never ends, shows nothing or too much is a reject without its text."""
    reject = the_reject(rows_in(written(tmp_path, "a.html", data)))
    assert (reject.code, CANARY in repr(reject)) == (code, False)
    assert says in reject.reason


def test_a_page_over_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page over the bound of bytes is rejected before it is parsed."""
    monkeypatch.setattr(htmlfile, "HTML_BYTES", 10)
    assert the_reject(rows_in(written(tmp_path, "a.html", "<p>" + "x" * 8))).code == "too_long"


def test_a_long_text_may_end_in_an_ampersand() -> None:
    """A long text without a tag behind it is no construct that never ends."""
    text = "x" * (visible.TAIL_CHARS + 1) + " A&B"
    assert page_text(f"<p>{text}") == text


def test_other_names(tmp_path: Path) -> None:
    """.htm and .xhtml are read as .html, a page with an XML declaration too."""
    for name in ("a.htm", "a.XHTML", "a.html"):
        assert the_document(rows_in(written(tmp_path, name, '<?xml version="1.0"?>\n<html xmlns="x"><p>One.</p></html>'))).text == "One."


NASTY = {
    "nested tables": "<table><tr><td>" * 30_000,
    "wide cells": "<table>" + "<tr><td colspan=9999>x<td rowspan=9999>y" * 10_000 + "</table>",
    "tall cells": "<table><tr>" + "<td rowspan=9999>x" * 20_000 + "<tr><td>y" * 50 + "</table>",
    "nested blocks": "<div hidden>" * 50_000 + "</div>" * 50_000 + "x",
    "attributes": "<p " + "a=b " * 200_000 + ">x",
    "entities": "&amp" * 200_000,
    "brackets": "<" * 500_000,
    "declarations": "<![" * 100_000 + ">" * 100_000,
    "styles": f'<p style="{"none " * 200_000}">x' * 3,
}


@pytest.mark.parametrize("name", NASTY)
def test_time_is_bounded(name: str) -> None:
    """Pages made to be slow are read, or refused, in seconds."""
    started = time.monotonic()
    with suppress(visible.Endless):
        page_text(NASTY[name])
    assert time.monotonic() - started < 10
