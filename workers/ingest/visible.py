"""The visible text of HTML, of mails and pages alike: what a reader would see, block by block, tables as rows `cell | cell` where asked for."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser

from workers.ingest.rows import table_row

TAIL_CHARS = 10_000  # html.parser takes quadratic time over what stands behind a construct that never ends
SPAN_CELLS = 50  # a cell may claim to be as many columns or rows wide: each costs three characters
EMPTY_CELLS = 20  # of cells that others above or beside take there are so many for each that is written, and the first thousand
CELL_CHARS = 1_000  # a longer cell holds a part of the page: its table lays out and is none
HIDDEN = frozenset(("script", "style", "title"))
HIDDEN_IN_PAGES = HIDDEN | {"datalist", "nav", "noscript", "select", "template"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = _HEADINGS | {"blockquote", "br", "dd", "div", "dl", "dt", "hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}
_BLOCKS_IN_PAGES = {
    *("address", "article", "aside", "body", "caption", "details", "fieldset", "figcaption", "figure", "footer", "form", "header", "main", "option"),
    *("summary", "tbody", "tfoot", "thead"),
}
# elements whose end may be left out (HTML, section 13.1.2.4), each with those whose begin ends it: of a p any block; and those that have no end
_ROWS = {"tr", "tbody", "tfoot", "thead"}
_ENDED_BY = {"dd": {"dd", "dt"}, "dt": {"dd", "dt"}, "li": {"li"}, "td": {"td", "th", *_ROWS}, "th": {"td", "th", *_ROWS}, "tr": _ROWS, "p": set[str]()}
# the end of one that began outside of it ends it too
_PARENTS = frozenset(("article", "aside", "blockquote", "body", "details", "div", "dl", "fieldset", "form", "main", "ol", "section", "table", "ul"))
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
_SHOWN = frozenset((*_VOID, "html", "body"))  # many pages hide their body until a script has run, which none does here


class Endless(Exception):
    """A tag, comment or hidden element does not end: the message says which, without text."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a row (`n_columns` 0) or cell of a table begins."""

    n_columns: int = 0
    n_rows: int = 1


@dataclass(slots=True)
class _OpenTable:
    start: int  # where in the pieces
    lays_out: bool


class Visible(HTMLParser):
    """Collects what a reader of the page would see; a block begins a new line. With `is_page` also the title, rows of tables, and what is hidden."""

    def __init__(self, *, is_page: bool = False) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = ""
        self.title = ""
        self._is_page = is_page
        self._hides = HIDDEN_IN_PAGES if is_page else HIDDEN
        self._blocks = _BLOCKS | _BLOCKS_IN_PAGES if is_page else _BLOCKS
        self._pieces: list[str | _Mark] = []
        self._depth = 0  # of elements of the hidden one's name inside it
        self._n_pre = 0
        self._tables: list[_OpenTable] = []

    def text(self, html: str) -> str:
        """The page's text, without blank lines. Raises Endless."""
        self.feed(html)
        if "<" not in self.rawdata:  # a text that has an & near its end is held back until a tag follows
            self.feed("<br>")
        if self.n_tail > TAIL_CHARS:
            raise Endless("a tag or comment that does not end")
        return self.finished()

    @property
    def n_tail(self) -> int:
        """The characters behind a construct that does not end."""
        return len(self.rawdata)

    def finished(self) -> str:
        """The text of what was fed. Raises Endless."""
        self.close()
        if self.hidden and self.hidden not in _ENDED_BY:
            name = f"a <{self.hidden}>" if self.hidden in self._blocks | self._hides else "an element"  # a name may be anything
            raise Endless(f"{name} that does not end and would hide the rest")
        lines = (" ".join(line.split()) for line in "".join("\n" if isinstance(piece, _Mark) else piece for piece in self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.hidden and self._ends_hidden(tag):
            self.hidden = ""
        if self.hidden:
            self._depth += self._is_page and (tag in _PARENTS if self.hidden in _ENDED_BY else tag == self.hidden)
        elif tag in self._hides or (self._is_page and tag not in _SHOWN and _is_hidden(attrs)):
            self.hidden, self._depth = tag, 0
        if tag == "pre":
            self._n_pre += 1
        if self._is_page and tag in ("table", "tr", "td", "th") and not self.hidden:
            self._begin(tag, dict(attrs))
        elif tag in self._blocks:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._end_hidden(tag)
        if tag == "pre":
            self._n_pre = max(0, self._n_pre - 1)
        if self._is_page and tag == "table" and self._tables and not self.hidden:
            self._end_table(self._tables.pop())
        elif tag in self._blocks:
            self._pieces.append("\n")

    def _ends_hidden(self, tag: str) -> bool:
        """Whether what is hidden has no end of its own, and the begin of this element is it."""
        return tag in self._blocks if self.hidden == "p" else not self._depth and tag in _ENDED_BY.get(self.hidden, ())

    def _end_hidden(self, tag: str) -> None:
        """Takes note of an element's end inside what is hidden, or around it."""
        if self.hidden in _ENDED_BY:
            is_end = not self._depth and (tag == self.hidden or tag in _ENDED_BY[self.hidden] & _ROWS or tag in _PARENTS)
            self._depth -= tag in _PARENTS and not is_end
        else:
            is_end = tag == self.hidden and not self._depth
            self._depth -= tag == self.hidden and not is_end
        if is_end:
            self.hidden = ""

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self._pieces.append(data if self._n_pre else data.replace("\n", " "))
        elif self.hidden == "title" and self._is_page and not self.title:
            self.title = " ".join(data.split())

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Passes over `<![...>`, which editors leave in pages, as browsers do; html.parser raises AssertionError where no name follows."""
        return self.parse_bogus_comment(i)

    def _begin(self, tag: str, attrs: dict[str, str | None]) -> None:
        if tag == "table":
            if self._tables:
                self._tables[-1].lays_out = True
            self._pieces.append("\n")
            self._tables.append(_OpenTable(len(self._pieces), attrs.get("role") in ("presentation", "none")))
        elif self._tables:
            self._pieces.append(_Mark() if tag == "tr" else _Mark(_span(attrs, "colspan"), _span(attrs, "rowspan")))
        else:
            self._pieces.append("\n")

    def _end_table(self, table: _OpenTable) -> None:
        """Puts the rows in the place of the table's pieces, unless it lays out the page."""
        rows = None if table.lays_out else _rows(self._pieces[table.start :])
        if rows is not None:
            del self._pieces[table.start :]
            self._pieces += [piece for row in rows for piece in (row, "\n")]
        self._pieces.append("\n")


def page_text(html: str) -> str:
    """The text of a page of its own: its title where the text does not begin with that, then what is visible. Raises Endless."""
    page = Visible(is_page=True)
    text = page.text(html)
    return f"{page.title}\n{text}" if page.title and text and text.partition("\n")[0] != page.title else text


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    """Whether the element itself says that it is not shown."""
    for name, value in attrs:
        if name == "hidden" and value != "until-found":
            return True
        if name == "style" and value and "none" in value and "display:none" in "".join(value[:CELL_CHARS].lower().split()):
            return True
    return False


def _span(attrs: dict[str, str | None], name: str) -> int:
    digits = (attrs.get(name) or "").strip()[:6]
    return max(1, min(SPAN_CELLS, int(digits))) if digits.isascii() and digits.isdigit() else 1


def _rows(pieces: list[str | _Mark]) -> list[str] | None:
    """A table's pieces as lines: text outside of cells, and rows. None where fewer than two rows have two cells, a cell is long, or hardly any of them
    is written.

    A cell that is several columns or rows wide stands in the first of them; the others are empty, so that columns keep their places and
    no number is there twice.
    """
    lines: list[str] = []
    row: list[str] = []
    taken: dict[int, int] = {}  # column -> rows that a cell above still takes in it
    text: list[str] = []
    n_rows = width = n_cells = n_empty = 0
    is_cell = False

    def close(*, ends_row: bool) -> bool:
        nonlocal n_empty, n_rows, row
        found = " ".join("".join(text).split())
        text.clear()
        if is_cell:
            row[-width] = found
        elif found:
            lines.append(found)
        if ends_row and row:
            _skip_taken(row, taken)
            n_empty += len(row)
            n_rows += len([cell for cell in row if cell]) > 1
            lines.append(table_row(row))
            row = []
        return len(found) <= CELL_CHARS and n_empty + len(row) <= EMPTY_CELLS * n_cells + 1_000

    for piece in pieces:
        if isinstance(piece, str):
            text.append(piece)
            continue
        if not close(ends_row=not piece.n_columns):
            return None
        is_cell = piece.n_columns > 0
        if not is_cell:
            continue
        n_cells += 1
        _skip_taken(row, taken)
        for column in range(len(row), len(row) + piece.n_columns):
            taken[column] = piece.n_rows - 1
        width = piece.n_columns
        row += [""] * width
    return [line for line in lines if line] if close(ends_row=True) and n_rows > 1 else None


def _skip_taken(row: list[str], taken: dict[int, int]) -> None:
    """Leaves the next columns empty that a cell above takes."""
    while taken.get(len(row), 0):
        taken[len(row)] -= 1
        row.append("")
