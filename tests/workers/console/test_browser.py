"""The console in a real browser: what it shows, what its keys do, and that nothing harmful happens in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from sqlalchemy import insert, text

from pipelines.student import Student
from workers.console.nav import PAGES
from workers.migrate import migrate
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.tables import jobs, sources

from ...conftest import toy_sample
from .browser import Driver, chromium, complaints, many, one, path, press, requests, strangers, style, until
from .conftest import pack_of, read_toys
from .process import Running, console
from .seeded import HOSTILE, OTHER, STUDENT, seed

N_TOYS = 60


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path, toy_student: tuple[Path, Student]) -> Iterator[Settings]:
    """A home whose store holds notices that the released student read, hostile rows of another, and a job that goes on."""
    folder, (students, student) = tmp_path_factory.mktemp("home"), toy_student
    (folder / "settings.toml").write_text(f'[students]\nfolder = "{folder / "students"}"\n[packs]\nfolders = ["{toy_folder}"]\n', encoding="utf-8")
    (folder / "students" / "toy").mkdir(parents=True)
    (folder / "students" / "toy" / student.id).symlink_to(students / "toy" / student.id)
    register = {"events": [{"student": student.id, "state": "primary", "at": 0.0}]}
    (folder / "students" / "toy" / "released.json").write_text(json.dumps(register), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STILLHOUSE_SETTINGS", str(folder / "settings.toml"))
        settings = load_settings()
        store = Store(settings.store_url)
        migrate(store, [pack_of(settings)])
        with store.begin() as connection:
            seed(connection, pack_of(settings))
        read_toys(settings, folder, N_TOYS)
        store.close()
        yield settings


@pytest.fixture(scope="module")
def running(filled: Settings) -> Iterator[Running]:
    with console(filled, "--reviewer", "anna") as served:
        yield served


def first_toy(settings: Settings) -> int:
    store = Store(settings.store_url)
    with store.reading() as connection:
        number = int(connection.execute(text("SELECT min(id) FROM documents WHERE key LIKE 'toy-0%'")).scalar_one())
    store.close()
    return number


def every_page(settings: Settings) -> list[str]:
    number = first_toy(settings)
    pages = ["/jobs", "/jobs/1", "/results?pack=toy", f"/findings?pack=toy&student={STUDENT}", "/documents", f"/documents/{number}", "/documents/1"]
    pages += [
        f"/documents/1?beside={OTHER}",
        f"/charts?pack=toy&student={STUDENT}",
        "/drift?pack=toy",
        "/energy",
        "/review?pack=toy",
        "/review/next?pack=toy",
        "/students",
        f"/students/compare?a={STUDENT}&b={OTHER}",
        "/sql",
        "/tables",
        "/keys",
        "/nowhere",
    ]
    return pages


def test_the_link_opens_it_and_leaves_no_token_behind(browser: Driver, running: Running) -> None:
    """The address holds no token, scripts cannot read the cookie, and who looks is named."""
    browser.get(running.links["anna"])
    assert path(browser) == "/jobs" and browser.execute_script("return document.cookie") == ""
    assert "Reviewer anna" in one(browser, ".who").text


def test_keys_go_everywhere(browser: Driver, running: Running) -> None:
    """`?` shows the keys, `g` and a letter goes to each page, `j`, `k` and Enter walk a table, `[` and `]` its parts, `/` the search."""
    browser.get(f"{running.url}/jobs")
    press(browser, "?")
    until(browser, lambda d: one(d, "#keys").get_attribute("open"))
    press(browser, "g", "r")
    assert path(browser) == "/jobs", "keys of the page do nothing while the list of keys is open"
    press(browser, Keys.ESCAPE)
    until(browser, lambda d: not one(d, "#keys").get_attribute("open"))
    pages = [(str(link.get_attribute("data-key")), str(link.get_attribute("href")).removeprefix(running.url)) for link in many(browser, ".pages a")]
    assert len(pages) == len(PAGES)
    for key, where in pages:
        browser.get(f"{running.url}/keys")
        press(browser, "g", key)
        until(browser, lambda d, where=where: path(d).startswith(where))
    browser.get(f"{running.url}/results?pack=toy")
    press(browser, "j", "j", "k", "j")
    rows = many(browser, "table[data-rows] tbody th a")
    assert browser.switch_to.active_element == rows[1]
    name = rows[1].text
    press(browser, Keys.ENTER)
    until(browser, lambda d: path(d).startswith("/documents/"))
    assert one(browser, "h1").text == name
    browser.get(f"{running.url}/results?pack=toy")
    press(browser, "]")
    until(browser, lambda d: "page=2" in path(d))
    press(browser, "[")
    until(browser, lambda d: "page" not in path(d))
    press(browser, "/")
    assert browser.switch_to.active_element == one(browser, "input[type=search]")


def test_typing_is_no_command(browser: Driver, running: Running) -> None:
    """What is typed into a field stays there; Escape leaves it, and then keys are commands again."""
    browser.get(f"{running.url}/results?pack=toy")
    press(browser, "/", *"g j?k[")
    assert (one(browser, "input[type=search]").get_attribute("value"), path(browser)) == ("g j?k[", "/results?pack=toy")
    press(browser, Keys.ESCAPE, "g", "t")
    until(browser, lambda d: path(d) == "/tables")


def test_colours_are_chosen_and_kept(browser: Driver, running: Running) -> None:
    """As the system has them until somebody chooses; what was chosen holds on the next page, and can be given back."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "light"}]})
    browser.get(f"{running.url}/jobs")
    light = style(browser, "body", "backgroundColor")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    dark = style(browser, "body", "backgroundColor")
    assert light != dark
    button = one(browser, "#theme")
    button.click()
    button.click()
    assert button.get_attribute("aria-label") == "Colours: light" and style(browser, "body", "backgroundColor") == light
    browser.get(f"{running.url}/tables")
    assert style(browser, "body", "backgroundColor") == light
    one(browser, "#theme").click()
    browser.refresh()
    assert style(browser, "body", "backgroundColor") == dark
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_running_job_moves_without_reloading(browser: Driver, running: Running, filled: Settings) -> None:
    """Counts, bar and speed change as documents are read, what has the focus keeps it, and no question is asked while the page is hidden."""
    store = Store(filled.store_url)
    with store.begin() as connection:
        job = connection.execute(
            insert(jobs).values(name="moving", pack="toy", student_id=STUDENT, state="RUNNING", submitted_at=time.time()).returning(jobs.c.id)
        ).scalar_one()
        counted = {"n_seen": N_TOYS, "n_accepted": N_TOYS, "n_duplicate": 0, "n_rejected": 0, "finished_at": 0.0}
        connection.execute(insert(sources).values(job_id=job, label="a", path_sha256="0" * 64, size=1, **counted))
    browser.get(f"{running.url}/jobs")
    row = f"#job-{job}"
    assert f"0 / {N_TOYS}" in one(browser, row).text
    browser.execute_script("window.kept = document.querySelector(arguments[0]); window.kept.querySelector('a').focus()", row)

    def read(n: int) -> None:
        with store.begin() as connection:
            connection.execute(
                text("UPDATE readings SET job_id = :j WHERE document_id IN (SELECT id FROM documents WHERE key LIKE 'toy-0%' ORDER BY id LIMIT :n)"),
                {"j": job, "n": n},
            )

    read(20)
    until(browser, lambda d: f"20 / {N_TOYS}" in one(d, row).text)
    read(50)
    until(browser, lambda d: f"50 / {N_TOYS}" in one(d, row).text)
    assert one(browser, f"{row} [role=progressbar]").get_attribute("aria-valuenow") == "83"
    until(browser, lambda d: one(d, f"{row} [data-label='Docs/s now']").text not in ("–", "0.0"))
    assert browser.execute_script("return window.kept === document.querySelector(arguments[0]) && window.kept.contains(document.activeElement)", row)
    requests(browser)
    page = browser.current_window_handle
    browser.switch_to.new_window("tab")
    time.sleep(0.5)
    browser.switch_to.window(page)
    hidden = browser.execute_script("return document.hidden")
    if not hidden:  # without a screen a tab behind another may count as seen: say that it is hidden, as a browser does
        browser.execute_script(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
        )
    time.sleep(0.5)
    requests(browser)
    time.sleep(3)
    assert [address for address in requests(browser) if "/live" in address] == []
    browser.execute_script(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    )
    until(browser, lambda d: [address for address in requests(d) if "/live" in address])
    for handle in [handle for handle in browser.window_handles if handle != page]:
        browser.switch_to.window(handle)
        browser.close()
    browser.switch_to.window(page)
    with store.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = 'COMPLETED', finished_at = submitted_at + 9 WHERE id = :j"), {"j": job})
    store.close()


def test_a_finding_and_its_place_show_each_other(browser: Driver, running: Running, filled: Settings) -> None:
    """The mouse or the focus on one marks the other; evidence tells its share on focus; layers go and come by their boxes."""
    number = first_toy(filled)
    browser.get(f"{running.url}/documents/{number}")
    assert one(browser, ".text").text.split() == toy_sample(0)["text"].split()
    row = next(r for r in many(browser, ".found-table tr") if many(browser, f".text [data-mark='{r.get_attribute('data-mark')}']"))
    name = row.get_attribute("data-mark")
    ActionChains(browser).move_to_element(row).perform()
    until(browser, lambda d: all("on" in m.get_attribute("class").split() for m in many(d, f".text [data-mark='{name}']")))  # type: ignore[union-attr]
    evidence = one(browser, ".text mark.evidence")
    browser.execute_script("arguments[0].focus()", evidence)
    until(browser, lambda d: "on" in one(d, f"#row-{evidence.get_attribute('data-mark')}").get_attribute("class"))  # type: ignore[operator]
    share = one(browser, f"#row-{evidence.get_attribute('data-mark')} .share").text
    tip = str(browser.execute_script("arguments[0].focus({focusVisible: true}); return getComputedStyle(arguments[0], '::after').content", evidence))
    assert abs(float(share.split()[0]) - float(tip.strip('"').split()[-1].rstrip("%"))) <= 0.5
    link = one(browser, f"#row-{name} a")
    link.click()
    assert browser.execute_script("return document.querySelector(':target')?.id") == name
    box = one(browser, ".legend input:checked:not(.evidence)")
    marks = f".text mark.layer-{box.get_attribute('data-layer')}"
    assert style(browser, marks, "borderBottomWidth") == "2px"
    box.click()
    assert style(browser, marks, "borderBottomWidth") == "0px"
    box.click()
    assert style(browser, marks, "borderBottomWidth") == "2px"


def test_two_students_are_chosen_side_by_side(browser: Driver, running: Running) -> None:
    """By two lists; each has its own text and findings."""
    browser.get(f"{running.url}/documents/1")
    Select(one(browser, "select[name=beside]")).select_by_value(OTHER)
    one(browser, "form.bar button").click()
    until(browser, lambda d: len(many(d, ".side")) == 2)
    first, second = many(browser, ".text")
    assert first.text == second.text and first.rect["y"] == second.rect["y"] and first.rect["x"] < second.rect["x"]


def test_sql_is_asked_by_key_and_by_button(browser: Driver, running: Running) -> None:
    """An example fills the box, Ctrl+Enter asks, the answer is a table; an error has the database's words."""
    browser.get(f"{running.url}/sql")
    next(button for button in many(browser, ".examples button") if "documents by topic" in button.text).click()
    until(browser, lambda d: "GROUP BY topic" in str(one(d, "#sql").get_attribute("value")))
    one(browser, "#sql").send_keys(Keys.CONTROL, Keys.ENTER)
    until(browser, lambda d: many(d, "#answer"), 30)
    assert [cell.text for cell in many(browser, "table[data-rows] thead th")] == ["topic", "n"]
    box = one(browser, "#sql")
    box.clear()
    box.send_keys("SELECT topik FROM toy_results")
    one(browser, "button.strong").click()
    until(browser, lambda d: "Did you mean topic?" in d.page_source, 30)


def test_everything_works_without_scripts(browser: Driver, running: Running, filled: Settings) -> None:
    """Links, forms and layers; a part that lives is there after reloading."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{running.url}/results?pack=toy")
        one(browser, ".facets a[href*='is.topic']").click()
        until(browser, lambda d: many(d, ".chip"))
        one(browser, ".chip").click()
        until(browser, lambda d: not many(d, ".chip"))
        search = one(browser, "input[type=search]")
        search.send_keys("toy-0007", Keys.ENTER)
        until(browser, lambda d: len(many(d, "table[data-rows] tbody tr")) == 1)
        one(browser, "table[data-rows] tbody a").click()
        until(browser, lambda d: many(d, ".text"))
        one(browser, ".legend input[data-layer=mood]").click()
        assert one(browser, ".text mark.layer-mood").value_of_css_property("border-bottom-width") == "2px"
        assert not one(browser, "#theme").is_displayed()
        browser.get(f"{running.url}/jobs")
        assert many(browser, "tr[id^=job-]")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_hostile_strings_do_nothing(browser: Driver, running: Running, filled: Settings) -> None:
    """Every page with strings that try to run, load or redirect: nothing runs, nothing is asked of another site, nothing is refused or thrown."""
    for page in every_page(filled):
        browser.get(running.url + page)
        assert browser.execute_script("return [window.hurt, document.querySelectorAll('script:not([src^=\"/static/\"])').length, location.origin]") == [
            None,
            0,
            running.url,
        ], page
        assert browser.execute_script("return document.querySelectorAll('img, iframe, object, embed, style, base, [style], svg svg').length") == 0, page
        log = complaints(browser)
        assert [message for message in log if not ("404" in message and page == "/nowhere")] == [], page
    assert strangers(requests(browser), running.url) == []
    browser.get(f"{running.url}/documents/1")
    assert HOSTILE[0] in one(browser, ".text").text


def test_the_browser_tells_what_the_policy_refuses(chrome: Driver, running: Running) -> None:
    """An inline script, an inline style, a picture of another site and HTML made of text are refused and seen: the tests above can fail."""
    chrome.get(f"{running.url}/keys")
    complaints(chrome)
    tried = [
        "const s = document.createElement('script'); s.append('window.hurt = 1'); document.body.append(s)",
        "document.body.setAttribute('style', 'color: red')",
        "const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i)",
        "document.body.innerHTML = '<b>x</b>'",
    ]
    for script in tried:
        chrome.execute_script(f"try {{ {script} }} catch (error) {{ console.error(String(error)) }}")
        until(chrome, lambda d: complaints(d))
    assert chrome.execute_script("return window.hurt") is None
    chrome.get(f"{running.url}/keys")
    complaints(chrome)
    requests(chrome)


STICKS_OUT = """
const framed = (e) => e.closest('.scroll, .pages, .text, dialog, .hidden, .skip');
const wide = document.documentElement.scrollWidth > 360;
return [...document.querySelectorAll('body *')].filter((e) => wide && !framed(e) && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML.slice(0, 90));
"""


def test_pages_fit_a_narrow_screen(browser: Driver, running: Running, filled: Settings) -> None:
    """At 360 pixels nothing sticks out sideways; wide tables scroll in their own frame."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True})
    try:
        for page in every_page(filled):
            browser.get(running.url + page)
            assert browser.execute_script(STICKS_OUT) == [], page
        complaints(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


NAMED = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "table", "navigation", "dialog", "progressbar", "image", "region"}
AUDIT = """
const all = (css) => [...document.querySelectorAll(css)];
const ids = all('[id]').map((e) => e.id);
return {
  h1: all('h1').length,
  main: all('main').length,
  lang: document.documentElement.lang,
  doubles: ids.filter((id, i) => ids.indexOf(id) !== i),
  dangling: ['aria-labelledby', 'aria-describedby'].flatMap((name) => all(`[${name}]`).flatMap((e) => e.getAttribute(name).split(' ')))
    .filter((id) => !ids.includes(id)),
  scopes: all('th:not([scope])').length,
  captions: all('table').filter((t) => !t.caption).length,
  sorted: all('th[aria-sort]').every((th) => th.querySelector('a')),
  skip: document.querySelector('a.skip')?.getAttribute('href'),
};
"""


def test_pages_can_be_read_without_seeing_them(browser: Driver, running: Running, filled: Settings) -> None:
    """One heading, landmarks, captions and scopes; whatever can be used has a name; ids are unique and what is pointed at is there."""
    for page in every_page(filled):
        browser.get(running.url + page)
        found = browser.execute_script(AUDIT)
        wanted = {"h1": 1, "main": 1, "lang": "en", "doubles": [], "dangling": [], "scopes": 0, "captions": 0, "sorted": True, "skip": "#main"}
        assert found == wanted, page
        tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        nameless = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in NAMED and not n.get("name", {}).get("value", "").strip()]
        assert [n["role"]["value"] for n in nameless] == [], page
    complaints(browser)


def test_the_focus_is_seen(browser: Driver, running: Running) -> None:
    """The first Tab leads past the navigation; links, buttons and fields have a ring when they are reached by key."""
    browser.get(f"{running.url}/results?pack=toy")
    press(browser, Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to content"
    for _ in range(12):
        press(browser, Keys.TAB)
        ring = browser.execute_script("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]")
        assert ring[0] == "solid" and ring[1] >= 2


def test_a_page_can_be_printed(browser: Driver, running: Running, filled: Settings) -> None:
    """On paper there is the content alone, dark on white, whatever colours were chosen."""
    browser.get(f"{running.url}/results?pack=toy")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not [element for css in (".top", ".facets", ".search", ".tools", ".foot") for element in many(browser, css) if element.is_displayed()]
        assert one(browser, "table[data-rows]").is_displayed()
        assert style(browser, "body", "color") == "rgb(31, 27, 23)"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_lost_console_is_told(browser: Driver, filled: Settings) -> None:
    """A page that lives says when nobody answers any more; a session that is over says so too."""
    with console(filled) as other:
        browser.get(other.links[""])
        page = browser.current_url
        assert page == f"{other.url}/jobs"
        browser.delete_all_cookies()
        until(browser, lambda d: "session is over" in one(d, "#lost").text if many(d, "#lost") else False)
        browser.get(other.links[""])
    until(browser, lambda d: "does not answer" in one(d, "#lost").text if many(d, "#lost") else False)
    complaints(browser)
    requests(browser)


def test_without_chromium_the_tests_fail_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not left out."""
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(RuntimeError, match="apt-get install -y --no-install-recommends chromium chromium-driver"), chromium():
        pass
