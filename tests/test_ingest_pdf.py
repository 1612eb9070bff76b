"""PDF files: text in reading order with pages, tables as rows, and hostile files that end a process of their own and nothing else."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Frame, Paragraph, Table

from workers.ingest import Incoming, ReadOptions, Reject, pdf, read_paths
from workers.ingest.pdf import client, reading
from workers.ingest.pdf.page import text_of
from workers.ingest.pdf.tables import is_value

from .fuzz.seeds import zipped
from .test_ingest import CANARY, SECRET, codes, rows_in, the_document, the_reject, written

ROOT = Path(__file__).parents[1]
Draw = Callable[[Canvas], object]
PLAN = (
    "The board reviewed the transition plan in March and asked management to report on progress each quarter. Emissions from heating fell "
    "because two boilers were replaced by heat pumps. Water use at the northern plant rose slightly, which the site explains by a dry summer "
    "and the cleaning of new tanks. Suppliers of packaging were asked to disclose their own figures; forty of sixty answered in time."
)
TRIAL = (
    "Patients were seen every six weeks. Blood pressure was taken after five minutes of rest, and the mean of three readings was kept. "
    "Those who could not attend were called by a nurse. No serious event was linked to the device during the first year, and the committee "
    "saw no reason to stop the trial early."
)
JUSTIFIED = ParagraphStyle("justified", fontSize=9, leading=11, alignment=4, spaceAfter=6)
RAGGED = ParagraphStyle("ragged", fontSize=10, leading=12, spaceAfter=6)


def made(*pages: Draw, size: tuple[float, float] = A4, **options: object) -> bytes:
    """A PDF file with these pages."""
    sink = io.BytesIO()
    canvas = Canvas(sink, pagesize=size, **options)
    for draw in pages:
        canvas.setFont("Helvetica", 10)
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def lines(*texts: str, left: float = 60, top: float = 760, leading: float = 12) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for n, text in enumerate(texts):
            canvas.drawString(left, top - n * leading, text)

    return draw


def columns(*texts: str, gap: float = 12, style: ParagraphStyle = JUSTIFIED, title: str = "") -> Draw:
    """A page with a column for each text, each with two paragraphs, below a title over all of them."""

    def draw(canvas: Canvas) -> None:
        width = (475 - gap * (len(texts) - 1)) / len(texts)
        for n, text in enumerate(texts):
            frame = Frame(60 + n * (width + gap), 60, width, 700, leftPadding=0, rightPadding=0)
            frame.addFromList([Paragraph(text, style), Paragraph(TRIAL, style)], canvas)
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(60, 780, title)

    return draw


def grid(*rows: tuple[str, ...], left: float = 60, top: float = 700, widths: tuple[float, ...] = (180, 70, 70, 70, 70), right: bool = True) -> Draw:
    """Rows of cells; those beside the first column end where it ends, as numbers do."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for n, row in enumerate(rows):
            for at, cell in enumerate(row):
                x = left + sum(widths[:at])
                if at and right:
                    canvas.drawRightString(x + widths[at] - 12, top - 14 * n, cell)
                else:
                    canvas.drawString(x, top - 14 * n, cell)

    return draw


def both(*draws: Draw) -> Draw:
    return lambda canvas: [draw(canvas) for draw in draws]


def text_in(folder: Path, data: bytes, max_chars: int = 1_000_000) -> str:
    return the_document(rows_in(written(folder, "a.pdf", data), max_chars)).text


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages(tmp_path: Path) -> None:
    """Page n of a text stands behind n - 1 form feeds; pages and those without text are counted, and a page's own form feed is none."""
    pages = [lines("First page."), lines(), lines("Third\fpage: Größe, naïve, Ångström."), lines("Fourth.")]
    document = the_document(rows_in(written(tmp_path, "a.pdf", made(*pages))))
    assert [page.strip() for page in document.text.split("\f")][:2] == ["First page.", ""]
    assert document.text.split("\f")[2].strip().startswith("Third") and document.text.split("\f")[2].strip().endswith("page: Größe, naïve, Ångström.")
    assert (document.key, document.meta) == ("a.pdf", {"n_pages": 4, "n_pages_without_text": 1})
    at = document.text.index("Fourth")
    assert document.text.count("\f", 0, at) + 1 == 4


def test_paragraphs(tmp_path: Path) -> None:
    """The lines of a paragraph are one line of the text; headings, paragraphs and lines that end early stay apart."""
    draw = columns(PLAN, style=RAGGED, title="A heading")
    assert text_in(tmp_path, made(draw)) == f"A heading\n\n{PLAN}\n\n{TRIAL}" or text_in(tmp_path, made(draw)) == f"A heading\n\n{PLAN}\n{TRIAL}"
    alone = ["Institute of Applied Sciences of the Town", "Long Street 12", "12345 Town"]
    assert text_in(tmp_path, made(lines(*alone))).split("\n") == alone
    address = text_in(tmp_path, made(both(columns(PLAN), lines("Long Street 12", "12345 Town", "Dear colleague,", top=820))))
    assert address.split("\n")[:3] == ["Long Street 12", "12345 Town", "Dear colleague,"]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("He was admitted with short-", "ness of breath.", "He was admitted with shortness of breath."),
        ("He was admitted with short\u00ad", "ness of breath.", "He was admitted with shortness of breath."),
        ("A science-based rule. A science-", "based score.", "A science-based rule. A science-based score."),
        ("The plan is CO2-", "neutral.", "The plan is CO2-neutral."),
        ("It is a joint plan of EU-", "wide reach.", "It is a joint plan of EU-wide reach."),
    ],
)
def test_broken_words(tmp_path: Path, first: str, second: str, joined: str) -> None:
    """A word that a line's end broke is whole again; one that has a hyphen elsewhere on the page, or behind a short name, keeps it."""
    assert text_in(tmp_path, made(lines(first, second))) == joined


def test_indices_and_ligatures(tmp_path: Path) -> None:
    """Raised and lowered characters belong to their word, and a ligature is its letters."""

    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(60, 700)
        for piece, rise, size in (("t CO", 0, 10), ("2", -3, 7), ("e per m", 0, 10), ("2", 4, 7), (" a year", 0, 10)):
            text.setRise(rise)
            text.setFont("Helvetica", size)
            text.textOut(piece)
        canvas.drawText(text)

    assert text_in(tmp_path, made(draw)) == "t CO2e per m2 a year"
    assert pdf.client.ROOT == ROOT
    from workers.ingest.pdf.glyphs import _text

    assert [_text(code) for code in (0xFB01, 0xFB03, 0x41, 0x20, 0xA0, 0x0C, 0xFFFE, 0x02)] == ["fi", "ffi", "A", "", "", "", "", "\u00ad"]
    assert (_text(0xDE00, 0xD83D), _text(0xDE00)) == ("\U0001f600", "\ufffd")


def test_lists(tmp_path: Path) -> None:
    """Items of a list stay lines, and their marks are no column."""
    items = ["1.   First item", "2.   Second item", "3.   Third item", "\u2022   a bullet", "\u2022   another"]
    assert text_in(tmp_path, made(lines(*items))).split("\n") == [" ".join(item.split()) for item in items]


def test_turned_pages(tmp_path: Path) -> None:
    """A page in landscape is read as it is seen, whether its text or the page is turned, and a side note stands behind the rest."""

    def turned(canvas: Canvas) -> None:
        canvas.rotate(90)
        canvas.translate(0, -595)
        both(
            lines("Text of a landscape page that is turned.", top=560), grid(("Site", "2022", "2023"), ("North", "120", "31"), ("South", "98", "27"), top=500)
        )(canvas)

    expected = "Text of a landscape page that is turned.\n\nSite | 2022 | 2023\nNorth | 120 | 31\nSouth | 98 | 27"
    assert text_in(tmp_path, made(turned)) == expected

    def rotated(canvas: Canvas) -> None:
        canvas.setPageRotation(90)
        turned(canvas)

    assert text_in(tmp_path, made(rotated)) == expected

    def noted(canvas: Canvas) -> None:
        canvas.saveState()
        canvas.translate(20, 300)
        canvas.rotate(90)
        canvas.drawString(0, 0, "Side note")
        canvas.restoreState()
        lines("The page itself.")(canvas)

    assert text_in(tmp_path, made(noted)) == "The page itself.\n\nSide note"


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("style", [JUSTIFIED, RAGGED], ids=["justified", "ragged"])
@pytest.mark.parametrize(("n_columns", "gap"), [(2, 12), (2, 24), (3, 15)])
def test_columns_are_read_one_after_the_other(tmp_path: Path, style: ParagraphStyle, n_columns: int, gap: float) -> None:
    """Columns of running text are read one after the other below a title over all of them, and nothing of them becomes a table."""
    texts = [PLAN, TRIAL + " " + PLAN, PLAN + " " + TRIAL][:n_columns]
    text = text_in(tmp_path, made(columns(*texts, gap=gap, style=style, title="A title that spans the columns of this page")))
    assert "|" not in text
    assert flat(text) == flat(" ".join(["A title that spans the columns of this page", *(f"{t} {TRIAL}" for t in texts)]))


def test_columns_drawn_line_by_line(tmp_path: Path) -> None:
    """The order of the file does not matter: columns whose lines were drawn in turn are read one after the other."""
    left, right = (simpleSplit(text, "Helvetica", 10, 220) for text in (PLAN, TRIAL))

    def draw(canvas: Canvas) -> None:
        for n in range(max(len(left), len(right))):
            for x, column in ((60, left), (300, right)):
                if n < len(column):
                    canvas.drawString(x, 700 - 12 * n, column[n])

    assert flat(text_in(tmp_path, made(draw))) == f"{PLAN} {TRIAL}"


def test_a_table_beside_running_text(tmp_path: Path) -> None:
    """A table beside a column of text is a table behind that text, and no line of the text is a cell of it."""
    width = 225
    rows = (("Item", "2022", "2023"), ("Energy (MWh)", "1,204", "1,180"), ("Water (m3)", "8,400", "8,921"), ("Waste (t)", "31.2", "29.8"))

    def draw(canvas: Canvas) -> None:
        Frame(60, 200, width, 560, leftPadding=0, rightPadding=0).addFromList([Paragraph(f"{PLAN} {TRIAL}", JUSTIFIED)], canvas)
        grid(*rows, left=300, top=745, widths=(110, 60, 60))(canvas)

    text = text_in(tmp_path, made(draw))
    assert flat(text).startswith(f"{PLAN} {TRIAL}")
    assert text.endswith("\n".join(" | ".join(row) for row in rows))


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────

YEARS = ("Metric", "Unit", "2021", "2022", "2023")
TABLES: dict[str, tuple[Draw, list[str]]] = {
    "years": (
        grid(YEARS, ("Scope 1", "t CO2e", "1,234", "1,100", "987"), ("Scope 2 (market-based)", "t CO2e", "3,900", "-", "2,345.5")),
        ["Metric | Unit | 2021 | 2022 | 2023", "Scope 1 | t CO2e | 1,234 | 1,100 | 987", "Scope 2 (market-based) | t CO2e | 3,900 | - | 2,345.5"],
    ),
    "empty cells": (
        grid(YEARS, ("Scope 1", "", "1,234", "", "987"), ("Scope 2", "t", "3,900", "2,100", ""), ("Total", "t", "5,134", "2,100", "987")),
        ["Metric | Unit | 2021 | 2022 | 2023", "Scope 1 | | 1,234 | | 987", "Scope 2 | t | 3,900 | 2,100", "Total | t | 5,134 | 2,100 | 987"],
    ),
    "laboratory": (
        grid(
            ("Test", "Result", "Unit", "Reference"),
            ("Sodium", "140", "mmol/l", "135 - 145"),
            ("Potassium", "5.6 H", "mmol/l", "3.5 - 5.1"),
            ("CRP", "< 5", "mg/l", "< 5"),
            right=False,
        ),
        ["Test | Result | Unit | Reference", "Sodium | 140 | mmol/l | 135 - 145", "Potassium | 5.6 H | mmol/l | 3.5 - 5.1", "CRP | < 5 | mg/l | < 5"],
    ),
    "index of words": (
        grid(
            ("Disclosure", "Place", "Omission"),
            ("Organizational details", "Annual report", "none"),
            ("Entities included", "Annual report", "none"),
            ("Direct emissions", "This report", "partly"),
            widths=(180, 120, 120),
            right=False,
        ),
        [
            "Disclosure | Place | Omission",
            "Organizational details | Annual report | none",
            "Entities included | Annual report | none",
            "Direct emissions | This report | partly",
        ],
    ),
    "two columns": (
        grid(("Revenue", "12.4 m EUR"), ("Employees", "812"), ("Sites", "14"), ("Share of women", "41 %")),
        ["Revenue | 12.4 m EUR", "Employees | 812", "Sites | 14", "Share of women | 41 %"],
    ),
    "years above a heading": (
        grid(
            ("", "2021", "2022", "2023"),
            ("Greenhouse gases in tonnes of carbon dioxide equivalents, all sites",),
            ("Scope 1", "1,234", "1,100", "-"),
            ("Scope 2 with district", "", "", ""),
            ("heating", "3,234", "3,100", "2,900"),
            ("Total", "4,468", "4,200", "3,900"),
        ),
        [
            *("| 2021 | 2022 | 2023", "Greenhouse gases in tonnes of carbon dioxide equivalents, all sites", "Scope 1 | 1,234 | 1,100 | -"),
            *("Scope 2 with district", "heating | 3,234 | 3,100 | 2,900", "Total | 4,468 | 4,200 | 3,900"),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path: Path, name: str) -> None:
    """Rows whose cells lie below each other are lines of cells, empty ones kept in their places, between paragraphs that stay as they are."""
    draw, expected = TABLES[name]
    text = text_in(tmp_path, made(both(draw, lines("The table shows our figures.", top=760), lines("They were checked.", top=560))))
    assert [line for line in text.split("\n") if line] == ["The table shows our figures.", *expected, "They were checked."]


NO_TABLES: dict[str, Draw] = {
    "letter": both(lines("Dr. Ada Muster", "Long Street 12", "12345 Town"), lines("Ward 4B", "Dr. Beispiel", "Tel. ext.", left=400)),
    "list": lines("1.     First item", "2.     Second item", "3.     Third item", "4.     Fourth item"),
    "signatures": both(lines("A. Muster", "Head of ward", "Town, today"), lines("B. Beispiel", "Physician", "Town, today", left=300)),
    "wide spaces": lines("These   words   stand   wide", "and  so   do    these  words", "without    being      a  table", "of    any   kind  at   all"),
    "definitions": both(
        lines("Scope", "Boundary", "Materiality", "Assurance"),
        lines("what we count and what not, and why", "the sites that belong to us today", "what matters to those we asked", "by whom it was checked", left=200),
    ),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_what_is_no_table(tmp_path: Path, name: str) -> None:
    """What stands side by side without being rows of values is joined into none."""
    assert "|" not in text_in(tmp_path, made(NO_TABLES[name]))


def random_table(rng: random.Random) -> tuple[Draw, list[str]]:
    labels = ["Scope 1", "Scope 2 (location)", "Water withdrawal", "Waste to landfill", "Energy, renewable", "Accidents", "Training hours"]
    n_columns, n_rows = rng.randint(2, 4), rng.randint(3, 7)
    rows = [("Metric", *(str(2024 - n) for n in range(n_columns)))]
    rows += [(rng.choice(labels), *(f"{rng.randint(1, 99_999):,}" if rng.random() < 0.9 else "-" for _ in range(n_columns))) for _ in range(n_rows)]
    return grid(*rows, widths=(rng.randint(130, 200), *[rng.randint(60, 80)] * n_columns), top=400), [" | ".join(row) for row in rows]


def test_tables_found_and_made_up(tmp_path: Path) -> None:
    """Of the rows of 60 made tables on pages with text nearly all are found, and no line that is none becomes a row."""
    rng = random.Random(4417)
    drawn = [random_table(rng) for _ in range(60)]
    pages = [both(columns(*([PLAN] * rng.choice([1, 2])), style=rng.choice([JUSTIFIED, RAGGED])), draw) for draw, _ in drawn]
    texts = text_in(tmp_path, made(*pages)).split("\f")
    gold = [(n, row) for n, (_, rows) in enumerate(drawn) for row in rows]
    found = [(n, line) for n, text in enumerate(texts) for line in text.split("\n") if "|" in line]
    right = set(gold) & set(found)
    assert len(right) >= 0.98 * len(set(gold)), sorted(set(gold) - right)[:5]
    assert set(found) <= set(gold)


@pytest.mark.parametrize("text", ["1,234", "-", "12 %", "(3.4)", "< 5", "€ 12.4", "EUR 3.000", "n/a", "31.12.2023", "1 234,5", "5.6 H", "2.1*", "12.4 m EUR"])
def test_values(text: str) -> None:
    """A number is a value with its sign, currency, unit or mark, and so is what stands where there is none."""
    assert is_value(text)


@pytest.mark.parametrize("text", ["Scope 1", "the year 2022 was good", "Total", "see page 12 for more", "12 sites were visited by us"])
def test_no_values(text: str) -> None:
    """Words with a number in them are no value."""
    assert not is_value(text)


# ── what cannot be read ─────────────────────────────────────────────────────────────────────────────────────────────


def scan(canvas: Canvas) -> None:
    from PIL import Image

    canvas.drawImage(ImageReader(Image.new("L", (200, 200), 128)), 0, 0, 595, 842)


def raw(*objects: bytes, root: int = 1) -> bytes:
    """A PDF file of these objects, numbered from 1."""
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        *(len(objects) + 1, table, len(objects) + 1, root, len(data)),
    )


def stream(data: bytes, more: bytes = b"") -> bytes:
    packed = zlib.compress(data, 9)
    return b"<</Length %d/Filter/FlateDecode%s>>stream\n%s\nendstream" % (len(packed), more, packed)


def one_page(content: bytes) -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    return raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, content, font)


PLAIN = made(lines(SECRET))
DEEP = [b"<</Type/Catalog/Pages 2 0 R>>", *(b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (n + 1) for n in range(2, 5_000)), b"<</Type/Page>>"]
BAD: dict[str, tuple[bytes, str, str]] = {
    "encrypted": (made(lines(SECRET), encrypt=StandardEncryption("secret", strength=128)), "encrypted", "password"),
    "scanned": (made(scan, scan), "no_text", "None of its 2 pages"),
    "blank": (made(lines()), "no_text", "None of its 1 pages"),
    "cut off": (PLAIN[:200], "bad_pdf", "cut off"),
    "cut off at its end": (b"%PDF-1.7\n" + PLAIN[: PLAIN.rindex(b"startxref")], "bad_pdf", "cut off"),
    "garbage with an end": (b"%PDF-1.7\n" + SECRET.encode() + b"\nstartxref\n0\n%%EOF", "bad_pdf", "damaged"),
    "head alone": (b"%PDF-1.7", "bad_pdf", "cut off"),
    "no PDF": (SECRET.encode(), "bad_pdf", "cut off"),
    "empty": (b"", "bad_pdf", "cut off"),
    "no pages": (raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"), "bad_pdf", "damaged"),
    "pages that do not exist": (raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 3>>"), "bad_pdf", "damaged"),
    "a billion pages": (raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1000000000>>", b"<</Type/Page>>"), "", ""),
    "a loop of pages": (raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R]/Count 1>>"), "", ""),
    "a deep tree": (raw(*DEEP), "", ""),
    "a bomb": (one_page(stream(b"BT /F 9 Tf 9 9 Td (x) Tj ET " * 3_000_000)), "", ""),
    "a bomb of zeros": (one_page(stream(b"\0" * (1 << 30))), "", ""),
    "deep arrays": (one_page(stream(b"[" * 2_000_000)), "", ""),
    "a form that draws itself": (
        raw(
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>",
            stream(b"/X Do"),
            stream(b"/X Do /X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>"),
        ),
        "",
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path: Path, name: str) -> None:
    """What cannot be read is one reject with place, code and remedy and without text, and the file beside it is read."""
    data, code, says = BAD[name]
    (tmp_path / "a").mkdir()
    written(tmp_path, "a/1.pdf", data)
    written(tmp_path, "a/2.pdf", PLAIN)
    started = time.monotonic()
    first, second = rows_in(tmp_path / "a")
    assert time.monotonic() - started < 40
    assert isinstance(second, Incoming) and second.text == SECRET
    assert isinstance(first, Reject)
    assert (first.place, CANARY in repr(first)) == ("1.pdf", False)
    if code:
        assert first.code == code and says in first.reason
    else:
        assert first.code in ("bad_pdf", "no_text", "too_long")
    assert first.reason.endswith(".") and first.remedy.endswith(".")


def test_an_owner_s_password_alone_is_no_bar(tmp_path: Path) -> None:
    """A file that anyone may open is read, whatever else its owner has forbidden."""
    assert text_in(tmp_path, made(lines("Open."), encrypt=StandardEncryption("", ownerPassword="o", strength=128))) == "Open."


def test_bounds_of_a_text(tmp_path: Path) -> None:
    """A text over max_chars is rejected with its pages, or cut and marked where that was asked for; exactly max_chars are read."""
    path = written(tmp_path, "a.pdf", made(*[lines("x" * 50)] * 10))
    (_, found), *_ = read_paths([path], ReadOptions(100))
    reject = the_reject(list(found))
    assert (reject.code, "of its 10 pages" in reject.reason) == ("too_long", True)
    (_, found), *_ = read_paths([path], ReadOptions(100, truncate=True))
    document = the_document(list(found))
    assert len(document.text) == 100 and document.meta["truncated"] is True
    assert len(text_in(tmp_path, made(*[lines("x" * 50)] * 2), 102)) == 102


def test_from_archives(tmp_path: Path) -> None:
    """A PDF file that is packed or in an archive is read as the file itself."""
    assert the_document(rows_in(written(tmp_path, "a.pdf.gz", gzip.compress(PLAIN)))).text == SECRET
    rows = rows_in(written(tmp_path, "a.zip", zipped([("in/a.pdf", PLAIN), ("b.pdf", b"x"), ("c.pdf", PLAIN)])))
    assert codes(rows) == ["ok", "bad_pdf", "ok"]


def test_bounds_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over its bound of bytes is not opened, and one that is packed has a smaller bound, for it is held in memory."""
    monkeypatch.setattr(pdf, "PDF_BYTES", 100)
    assert codes(rows_in(written(tmp_path, "a.pdf", PLAIN))) == ["too_long"]
    monkeypatch.setattr(pdf, "HELD_BYTES", 100)
    assert codes(rows_in(written(tmp_path, "a.pdf.gz", gzip.compress(PLAIN)))) == ["member_too_large"]


def test_pages_are_told(tmp_path: Path) -> None:
    """Each page is told as it is read, so that a long file moves the bar."""
    told: list[tuple[str, int, int]] = []
    path = written(tmp_path, "a.pdf", made(*[lines("x")] * 5))
    options = ReadOptions(100, on_pages=lambda *page: told.append(page))
    assert [len(list(rows)) for _, rows in read_paths([path], options)] == [1]
    assert told == [("a.pdf", n, 5) for n in range(1, 6)]


# ── the process that reads ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_killed_process_costs_no_submit(tmp_path: Path) -> None:
    """Where the process that reads PDF files was killed another one is started, and the file is read."""
    path = written(tmp_path, "a.pdf", PLAIN)
    assert codes(rows_in(path)) == ["ok"]
    client._servers[0]._process.kill()
    client._servers[0]._process.wait()
    assert codes(rows_in(path)) == ["ok"]


def test_want_of_descriptors_is_not_the_files_fault(tmp_path: Path) -> None:
    """Where no process can be started now, the file is unreadable here, not damaged; later it is read."""
    path = written(tmp_path, "a.pdf", PLAIN)
    client.end()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 2, hard))
    for file in taken:
        os.close(file)
    try:
        assert codes(rows_in(path)) == ["unreadable"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert codes(rows_in(path)) == ["ok"]


def test_waiting_to_be_read_is_no_time_of_a_page(tmp_path: Path) -> None:
    """The clock of a page stands still while its text waits to be taken, however long."""
    path = written(tmp_path, "a.pdf", made(*[lines("x")] * 3))
    with path.open("rb") as file:
        for frame in reading.frames(file, 100):
            assert "end" in frame or signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_page_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that says nothing for too long is ended, its file is a reject, and the next one is read."""
    path = written(tmp_path, "a.pdf", PLAIN)
    assert codes(rows_in(path)) == ["ok"]
    os.kill(client._servers[0]._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(client, "SILENCE_S", 0.2)
    reject = the_reject(rows_in(path))
    assert (reject.code, "before its first page" in reject.reason) == ("bad_pdf", True)
    monkeypatch.undo()
    assert codes(rows_in(path)) == ["ok"]


CONFINED = """
import os, sys
from workers.ingest.pdf import reading
reading.PAGE_S = float(sys.argv[2])
reading.confine()
for what in (lambda: bytearray(2 << 30), lambda: os.write(os.open(sys.argv[1] + ".new", os.O_CREAT | os.O_WRONLY), b"x")):
    try:
        what()
    except (MemoryError, OSError) as error:
        print(type(error).__name__)
print(list(reading.frames(open(sys.argv[1], "rb"), 100)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="bounds of addresses are Linux's")
@pytest.mark.parametrize(("name", "seconds", "ended"), [("a form that draws itself", "0.05", -signal.SIGALRM), ("blank", "20", 0)])
def test_the_process_is_confined(tmp_path: Path, name: str, seconds: str, ended: int) -> None:
    """A page that takes longer than it may ends its process from outside of Python; memory is bounded, and no file is written."""
    path = written(tmp_path, "a.pdf", BAD[name][0])
    done = subprocess.run([sys.executable, "-u", "-c", CONFINED, str(path), seconds], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == ended, done.stderr
    assert done.stdout.startswith("MemoryError\nOSError\n")


@pytest.mark.parametrize(
    "answer", [b"", b"x\n", b"[1]\n", b'{"end": true}\n', b'{"pages": 1}\n{"text": "a"}\n', b'{"text": "a"}\n{"end": true}\n', b"9" * (9 << 20)]
)
def test_an_answer_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """What the process writes is checked: anything but pages and their end is a reject."""

    said = written(tmp_path, "said", answer)
    started: list[subprocess.Popen[bytes]] = []

    def ask(file: int, pipe: int, max_chars: int) -> None:
        started.append(subprocess.Popen(["cat", str(said)], stdout=pipe, stderr=subprocess.DEVNULL))

    monkeypatch.setattr(client, "_ask", ask)
    assert the_reject(rows_in(written(tmp_path, "a.pdf", PLAIN))).code == "bad_pdf"
    assert started[0].wait(20) is not None  # its pipe is closed, and it ends


def test_the_process_has_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that reads PDF files has neither this one's environment nor its open files."""
    monkeypatch.setenv("STILLHOUSE_STORE__URL", SECRET)
    client.end()
    with (tmp_path / "open").open("w") as held:
        assert codes(rows_in(written(tmp_path, "a.pdf", PLAIN))) == ["ok"]
        number = client._servers[0]._process.pid
        environment = Path(f"/proc/{number}/environ").read_bytes()
        files = {os.readlink(f"/proc/{number}/fd/{name}") for name in os.listdir(f"/proc/{number}/fd")}
        assert held.name not in files
    assert CANARY.encode() not in environment and b"STILLHOUSE" not in environment
    assert not any(str(tmp_path) in name for name in files)


PEAK = "int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]) // 1024"  # not of what it was forked from
SUBMITTED = f"""
import sys, time
from pathlib import Path
from workers.ingest import ReadOptions, read_paths
started = time.monotonic()
((_, rows),) = read_paths([Path(sys.argv[1])], ReadOptions(2_000_000))
(row,) = rows
print(row.meta["n_pages"], row.text.count(" | "), round(time.monotonic() - started, 2), {PEAK})
"""
FORKED = f"""
import sys
from workers.ingest.pdf.reading import confine, frames
confine()
print(sum("text" in frame for frame in frames(open(sys.argv[1], "rb"), 2_000_000)), {PEAK})
"""


def report(n_pages: int) -> bytes:
    """A report with headings, paragraphs and a table on each page."""
    rng = random.Random(300)
    words = f"{PLAN} {TRIAL} Prüfung größere wirksame".split()

    def page(canvas: Canvas) -> None:
        story = [Paragraph(" ".join(rng.choice(words) for _ in range(90)), RAGGED) for _ in range(5)]
        rows = [YEARS] + [("Scope 1", "t CO2e", *(f"{rng.randint(1_000, 99_999):,}" for _ in range(3))) for _ in range(8)]
        Frame(60, 60, 475, 720).addFromList([*story, Table(rows)], canvas)

    return made(*[page] * n_pages)


def measured(script: str, path: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads peaks from /proc")
def test_three_hundred_pages(tmp_path: Path) -> None:
    """A report of 300 pages with as many tables takes seconds and bounded memory, here and in the process that reads it."""
    path = written(tmp_path, "report.pdf", report(300))
    n_pages, n_cells, seconds, megabytes = measured(SUBMITTED, path)
    assert (n_pages, n_cells) == (300, 300 * 9 * 4)
    assert (seconds < 60, megabytes < 400) == (True, True), (seconds, megabytes)
    n_texts, megabytes = measured(FORKED, path)
    assert (n_texts, megabytes < 400) == (300, True), megabytes


def test_an_empty_page_has_no_text() -> None:
    """No words are no text."""
    assert text_of([]) == ""
