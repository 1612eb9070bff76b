"""The review in a real browser: keys, words marked with the mouse, and neither scripts nor a wide screen needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from sqlalchemy import delete, select

from workers.migrate import migrate
from workers.settings import load_settings
from workers.store import Store
from workers.tables import reviews

from ..reviewed import fill, thing, topic
from .browser import Driver, many, one, path, press, until
from .conftest import pack_of
from .process import Running, console
from .test_browser import STICKS_OUT

# what is not seen is a code point, a cat of the second plane is one too, and two of UTF-16
BODY = "A\u200b wolf \u202eand\u202c 🐈 a grey cat, then <b>rain</b> & a grey hen.\nThe end"
N = 12


def body(number: int) -> str:
    return f"{number:02} {BODY}".ljust(100, ".")


def at(words: str) -> tuple[int, int]:
    return body(1).index(words), body(1).index(words) + len(words)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Iterator[Store]:
    """Documents that wait: an answer each, and a span in each."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "settings.toml").write_text(f'[packs]\nfolders = ["{toy_folder}"]\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STILLHOUSE_SETTINGS", str(folder / "settings.toml"))
        settings = load_settings()
        opened = Store(settings.store_url)
        migrate(opened, [pack_of(settings)])
        found = [[topic("weather", 0.5 + n / 100), thing("A", *at("wolf"), 0.6 + n / 100)] for n in range(N)]
        fill(opened, found, [body(n) for n in range(1, N + 1)])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def running(store: Store) -> Iterator[Running]:
    with console(load_settings(), "--reviewer", "anna") as served:
        yield served


@pytest.fixture(autouse=True)
def nothing_decided(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(delete(reviews))


def decided(store: Store) -> list[tuple[object, ...]]:
    with store.reading() as connection:
        rows = connection.execute(select(reviews).order_by(reviews.c.reviewed_at, reviews.c.id)).all()
    return [(row.document_id, row.task, row.label, row.verdict, row.new_label, row.new_start, row.new_end) for row in rows]


def pressed(driver: Driver, key: str) -> None:
    """A key that decides, and the page that follows."""
    driver.execute_script("window.old = true")
    press(driver, key)
    until(driver, lambda d: d.execute_script("return !window.old && document.readyState === 'complete'"))


def test_one_key_each(browser: Driver, running: Running, store: Store) -> None:
    """`n` begins; `a`, `r`, `c`, `s` decide what is shown and go on, `u` takes back; a letter after `g` names a page and decides nothing."""
    browser.get(f"{running.url}/review?pack=toy")
    pressed(browser, "n")
    assert path(browser).startswith("/review/next") and "01 A" in one(browser, "#text").text
    for key in ("a", "r", "c", "s"):
        pressed(browser, key)
    until(browser, lambda d: "05 A" in one(d, "#text").text)
    assert decided(store) == [
        (1, "topic", "weather", "accept", None, None, None),
        (2, "topic", "weather", "reject", None, None, None),
        (3, "topic", "weather", "correct", "animals", None, None),
    ]
    pressed(browser, "u")
    assert "03 A" in one(browser, "#text").text and "Taken back" in one(browser, "#said").text
    press(browser, "g", "r")
    until(browser, lambda d: path(d).startswith("/results"))
    assert len(decided(store)) == 2
    browser.get(f"{running.url}/review/next?pack=toy&task=topic")
    before = decided(store)
    press(browser, "?")
    until(browser, lambda d: one(d, "#keys").get_attribute("open"))
    assert "accept, reject" in one(browser, "#keys").text
    press(browser, "a", Keys.ESCAPE)
    until(browser, lambda d: not one(d, "#keys").get_attribute("open"))
    assert decided(store) == before, "keys decide nothing while the list of keys is open"


COUNT = "document.addEventListener('submit', (e) => { if (!e.defaultPrevented) sessionStorage.sent = Number(sessionStorage.sent ?? 0) + 1 })"


@pytest.mark.parametrize(
    "often",
    [
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true, repeat: i > 0}))",
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true}))",
        "document.querySelector('button[value=accept]').click()",
    ],
    ids=["a key that is held", "a key", "a button"],
)
def test_what_comes_often_decides_once(browser: Driver, running: Running, store: Store, often: str) -> None:
    """However often it comes before the next page is there, the page is sent once."""
    browser.get(f"{running.url}/review/next?pack=toy&task=topic")
    browser.execute_script(f"sessionStorage.clear(); window.old = true; {COUNT}; for (let i = 0; i < 5; i++) {often}")
    until(browser, lambda d: d.execute_script("return !window.old && document.readyState === 'complete'"))
    assert browser.execute_script("return sessionStorage.sent") == "1" and len(decided(store)) == 1


def test_keys_can_be_switched_off(browser: Driver, running: Running, store: Store) -> None:
    """It is kept for the next page; and the list of keys, closed by its button, leaves them as they were."""
    browser.get(f"{running.url}/review/next?pack=toy&task=topic")
    press(browser, "?")
    until(browser, lambda d: one(d, "#keys").get_attribute("open"))
    press(browser, Keys.ENTER)
    until(browser, lambda d: not one(d, "#keys").get_attribute("open"))
    pressed(browser, "a")
    assert len(decided(store)) == 1
    one(browser, "#keys-on").click()
    press(browser, "a")
    browser.refresh()
    press(browser, "a", "r")
    assert not one(browser, "#keys-on").is_selected() and len(decided(store)) == 1
    one(browser, "#keys-on").click()
    pressed(browser, "r")
    assert [row[3] for row in decided(store)] == ["accept", "reject"]


def test_enter_in_a_field_decides_nothing(browser: Driver, running: Running, store: Store) -> None:
    """It may mean that the words are other ones, or that they were missed: the page asks."""
    browser.get(f"{running.url}/review/next?pack=toy&task=things")
    one(browser, "#end").send_keys(Keys.ENTER)
    until(browser, lambda d: "Say what the words are" in one(d, "#said").text)
    assert decided(store) == []


def mark(driver: Driver, words: str) -> None:
    """Selects words of the text as a reader does with the mouse: where they begin and end in what the page shows."""
    script = """
const walker = document.createTreeWalker(document.getElementById('text'), NodeFilter.SHOW_TEXT);
const nodes = []; let all = '';
while (walker.nextNode()) { nodes.push([walker.currentNode, all.length]); all += walker.currentNode.data; }
const place = (at) => { const [node, begin] = nodes.findLast(([node, begin]) => begin <= at && at <= begin + node.data.length); return [node, at - begin]; };
const start = all.indexOf(arguments[0]);
if (start < 0) throw new Error('not shown: ' + all);
const range = document.createRange();
range.setStart(...place(start)); range.setEnd(...place(start + arguments[0].length));
getSelection().removeAllRanges(); getSelection().addRange(range);
"""
    driver.execute_script(script, words)


def given(driver: Driver) -> tuple[int, int]:
    return int(str(one(driver, "#start").get_attribute("value"))), int(str(one(driver, "#end").get_attribute("value")))


@pytest.mark.parametrize("words", ["grey cat", "🐈 a grey", "<b>rain</b> & a", "wolf", "hen.\nThe"])
def test_marked_words_become_a_range(browser: Driver, running: Running, words: str) -> None:
    """Counted in code points, whatever of the text is shown as a chip; spaces at the ends are left out, and the words are said and lit."""
    browser.get(f"{running.url}/review/next?pack=toy&task=things")
    mark(browser, f" {words} " if f" {words} " in BODY else words)
    until(browser, lambda d: given(d) == at(words))
    assert one(browser, "#marked").text.strip("“”").split() == words.split()
    lit = browser.execute_script("return [...(CSS.highlights.get('proposed') ?? [])].map(String)")
    assert lit == ([] if words == "wolf" else [words])


def test_a_chip_is_one_code_point(browser: Driver, running: Running) -> None:
    """What is not seen lies in the range where it is marked from before it to behind it."""
    browser.get(f"{running.url}/review/next?pack=toy&task=things")
    browser.execute_script(
        "const [first] = document.querySelectorAll('#text .unseen'); const range = document.createRange(); range.setStart(first.previousSibling, 3);"
        "range.setEnd(first.firstChild, 1); getSelection().removeAllRanges(); getSelection().addRange(range)"
    )
    until(browser, lambda d: given(d) == (3, 5))
    assert body(1)[3:5] == "A\u200b"


def test_marked_words_correct_or_are_added(browser: Driver, running: Running, store: Store) -> None:
    """`m` gives the finding the marked words and the label that is chosen; `+` adds them as missed, and the finding still waits."""
    browser.get(f"{running.url}/review/next?pack=toy&task=things")
    number = int(one(browser, "#text").text[:2])
    mark(browser, "grey hen")
    until(browser, lambda d: given(d) == at("grey hen"))
    pressed(browser, "+")
    assert decided(store) == [(number, "things", "A", "add", None, None, None)]
    mark(browser, "a grey cat")
    until(browser, lambda d: given(d) == at("a grey cat"))
    Select(one(browser, "#as")).select_by_value("things/B")
    one(browser, "h1").click()
    pressed(browser, "m")
    assert decided(store)[1:] == [(number, "things", "A", "correct", "B", *at("a grey cat"))]
    start = one(browser, "#start")
    start.clear()
    start.send_keys("acrsum")
    assert len(decided(store)) == 2, "what is typed into a field decides nothing"


def test_the_mouse_can_mark(browser: Driver, running: Running) -> None:
    """Two clicks on a word mark it."""
    browser.get(f"{running.url}/review/next?pack=toy&task=things")
    ActionChains(browser).double_click(one(browser, "#text mark.current")).perform()
    until(browser, lambda d: one(d, "#marked").text.strip("“”") == "wolf")
    assert given(browser) == at("wolf")


def test_it_works_without_scripts(browser: Driver, running: Running, store: Store) -> None:
    """By its buttons and fields."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{running.url}/review?pack=toy")
        one(browser, "form.panel button").click()
        until(browser, lambda d: many(d, "#text"))
        Select(one(browser, "#as")).select_by_value("flags/urgent")
        one(browser, "#marking button[value=add]").click()
        until(browser, lambda d: many(d, "#said"))
        one(browser, "#labels button").click()
        until(browser, lambda d: "Corrected" in one(d, "#said").text)
        one(browser, "button[value=accept]").click()
        until(browser, lambda d: "Accepted" in one(d, "#said").text)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert [row[3] for row in decided(store)] == ["add", "correct", "accept"]


def test_it_fits_a_narrow_screen(browser: Driver, running: Running) -> None:
    """At 360 pixels nothing sticks out, and the verdicts can be reached beside the text."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True})
    try:
        for page in ("/review?pack=toy", "/review/next?pack=toy&task=things"):
            browser.get(running.url + page)
            assert browser.execute_script(STICKS_OUT) == [], page
        box = one(browser, "button[value=accept]").rect
        assert box["y"] + box["height"] <= 740
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
