"""Strings from outside, whatever they hold, are words on a page: every page with each of them, read back as a browser would."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit

import pytest
from starlette.testclient import TestClient

from workers.console.shown import PICTURES
from workers.settings import Settings
from workers.store import Store

from .conftest import ANALYST, REVIEWER, bearer, pack_of
from .seeded import HOSTILE, OTHER, STUDENT, seed
from .test_document import text_of
from .test_marks import read

Served = Callable[[Settings], TestClient]
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "header",
        "nav",
        "main",
        "footer",
        "section",
        "aside",
        "dialog",
        "div",
        "span",
        "p",
        "a",
        "h1",
        "h2",
        "h3",
    ),
    *("ul", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "form", "button", "input", "select", "option", "textarea", "label"),
    *(
        "fieldset",
        "legend",
        "details",
        "summary",
        "figure",
        "figcaption",
        "svg",
        "path",
        "rect",
        "circle",
        "line",
        "desc",
        "bdi",
        "kbd",
        "b",
        "i",
        "time",
        "mark",
        "code",
        "strong",
        "output",
        "optgroup",
    ),
}
SCRIPTS = ["/static/theme.js", "/static/console.js"]
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


class Page(HTMLParser):
    """The elements, attributes and words of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []

    def handle_data(self, data: str) -> None:
        self.words += data


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def addresses(numbers: list[int]) -> list[str]:
    """Every kind of page, and the ones whose address itself holds a string."""
    found = [
        "/results?pack=toy&q=a%00b&is.topic=a%00b",
        "/findings?pack=toy&is.task=a%00b",
        "/documents?id=a%00b",
        "/charts?pack=finance",
        "/jobs",
        "/jobs/1",
        "/jobs/2",
        "/jobs/1/live",
        "/results?pack=toy",
        "/findings?pack=toy",
        "/documents",
        "/charts?pack=toy",
        "/drift?pack=toy",
        "/energy",
        "/review?pack=toy",
        "/review/next?pack=toy",
        "/review/next?pack=toy&task=things",
        "/students",
        "/sql",
        "/tables",
    ]
    found += [f"/documents/{number}" for number in numbers] + [f"/documents/{numbers[0]}?beside={OTHER}", f"/students/compare?a={STUDENT}&b={OTHER}"]
    for string in HOSTILE:
        said = quote(string)
        found += [
            f"/results?pack=toy&q={said}",
            f"/results?pack=toy&is.topic={said}",
            f"/findings?pack=toy&is.label={said}&is.task={said}",
            f"/documents?id={said[:200]}",
        ]
        found += [
            f"/results?pack={said}",
            f"/results?pack=toy&sort={said}",
            f"/results?pack=toy&min.{said}=1",
            f"/charts?pack=toy&student={said}",
            f"/drift?pack=toy&student={said}",
            f"/review/next?pack=toy&task={said}&mode={said}",
            f"/{said}",
            f"/jobs/{said}",
        ]
    return found


@pytest.mark.parametrize("token", [ANALYST, REVIEWER])
def test_strings_stay_words(settings: Settings, served: Served, token: str) -> None:
    """No element, attribute or address but the console's own is made of them; marks of direction and controls never reach the page as such."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        numbers = seed(connection, pack_of(settings))
    store.close()
    client = served(settings)
    for address in addresses(numbers):
        answer = client.get(address, headers=bearer(token))
        assert answer.status_code in (200, 303, 400, 404), address
        page = parsed(answer.text)
        assert {tag for tag, _ in page.elements} <= ELEMENTS, address
        assert not set(page.words) & {*BIDI, *map(chr, PICTURES)} - set("\n"), address
        for tag, given in page.elements:
            assert not [name for name in given if name.startswith("on") or name == "style"], (address, tag, given)
            for name in ("href", "src", "action"):
                parts = urlsplit(given.get(name, ""))
                assert not parts.scheme and not parts.netloc and not given.get(name, "").startswith(("//", "\\")), (address, given)
        scripts = [given["src"].partition("?")[0] for tag, given in page.elements if tag == "script"]
        assert scripts in ([], SCRIPTS, [*SCRIPTS, "/static/review.js"]), address
        assert len(page.ids) == len(set(page.ids)), address


def test_what_a_reviewer_reads_is_all_there(settings: Settings, served: Served) -> None:
    """The strings themselves are shown, whole: nothing is cut out of a text or an id."""
    store = Store(settings.store_url)
    with store.begin() as connection:
        numbers = seed(connection, pack_of(settings))
    store.close()
    client = served(settings)
    for number, string in zip(numbers, HOSTILE, strict=False):
        html = client.get(f"/documents/{number}", headers=bearer(REVIEWER)).text
        assert read(text_of(html)[0]).text == f"{string} and {string}\n{string}"
        heading = html[html.index("<h1>") : html.index("</h1>")]
        assert read(f"<mark data-mark='id'>{heading.removeprefix('<h1><bdi>').removesuffix('</bdi>')}</mark>").said == {"id": string[:200]}
