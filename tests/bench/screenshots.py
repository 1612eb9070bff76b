"""Pictures of the console for docs/console.md: each page over a store of the packs' samples, light, dark and on a narrow screen.

    python -m tests.bench.screenshots --folder var/screenshots

The students that the first run fine-tunes are used again by the next. Fonts are this machine's: where Inter is installed it stands for
the system's.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from selenium.webdriver.common.by import By

from tests.bench.console_store import ROOT, made, manage
from tests.workers.console.browser import Driver, chromium, complaints
from tests.workers.console.process import Running, console
from workers.fleet import fleet
from workers.settings import Settings
from workers.store import Store

OUT = ROOT / "docs" / "console"
# as many as a picture with a palette holds
COLOURS = 256
N_EXACT = 128
WIDE, NARROW = (1280, 860), (360, 740)
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>
"""
# documents of the job that is read while its picture is taken: the samples, again and again
N_LIVE = 6000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "screenshots", help="where the store and its students lie")
    folder = parser.parse_args().folder.resolve()
    settings = made(folder)
    OUT.mkdir(exist_ok=True)
    (folder / "fonts.conf").write_text(FONTS, encoding="utf-8")
    with console(settings, "--reviewer", "anna") as running:
        for dark in (False, True):
            with _browser(folder, running, dark=dark) as driver:
                for name, path in _pages(settings).items():
                    _shot(driver, running, path, f"{name}{'-dark' if dark else ''}")
        with _browser(folder, running, size=NARROW) as driver:
            for name, path in _pages(settings).items():
                _shot(driver, running, path, f"{name}-narrow")
        with _browser(folder, running, who="") as driver:
            _shot(driver, running, _pages(settings)["document"], "document-analyst")
        # last: what is read meanwhile would stand in all other pictures
        with _reading(settings, folder), _browser(folder, running) as driver:
            _live(driver, running)


def _pages(settings: Settings) -> dict[str, str]:
    """A page of each kind, by the name of its picture."""
    store = Store(settings.store_url)
    with store.reading() as connection:
        number = {key: connection.exec_driver_sql(f"SELECT max(id) FROM documents WHERE key = '{key}'").scalar() for key in ("clinical-0001", "finance-0077")}
        ids = connection.exec_driver_sql("SELECT id FROM students WHERE pack = 'finance' ORDER BY state").scalars().all()
        failed = connection.exec_driver_sql("SELECT max(job_id) FROM failures WHERE student_id LIKE 'finance-%'").scalar()
    store.close()
    return {
        "job": f"/jobs/{failed}",
        "results": "/results?pack=finance&is.verdict=phishing&sort=risk&dir=asc",
        "findings": "/findings?pack=clinical&is.task=mentions&is.label=DRUG&dir=asc",
        "document": f"/documents/{number['finance-0077']}",
        "clinical": f"/documents/{number['clinical-0001']}",
        "beside": f"/documents/{number['finance-0077']}?student={ids[0]}&beside={ids[1]}",
        "review": "/review?pack=finance",
        "review-next": "/review/next?pack=finance&task=verdict",
        "review-span": "/review/next?pack=clinical&task=mentions",
        "charts": "/charts?pack=finance",
        "drift": "/drift?pack=finance&days=30",
        "energy": "/energy",
        "students": "/students",
        "compare": f"/students/compare?a={ids[0]}&b={ids[1]}",
        "sql": "/sql",
        "tables": "/tables#finance_results",
    }


@contextmanager
def _browser(folder: Path, running: Running, *, dark: bool = False, size: tuple[int, int] = WIDE, who: str = "anna") -> Iterator[Driver]:
    with chromium(width=size[0], height=size[1], environment={**os.environ, "FONTCONFIG_FILE": str(folder / "fonts.conf")}) as driver:
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == NARROW}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        _colours(driver, dark)
        driver.get(running.links[who])
        yield driver


@contextmanager
def _reading(settings: Settings, folder: Path) -> Iterator[None]:
    """Meanwhile a job of many documents is read."""
    samples = (ROOT / "suites" / "finance" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = (json.loads(samples[i % len(samples)])["text"] for i in range(N_LIVE))
    file = folder / "inbox.jsonl"
    file.write_text("".join(json.dumps({"id": f"mail-{i:05}", "text": f"{text} ({i})"}) + "\n" for i, text in enumerate(rows)), encoding="utf-8")
    with fleet(settings, 1):
        job = manage("submit", "finance", str(file), "--job", "finance inbox")["job_id"]
        yield
        manage("cancel", str(job))


def _live(driver: Driver, running: Running) -> None:
    """The page of jobs after it has been open for a while."""
    driver.get(f"{running.url}/jobs")
    for _ in range(300):
        now = driver.find_element(By.CSS_SELECTOR, "tbody tr [data-label='Docs/s now']").text
        if now not in ("–", "0.0"):
            break
        time.sleep(0.2)
    time.sleep(8)
    for dark in (False, True):
        _colours(driver, dark)
        _save(driver, f"jobs{'-dark' if dark else ''}")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": NARROW[0], "height": NARROW[1], "deviceScaleFactor": 1, "mobile": True})
    _colours(driver, False)
    _save(driver, "jobs-narrow")


def _colours(driver: Driver, dark: bool) -> None:
    """Light or dark, and nothing that moves while its picture is taken."""
    features = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": name, "value": value} for name, value in features.items()]})


def _shot(driver: Driver, running: Running, path: str, name: str) -> None:
    driver.get(running.url + path)
    if path == "/sql":
        for xpath in ("//button[contains(., 'documents by verdict')]", "//button[text()='Ask']"):
            driver.execute_script("arguments[0].click()", driver.find_element(By.XPATH, xpath))
            time.sleep(0.5)
        for _ in range(100):
            if driver.find_elements(By.ID, "answer"):
                break
            time.sleep(0.1)
    time.sleep(0.3)
    _save(driver, name)
    if wrong := complaints(driver):
        raise RuntimeError(f"{name}: {wrong}")


def _save(driver: Driver, name: str) -> None:
    """The picture, in few colours: the most frequent ones, of sheets, tints and lines, stay as they are; all others share some of their own."""
    taken = np.asarray(Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB"))
    colours, places, counts = np.unique(taken.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    ranked = colours[np.argsort(-counts, kind="stable")]
    rest = Image.fromarray(ranked[None, N_EXACT:]).quantize(COLOURS - N_EXACT, method=Image.Quantize.MEDIANCUT)
    kept = np.concatenate([ranked[:N_EXACT], np.array(rest.getpalette(), np.uint8).reshape(-1, 3)])
    nearest = np.concatenate([((part[:, None].astype(int) - kept) ** 2).sum(axis=2).argmin(axis=1) for part in np.array_split(colours, 64)])
    picture = Image.fromarray(nearest[places].reshape(taken.shape[:2]).astype(np.uint8), "P")
    picture.putpalette(kept.ravel().tolist())
    picture.save(OUT / f"{name}.png", optimize=True)
    print(f"{name}.png {(OUT / f'{name}.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
