"""Chromium without a screen, driven over WebDriver: what the console's pages do in it, and what they must not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en")
WANTED = "Chromium and its driver are needed. Run: make chromium, or: apt-get install -y --no-install-recommends chromium chromium-driver"
# what a browser logs of a page that broke the console's policy, or its own script
WRONG = ("SEVERE", "WARNING")

Driver = webdriver.Chrome


@contextmanager
def chromium(*, width: int = 1280, height: int = 900, environment: dict[str, str] | None = None) -> Iterator[Driver]:
    """A browser with an empty profile, in Debian's build."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        raise RuntimeError(WANTED)
    options = Options()
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(driver, env=environment)
    opened = webdriver.Chrome(options=options, service=service)
    try:
        opened.set_page_load_timeout(30)
        yield opened
    finally:
        opened.quit()


def complaints(driver: Driver) -> list[str]:
    """What the browser logged since it was asked last: errors of scripts, what the policy refused, what did not load."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in WRONG]


def requests(driver: Driver) -> list[str]:
    """The addresses that were asked for since it was asked last."""
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def strangers(addresses: list[str], origin: str) -> list[str]:
    """Those of another origin."""
    return [address for address in addresses if "{0.scheme}://{0.netloc}".format(urlsplit(address)) != origin]


def shoot(driver: Driver, file: Path, *, whole: bool = False) -> None:
    """A picture of what is seen, or of the whole page."""
    import base64

    options: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
    file.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))


def until(driver: Driver, holds: Callable[[Driver], object], seconds: float = 15) -> None:
    # of a page that is replaced meanwhile the driver says many things: that a node is gone, stale, or of another document
    WebDriverWait(driver, seconds, poll_frequency=0.05, ignored_exceptions=(WebDriverException,)).until(holds)


def one(driver: Driver, css: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, css)


def many(driver: Driver, css: str) -> list[WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, css)


def press(driver: Driver, *keys: str) -> None:
    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def path(driver: Driver) -> str:
    return str(driver.execute_script("return location.pathname + location.search"))


def style(driver: Driver, css: str, name: str) -> str:
    return str(driver.execute_script("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", css, name))
