"""What the stylesheet promises: text that can be read in both colours, nothing loaded, nothing moving for whoever wants that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workers.console.render import HERE, STATIC

CSS = (STATIC / "console.css").read_text(encoding="utf-8")
COLOURS = {name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", CSS)}
SHARES = [int(share) / 100 for share in re.findall(r"--share: (\d+)%", CSS)]

# text on what it stands on: WCAG 2.2, 1.4.3 (AA)
TEXT = [
    *((ink, sheet) for ink in ("ink", "soft", "copper", "good", "warn", "bad") for sheet in ("paper", "sheet", "raised")),
    *((ink, f"tint{i}") for i in range(1, 11) for ink in ("ink", "soft")),
    *((name, f"{name}-sheet") for name in ("good", "warn", "bad")),
    *(("ink", f"{name}-sheet") for name in ("good", "warn", "bad")),
    ("on-copper", "copper"),
    ("paper", "ink"),
]
# lines, bars and the edges of fields: 1.4.11
GRAPHICS = [
    *((f"h{i}", sheet) for i in range(1, 11) for sheet in ("sheet", "paper")),
    *(("edge", sheet) for sheet in ("paper", "sheet")),
    *(("focus", sheet) for sheet in ("paper", "sheet")),
]
DARK = ("light", "dark")


def channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def luminance(rgb: tuple[float, ...]) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG's contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_is_wcags() -> None:
    """Black on white has 21, and #767676 on white is the palest grey that passes."""
    white = channels("#ffffff")
    assert round(contrast(channels("#000000"), white), 2) == 21
    assert contrast(channels("#767676"), white) >= 4.5 > contrast(channels("#777777"), white)


@pytest.mark.parametrize("dark", [0, 1], ids=DARK)
@pytest.mark.parametrize(("text", "sheet"), TEXT)
def test_text_can_be_read(text: str, sheet: str, dark: int) -> None:
    """Each pair of colours that text is set in has a contrast of 4.5 at least, light and dark."""
    assert contrast(channels(COLOURS[text][dark]), channels(COLOURS[sheet][dark])) >= 4.5


@pytest.mark.parametrize("dark", [0, 1], ids=DARK)
@pytest.mark.parametrize(("line", "sheet"), GRAPHICS)
def test_lines_can_be_seen(line: str, sheet: str, dark: int) -> None:
    """Underlines, bars, fields' edges and the mark of focus have 3 at least."""
    assert contrast(channels(COLOURS[line][dark]), channels(COLOURS[sheet][dark])) >= 3


@pytest.mark.parametrize("dark", [0, 1], ids=DARK)
def test_text_can_be_read_on_every_share(dark: int) -> None:
    """A sentence's shade, from the faintest to the fullest, leaves its words a contrast of 4.5; each is darker than the one before."""
    assert len(SHARES) == 21
    ink, sheet, full = (channels(COLOURS[name][dark]) for name in ("ink", "sheet", "evidence"))
    mixed = [tuple(share * a + (1 - share) * b for a, b in zip(full, sheet, strict=True)) for share in SHARES]
    assert min(contrast(ink, shade) for shade in mixed) >= 4.5
    steps = [contrast(shade, sheet) for shade in mixed]
    assert steps == sorted(steps) and len(set(steps)) == 21


def test_all_colours_are_measured() -> None:
    """A colour that is added is measured, or named here as one that carries neither text nor meaning."""
    assert set(COLOURS) == {name for pair in (*TEXT, *GRAPHICS) for name in pair} | {"line", "evidence"}


@pytest.mark.parametrize("file", sorted([*STATIC.glob("*"), *(HERE / "templates").glob("*")]), ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere_and_no_page_holds_scripts_or_styles(file: Path) -> None:
    """No address of another site, no inline script, handler or style; the namespace of SVG is no address that is asked for."""
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|url\(|//[a-z]", text.replace("// ", ""))
    if file.suffix == ".html":
        assert not re.search(r"""\son\w+\s*=|\sstyle\s*=|<style|javascript:|\|\s*safe""", text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_script_makes_no_html_but_by_the_one_rule() -> None:
    """No sink that the policy would refuse, and none of the ways around it."""
    script = (STATIC / "console.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setTimeout\([\"'`]", script)
    assert script.count("createHTML(html)") == 1


def test_motion_is_for_those_who_want_it() -> None:
    """Every transition stands under the query that asks for it."""
    wanted = re.findall(r"@media \(prefers-reduced-motion: no-preference\) \{(.*?)\n\}", CSS, re.S)
    assert len(wanted) == 1
    rest = CSS.replace(wanted[0], "")
    assert not re.search(r"transition|animation|scroll-behavior", rest)
